//! Rows of a partition scored together, ahead of the current one.
//!
//! While PostgreSQL hands out the scores of one batch the ONNX process works on the next one.

use crate::pg::error::Report;
use crate::pg::rows::records::Records;
use crate::pg::types::record::{self, Binding, Record};

use super::ahead::Batched;
use super::onnx::{Asked, Imported};
use super::scoring::{By, finite};

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
pub(super) enum Row<'a> {
    /// As it lies in the window's memory.
    InPlace(Record<'a>),
    /// A copy, or an object; None for NULL.
    Whole(Option<record::Row<'a>>),
}

/// Batches grow fourfold, so that LIMIT 1 pays for few rows and a large table for few trips.
const FIRST: usize = 16;
const LARGEST: usize = 4096;
/// A scorer of our own gains little from more rows than this, and they would leave the cache.
const LARGEST_NATIVE: usize = 256;
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
        partition: &mut impl Batched,
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
                partition.take(position, self.size, &mut self.records, |row| {
                    let Row::Whole(row) = row else { return Ok(false) };
                    let score = row.map(|row| native.score(binding, row));
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
        partition: &mut impl Batched,
        first: i64,
        imported: &Imported,
        binding: &mut Binding,
    ) -> Result<Batch, Report> {
        self.size = (self.size * 4).clamp(FIRST, LARGEST);
        let mut rows = imported.gather(self.size)?;
        let (mut n_rows, mut missing) = (0, Vec::new());
        partition.take(first, self.size, &mut self.records, |row| {
            let is_taken = match row {
                Row::InPlace(record) => imported.push_in_place(&mut rows, binding, record),
                Row::Whole(Some(row)) => {
                    imported.push(&mut rows, binding, row)?;
                    true
                }
                Row::Whole(None) => {
                    missing.push(n_rows);
                    true
                }
            };
            n_rows += usize::from(is_taken);
            Ok(is_taken)
        })?;
        Ok(Batch { n_rows, missing, asked: imported.ask(rows)? })
    }
}
