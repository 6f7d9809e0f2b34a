//! Rows of a partition scored together, ahead of the current one.
//!
//! While PostgreSQL hands out the scores of one batch the ONNX process works on the next one.

use pgrx::prelude::*;

use crate::pg::error::Report;
use crate::pg::rows::records::Records;
use crate::pg::rows::window::Partition;
use crate::pg::sys::call::Text;
use crate::pg::sys::guc;
use crate::pg::types::record::{Binding, Record};

use super::onnx::{Asked, Imported};
use super::scoring::{By, finite};

/// The rows of a model's name and the features.
type Rows<'call> = Partition<'call, (Text<'call>, Record<'call>)>;

/// Scores of a partition's rows from `start` on.
#[derive(Default)]
pub(super) struct Ahead {
    start: i64,
    /// NaN for a row that has none.
    scores: Vec<f64>,
    /// How many rows were asked for last.
    size: usize,
    /// The rows behind those of `scores`, on their way.
    next: Option<Batch>,
    records: Records,
}

/// Rows that the ONNX process has.
struct Batch {
    n_rows: usize,
    /// The rows among them that are NULL: they were not sent, and have no score.
    missing: Vec<usize>,
    asked: Asked,
}

impl Batch {
    /// From the scores of the rows that were sent.
    fn scores(n_rows: usize, missing: &[usize], sent: Vec<f64>) -> Vec<f64> {
        if missing.is_empty() {
            return sent;
        }
        let mut sent = sent.into_iter();
        let mut missing = missing.iter().copied().peekable();
        let score = |row| match missing.next_if_eq(&row) {
            Some(_) => f64::NAN,
            None => sent.next().unwrap_or(f64::NAN),
        };
        (0..n_rows).map(score).collect()
    }
}

/// A row as it is handed out.
#[derive(Clone, Copy)]
enum Row<'a> {
    /// As it lies in the window's memory.
    InPlace(Record<'a>),
    Copied(Option<Record<'a>>),
}

/// Batches grow fourfold, so that LIMIT 1 pays for few rows and a large table for few trips.
const FIRST: usize = 16;
const LARGEST: usize = 4096;
/// A scorer of our own gains little from more rows than this, and they would leave the cache.
const LARGEST_NATIVE: usize = 256;
/// Rows that are copied together out of PostgreSQL; thousands of them would not stay in the cache.
const TOGETHER: usize = 32;
/// Rows that are read in place under one guard against errors.
const IN_PLACE: usize = 256;
/// An answer of this size waits in the socket, however long it takes until somebody fetches from a cursor again.
const WAITING_BYTES: usize = 64 << 10;

impl Ahead {
    /// The score of this row, if it was had before.
    #[inline]
    pub(super) fn at(&self, position: i64) -> Option<Option<f64>> {
        // The first row of a partition: what is here belongs to another one.
        if position == 0 {
            return None;
        }
        let index = usize::try_from(position - self.start).ok()?;
        self.scores.get(index).map(|score| finite(*score))
    }

    /// Scores the current row and some after it.
    pub(super) fn read(
        &mut self,
        partition: &mut Rows,
        position: i64,
        by: By,
    ) -> Result<Option<f64>, Report> {
        if position == 0 {
            (self.size, self.next) = (0, None);
        }
        self.start = position;
        self.scores.clear();
        match by {
            By::Native(native, binding) => {
                self.size = (self.size * 4).clamp(FIRST, LARGEST_NATIVE);
                let mut scores = std::mem::take(&mut self.scores);
                self.take(partition, position, |row| {
                    let Row::Copied(record) = row else { return Ok(false) };
                    let score = record.map(|record| native.score(binding, record.into()));
                    scores.push(score.transpose()?.unwrap_or(f64::NAN));
                    Ok(true)
                })?;
                self.scores = scores;
            }
            By::Onnx(imported, binding) => {
                let batch = match self.next.take() {
                    Some(batch) => batch,
                    None => self.send(partition, position, imported, binding)?,
                };
                let Batch { n_rows, missing, asked } = batch;
                let (sent, n_bytes) = imported.scores(asked)?;
                self.scores = Batch::scores(n_rows, &missing, sent);
                if self.size == LARGEST && n_bytes <= WAITING_BYTES {
                    let behind = position + n_rows as i64;
                    let next = self.send(partition, behind, imported, binding)?;
                    self.next = (next.n_rows > 0).then_some(next);
                }
            }
        }
        Ok(self.scores.first().and_then(|score| finite(*score)))
    }

    /// Sends the rows from `first` on to the ONNX process.
    fn send(
        &mut self,
        partition: &mut Rows,
        first: i64,
        imported: &Imported,
        binding: &mut Binding,
    ) -> Result<Batch, Report> {
        self.size = (self.size * 4).clamp(FIRST, LARGEST);
        let mut rows = imported.gather(self.size)?;
        let (mut n_rows, mut missing) = (0, Vec::new());
        self.take(partition, first, |row| {
            let is_taken = match row {
                Row::InPlace(record) => imported.push_in_place(&mut rows, binding, record),
                Row::Copied(Some(record)) => {
                    imported.push(&mut rows, binding, record.into())?;
                    true
                }
                Row::Copied(None) => {
                    missing.push(n_rows);
                    true
                }
            };
            n_rows += usize::from(is_taken);
            Ok(is_taken)
        })?;
        Ok(Batch { n_rows, missing, asked: imported.ask(rows)? })
    }

    /// Hands out `size` rows from `first` on; fewer where the partition ends, or where they are large. Each comes in place, and
    /// copied where that was not taken.
    fn take(
        &mut self,
        partition: &mut Rows,
        first: i64,
        mut each: impl FnMut(Row) -> Result<bool, Report>,
    ) -> Result<(), Report> {
        let budget = guc::work_mem() / 4;
        let mut scratch = partition.scratch();
        let (mut n, mut n_bytes) = (0, 0);
        while n < self.size && n_bytes < budget {
            check_for_interrupts!();
            let wanted = IN_PLACE.min(self.size - n);
            let taken = partition.take_records::<1>(first + n as i64, wanted, |record| {
                let is_taken = n_bytes < budget && each(Row::InPlace(record)).unwrap_or(false);
                n_bytes += if is_taken { record.n_bytes() } else { 0 };
                is_taken
            });
            n += taken;
            if taken == wanted || n_bytes >= budget {
                continue;
            }
            let wanted = TOGETHER.min(self.size - n);
            let (from, copies) = (first + n as i64, &mut self.records);
            let take = |record: Option<Record>| each(Row::Copied(record)).map(drop);
            let taken = partition.copy_records::<1>(&mut scratch, from, wanted, copies, take)?;
            n += taken;
            n_bytes += self.records.n_bytes();
            if taken < wanted {
                break;
            }
        }
        if n > 0 {
            // The last row that was read: PostgreSQL counts wrongly from a mark beyond it.
            partition.release_before(first + n as i64 - 1);
        }
        Ok(())
    }
}
