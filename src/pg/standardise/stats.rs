//! `feature_stats`: an aggregate whose state is its result, a flat block changed in place.
//!
//! Layout of the varlena, aligned to 8, behind its header: format u16, unused u16, number of features u32, bytes of names u32; then
//! the block of f64 that `algo::standardise::stats` describes; then the names, a NUL after each (none for arrays).

use pgrx::prelude::*;

use crate::algo::standardise::stats::{self, FeatureStats, PARTS};
use crate::pg::error::{Error, Report};
use crate::pg::rows::ingest::{MAX_FEATURES, check_width};
use crate::pg::sys::call::{Arguments, Call, Given, Memory, Next, Of, State, functions};
use crate::pg::sys::raw::Varlena;
use crate::pg::types::datum::FloatArray;
use crate::pg::types::record::{self, Record};
use crate::pg::types::value::{SqlType, Value, decode};
use crate::pg::types::value_type::value_type;

use super::aligned;

const HEADER: usize = 12;
const FORMAT: u16 = 2;

functions! {
    /// Adds a row given as an array.
    fn feature_stats_add_array(State<FeatureStats>, FloatArray) -> State<FeatureStats> = add_array;
    /// Adds a row given as a record, whose column names are kept.
    fn feature_stats_add_record(State<FeatureStats>, Record) -> State<FeatureStats> = add_record;
    /// The state of two states; a plain function too, by which `rollup` merges stored summaries.
    fn feature_stats_combine(State<FeatureStats>, Of<FeatureStats>) -> State<FeatureStats> = combine;
}

/// What adds a row of the type `R`.
type Adding<R> = (State<FeatureStats>, R);

#[inline]
fn add_array<'call>(Call { mut args, site }: Call<'call, Adding<FloatArray>>) -> Next<'call> {
    let Some(array) = args.get::<1>() else { return Ok(args.unchanged()) };
    // A million rows a second pass here: what ARRAY[…] made is read where it lies.
    if let Some(mut state) = args.state_in_place()
        && let Some(block) = block_of(state.contents())
        && let Some(row) = array.plain()
        && stats::observe_finite(block, row)
    {
        return Ok(args.unchanged());
    }
    let row: &mut Vec<f64> = site.remember(|_| Ok(Vec::new()))?;
    array.read(row)?;
    add(args, row, &[])
}

fn add_record<'call>(Call { args, site }: Call<'call, Adding<Record>>) -> Next<'call> {
    let Some(record) = args.get::<1>() else { return Ok(args.unchanged()) };
    let (row, names) = record::numbers(site, record)?;
    add(args, row, names)
}

fn combine<'call>(
    Call { args, .. }: Call<'call, (State<FeatureStats>, Of<FeatureStats>)>,
) -> Next<'call> {
    let Some(other) = args.get::<1>() else { return Ok(args.unchanged()) };
    let other = Summary::of_bytes(other)?;
    let Some(state) = args.state() else {
        // A copy of our own: the argument may be short-headed, and is not ours to change.
        return Ok(new_state(args.memory(), &other.block, other.names).into());
    };
    let other = other.in_the_order_of(&Summary::of_bytes(state)?)?;
    change(
        args,
        || Err(no_state(0)),
        |block| {
            stats::merge(block, &other.block);
            Ok(())
        },
    )
}

/// Adds the row to the state, made at the first row.
fn add<'call, R>(args: Arguments<'call, Adding<R>>, row: &[f64], names: &[String]) -> Next<'call> {
    let memory = args.memory();
    change(
        args,
        || empty(memory, row.len(), names),
        |block| {
            if block.len() != PARTS * row.len() {
                let column = "the feature array".to_owned();
                let (expected, found) = (block.len() / PARTS, row.len());
                return Err(Error::WrongDimension { column, expected, found }.into());
            }
            stats::observe(block, row);
            Ok(())
        },
    )
}

