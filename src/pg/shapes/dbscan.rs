//! `dbscan(…) OVER (…)`: the whole partition is read and labelled at its first row, and the labels are handed out row by row.

use ndarray::ArrayView2;
use pgrx::prelude::PgSqlErrorCode;

use crate::algo::memory;
use crate::algo::shapes::{DbscanParams, dbscan};
use crate::pg::error::{Error, Report, report};
use crate::pg::rows::frame::{FrameKind, changing_frame};
use crate::pg::rows::ingest::{Work, check_width};
use crate::pg::rows::window::{Partition, RowAt, Window, window_functions};
use crate::pg::sys::argument::Argument;
use crate::pg::sys::guc;
use crate::pg::sys::progress::Progress;
use crate::pg::sys::threads::Pool;
use crate::pg::types::datum::FloatArray;
use crate::pg::types::options::required;
use crate::pg::types::record::{Binding, Record};

window_functions! {
    fn persona_dbscan_array(FloatArray, f64, i64) -> i32 = answer::<_, Vec<f64>>;
    fn persona_dbscan_record(Record, f64, i64) -> i32 = answer::<_, Binding>;
}

/// What a run takes beside the rows: an order, points, weights, links, labels; the points once more and their boxes.
const WORK: Work = Work { per_row: 56, per_number: 10 };
/// Rows between two marks of those that need not be kept.
const TOGETHER: i64 = 256;

/// What a call site keeps between rows.
struct Site<R> {
    reader: R,
    /// Whether the parameters are the same in all rows.
    is_constant: bool,
    pool: Pool,
    /// Of the partition's rows: 0 for none.
    labels: Vec<u32>,
}

fn answer<F: Argument, R: Reader<F>>(
    Window { mut rows, site }: Window<(F, f64, i64)>,
) -> Result<Option<i32>, Report> {
    let position = rows.position();
    let site: &mut Site<R> = site.remember(|site| {
        let is_constant = site.is_stable(1) && site.is_stable(2);
        Ok(Site { reader: R::default(), is_constant, pool: Pool::new()?, labels: Vec::new() })
    })?;
    if position == 0 {
        site.labels = Vec::new();
        site.labels = labels(site, &mut rows)?;
    }
    rows.release(position, TOGETHER);
    let label = site.labels.get(position as usize).filter(|label| **label > 0);
    Ok(label.map(|label| *label as i32))
}

fn labels<F: Argument, R: Reader<F>>(
    site: &mut Site<R>,
    partition: &mut Partition<(F, f64, i64)>,
) -> Result<Vec<u32>, Report> {
    if partition.frame_kind() != FrameKind::Partition {
        return Err(changing_frame("dbscan", "it"));
    }
    let progress = Progress::start("dbscan", "");
    progress.phase("reading");
    let (rows, params) = read(&mut site.reader, partition, site.is_constant)?;
    progress.rows(rows.n_rows as u64);
    progress.phase("finding segments");
    let n_features = rows.n_features.unwrap_or(1);
    let view = ArrayView2::from_shape((rows.n_rows, n_features), &rows.values)
        .map_err(|_| Report::from(Error::NoFeatures))?;
    let params = params.check()?;
    memory::probe(rows.work())?;
    let found = site.pool.run(&progress, |watch| dbscan(view, &params, watch))??;
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

fn read<F: Argument, R: Reader<F>>(
    reader: &mut R,
    partition: &mut Partition<(F, f64, i64)>,
    is_constant: bool,
) -> Result<(Rows, DbscanParams), Report> {
    let mut rows = Rows::default();
    let mut known = None;
    partition.each(|row| {
        if known.is_none() || !is_constant {
            let Some(params) = params_at(row)? else { return Ok(false) };
            check_same(*known.get_or_insert(params), params)?;
        }
        let Some(features) = row.get::<0>() else { return Ok(false) };
        rows.push(features.map(|features| reader.row(features)).transpose()?.flatten())?;
        Ok(true)
    })?;
    let params = known.unwrap_or(DbscanParams { eps: 1.0, min_points: 1 });
    Ok((rows, params))
}

/// None where there is no such row.
fn params_at<F>(row: &mut RowAt<(F, f64, i64)>) -> Result<Option<DbscanParams>, Report> {
    let Some(eps) = row.get::<1>() else { return Ok(None) };
    let eps = required(eps, "eps")?;
    let min_points = required(row.get::<2>().flatten(), "min_points")?;
    let params = DbscanParams { eps, min_points };
    // Before a partition is read in vain.
    params.check()?;
    Ok(Some(params))
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

/// Reads the features of a row, given as `F`.
trait Reader<F: Argument>: Default + 'static {
    /// None where a feature is NULL.
    fn row(&mut self, features: F::Value<'_>) -> Result<Option<&[f64]>, Report>;
}

impl Reader<FloatArray<'_>> for Vec<f64> {
    fn row(&mut self, features: FloatArray) -> Result<Option<&[f64]>, Report> {
        features.read(self)?;
        Ok((self.is_empty() || !self.iter().any(|x| x.is_nan())).then_some(self))
    }
}

impl Reader<Record<'_>> for Binding {
    fn row(&mut self, features: Record) -> Result<Option<&[f64]>, Report> {
        self.whole_row(features)
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
