//! `dbscan(…) OVER (…)`: the whole partition is read and labelled at its first row, and the labels are handed out row by row.
#![allow(unsafe_code, reason = "it reads the partition through the window interface")]

use ndarray::ArrayView2;
use pgrx::PgMemoryContexts;
use pgrx::pg_sys::panic::ErrorReportable;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo};
use pgrx::prelude::*;

use crate::algo::memory;
use crate::algo::shapes::{DbscanParams, dbscan};
use crate::pg::error::{Error, Report, report};
use crate::pg::rows::ingest::{Work, check_width};
use crate::pg::rows::window::{FrameKind, Partition, changing_frame};
use crate::pg::sys::call_site::CallSite;
use crate::pg::sys::guc;
use crate::pg::sys::progress::Progress;
use crate::pg::sys::raw;
use crate::pg::sys::threads::Pool;
use crate::pg::types::datum::{Element, Kind};
use crate::pg::types::options::required;
use crate::pg::types::record::{Binding, Record};

raw::declare! {
    persona_dbscan_array, pg_finfo_persona_dbscan_array;
    persona_dbscan_record, pg_finfo_persona_dbscan_record;
}

/// What a run takes beside the rows: an order, points, weights, links, labels; the points once more and their boxes.
const WORK: Work = Work { per_row: 56, per_number: 10 };
/// Rows between two looks at interrupts.
const TOGETHER: i64 = 256;

/// (features float8[], eps float8, min_points bigint) OVER (…).
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn persona_dbscan_array(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares the function WINDOW, with these arguments and the result integer.
    unsafe { answer(fcinfo, || Reader::Array(Vec::new())) }
}

/// (features record, eps float8, min_points bigint) OVER (…).
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn persona_dbscan_record(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: as above.
    unsafe { answer(fcinfo, || Reader::Record(Box::default())) }
}

/// What a call site keeps between rows.
struct Site {
    reader: Reader,
    pool: Pool,
    /// Of the partition's rows: 0 for none.
    labels: Vec<u32>,
}

/// Reads the features of a row.
enum Reader {
    Array(Vec<f64>),
    Record(Box<Binding>),
}

/// # Safety
/// `fcinfo` is of the running call of a function declared WINDOW, with the arguments above.
unsafe fn answer(fcinfo: FunctionCallInfo, reader: fn() -> Reader) -> Datum {
    // SAFETY: by the caller's promise.
    unsafe {
        let partition = Partition::of(fcinfo);
        let site: &mut Site = CallSite::of(fcinfo)
            .remember(|| Ok(Site { reader: reader(), pool: Pool::new()?, labels: Vec::new() }))
            .unwrap_or_report();
        let position = partition.position();
        if position == 0 {
            site.labels = Vec::new();
            let is_constant =
                [1, 2].iter().all(|&one| pg_sys::get_fn_expr_arg_stable((*fcinfo).flinfo, one));
            site.labels =
                labels(&mut site.reader, &site.pool, partition, is_constant).unwrap_or_report();
        }
        partition.release(position, TOGETHER);
        match site.labels.get(position as usize) {
            Some(&label) if label > 0 => Datum::from(label as i32),
            _ => raw::null(fcinfo),
        }
    }
}

/// # Safety
/// As [`answer`].
unsafe fn labels(
    reader: &mut Reader,
    pool: &Pool,
    partition: Partition,
    is_constant: bool,
) -> Result<Vec<u32>, Report> {
    if partition.frame_kind() != FrameKind::Partition {
        return Err(changing_frame("dbscan", "it"));
    }
    let progress = Progress::start("dbscan", "");
    progress.phase("reading");
    // SAFETY: by the caller's promise.
    let (rows, params) = unsafe { read(reader, partition, is_constant)? };
    progress.rows(rows.n_rows as u64);
    progress.phase("finding segments");
    let n_features = rows.n_features.unwrap_or(1);
    let view = ArrayView2::from_shape((rows.n_rows, n_features), &rows.values)
        .map_err(|_| Report::from(Error::NoFeatures))?;
    let params = params.check()?;
    memory::probe(rows.work())?;
    let found = pool.run(&progress, |watch| dbscan(view, &params, watch))??;
    let mut found = found.into_iter();
    let mut labels = rows.is_in;
    for label in labels.iter_mut().filter(|is_in| **is_in > 0) {
        *label = found.next().unwrap_or(0);
    }
    Ok(labels)
}

/// The rows of a partition that have all features, one after the other.
#[derive(Default)]
struct Rows {
    values: Vec<f64>,
    n_rows: usize,
    n_features: Option<usize>,
    /// Of each row of the partition: 1 when it is among the rows, 0 when it has a NULL.
    is_in: Vec<u32>,
}

