//! `feature_quantiles`: an aggregate whose state is its result, flat and appended to in place.
//!
//! Layout of the varlena, aligned to 8, behind its header: format u16, unused u16, number of features u32, bytes of the head u32,
//! rows in the buffer u32, rows that it has room for u32; then the head, which is the algorithm's structure; then, from a multiple
//! of 8 on, the buffer: rows of f64 that the head has not yet, NaN for a missing value. A row is copied behind the last one; a
//! full buffer makes a new state, four times as large or with the rows taken into the head. A stored value has no buffer.

use pgrx::prelude::*;

use crate::algo::encoded;
use crate::algo::memory;
use crate::algo::standardise::quantiles::{FeatureQuantiles, Quantiles};
use crate::pg::error::{Error, Report};
use crate::pg::rows::ingest::{MAX_FEATURES, check_width};
use crate::pg::sys::call::{Arguments, Call, Next, Of, State, functions};
use crate::pg::types::datum::FloatArray;
use crate::pg::types::record::{self, Record};
use crate::pg::types::value::{SqlType, Value};
use crate::pg::types::value_type::value_type;

use super::aligned;

const HEADER: usize = 20;
const FORMAT: u16 = 2;
/// Rows that are taken into the head together.
const BATCH: usize = 1024;
/// Rows that a new state has room for; it grows fourfold.
const FIRST_ROWS: usize = 4;

functions! {
    /// Adds a row given as an array.
    fn feature_quantiles_add_array(State<FeatureQuantiles>, FloatArray) -> State<FeatureQuantiles> = add_array;
    /// Adds a row given as a record, whose column names are kept.
    fn feature_quantiles_add_record(State<FeatureQuantiles>, Record) -> State<FeatureQuantiles> = add_record;
    /// The state of two states; a plain function too, by which `rollup` merges stored ones.
    fn feature_quantiles_combine(State<FeatureQuantiles>, Of<FeatureQuantiles>) -> State<FeatureQuantiles> = combine;
}

/// What adds a row of the type `R`.
type Adding<R> = (State<FeatureQuantiles>, R);

#[inline]
fn add_array<'call>(Call { mut args, site }: Call<'call, Adding<FloatArray>>) -> Next<'call> {
    let Some(array) = args.get::<1>() else { return Ok(args.unchanged()) };
    if let Some(mut state) = args.state_in_place()
        && let Some(row) = array.plain()
        && row.iter().all(|x| x.is_finite())
        && append(state.contents(), row)
    {
        return Ok(args.unchanged());
    }
    let row: &mut Vec<f64> = site.remember(|_| Ok(Vec::new()))?;
    array.read(row)?;
    add(args, row, None)
}

fn add_record<'call>(Call { args, site }: Call<'call, Adding<Record>>) -> Next<'call> {
    let Some(record) = args.get::<1>() else { return Ok(args.unchanged()) };
    let (row, names) = record::numbers(site, record)?;
    add(args, row, Some(names))
}

fn combine<'call>(
    Call { args, .. }: Call<'call, (State<FeatureQuantiles>, Of<FeatureQuantiles>)>,
) -> Next<'call> {
    let Some(other) = args.get::<1>() else { return Ok(args.unchanged()) };
    let mut other = from_bytes(other)?;
    let Some(state) = args.state() else {
        return Ok(args.memory().varlena_of(&to_bytes(&other)?).into());
    };
    let mut state = from_bytes(state)?;
    let of = |one: &FeatureQuantiles| (one.of.len(), one.features.clone());
    let ((expected, wanted), (found, given)) = (of(&state), of(&other));
    if let Some(places) = aligned((expected, wanted.as_deref()), (found, given.as_deref()))? {
        other.of = places.iter().map(|&place| other.of[place].clone()).collect();
    }
    memory::probe(2 * (held(&state) + held(&other)))?;
    state.merge(&other).map_err(invalid)?;
    Ok(args.memory().varlena_of(&to_bytes(&state)?).into())
}

