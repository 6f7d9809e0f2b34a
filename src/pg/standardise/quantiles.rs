//! `feature_quantiles`: an aggregate whose state is its result, flat and appended to in place.
//!
//! Layout of the varlena, aligned to 8: header, format u16, unused u16, number of features u32, bytes of the head u32, rows in
//! the buffer u32, rows that it has room for u32; then the head, which is the algorithm's structure; then, from a multiple of 8
//! on, the buffer: rows of f64 that the head has not yet, NaN for a missing value. A row is copied behind the last one; a full
//! buffer makes a new state, four times as large or with the rows taken into the head. PostgreSQL copies that into the
//! aggregate's memory and frees the old one. A stored value has no buffer.
#![allow(unsafe_code, reason = "the state is appended to in place, in memory of the aggregate")]

use pgrx::pg_sys::panic::ErrorReportable;
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::prelude::*;

use crate::algo::encoded;
use crate::algo::memory;
use crate::algo::standardise::quantiles::{FeatureQuantiles, Quantiles};
use crate::pg::error::{Error, Report};
use crate::pg::rows::ingest::{MAX_FEATURES, check_width};
use crate::pg::sys::call_site::CallSite;
use crate::pg::sys::raw::{self, argument, bytes_of, varlena_bytes};
use crate::pg::types::datum::{Element, Kind, plain_floats};
use crate::pg::types::record;
use crate::pg::types::value::{SqlType, Value};
use crate::pg::types::value_type::value_type;

use super::aligned;

const HEADER: usize = 24;
const FORMAT: u16 = 2;
/// Rows that are taken into the head together.
const BATCH: usize = 1024;
/// Rows that a new state has room for; it grows fourfold.
const FIRST_ROWS: usize = 4;

raw::declare! {
    feature_quantiles_add_array, pg_finfo_feature_quantiles_add_array;
    feature_quantiles_add_record, pg_finfo_feature_quantiles_add_record;
    feature_quantiles_combine, pg_finfo_feature_quantiles_combine;
}

/// Adds a row given as float8[].
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn feature_quantiles_add_array(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares (feature_quantiles, float8[]), as the transition function of an aggregate.
    unsafe {
        let Some(array) = argument(fcinfo, 1) else { return keep(fcinfo) };
        if let Some(state) = argument(fcinfo, 0)
            && let Some(bytes) = raw::state_in_place(fcinfo)
            && let Some(row) = plain_floats(array)
            && row.iter().all(|x| x.is_finite())
            && append(bytes, row)
        {
            return state;
        }
        let row: &mut Vec<f64> =
            CallSite::of(fcinfo).remember(|| Ok(Vec::new())).unwrap_or_report();
        row.clear();
        Kind::Numbers(Element::Float8).numbers(array, "features", row).unwrap_or_report();
        add(fcinfo, row, None).unwrap_or_report()
    }
}

/// Adds a row given as a record, whose column names are kept.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn feature_quantiles_add_record(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares (feature_quantiles, record), as the transition function of an aggregate.
    unsafe {
        let Some((row, names)) = record::numbers(fcinfo, 1).unwrap_or_report() else {
            return keep(fcinfo);
        };
        add(fcinfo, row, Some(names)).unwrap_or_report()
    }
}

/// The state of two states; a plain function too, by which `rollup` merges stored ones.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn feature_quantiles_combine(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares (feature_quantiles, feature_quantiles), as the transition and combine function of aggregates.
    unsafe {
        let Some(other) = argument(fcinfo, 1) else { return keep(fcinfo) };
        let mut other = read(other).unwrap_or_report();
        let Some(state) = argument(fcinfo, 0) else {
            return stored(&other).unwrap_or_report();
        };
        let mut state = read(state).unwrap_or_report();
        let of = |one: &FeatureQuantiles| (one.of.len(), one.features.clone());
        let ((expected, wanted), (found, given)) = (of(&state), of(&other));
        let places = aligned((expected, wanted.as_deref()), (found, given.as_deref()));
        if let Some(places) = places.unwrap_or_report() {
            other.of = places.iter().map(|&place| other.of[place].clone()).collect();
        }
        memory::probe(2 * (held(&state) + held(&other))).map_err(Report::from).unwrap_or_report();
        state.merge(&other).map_err(invalid).unwrap_or_report();
        stored(&state).unwrap_or_report()
    }
}

