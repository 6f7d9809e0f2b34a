//! `score`, `score_batch` and `predict`.
#![allow(unsafe_code, reason = "called once a row, without a layer between")]

use pgrx::JsonB;
use pgrx::pg_sys::panic::ErrorReportable;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo};
use pgrx::prelude::*;

use crate::pg::call_site::CallSite;
use crate::pg::datum::varlena_bytes;
use crate::pg::error::{Error, Report};
use crate::pg::raw::{self, argument};
use crate::pg::record::Record;
use crate::pg::window::Partition;

use super::required;
use super::scoring::{Scoring, Site};

raw::declare! {
    persona_score, pg_finfo_persona_score;
    persona_score_batch, pg_finfo_persona_score_batch;
}

/// (model text, features record): NULL for a NULL record.
#[unsafe(no_mangle)]
#[pg_guard]
pub unsafe extern "C-unwind" fn persona_score(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares (text, record) and the result float8.
    unsafe {
        let site: &mut Site =
            CallSite::of(fcinfo).remember(|| Ok(Site::default())).unwrap_or_report();
        let Some(record) = argument(fcinfo, 1) else { return raw::null(fcinfo) };
        let model = model_name(argument(fcinfo, 0)).unwrap_or_report();
        let score = site.score(model, Record::from_datum(record)).unwrap_or_report();
        number(fcinfo, score)
    }
}

/// (model text, features record) OVER (…): the scores of rows to come are had together where that is cheaper.
#[unsafe(no_mangle)]
#[pg_guard]
pub unsafe extern "C-unwind" fn persona_score_batch(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares the function WINDOW, with (text, record) and the result float8.
    unsafe {
        let site: &mut Site =
            CallSite::of(fcinfo).remember(|| Ok(Site::default())).unwrap_or_report();
        let partition = Partition::of(fcinfo);
        partition.release_before(partition.position());
        let model = partition.argument(0);
        let Some(record) = partition.argument(1) else { return raw::null(fcinfo) };
        let model = model_name(model).unwrap_or_report();
        let score = site.score(model, Record::from_datum(record)).unwrap_or_report();
        number(fcinfo, score)
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
    let (_, scoring, is_new) = site.found.get(required(model, "model")?)?;
    if is_new {
        site.binding.forget();
    }
    match &**scoring {
        Scoring::Native(native) => {
            native.predict(&mut site.binding, record).map(|value| Some(JsonB(value)))
        }
    }
}

/// # Safety
/// `datum` is a text that outlives the result.
unsafe fn model_name<'a>(datum: Option<Datum>) -> Result<&'a str, Report> {
    let Some(datum) = datum else { return Err(Error::NullArgument { argument: "model" }.into()) };
    // SAFETY: by the caller's promise; what is detoasted lives in the calling context, as long as the call.
    let bytes = unsafe { varlena_bytes(pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr())) };
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
