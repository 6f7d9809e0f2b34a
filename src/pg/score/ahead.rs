//! The arguments of `score_batch` at rows ahead of the current one: records, or texts and jsonb that hold JSON objects.

use pgrx::prelude::*;

use crate::pg::error::Report;
use crate::pg::rows::records::Records;
use crate::pg::rows::window::Partition;
use crate::pg::sys::argument::Argument;
use crate::pg::sys::call::Text;
use crate::pg::sys::guc;
use crate::pg::types::record::{self, Object, Record};
use crate::pg::types::value::Jsonb;

use super::batch::Row;
use super::scoring::By;

/// A partition of a model's name and the features.
pub(super) trait Batched {
    /// The name of the model at the current row.
    fn model(&self) -> Option<Text<'_>>;

    /// The score of the current row by itself.
    fn score(&self, by: By) -> Result<Option<f64>, Report>;

    /// As [`Partition::release_before`].
    fn release_before(&self, position: i64);

    /// Hands out `size` rows from `first` on; fewer where the partition ends, or where they are large.
    fn take(
        &mut self,
        first: i64,
        size: usize,
        records: &mut Records,
        each: impl FnMut(Row) -> Result<bool, Report>,
    ) -> Result<(), Report>;
}

/// Rows that are copied together out of PostgreSQL; thousands of them would not stay in the cache.
const TOGETHER: usize = 32;
/// Rows that are read in place under one guard against errors.
const IN_PLACE: usize = 256;

impl<'call> Batched for Partition<'call, (Text<'call>, Record<'call>)> {
    fn model(&self) -> Option<Text<'_>> {
        self.get::<0>()
    }

    fn score(&self, by: By) -> Result<Option<f64>, Report> {
        self.get::<1>().map_or(Ok(None), |record| by.score(record.into()))
    }

    fn release_before(&self, position: i64) {
        Partition::release_before(self, position);
    }

    /// Each row comes in place, and copied where that was not taken.
    fn take(
        &mut self,
        first: i64,
        size: usize,
        records: &mut Records,
        mut each: impl FnMut(Row) -> Result<bool, Report>,
    ) -> Result<(), Report> {
        let budget = guc::work_mem() / 4;
        let mut scratch = self.scratch();
        let (mut n, mut n_bytes) = (0, 0);
        while n < size && n_bytes < budget {
            check_for_interrupts!();
            let wanted = IN_PLACE.min(size - n);
            let taken = self.take_records::<1>(first + n as i64, wanted, |record| {
                let is_taken = n_bytes < budget && each(Row::InPlace(record)).unwrap_or(false);
                n_bytes += if is_taken { record.n_bytes() } else { 0 };
                is_taken
            });
            n += taken;
            if taken == wanted || n_bytes >= budget {
                continue;
            }
            let wanted = TOGETHER.min(size - n);
            let from = first + n as i64;
            let take = |record: Option<Record>| {
                each(Row::Whole(record.map(record::Row::Record))).map(drop)
            };
            let taken = self.copy_records::<1>(&mut scratch, from, wanted, records, take)?;
            n += taken;
            n_bytes += records.n_bytes();
            if taken < wanted {
                break;
            }
        }
        release_read(self, first, n);
        Ok(())
    }
}

/// An argument that holds an object.
pub(super) trait HoldsObject: Argument {
    /// The object, and the bytes that its text takes.
    fn object(value: Self::Value<'_>) -> Result<(Object, usize), Report>;
}

impl HoldsObject for Text<'_> {
    fn object(text: Text<'_>) -> Result<(Object, usize), Report> {
        let json = text.read("features")?;
        Ok((Object::parse(json)?, json.len()))
    }
}

impl HoldsObject for Jsonb<'_> {
    fn object(jsonb: Jsonb<'_>) -> Result<(Object, usize), Report> {
        jsonb.with_text("features", |json| Ok((Object::parse(json)?, json.len())))?
    }
}

impl<'call, F: HoldsObject> Batched for Partition<'call, (Text<'call>, F)> {
    fn model(&self) -> Option<Text<'_>> {
        self.get::<0>()
    }

    fn score(&self, by: By) -> Result<Option<f64>, Report> {
        let Some(value) = self.get::<1>() else { return Ok(None) };
        by.score(record::Row::Object(&F::object(value)?.0))
    }

    fn release_before(&self, position: i64) {
        Partition::release_before(self, position);
    }

    fn take(
        &mut self,
        first: i64,
        size: usize,
        _: &mut Records,
        mut each: impl FnMut(Row) -> Result<bool, Report>,
    ) -> Result<(), Report> {
        let budget = guc::work_mem() / 4;
        let (mut n, mut n_bytes) = (0, 0);
        self.each_from(first, |row| {
            let Some(value) = row.get::<1>() else { return Ok(false) };
            let object = value.map(F::object).transpose()?;
            n_bytes += object.as_ref().map_or(0, |(_, n_bytes)| *n_bytes);
            each(Row::Whole(object.as_ref().map(|(object, _)| record::Row::Object(object))))?;
            n += 1;
            Ok(n < size && n_bytes < budget)
        })?;
        release_read(self, first, n);
        Ok(())
    }
}

/// Releases the rows before the last of so many that were read: PostgreSQL counts wrongly from a mark beyond it.
fn release_read(partition: &impl Batched, first: i64, n: usize) {
    if n > 0 {
        partition.release_before(first + n as i64 - 1);
    }
}