/// # Safety
/// `fcinfo` is of the running call of a transition function, whose first argument is the state.
unsafe fn keep(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: by the caller's promise.
    unsafe { argument(fcinfo, 0).unwrap_or_else(|| raw::null(fcinfo)) }
}

/// Appends a row to the buffer of a state, header included; false where it is full, has another number of features, or its parts
/// do not make up its length.
#[inline]
fn append(state: &mut [u8], row: &[f64]) -> bool {
    let fields = state.get(8..HEADER).and_then(fields);
    let Some([d, n_head, n_rows, room]) = fields else { return false };
    let buffer_at = (HEADER + n_head).next_multiple_of(8);
    let is_ours =
        state[4..6] == FORMAT.to_ne_bytes() && buffer_at + 8 * d * room == state.len() && d > 0;
    if !is_ours || d != row.len() || n_rows >= room.min(BATCH) {
        return false;
    }
    let at = buffer_at + 8 * d * n_rows;
    state[at..at + 8 * d].copy_from_slice(bytemuck::cast_slice(row));
    state[16..20].copy_from_slice(&(n_rows as u32 + 1).to_ne_bytes());
    true
}

/// Of the last four words of a header: the number of features, the bytes of the head, the rows in the buffer and those that it
/// has room for.
#[inline]
fn fields(words: &[u8]) -> Option<[usize; 4]> {
    let [d, n_head, n_rows, room] = words.as_chunks().0 else { return None };
    let number = |word: &[u8; 4]| u32::from_ne_bytes(*word) as usize;
    Some([number(d), number(n_head), number(n_rows), number(room)])
}

/// Adds a row to the state in the first argument, made at the first row.
///
/// # Safety
/// As [`keep`].
unsafe fn add(
    fcinfo: FunctionCallInfo,
    row: &[f64],
    names: Option<&[String]>,
) -> Result<Datum, Report> {
    check_width(row.len())?;
    // SAFETY: the first argument is NULL or a state.
    unsafe {
        let Some(state) = argument(fcinfo, 0) else {
            let all = FeatureQuantiles::new(names.map(<[String]>::to_vec), row.len());
            return new_state(&encoded::to_bytes(&all)?, row.len(), &[], row, FIRST_ROWS);
        };
        if raw::state_in_place(fcinfo).is_some_and(|bytes| append(bytes, row)) {
            return Ok(state);
        }
        let bytes = bytes_of(state);
        let parts = Parts::of(bytes)?;
        if parts.n_features != row.len() {
            let (column, expected) = ("the feature array".to_owned(), parts.n_features);
            return Err(Error::WrongDimension { column, expected, found: row.len() }.into());
        }
        let n_rows = parts.rows.len() / row.len();
        if n_rows < BATCH {
            let room = (4 * n_rows).clamp(FIRST_ROWS, BATCH);
            return new_state(parts.head, row.len(), parts.rows, row, room);
        }
        let head = encoded::to_bytes(&parts.decoded()?)?;
        new_state(&head, row.len(), &[], row, BATCH)
    }
}

/// The bytes of the values that are kept one by one.
fn held(all: &FeatureQuantiles) -> usize {
    let n_items: usize = all.of.iter().map(|one| one.values.len() + one.centroids.len()).sum();
    n_items * size_of::<(f64, u64)>()
}

/// A state with nothing in its buffer, and no room for more.
fn stored(all: &FeatureQuantiles) -> Result<Datum, Report> {
    new_state(&encoded::to_bytes(all)?, all.of.len(), &[], &[], 0)
}

/// A state in the current memory context, whose buffer has these rows, then one more, and room for so many.
fn new_state(
    head: &[u8],
    n_features: usize,
    rows: &[[u8; 8]],
    row: &[f64],
    room: usize,
) -> Result<Datum, Report> {
    let n_rows = (rows.len() + row.len()) / n_features.max(1);
    let buffer_at = (HEADER + head.len()).next_multiple_of(8);
    let length = buffer_at + 8 * n_features * room.max(n_rows);
    memory::probe(length)?;
    let state = raw::new_varlena(length);
    state[4..6].copy_from_slice(&FORMAT.to_ne_bytes());
    let fields = [n_features, head.len(), n_rows, room.max(n_rows)].map(|field| field as u32);
    state[8..HEADER].copy_from_slice(bytemuck::cast_slice(&fields));
    state[HEADER..HEADER + head.len()].copy_from_slice(head);
    let (before, next) = state[buffer_at..].split_at_mut(8 * rows.len());
    before.copy_from_slice(rows.as_flattened());
    next[..8 * row.len()].copy_from_slice(bytemuck::cast_slice(row));
    Ok(Datum::from(state.as_mut_ptr()))
}