/// A state of no rows.
fn empty<'call>(
    memory: Memory<'call>,
    n_features: usize,
    names: &[String],
) -> Result<Varlena<'call>, Report> {
    check_width(n_features)?;
    let mut block = vec![0.0; PARTS * n_features];
    stats::clear(&mut block);
    let packed: Vec<u8> = names.iter().flat_map(|name| name.bytes().chain([0])).collect();
    Ok(new_state(memory, &block, &packed))
}

/// Changes the block of the state: of the one in the first argument itself where it is the aggregate's and whole, else of a copy.
#[inline]
fn change<'call, A>(
    args: Arguments<'call, (State<FeatureStats>, A)>,
    empty: impl FnOnce() -> Result<Varlena<'call>, Report>,
    change: impl FnOnce(&mut [f64]) -> Result<(), Report>,
) -> Next<'call> {
    let memory = args.memory();
    let copied = |bytes: &[u8]| {
        decode::<FeatureStats>(bytes)?;
        let copy = Summary::of_bytes(bytes)?;
        Ok::<_, Report>(new_state(memory, &copy.block, copy.names))
    };
    let mut state = match args.into_state() {
        Given::Own(state) => state,
        Given::Stored(bytes) => copied(bytes)?,
        Given::Null => empty()?,
    };
    match block_of(state.contents()) {
        Some(block) => change(block)?,
        None => return Err(no_state(state.contents().len())),
    }
    Ok(state.into())
}

/// A state in the memory of the call; PostgreSQL copies it into the aggregate's.
fn new_state<'call>(memory: Memory<'call>, block: &[f64], names: &[u8]) -> Varlena<'call> {
    memory.varlena_of(&contents(block, names))
}

/// What is behind the header of a state.
fn contents(block: &[f64], names: &[u8]) -> Vec<u8> {
    let format = [FORMAT, 0];
    let counts = [(block.len() / PARTS) as u32, names.len() as u32];
    let (format, counts) = (bytemuck::cast_slice(&format), bytemuck::cast_slice(&counts));
    [format, counts, bytemuck::cast_slice(block), names].concat()
}

/// The block of a state; None where its parts do not make up its length.
#[inline]
fn block_of(state: &mut [u8]) -> Option<&mut [f64]> {
    // Written out, as this is done for every row: mapped over the two words it is a call.
    let (format, d, n_names) = {
        let h: &[u8; HEADER] = state.first_chunk()?;
        let d = u32::from_ne_bytes([h[4], h[5], h[6], h[7]]);
        let n_names = u32::from_ne_bytes([h[8], h[9], h[10], h[11]]);
        (u16::from_ne_bytes([h[0], h[1]]), d as usize, n_names as usize)
    };
    let names_at = HEADER + 8 * PARTS * d;
    if format != FORMAT || d == 0 || names_at + n_names != state.len() {
        return None;
    }
    bytemuck::try_cast_slice_mut(&mut state[HEADER..names_at]).ok()
}

fn no_state(n_bytes: usize) -> Report {
    FeatureStats::invalid(format!("{n_bytes} bytes that are not a summary"))
}

/// A summary that came as an argument: copied out, as it may be packed.
struct Summary<'a> {
    block: Vec<f64>,
    names: &'a [u8],
}

impl<'a> Summary<'a> {
    /// `bytes` begin after the varlena header.
    fn of_bytes(bytes: &'a [u8]) -> Result<Self, Report> {
        Self::parse(bytes).ok_or_else(|| no_state(bytes.len()))
    }

    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let word =
            |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
        let format = u16::from_ne_bytes(bytes.get(0..2)?.try_into().ok()?);
        let (d, n_names) = (word(4)?, word(8)?);
        let numbers = bytes.get(HEADER..HEADER + 8 * PARTS * d)?;
        let names = bytes.get(HEADER + 8 * PARTS * d..)?;
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
    Ok(contents(&stats.to_block(), &names))
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
