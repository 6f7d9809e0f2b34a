//! Room for more rows: what they take is counted against the budget before it is asked for.

use crate::algo::memory::{self, Refused};
use crate::pg::error::{Error, Report, no_room};

use super::{Builder, Building, Keep, Receiver, Work};

impl Receiver<'_> {
    /// The length of an array is known after the first row: room for more is made, and counted, then.
    pub(super) fn has_array(&self) -> bool {
        self.builders.iter().any(|builder| matches!(builder.values, Building::Array { .. }))
    }

    /// Refuses more rows than the budget has room for once they are read: with the memory of the fit, or with the columns
    /// of an array beside the array that they are copied from.
    pub(super) fn check_budget(&mut self) -> Result<(), Report> {
        let wanted = match self.keep {
            Keep::InMemory(work) => self.wanted(work),
            // Only the dictionaries of text are in memory.
            Keep::OnDisk(_) => self.text_bytes,
        };
        self.hold(wanted)
    }

    fn hold(&mut self, wanted: usize) -> Result<(), Report> {
        if wanted > self.budget {
            self.is_full = true;
            return Err(Error::OutOfMemoryBudget { wanted, budget: self.budget }.into());
        }
        Ok(())
    }

    fn wanted(&self, work: Work) -> usize {
        (self.per_row(&Builder::row_bytes) + self.work(work))
            .saturating_mul(self.n_rows)
            .saturating_add(self.text_bytes)
    }

    /// The bytes for each row that are taken once all are read.
    fn work(&self, work: Work) -> usize {
        let copy = self.per_row(&|builder| match builder.values {
            Building::Array { .. } => builder.row_bytes(),
            _ => 0,
        });
        copy.max(work.per_row + self.per_row(&|builder| builder.numbers() * work.per_number))
    }

    fn per_row(&self, bytes: &dyn Fn(&Builder) -> usize) -> usize {
        self.builders.iter().map(bytes).sum()
    }

    /// Asks for the memory that the fit will take; it may hold the texts once more, by what it makes of them.
    pub(super) fn probe(&self) -> Result<(), Refused> {
        // What a level of a text becomes.
        const CODE: usize = 8;
        let codes = self.per_row(&|builder| match builder.values {
            Building::Text(_) => CODE,
            _ => 0,
        });
        let work = match self.keep {
            Keep::InMemory(work) => (self.work(work) + codes).saturating_mul(self.n_rows),
            Keep::OnDisk(_) => 0,
        };
        memory::probe(work.saturating_add(self.text_bytes))
    }

    /// Makes room for twice the rows, if the budget allows for it: old and new memory are held together for a moment.
    #[cold]
    pub(super) fn grow(&mut self) -> Result<(), Report> {
        self.keep_direct_rows();
        self.check_budget()?;
        let capacity =
            (self.capacity * 2).max(if self.capacity == 0 && self.has_array() { 1 } else { 4096 });
        if let Keep::OnDisk(_) = self.keep {
            // Room on the disk is really taken: not twice what is needed.
            return self.reserve(capacity.min(self.capacity + (self.capacity / 4).max(1 << 16)));
        }
        let row_bytes: usize = self.builders.iter().map(Builder::row_bytes).sum();
        let needed = row_bytes
            .checked_mul(capacity)
            .and_then(|bytes| {
                bytes.checked_add(row_bytes * self.capacity / self.builders.len().max(1))
            })
            .and_then(|bytes| bytes.checked_add(self.text_bytes))
            .unwrap_or(usize::MAX);
        // The doubled buffers would be half empty at worst: near the budget grow by less.
        let (capacity, needed) = if needed > self.budget && self.capacity > 0 {
            let smaller = self.capacity + self.capacity / 8;
            (
                smaller,
                row_bytes * smaller
                    + row_bytes * self.capacity / self.builders.len().max(1)
                    + self.text_bytes,
            )
        } else {
            (capacity, needed)
        };
        self.hold(needed)?;
        self.reserve(capacity)
    }

    pub(super) fn reserve(&mut self, capacity: usize) -> Result<(), Report> {
        for builder in &mut self.builders {
            let made = builder.reserve(capacity);
            self.is_full |= made.is_err();
            made.map_err(no_room)?;
        }
        self.capacity = capacity;
        self.direct();
        Ok(())
    }
}
