//! `score`, `score_batch` and `predict`.
#![allow(unsafe_code, reason = "called once a row, without a layer between")]

use pgrx::JsonB;
use pgrx::pg_sys::panic::ErrorReportable;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo};
use pgrx::prelude::*;

use crate::pg::error::{Error, Report};
use crate::pg::rows::window::Partition;
use crate::pg::sys::call_site::CallSite;
use crate::pg::sys::raw::{self, argument, bytes_of};
use crate::pg::types::record::{Object, Record, Row};

use super::batch::Ahead;
use super::scoring::Site;
use crate::pg::types::options::required;

raw::declare! {
    persona_score, pg_finfo_persona_score;
    persona_score_batch, pg_finfo_persona_score_batch;
}

/// (model text, features record): NULL for a NULL record.
#[unsafe(no_mangle)]
#[pg_guard]
unsafe extern "C-unwind" fn persona_score(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares (text, record) and the result float8.
    unsafe {
        let site: &mut Site =
            CallSite::of(fcinfo).remember(|| Ok(Site::default())).unwrap_or_report();
        let Some(record) = argument(fcinfo, 1) else { return raw::null(fcinfo) };
        let model = model_name(argument(fcinfo, 0)).unwrap_or_report();
        let score = site.find(model).and_then(|by| by.score(Record::from_datum(record).into()));
        number(fcinfo, score.unwrap_or_report())
    }
}

/// (model text, features record) OVER (…): rows are read ahead of the current one, and scored in batches.
#[unsafe(no_mangle)]
#[pg_guard]
unsafe extern "C-unwind" fn persona_score_batch(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares the function WINDOW, with (text, record) and the result float8.
    unsafe {
        let partition = Partition::of(fcinfo);
        let position = partition.position();
        let (site, ahead) = CallSite::of(fcinfo)
            .remember::<(Site, Ahead)>(|| Ok(Default::default()))
            .unwrap_or_report();
        if let Some(score) = ahead.at(position) {
            return number(fcinfo, score);
        }
        let model = model_name(partition.argument(0)).unwrap_or_report();
        let by = site.find(model).unwrap_or_report();
        // One model for all rows, or the rows ahead may be another's.
        let score = if pg_sys::get_fn_expr_arg_stable((*fcinfo).flinfo, 0) {
            ahead.read(partition, position, by)
        } else {
            partition.release_before(position);
            partition.argument(1).map_or(Ok(None), |row| by.score(Record::from_datum(row).into()))
        };
        number(fcinfo, score.unwrap_or_report())
    }
}

#[pg_extern]
fn predict(
    model: Option<&str>,
    features: Option<Record>,
    fcinfo: FunctionCallInfo,
) -> Result<Option<JsonB>, Report> {
    let site: &mut Site = CallSite::of(fcinfo).remember(|| Ok(Site::default()))?;
    let Some(record) = features else { return Ok(None) };
    site.find(required(model, "model")?)?.predict(record.into()).map(|value| Some(JsonB(value)))
}

/// As `score`, of a JSON object.
#[pg_extern]
fn score_json(
    model: Option<&str>,
    features: Option<&str>,
    fcinfo: FunctionCallInfo,
) -> Result<Option<f64>, Report> {
    let site: &mut Site = CallSite::of(fcinfo).remember(|| Ok(Site::default()))?;
    let Some(features) = features else { return Ok(None) };
    site.find(required(model, "model")?)?.score(Row::Object(&Object::parse(features)?))
}

/// As `predict`, of a JSON object.
#[pg_extern]
fn predict_json(
    model: Option<&str>,
    features: Option<&str>,
    fcinfo: FunctionCallInfo,
) -> Result<Option<JsonB>, Report> {
    let site: &mut Site = CallSite::of(fcinfo).remember(|| Ok(Site::default()))?;
    let Some(features) = features else { return Ok(None) };
    let row = Object::parse(features)?;
    site.find(required(model, "model")?)?.predict(Row::Object(&row)).map(|value| Some(JsonB(value)))
}

/// # Safety
/// `datum` is a text that outlives the result.
unsafe fn model_name<'a>(datum: Option<Datum>) -> Result<&'a str, Report> {
    let Some(datum) = datum else { return Err(Error::NullArgument { argument: "model" }.into()) };
    // SAFETY: by the caller's promise; what is detoasted lives in the calling context, as long as the call.
    let bytes = unsafe { bytes_of(datum) };
    std::str::from_utf8(bytes).map_err(|_| Error::InvalidText { column: "model".to_owned() }.into())
}

/// # Safety
/// `fcinfo` is of the running call, whose result is float8.
#[inline]
unsafe fn number(fcinfo: FunctionCallInfo, value: Option<f64>) -> Datum {
    match value {
        Some(value) => Datum::from(value.to_bits()),
        // SAFETY: by the caller's promise.
        None => unsafe { raw::null(fcinfo) },
    }
}