/// Appends a row to the buffer of a state; false where it is full, has another number of features, or its parts
/// do not make up its length.
#[inline]
fn append(state: &mut [u8], row: &[f64]) -> bool {
    let fields = state.get(4..HEADER).and_then(fields);
    let Some([d, n_head, n_rows, room]) = fields else { return false };
    let buffer_at = buffer_at(n_head);
    let is_ours =
        state[..2] == FORMAT.to_ne_bytes() && buffer_at + 8 * d * room == state.len() && d > 0;
    if !is_ours || d != row.len() || n_rows >= room.min(BATCH) {
        return false;
    }
    let at = buffer_at + 8 * d * n_rows;
    state[at..at + 8 * d].copy_from_slice(bytemuck::cast_slice(row));
    state[12..16].copy_from_slice(&(n_rows as u32 + 1).to_ne_bytes());
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

/// Where the buffer begins behind a head of so many bytes: a multiple of 8 with the varlena's header.
#[inline]
fn buffer_at(n_head: usize) -> usize {
    (4 + HEADER + n_head).next_multiple_of(8) - 4
}

/// Adds a row to the state, made at the first row.
fn add<'call, R>(
    mut args: Arguments<'call, Adding<R>>,
    row: &[f64],
    names: Option<&[String]>,
) -> Next<'call> {
    check_width(row.len())?;
    if args.state_in_place().is_some_and(|mut state| append(state.contents(), row)) {
        return Ok(args.unchanged());
    }
    let state = match args.state() {
        None => {
            let all = FeatureQuantiles::new(names.map(<[String]>::to_vec), row.len());
            contents(&encoded::to_bytes(&all)?, row.len(), &[], row, FIRST_ROWS)?
        }
        Some(bytes) => with_row(&Parts::of(bytes)?, row)?,
    };
    Ok(args.memory().varlena_of(&state).into())
}

/// A larger state with one row more.
fn with_row(parts: &Parts, row: &[f64]) -> Result<Vec<u8>, Report> {
    if parts.n_features != row.len() {
        let (column, expected) = ("the feature array".to_owned(), parts.n_features);
        return Err(Error::WrongDimension { column, expected, found: row.len() }.into());
    }
    let n_rows = parts.rows.len() / row.len();
    if n_rows < BATCH {
        let room = (4 * n_rows).clamp(FIRST_ROWS, BATCH);
        return contents(parts.head, row.len(), parts.rows, row, room);
    }
    let head = encoded::to_bytes(&parts.decoded()?)?;
    contents(&head, row.len(), &[], row, BATCH)
}

/// The bytes of the values that are kept one by one.
fn held(all: &FeatureQuantiles) -> usize {
    let n_items: usize = all.of.iter().map(|one| one.values.len() + one.centroids.len()).sum();
    n_items * size_of::<(f64, u64)>()
}

/// What is behind the header of a state whose buffer has these rows, then one more, and room for so many.
fn contents(
    head: &[u8],
    n_features: usize,
    rows: &[[u8; 8]],
    row: &[f64],
    room: usize,
) -> Result<Vec<u8>, Report> {
    let n_rows = (rows.len() + row.len()) / n_features.max(1);
    let buffer_at = buffer_at(head.len());
    let length = buffer_at + 8 * n_features * room.max(n_rows);
    memory::probe(2 * length)?;
    let mut state = memory::filled(0, length)?;
    state[..2].copy_from_slice(&FORMAT.to_ne_bytes());
    let fields = [n_features, head.len(), n_rows, room.max(n_rows)].map(|field| field as u32);
    state[4..HEADER].copy_from_slice(bytemuck::cast_slice(&fields));
    state[HEADER..HEADER + head.len()].copy_from_slice(head);
    let (before, next) = state[buffer_at..].split_at_mut(8 * rows.len());
    before.copy_from_slice(rows.as_flattened());
    next[..8 * row.len()].copy_from_slice(bytemuck::cast_slice(row));
    Ok(state)
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
        let fields = bytes.get(4..HEADER).and_then(fields);
        let [n_features, n_head, n_rows, room] = fields.ok_or_else(broken)?;
        if bytes[..2] != FORMAT.to_ne_bytes() || n_rows > room.min(BATCH) || n_features == 0 {
            return Err(broken());
        }
        let head = bytes.get(HEADER..).and_then(|rest| rest.get(..n_head)).ok_or_else(broken)?;
        let buffer_at = buffer_at(n_head);
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

/// `bytes` begin after the varlena header, and may come from anywhere.
fn from_bytes(bytes: &[u8]) -> Result<FeatureQuantiles, Report> {
    Parts::of(bytes)?.decoded()
}

/// With nothing in its buffer, and no room for more.
fn to_bytes(all: &FeatureQuantiles) -> Result<Vec<u8>, Report> {
    contents(&encoded::to_bytes(all)?, all.of.len(), &[], &[], 0)
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
