//! `persona.mixture`: what the aggregate returns, and the functions that use it on arrays and records.

use std::ffi::{CStr, CString};

use pgrx::Internal;
use pgrx::pg_sys::FunctionCallInfo;
use pgrx::prelude::*;

use crate::algo::shapes::{Mixture, PreparedMixture};
use crate::pg::applied::{Applied, to_array, to_record};
use crate::pg::error::Report;
use crate::pg::record::Record;
use crate::pg::value::{self, Bytes, Floats, FloatsOut, SqlType, Value};

impl SqlType for Mixture {
    const NAME: &'static str = "mixture";

    fn check(&self) -> Result<(), String> {
        Mixture::check(self).map_err(|error| error.to_string())
    }
}

impl Applied for Mixture {
    type Prepared = PreparedMixture;

    fn prepared(self) -> Result<(Vec<String>, PreparedMixture), Report> {
        let prepared = self.prepare()?;
        Ok((self.features, prepared))
    }
}

#[pg_extern]
fn mixture_in(text: &CStr) -> Result<Value<Mixture>, Report> {
    value::parse(text)
}

#[pg_extern]
fn mixture_out(mixture: Value<Mixture>) -> Result<CString, Report> {
    value::print(&mixture)
}

#[pg_extern]
fn mixture_send(mixture: Bytes) -> Vec<u8> {
    value::send(mixture)
}

#[pg_extern]
fn mixture_recv(message: Internal) -> Result<Value<Mixture>, Report> {
    value::receive(message)
}

fn membership(prepared: &PreparedMixture, row: &[f64]) -> Option<FloatsOut> {
    prepared.membership(row).map(FloatsOut)
}

fn segment(prepared: &PreparedMixture, row: &[f64]) -> Option<i32> {
    prepared.segment(row).map(|segment| segment as i32)
}

fn log_density(prepared: &PreparedMixture, row: &[f64]) -> Option<f64> {
    prepared.log_density(row)
}

#[pg_extern]
fn mixture_membership_array(
    mixture: Bytes,
    features: Floats,
    fcinfo: FunctionCallInfo,
) -> Result<Option<FloatsOut>, Report> {
    to_array::<Mixture, _>(mixture, &features, fcinfo, membership)
}

#[pg_extern]
fn mixture_membership_record(
    mixture: Bytes,
    features: Record,
    fcinfo: FunctionCallInfo,
) -> Result<Option<FloatsOut>, Report> {
    to_record::<Mixture, _>(mixture, features, fcinfo, membership)
}

#[pg_extern]
fn mixture_segment_array(
    mixture: Bytes,
    features: Floats,
    fcinfo: FunctionCallInfo,
) -> Result<Option<i32>, Report> {
    to_array::<Mixture, _>(mixture, &features, fcinfo, segment)
}

#[pg_extern]
fn mixture_segment_record(
    mixture: Bytes,
    features: Record,
    fcinfo: FunctionCallInfo,
) -> Result<Option<i32>, Report> {
    to_record::<Mixture, _>(mixture, features, fcinfo, segment)
}

#[pg_extern]
fn mixture_log_density_array(
    mixture: Bytes,
    features: Floats,
    fcinfo: FunctionCallInfo,
) -> Result<Option<f64>, Report> {
    to_array::<Mixture, _>(mixture, &features, fcinfo, log_density)
}

#[pg_extern]
fn mixture_log_density_record(
    mixture: Bytes,
    features: Record,
    fcinfo: FunctionCallInfo,
) -> Result<Option<f64>, Report> {
    to_record::<Mixture, _>(mixture, features, fcinfo, log_density)
}

#[pg_extern]
fn mixture_components(
    mixture: Value<Mixture>,
) -> TableIterator<
    'static,
    (
        name!(segment, i32),
        name!(weight, f64),
        name!(feature, String),
        name!(mean, f64),
        name!(stddev, f64),
    ),
> {
    let cells: Vec<_> = mixture.0.components().collect();
    TableIterator::new(
        cells
            .into_iter()
            .map(|cell| (cell.segment as i32, cell.weight, cell.feature, cell.mean, cell.sd)),
    )
}