/// # Safety
/// As [`answer`].
unsafe fn read(
    reader: &mut Reader,
    partition: Partition,
    is_constant: bool,
) -> Result<(Rows, DbscanParams), Report> {
    let mut rows = Rows::default();
    let mut known = None;
    // What the arguments' expressions make of many rows would otherwise stay until the first row is done.
    let mut scratch = PgMemoryContexts::new("persona dbscan");
    for position in 0.. {
        if position % TOGETHER == 0 {
            check_for_interrupts!();
            // SAFETY: nothing that was made of the rows before is in use.
            unsafe { scratch.reset() };
        }
        // SAFETY: by the caller's promise.
        let is_there = unsafe {
            scratch.switch_to(|_| {
                let Some(features) = partition.argument_at(0, position) else { return Ok(false) };
                if known.is_none() || !is_constant {
                    let params = params_at(partition, position)?;
                    check_same(*known.get_or_insert(params), params)?;
                }
                let row = match features {
                    Some(features) => reader.row(features)?,
                    None => None,
                };
                rows.push(row)?;
                Ok::<_, Report>(true)
            })?
        };
        if !is_there {
            break;
        }
    }
    let params = known.unwrap_or(DbscanParams { eps: 1.0, min_points: 1 });
    Ok((rows, params))
}

fn params_at(partition: Partition, position: i64) -> Result<DbscanParams, Report> {
    let argument = |index: i32, argument: &'static str| {
        let datum = partition.argument_at(index, position).flatten();
        required(datum, argument)
    };
    let eps = f64::from_bits(argument(1, "eps")?.value() as u64);
    let min_points = argument(2, "min_points")?.value() as i64;
    let params = DbscanParams { eps, min_points };
    // Before a partition is read in vain.
    params.check()?;
    Ok(params)
}

fn check_same(known: DbscanParams, params: DbscanParams) -> Result<(), Report> {
    let what = match (known.eps == params.eps, known.min_points == params.min_points) {
        (true, true) => return Ok(()),
        (false, _) => "eps",
        (true, false) => "min_points",
    };
    Err(report(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        format!("{what} must be the same in all rows of a partition"),
    )
    .set_hint(format!("Give {what} as a constant, or divide the rows by it with PARTITION BY.")))
}

impl Reader {
    /// None where a feature is NULL.
    ///
    /// # Safety
    /// The datum is of the type that this reads.
    unsafe fn row(&mut self, features: Datum) -> Result<Option<&[f64]>, Report> {
        // SAFETY: by the caller's promise.
        unsafe {
            match self {
                Self::Array(row) => {
                    row.clear();
                    Kind::Numbers(Element::Float8).numbers(features, "features", row)?;
                    Ok((row.is_empty() || !row.iter().any(|x| x.is_nan())).then_some(row))
                }
                Self::Record(binding) => binding.whole_row(Record::from_datum(features)),
            }
        }
    }
}

impl Rows {
    fn push(&mut self, row: Option<&[f64]>) -> Result<(), Report> {
        if self.is_in.len() == i32::MAX as usize {
            // Where PostgreSQL stops counting the rows of a partition.
            let n_rows = self.is_in.len() + 1;
            return Err(crate::algo::shapes::Error::TooManyRows { n_rows }.into());
        }
        if self.is_in.len() == self.is_in.capacity() {
            let capacity = larger(self.is_in.len(), 1);
            self.check_budget(self.values.capacity(), capacity)?;
            let more = capacity - self.is_in.len();
            memory::exact_room(&mut self.is_in, more)?;
        }
        self.is_in.push(u32::from(row.is_some()));
        let Some(row) = row else { return Ok(()) };
        let (expected, found) = (*self.n_features.get_or_insert(row.len()), row.len());
        check_width(found)?;
        if found != expected {
            let column = "the feature array".to_owned();
            return Err(Error::WrongDimension { column, expected, found }.into());
        }
        if self.values.len() + found > self.values.capacity() {
            let capacity = larger(self.values.len(), found);
            self.check_budget(capacity, self.is_in.capacity())?;
            let more = capacity - self.values.len();
            memory::exact_room(&mut self.values, more)?;
        }
        self.values.extend_from_slice(row);
        self.n_rows += 1;
        Ok(())
    }

    /// The bytes that a run takes beside the rows.
    fn work(&self) -> usize {
        self.n_rows * WORK.per_row + self.values.len() * WORK.per_number
    }

    /// Refuses the next allocation, or a run on the rows up to here, for which the budget has no room.
    fn check_budget(&self, values: usize, is_in: usize) -> Result<(), Report> {
        let wanted = values * size_of::<f64>() + is_in * size_of::<u32>() + self.work();
        let budget = guc::max_fit_memory();
        if wanted > budget {
            return Err(Error::OutOfMemoryBudget { wanted, budget }.into());
        }
        Ok(())
    }
}

/// Room for half as many again, and for the row to come.
fn larger(len: usize, wanted: usize) -> usize {
    (len + len / 2).max(len + wanted).max(16 * wanted)
}
