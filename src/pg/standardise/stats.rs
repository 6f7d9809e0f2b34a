//! `feature_stats`: an aggregate whose state is its result, a flat block changed in place.
//!
//! Layout of the varlena, aligned to 8: header, format u16, unused u16, number of features u32, bytes of names u32; then the
//! block of f64 that `algo::standardise::stats` describes; then the names, a NUL after each (none for arrays).
#![allow(unsafe_code, reason = "the state is changed in place, in memory of the aggregate")]

use pgrx::pg_sys::panic::ErrorReportable;
use pgrx::pg_sys::{self, FunctionCallInfo};
use pgrx::prelude::*;

use crate::algo::memory;
use crate::algo::standardise::stats::{self, FeatureStats, PARTS};
use crate::pg::error::{Error, Report};
use crate::pg::rows::ingest::{MAX_FEATURES, check_width};
use crate::pg::sys::call_site::CallSite;
use crate::pg::sys::raw::{self, argument, bytes_of, varlena_bytes};
use crate::pg::types::datum::{Element, Kind, plain_floats};
use crate::pg::types::record;
use crate::pg::types::value::{SqlType, Value, decode};
use crate::pg::types::value_type::value_type;

use super::aligned;

const HEADER: usize = 16;
const FORMAT: u16 = 2;

raw::declare! {
    feature_stats_add_array, pg_finfo_feature_stats_add_array;
    feature_stats_add_record, pg_finfo_feature_stats_add_record;
    feature_stats_combine, pg_finfo_feature_stats_combine;
}

/// Adds a row given as float8[].
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn feature_stats_add_array(fcinfo: FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: SQL declares (feature_stats, float8[]), as the transition function of an aggregate.
    unsafe {
        // A million rows a second pass here: what ARRAY[…] made is read where it lies.
        if let (Some(state), Some(array)) = (argument(fcinfo, 0), argument(fcinfo, 1))
            && let Some(block) = raw::state_in_place(fcinfo).and_then(block_of)
            && let Some(row) = plain_floats(array)
            && stats::observe_finite(block, row)
        {
            return state;
        }
        let row: &mut Vec<f64> =
            CallSite::of(fcinfo).remember(|| Ok(Vec::new())).unwrap_or_report();
        row.clear();
        let Some(array) = argument(fcinfo, 1) else { return keep(fcinfo) };
        Kind::Numbers(Element::Float8).numbers(array, "features", row).unwrap_or_report();
        add(fcinfo, row, &[]).unwrap_or_report()
    }
}

/// Adds a row given as a record, whose column names are kept.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn feature_stats_add_record(fcinfo: FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: SQL declares (feature_stats, record), as the transition function of an aggregate.
    unsafe {
        let Some((row, names)) = record::numbers(fcinfo, 1).unwrap_or_report() else {
            return keep(fcinfo);
        };
        add(fcinfo, row, names).unwrap_or_report()
    }
}

/// The state of two states; a plain function too, by which `rollup` merges stored summaries.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn feature_stats_combine(fcinfo: FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: SQL declares (feature_stats, feature_stats), as the transition and combine function of aggregates.
    unsafe {
        let Some(other) = argument(fcinfo, 1) else { return keep(fcinfo) };
        let other = Summary::of(other).unwrap_or_report();
        let Some(state) = argument(fcinfo, 0) else {
            // A copy of our own: the argument may be short-headed, and is not ours to change.
            return new_state(&other.block, other.names).0;
        };
        let other =
            other.in_the_order_of(&Summary::of(state).unwrap_or_report()).unwrap_or_report();
        let (state, block) = changeable(fcinfo, state).unwrap_or_report();
        stats::merge(block, &other.block);
        state
    }
}

/// The state unchanged: the row is NULL.
///
/// # Safety
/// `fcinfo` is of the running call of a transition function, whose first argument is the state.
unsafe fn keep(fcinfo: FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: both callers have a state as their first argument.
    unsafe { argument(fcinfo, 0).unwrap_or_else(|| raw::null(fcinfo)) }
}

