//! `persona.kmeans`: what the aggregate returns, and the functions that use it on arrays and records.

use std::ffi::{CStr, CString};

use pgrx::Internal;
use pgrx::pg_sys::FunctionCallInfo;
use pgrx::prelude::*;

use crate::algo::segment::{KMeans, Prepared};
use crate::pg::applied::{Applied, to_array, to_record};
use crate::pg::error::Report;
use crate::pg::record::Record;
use crate::pg::value::{self, Bytes, Floats, SqlType, Value};

impl SqlType for KMeans {
    const NAME: &'static str = "kmeans";

    fn check(&self) -> Result<(), String> {
        KMeans::check(self).map_err(|error| error.to_string())
    }
}

#[pg_extern]
fn kmeans_in(text: &CStr) -> Result<Value<KMeans>, Report> {
    value::parse(text)
}

#[pg_extern]
fn kmeans_out(kmeans: Value<KMeans>) -> Result<CString, Report> {
    value::print(&kmeans)
}

#[pg_extern]
fn kmeans_send(kmeans: Bytes) -> Vec<u8> {
    value::send(kmeans)
}

#[pg_extern]
fn kmeans_recv(message: Internal) -> Result<Value<KMeans>, Report> {
    value::receive(message)
}

impl Applied for KMeans {
    type Prepared = Prepared;

    fn prepared(self) -> Result<(Vec<String>, Prepared), Report> {
        let prepared = self.prepare();
        Ok((self.features, prepared))
    }
}

fn label(prepared: &Prepared, row: &[f64]) -> Option<i32> {
    prepared.segment(row).map(|segment| segment as i32)
}

fn distance(prepared: &Prepared, row: &[f64]) -> Option<f64> {
    prepared.distance(row)
}

fn second(prepared: &Prepared, row: &[f64]) -> Option<i32> {
    prepared.second_segment(row).map(|segment| segment as i32)
}

fn anomaly(prepared: &Prepared, row: &[f64]) -> Option<f64> {
    prepared.anomaly(row)
}

#[pg_extern]
fn kmeans_segment_array(
    kmeans: Bytes,
    features: Floats,
    fcinfo: FunctionCallInfo,
) -> Result<Option<i32>, Report> {
    to_array::<KMeans, _>(kmeans, &features, fcinfo, label)
}

#[pg_extern]
fn kmeans_segment_record(
    kmeans: Bytes,
    features: Record,
    fcinfo: FunctionCallInfo,
) -> Result<Option<i32>, Report> {
    to_record::<KMeans, _>(kmeans, features, fcinfo, label)
}

#[pg_extern]
fn kmeans_distance_array(
    kmeans: Bytes,
    features: Floats,
    fcinfo: FunctionCallInfo,
) -> Result<Option<f64>, Report> {
    to_array::<KMeans, _>(kmeans, &features, fcinfo, distance)
}

#[pg_extern]
fn kmeans_distance_record(
    kmeans: Bytes,
    features: Record,
    fcinfo: FunctionCallInfo,
) -> Result<Option<f64>, Report> {
    to_record::<KMeans, _>(kmeans, features, fcinfo, distance)
}

#[pg_extern]
fn kmeans_second_segment_array(
    kmeans: Bytes,
    features: Floats,
    fcinfo: FunctionCallInfo,
) -> Result<Option<i32>, Report> {
    to_array::<KMeans, _>(kmeans, &features, fcinfo, second)
}

#[pg_extern]
fn kmeans_second_segment_record(
    kmeans: Bytes,
    features: Record,
    fcinfo: FunctionCallInfo,
) -> Result<Option<i32>, Report> {
    to_record::<KMeans, _>(kmeans, features, fcinfo, second)
}

#[pg_extern]
fn kmeans_anomaly_array(
    kmeans: Bytes,
    features: Floats,
    fcinfo: FunctionCallInfo,
) -> Result<Option<f64>, Report> {
    to_array::<KMeans, _>(kmeans, &features, fcinfo, anomaly)
}

#[pg_extern]
fn kmeans_anomaly_record(
    kmeans: Bytes,
    features: Record,
    fcinfo: FunctionCallInfo,
) -> Result<Option<f64>, Report> {
    to_record::<KMeans, _>(kmeans, features, fcinfo, anomaly)
}

#[pg_extern]
fn kmeans_centroids(
    kmeans: Value<KMeans>,
) -> TableIterator<
    'static,
    (name!(segment, i32), name!(size, i64), name!(feature, String), name!(centroid, f64)),
> {
    let model = kmeans.0;
    let d = model.features.len();
    TableIterator::new((0..model.centroids.len()).map(move |cell| {
        let segment = cell / d;
        (
            segment as i32 + 1,
            model.sizes[segment] as i64,
            model.features[cell % d].clone(),
            model.centroids[cell],
        )
    }))
}
