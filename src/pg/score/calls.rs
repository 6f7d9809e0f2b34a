//! `score`, `score_batch` and `predict`.
#![allow(unsafe_code, reason = "called once a row, without a layer between")]

use pgrx::pg_sys::panic::ErrorReportable;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo};
use pgrx::prelude::*;
use pgrx::{JsonB, PgMemoryContexts};

use crate::pg::call_site::CallSite;
use crate::pg::datum::varlena_bytes;
use crate::pg::error::{Error, Report};
use crate::pg::raw::{self, argument};
use crate::pg::record::{Binding, Record};
use crate::pg::window::Partition;

use super::onnx::Imported;
use super::required;
use super::scoring::{By, Site};

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
        let score = site.find(model).and_then(|by| by.score(Record::from_datum(record)));
        number(fcinfo, score.unwrap_or_report())
    }
}

/// (model text, features record) OVER (…): rows for an imported model are sent in batches, read ahead of the current one.
#[unsafe(no_mangle)]
#[pg_guard]
unsafe extern "C-unwind" fn persona_score_batch(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares the function WINDOW, with (text, record) and the result float8.
    unsafe {
        let partition = Partition::of(fcinfo);
        let position = partition.position();
        let kept = partition.kept::<Ahead>();
        if let Some(score) = kept.as_ref().and_then(|ahead| ahead.at(position)) {
            return number(fcinfo, score);
        }
        let site: &mut Site =
            CallSite::of(fcinfo).remember(|| Ok(Site::default())).unwrap_or_report();
        let model = model_name(partition.argument(0)).unwrap_or_report();
        let by = site.find(model).unwrap_or_report();
        let score = match by {
            // One model for all rows, or the rows ahead may be another's.
            By::Onnx(imported, binding) if pg_sys::get_fn_expr_arg_stable((*fcinfo).flinfo, 0) => {
                let ahead = kept.unwrap_or_else(|| partition.keep(Ahead::default()));
                read_ahead(ahead, partition, position, imported, binding)
            }
            by => {
                partition.release_before(position);
                partition.argument(1).map_or(Ok(None), |row| by.score(Record::from_datum(row)))
            }
        };
        number(fcinfo, score.unwrap_or_report())
    }
}

/// Scores of a partition's rows from `start` on, which were had together.
#[derive(Default)]
struct Ahead {
    start: i64,
    scores: Vec<Option<f64>>,
    size: usize,
}

impl Ahead {
    fn at(&self, position: i64) -> Option<Option<f64>> {
        let index = usize::try_from(position - self.start).ok()?;
        self.scores.get(index).copied()
    }
}

const FIRST_BATCH: usize = 16;
const LARGEST_BATCH: usize = 8192;

/// Scores the current row and some after it. Batches grow fourfold, so that LIMIT 1 pays for few rows and a large table
/// for few trips.
///
/// # Safety
/// The partition's second argument is a record.
unsafe fn read_ahead(
    ahead: &mut Ahead,
    partition: Partition,
    position: i64,
    imported: &Imported,
    binding: &mut Binding,
) -> Result<Option<f64>, Report> {
    let size = (ahead.size * 4).clamp(FIRST_BATCH, LARGEST_BATCH);
    // SAFETY: an int that only this thread writes.
    let budget = unsafe { pg_sys::work_mem } as usize * 1024 / 4;
    let mut rows = imported.gather(size);
    let (mut is_there, mut bytes) = (Vec::with_capacity(size), 0);
    // Records are forgotten a few rows after their values were taken: thousands of them would not stay in the cache.
    const FORGET_EVERY: usize = 32;
    let mut scratch = PgMemoryContexts::new("persona score_batch");
    while is_there.len() < size && bytes < budget {
        check_for_interrupts!();
        // SAFETY: as above; resetting frees what the rows before left, and nothing points there any more.
        let there = unsafe {
            if is_there.len().is_multiple_of(FORGET_EVERY) {
                scratch.reset();
            }
            scratch.switch_to(|_| {
                match partition.argument_at(1, position + is_there.len() as i64) {
                    None => Ok::<_, Report>(None),
                    Some(None) => Ok(Some(false)),
                    Some(Some(record)) => {
                        bytes += pgrx::varsize_any(record.cast_mut_ptr());
                        imported.push(&mut rows, binding, Record::from_datum(record))?;
                        Ok(Some(true))
                    }
                }
            })?
        };
        let Some(there) = there else { break };
        is_there.push(there);
    }
    // The last row that was read: PostgreSQL counts wrongly from a mark beyond it.
    partition.release_before(position + (is_there.len() as i64 - 1).max(0));
    let mut scores = imported.scores(rows)?.into_iter();
    let scores = is_there.into_iter().map(|there| if there { scores.next() } else { None });
    *ahead = Ahead { start: position, scores: scores.collect(), size };
    Ok(ahead.scores.first().copied().flatten())
}

#[pg_extern]
fn predict(
    model: Option<&str>,
    features: Option<Record>,
    fcinfo: FunctionCallInfo,
) -> Result<Option<JsonB>, Report> {
    let site: &mut Site = CallSite::of(fcinfo).remember(|| Ok(Site::default()))?;
    let Some(record) = features else { return Ok(None) };
    site.find(required(model, "model")?)?.predict(record).map(|value| Some(JsonB(value)))
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