/// Adds the row to the state in the first argument, made at the first row.
///
/// # Safety
/// `fcinfo` is of the running call of a transition function, whose first argument is the state.
unsafe fn add(
    fcinfo: FunctionCallInfo,
    row: &[f64],
    names: &[String],
) -> Result<pg_sys::Datum, Report> {
    // SAFETY: the first argument is NULL or a feature_stats.
    unsafe {
        let (state, block) = match argument(fcinfo, 0) {
            Some(state) => changeable(fcinfo, state)?,
            None => empty(row.len(), names)?,
        };
        if block.len() != PARTS * row.len() {
            let column = "the feature array".to_owned();
            let (expected, found) = (block.len() / PARTS, row.len());
            return Err(Error::WrongDimension { column, expected, found }.into());
        }
        stats::observe(block, row);
        Ok(state)
    }
}

/// A state of no rows.
fn empty<'a>(
    n_features: usize,
    names: &[String],
) -> Result<(pg_sys::Datum, &'a mut [f64]), Report> {
    check_width(n_features)?;
    let mut block = vec![0.0; PARTS * n_features];
    stats::clear(&mut block);
    let packed: Vec<u8> = names.iter().flat_map(|name| name.bytes().chain([0])).collect();
    Ok(new_state(&block, &packed))
}

/// A state that may be changed, and its block: the one in the first argument itself where it is the aggregate's and whole, else a
/// copy.
///
/// # Safety
/// `state` is the first argument of the running call, a feature_stats.
unsafe fn changeable<'a>(
    fcinfo: FunctionCallInfo,
    state: pg_sys::Datum,
) -> Result<(pg_sys::Datum, &'a mut [f64]), Report> {
    // SAFETY: by the caller's promise.
    unsafe {
        if let Some(block) = raw::state_in_place(fcinfo).and_then(block_of) {
            return Ok((state, block));
        }
        let bytes = bytes_of(state);
        decode::<FeatureStats>(bytes)?;
        let copy = Summary::of_bytes(bytes)?;
        Ok(new_state(&copy.block, copy.names))
    }
}

/// A state in the memory of the current context, and its block; PostgreSQL copies it into the aggregate's memory.
fn new_state<'a>(block: &[f64], names: &[u8]) -> (pg_sys::Datum, &'a mut [f64]) {
    let names_at = HEADER + 8 * block.len();
    let state = raw::new_varlena(names_at + names.len());
    let datum = pg_sys::Datum::from(state.as_mut_ptr());
    state[4..6].copy_from_slice(&FORMAT.to_ne_bytes());
    let counts = [(block.len() / PARTS) as u32, names.len() as u32];
    state[8..HEADER].copy_from_slice(bytemuck::cast_slice(&counts));
    state[names_at..].copy_from_slice(names);
    let to = bytemuck::cast_slice_mut(&mut state[HEADER..names_at]);
    to.copy_from_slice(block);
    (datum, to)
}

/// The block of a state, header included; None where its parts do not make up its length.
#[inline]
fn block_of(state: &mut [u8]) -> Option<&mut [f64]> {
    // Written out, as this is done for every row: mapped over the two words it is a call.
    let (format, d, n_names) = {
        let h: &[u8; HEADER] = state.first_chunk()?;
        let d = u32::from_ne_bytes([h[8], h[9], h[10], h[11]]);
        let n_names = u32::from_ne_bytes([h[12], h[13], h[14], h[15]]);
        (u16::from_ne_bytes([h[4], h[5]]), d as usize, n_names as usize)
    };
    let names_at = HEADER + 8 * PARTS * d;
    if format != FORMAT || d == 0 || names_at + n_names != state.len() {
        return None;
    }
    bytemuck::try_cast_slice_mut(&mut state[HEADER..names_at]).ok()
}

/// A summary that came as an argument: copied out, as it may be packed.
struct Summary<'a> {
    block: Vec<f64>,
    names: &'a [u8],
}

impl<'a> Summary<'a> {
    /// # Safety
    /// `datum` is a feature_stats, not NULL, that outlives the summary.
    unsafe fn of(datum: pg_sys::Datum) -> Result<Self, Report> {
        // SAFETY: by the caller's promise it is a varlena.
        Self::of_bytes(unsafe { bytes_of(datum) })
    }

