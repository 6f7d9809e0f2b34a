//! Records of many rows of a partition, for a function that reads ahead of the current row.
#![allow(unsafe_code, reason = "records are read as they lie, and copied as varlenas")]

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use pgrx::PgMemoryContexts;
use pgrx::pg_sys::{self, Datum};

use crate::algo::memory::{self, Refused};

use crate::pg::error::Report;
use crate::pg::rows::window::{Partition, Rows};
use crate::pg::sys::argument::{Argument, Nth};
use crate::pg::sys::raw::{push_whole, varlena_bytes};
use crate::pg::types::record::Record;

unsafe extern "C-unwind" {
    /// pgrx's would set up a second guard within that of [`Partition::visit`].
    fn pg_detoast_datum(value: *mut pg_sys::varlena) -> *mut pg_sys::varlena;
}

impl<'call, A> Partition<'call, A> {
    /// Hands out an argument at some rows of the partition, from `first` on, as it lies in the window's memory, under one guard
    /// against errors: it costs 20 ns, a sixth of what such a row costs in all. Ends before a NULL and before the first row that
    /// `take` refuses; returns how many it took.
    #[inline]
    pub(crate) fn take_records<const N: usize>(
        &mut self,
        first: i64,
        n: usize,
        mut take: impl FnMut(Record) -> bool,
    ) -> usize
    where
        A: Nth<N, Type: for<'row> Argument<Value<'row> = Record<'row>>>,
    {
        let mut panic: Option<Box<dyn Any + Send>> = None;
        // SAFETY: SQL declares a record; nothing unwinds.
        let taken = unsafe {
            self.visit(N, Rows::OfPartition(first), n, |datum| {
                let Some(datum) = datum else { return false };
                let take = AssertUnwindSafe(|| take(Record::from_datum(datum)));
                catch_unwind(take).unwrap_or_else(|payload| {
                    panic = Some(payload);
                    false
                })
            })
        };
        match panic {
            Some(payload) => resume_unwind(payload),
            None => taken,
        }
    }

    /// Copies an argument at some rows of the partition, from `first` on, and hands them out, None for NULL; fewer where the
    /// partition ends. Returns how many.
    pub(crate) fn copy_records<const N: usize>(
        &mut self,
        scratch: &mut Scratch<'call>,
        first: i64,
        n: usize,
        records: &mut Records,
        take: impl FnMut(Option<Record>) -> Result<(), Report>,
    ) -> Result<usize, Report>
    where
        A: Nth<N, Type: for<'row> Argument<Value<'row> = Record<'row>>>,
    {
        records.words.clear();
        records.starts.clear();
        memory::room(&mut records.starts, n)?;
        // SAFETY: nothing of the rows before is in use any more. A copy of a record has nothing to be dropped when an error jumps
        // over it.
        unsafe {
            scratch.memory.reset();
            scratch.memory.switch_to(|_| {
                let mut pushed = Ok(());
                self.visit(N, Rows::OfPartition(first), n, |datum| {
                    match datum {
                        None => records.starts.push(None),
                        Some(datum) => pushed = records.push(datum.cast_mut_ptr()),
                    }
                    pushed.is_ok()
                });
                pushed?;
                records.iter().try_for_each(take)?;
                Ok(records.starts.len())
            })
        }
    }

    /// Memory for [`Self::copy_records`].
    pub(crate) fn scratch(&self) -> Scratch<'call> {
        let memory = PgMemoryContexts::new("pg_persona records of a window");
        Scratch { memory, of: std::marker::PhantomData }
    }
}

/// Memory for what expressions make of the rows that are read together.
pub(crate) struct Scratch<'call> {
    memory: PgMemoryContexts,
    of: std::marker::PhantomData<&'call ()>,
}

/// Records one behind another, each with a full header and aligned, as [`Binding`](crate::pg::types::record::Binding) reads them fastest.
#[derive(Default)]
pub(crate) struct Records {
    words: Vec<u64>,
    /// Where each begins among the words; None for NULL.
    starts: Vec<Option<usize>>,
}

impl Records {
    fn iter(&self) -> impl ExactSizeIterator<Item = Option<Record<'_>>> {
        self.starts.iter().map(|start| {
            // SAFETY: a whole record was written there, and nothing is written while these live.
            start.map(|start| unsafe {
                Record::from_datum(Datum::from(self.words.as_ptr().add(start)))
            })
        })
    }

    pub(crate) fn n_bytes(&self) -> usize {
        8 * self.words.len()
    }

    /// # Safety
    /// `value` points to a composite value.
    unsafe fn push(&mut self, mut value: *mut pg_sys::varlena) -> Result<(), Refused> {
        // SAFETY: by the caller's promise; what is copied has as many bytes as its header says, and room is made for it.
        unsafe {
            // Compressed, or apart from its row; a short header is none of these.
            if !pgrx::varatt_is_4b_u(value)
                && (!pgrx::varatt_is_1b(value) || pgrx::varatt_is_1b_e(value))
            {
                value = pg_detoast_datum(value);
            }
            self.starts.push(Some(push_whole(&mut self.words, varlena_bytes(value))?));
        }
        Ok(())
    }
}