/// A state taken apart.
struct Parts<'a> {
    n_features: usize,
    head: &'a [u8],
    /// The words of the rows in the buffer.
    rows: &'a [[u8; 8]],
}

impl<'a> Parts<'a> {
    /// `bytes` begin after the varlena header, and may come from anywhere.
    fn of(bytes: &'a [u8]) -> Result<Self, Report> {
        let broken = || invalid(format!("{} bytes that are none", bytes.len()));
        let fields = bytes.get(4..HEADER - 4).and_then(fields);
        let [n_features, n_head, n_rows, room] = fields.ok_or_else(broken)?;
        if bytes[..2] != FORMAT.to_ne_bytes() || n_rows > room.min(BATCH) || n_features == 0 {
            return Err(broken());
        }
        let head =
            bytes.get(HEADER - 4..).and_then(|rest| rest.get(..n_head)).ok_or_else(broken)?;
        let buffer_at = (HEADER + n_head).next_multiple_of(8) - 4;
        let n_bytes = n_features.checked_mul(8 * n_rows).ok_or_else(broken)?;
        let buffer = bytes.get(buffer_at..buffer_at + n_bytes).unwrap_or_default();
        if buffer.len() != n_bytes {
            return Err(broken());
        }
        Ok(Self { n_features, head, rows: buffer.as_chunks().0 })
    }

    /// The head with the rows of the buffer.
    fn decoded(&self) -> Result<FeatureQuantiles, Report> {
        // A vector of each feature holds its values twice while it grows.
        memory::probe(3 * (2 * self.head.len() + 8 * self.rows.len()))?;
        let mut all: FeatureQuantiles =
            postcard::from_bytes(self.head).map_err(|error| invalid(error.to_string()))?;
        check(&all).map_err(invalid)?;
        if all.of.len() != self.n_features {
            return Err(invalid("its features are not those of its rows".into()));
        }
        let mut batch = Vec::with_capacity(BATCH);
        for (feature, one) in all.of.iter_mut().enumerate() {
            batch.clear();
            for word in self.rows.iter().skip(feature).step_by(self.n_features) {
                match f64::from_ne_bytes(*word) {
                    x if x.is_nan() => one.nulls += 1,
                    x if x.is_finite() => batch.push(Quantiles::key(x)),
                    _ => return Err(invalid("a value is not a finite number".into())),
                }
            }
            if !batch.is_empty() {
                one.add(&mut batch).map_err(invalid)?;
            }
        }
        Ok(all)
    }
}

/// # Safety
/// `datum` is a feature_quantiles, not NULL.
unsafe fn read(datum: Datum) -> Result<FeatureQuantiles, Report> {
    // SAFETY: by the caller's promise it is a varlena.
    from_bytes(unsafe { bytes_of(datum) })
}

/// `bytes` begin after the varlena header, and may come from anywhere.
fn from_bytes(bytes: &[u8]) -> Result<FeatureQuantiles, Report> {
    Parts::of(bytes)?.decoded()
}

fn to_bytes(all: &FeatureQuantiles) -> Result<Vec<u8>, Report> {
    // SAFETY: it is a varlena, which is just made.
    Ok(memory::copied(unsafe { varlena_bytes(stored(all)?.cast_mut_ptr()) })?)
}

fn check(all: &FeatureQuantiles) -> Result<(), String> {
    all.check()?;
    let is_nameless = |name: &String| name.is_empty() || name.contains('\0');
    if all.of.len() > MAX_FEATURES || all.features.iter().flatten().any(is_nameless) {
        return Err("a feature has no name, or there are too many".into());
    }
    Ok(())
}

fn invalid(why: String) -> Report {
    FeatureQuantiles::invalid(why)
}

/// A feature_quantiles argument or result of an ordinary function.
pub(super) type Sketch = Value<FeatureQuantiles>;

value_type!(FeatureQuantiles: "feature_quantiles", "quantiles", (check, to_bytes, from_bytes);
    feature_quantiles_in, feature_quantiles_out, feature_quantiles_send, feature_quantiles_recv);

/// The state without room for more rows.
#[pg_extern]
fn feature_quantiles_final(sketch: Sketch) -> Sketch {
    sketch
}