    /// `bytes` begin after the varlena header.
    fn of_bytes(bytes: &'a [u8]) -> Result<Self, Report> {
        Self::parse(bytes).ok_or_else(|| {
            let why = format!("{} bytes that are not a summary", bytes.len());
            FeatureStats::invalid(why)
        })
    }

    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let word =
            |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
        let format = u16::from_ne_bytes(bytes.get(0..2)?.try_into().ok()?);
        let (d, n_names) = (word(4)?, word(8)?);
        let numbers = bytes.get(HEADER - 4..HEADER - 4 + 8 * PARTS * d)?;
        let names = bytes.get(HEADER - 4 + 8 * PARTS * d..)?;
        if format != FORMAT || names.len() != n_names || d == 0 {
            return None;
        }
        Some(Self { block: bytemuck::pod_collect_to_vec(numbers), names })
    }

    /// The same with its features at the places where they are in the other one.
    fn in_the_order_of(mut self, other: &Summary) -> Result<Self, Report> {
        if self.names == other.names && self.block.len() == other.block.len() {
            return Ok(self);
        }
        let of = |one: &Summary| (one.block.len() / PARTS, one.features());
        let ((n, names), (expected, wanted)) = (of(&self), of(other));
        if let Some(places) = aligned((expected, wanted.as_deref()), (n, names.as_deref()))? {
            let runs = self.block.chunks_exact(n);
            self.block = runs.flat_map(|run| places.iter().map(|&place| run[place])).collect();
        }
        Ok(self)
    }

    fn features(&self) -> Option<Vec<String>> {
        if self.names.is_empty() {
            return None;
        }
        let names = self.names.split(|byte| *byte == 0);
        let mut names: Vec<String> =
            names.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        names.pop();
        Some(names)
    }
}

/// A summary from bytes that may come from anywhere, which begin after the varlena header.
fn from_bytes(bytes: &[u8]) -> Result<FeatureStats, Report> {
    let summary = Summary::of_bytes(bytes)?;
    let n_names = summary.names.iter().filter(|byte| **byte == 0).count();
    let d = summary.block.len() / PARTS;
    let is_text = std::str::from_utf8(summary.names).is_ok();
    if !is_text || !(n_names == 0 && summary.names.is_empty() || n_names == d) {
        return Err(FeatureStats::invalid("its names are not those of its features"));
    }
    Ok(FeatureStats::from_block(summary.features(), &summary.block))
}

fn to_bytes(stats: &FeatureStats) -> Result<Vec<u8>, Report> {
    let names: Vec<u8> =
        stats.features.iter().flatten().flat_map(|name| name.bytes().chain([0])).collect();
    let (state, _) = new_state(&stats.to_block(), &names);
    // SAFETY: it is a varlena, which was just made.
    Ok(memory::copied(unsafe { varlena_bytes(state.cast_mut_ptr()) })?)
}

fn check(stats: &FeatureStats) -> Result<(), String> {
    stats.check()?;
    let is_nameless = |name: &String| name.is_empty() || name.contains('\0');
    if stats.n.len() > MAX_FEATURES || stats.features.iter().flatten().any(is_nameless) {
        return Err("a feature has no name, or there are too many".into());
    }
    Ok(())
}

/// A summary argument or result of an ordinary function.
pub(super) type Stats = Value<FeatureStats>;

value_type!(FeatureStats: "feature_stats", "a summary", (check, to_bytes, from_bytes);
    feature_stats_in, feature_stats_out, feature_stats_send, feature_stats_recv);

#[pg_extern]
fn feature_stats_rows(
    summary: Stats,
) -> TableIterator<
    'static,
    (
        name!(feature, String),
        name!(n, i64),
        name!(nulls, i64),
        name!(mean, Option<f64>),
        name!(stddev_pop, Option<f64>),
        name!(stddev_samp, Option<f64>),
        name!(min, Option<f64>),
        name!(max, Option<f64>),
        name!(skewness, Option<f64>),
        name!(kurtosis, Option<f64>),
    ),
> {
    let summary = summary.0;
    let (pop, samp) = (summary.stddev_pop(), summary.stddev_samp());
    let (skewness, kurtosis) = (summary.skewness(), summary.kurtosis());
    TableIterator::new((0..summary.n.len()).map(move |j| {
        let name =
            summary.features.as_ref().map_or_else(|| (j + 1).to_string(), |names| names[j].clone());
        let (n, nulls) = (summary.n[j] as i64, summary.nulls[j] as i64);
        let (min, max) = (summary.min[j], summary.max[j]);
        (name, n, nulls, summary.mean[j], pop[j], samp[j], min, max, skewness[j], kurtosis[j])
    }))
}
