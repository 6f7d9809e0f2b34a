//! `persona.kmeans`: what the aggregate returns, and the functions that use it on arrays and records.

use std::ffi::{CStr, CString};

use pgrx::Internal;
use pgrx::pg_sys::FunctionCallInfo;
use pgrx::prelude::*;

use crate::algo::segment::{KMeans, Prepared};
use crate::pg::call_site::CallSite;
use crate::pg::error::{Error, Report, report};
use crate::pg::record::{Binding, Record};
use crate::pg::value::{self, Bytes, Floats, Kept, SqlType, Value};

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

/// What a fit on arrays calls its features: 1, 2, 3, ….
pub(super) fn array_names(n_features: usize) -> Vec<String> {
    (1..=n_features).map(|feature| feature.to_string()).collect()
}

/// What a call site keeps between rows.
#[derive(Default)]
struct Site {
    kept: Kept<(Vec<String>, Prepared)>,
    binding: Binding,
}

fn prepare(model: KMeans) -> Result<(Vec<String>, Prepared), Report> {
    let prepared = model.prepare();
    Ok((model.features, prepared))
}

fn with_array<T>(
    kmeans: Bytes,
    features: &Floats,
    fcinfo: FunctionCallInfo,
    answer: fn(&Prepared, &[f64]) -> T,
) -> Result<T, Report> {
    let site: &mut Site = CallSite::of(fcinfo).remember(|| Ok(Site::default()))?;
    let ((_, prepared), _) = site.kept.get(kmeans, prepare)?;
    let (expected, found) = (prepared.n_features(), features.0.len());
    if expected != found {
        let column = "the feature array".to_owned();
        return Err(Error::WrongDimension { column, expected, found }.into());
    }
    Ok(answer(prepared, &features.0))
}

fn with_record<T>(
    kmeans: Bytes,
    features: Record,
    fcinfo: FunctionCallInfo,
    answer: fn(&Prepared, &[f64]) -> T,
) -> Result<T, Report> {
    let site: &mut Site = CallSite::of(fcinfo).remember(|| Ok(Site::default()))?;
    let ((names, prepared), is_new) = site.kept.get(kmeans, prepare)?;
    if is_new {
        site.binding.forget();
        if *names == array_names(names.len()) {
            return Err(report(
                PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
                "the segments were fitted on arrays, whose features have no names",
            )
            .set_hint("Pass an array with the features in the order of the fit."));
        }
    }
    Ok(answer(prepared, site.binding.numbers(features, names)?))
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
    with_array(kmeans, &features, fcinfo, label)
}

#[pg_extern]
fn kmeans_segment_record(
    kmeans: Bytes,
    features: Record,
    fcinfo: FunctionCallInfo,
) -> Result<Option<i32>, Report> {
    with_record(kmeans, features, fcinfo, label)
}

#[pg_extern]
fn kmeans_distance_array(
    kmeans: Bytes,
    features: Floats,
    fcinfo: FunctionCallInfo,
) -> Result<Option<f64>, Report> {
    with_array(kmeans, &features, fcinfo, distance)
}

#[pg_extern]
fn kmeans_distance_record(
    kmeans: Bytes,
    features: Record,
    fcinfo: FunctionCallInfo,
) -> Result<Option<f64>, Report> {
    with_record(kmeans, features, fcinfo, distance)
}

#[pg_extern]
fn kmeans_second_segment_array(
    kmeans: Bytes,
    features: Floats,
    fcinfo: FunctionCallInfo,
) -> Result<Option<i32>, Report> {
    with_array(kmeans, &features, fcinfo, second)
}

#[pg_extern]
fn kmeans_second_segment_record(
    kmeans: Bytes,
    features: Record,
    fcinfo: FunctionCallInfo,
) -> Result<Option<i32>, Report> {
    with_record(kmeans, features, fcinfo, second)
}

#[pg_extern]
fn kmeans_anomaly_array(
    kmeans: Bytes,
    features: Floats,
    fcinfo: FunctionCallInfo,
) -> Result<Option<f64>, Report> {
    with_array(kmeans, &features, fcinfo, anomaly)
}

#[pg_extern]
fn kmeans_anomaly_record(
    kmeans: Bytes,
    features: Record,
    fcinfo: FunctionCallInfo,
) -> Result<Option<f64>, Report> {
    with_record(kmeans, features, fcinfo, anomaly)
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
