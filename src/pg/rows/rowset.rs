//! Rows under a name, for the statements after them: as a trigger has those of its statement. And rows as a function's answer.
//!
//! They are a query's, which runs once, in parallel where its plan is, as no statement that writes does; or come from memory. They lie
//! in a tuplestore, on the disk where there are many, and no table is made, so that they can be where none may be.
#![allow(unsafe_code, reason = "SPI, a DestReceiver and a tuplestore are C structures")]

use std::ffi::{CStr, CString};

use pgrx::pg_sys::{self, Datum};
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use crate::pg::error::Report;
use crate::pg::rows::bulk::SingleRows;
use crate::pg::sys::call_site::CallSite;
use crate::pg::sys::query::spi_failed;

pub(crate) use crate::pg::rows::bulk::RowWriter;

/// Rows that are being collected while SPI is connected.
pub(crate) struct Rowset {
    rows: *mut pg_sys::Tuplestorestate,
    descriptor: pg_sys::TupleDesc,
    n_rows: u64,
    writer: Option<SingleRows>,
}

impl Rowset {
    /// The rows of a query, run as all is now.
    pub(crate) fn of_query(_: &SpiClient, query: &str) -> Result<Self, Report> {
        // SAFETY: SPI is connected, as there is a client: what is allocated lives until it is left, by an error as well.
        unsafe {
            let rows = pg_sys::tuplestore_begin_heap(false, false, pg_sys::work_mem);
            let (descriptor, n_rows) = run(query, false, rows)?;
            Ok(Self { rows, descriptor, n_rows, writer: None })
        }
    }

    /// No rows yet, of the columns of a query that only reads.
    pub(crate) fn of_columns(_: &SpiClient, query: &str) -> Result<Self, Report> {
        // SAFETY: as above.
        unsafe {
            let rows = pg_sys::tuplestore_begin_heap(false, false, pg_sys::work_mem);
            let (descriptor, _) = run(&format!("{query} LIMIT 0"), true, rows)?;
            Ok(Self { rows, descriptor, n_rows: 0, writer: Some(SingleRows::of(descriptor)?) })
        }
    }

    /// Adds a row to those of [`Self::of_columns`]: `write` writes its fields, in the order of the columns.
    pub(crate) fn push(&mut self, write: impl FnOnce(&mut RowWriter)) -> Result<(), Report> {
        pgrx::check_for_interrupts!();
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let (rows, descriptor) = (self.rows, self.descriptor);
        writer.with_row(write, |values: &[Datum], nulls: &[bool]| {
            // SAFETY: the store and its description live; the fields are as many as the columns, and are copied.
            unsafe {
                let (values, nulls) = (values.as_ptr().cast_mut(), nulls.as_ptr().cast_mut());
                pg_sys::tuplestore_putvalues(rows, descriptor, values, nulls);
            }
        })?;
        self.n_rows += 1;
        Ok(())
    }

    /// In the statements of this connection from here on, as long as this is there, `name` is a relation of the rows. Returns how
    /// many there are.
    pub(crate) fn register(&self, _: &SpiClient, name: &'static CStr) -> Result<u64, Report> {
        // SAFETY: rows, description and relation live until SPI is left, and the statements that name it do not outlive that.
        unsafe {
            let relation: *mut pg_sys::EphemeralNamedRelationData =
                pg_sys::palloc0(size_of::<pg_sys::EphemeralNamedRelationData>()).cast();
            (*relation).md.name = name.as_ptr().cast_mut();
            (*relation).md.tupdesc = self.descriptor;
            (*relation).md.enrtype = pg_sys::EphemeralNameRelationType::ENR_NAMED_TUPLESTORE;
            (*relation).md.enrtuples = self.n_rows as f64;
            (*relation).reldata = self.rows.cast();
            Spi::check_status(pg_sys::SPI_register_relation(relation)).map_err(spi_failed)?;
        }
        Ok(self.n_rows)
    }
}

impl Drop for Rowset {
    fn drop(&mut self) {
        // After an error PostgreSQL closes the file itself.
        if !std::thread::panicking() {
            // SAFETY: made by this, and ended once.
            unsafe { pg_sys::tuplestore_end(self.rows) };
        }
    }
}

/// Answers a call of a function that returns a set: with the rows of a query that only reads, of the function's columns.
pub(crate) fn answer(_: &SpiClient, site: &CallSite, query: &str) -> Result<(), Report> {
    let call = site.call();
    // SAFETY: the call is running, PostgreSQL refuses one that wants no set, and its answer's store outlives SPI.
    unsafe {
        pg_sys::InitMaterializedSRF(call, 0);
        let answer = (*call).resultinfo.cast::<pg_sys::ReturnSetInfo>();
        run(query, true, (*answer).setResult).map(drop)
    }
}

/// Puts the rows of the query into the store. Returns what they are, and their number.
///
/// # Safety
/// SPI is connected; the store is PostgreSQL's, and lives.
unsafe fn run(
    query: &str,
    read_only: bool,
    rows: *mut pg_sys::Tuplestorestate,
) -> Result<(pg_sys::TupleDesc, u64), Report> {
    let query = CString::new(query).unwrap_or_default();
    // SAFETY: the receiver outlives the query.
    unsafe {
        let mut receiver = Receiver {
            callbacks: pg_sys::DestReceiver {
                receiveSlot: Some(receive),
                rStartup: Some(start),
                rShutdown: Some(ignore),
                rDestroy: Some(ignore),
                mydest: pg_sys::CommandDest::DestNone,
            },
            rows,
            descriptor: std::ptr::null_mut(),
            memory: pg_sys::CurrentMemoryContext,
        };
        let options = pg_sys::SPIExecuteOptions {
            read_only,
            must_return_tuples: true,
            dest: (&raw mut receiver).cast(),
            ..Default::default()
        };
        Spi::check_status(pg_sys::SPI_execute_extended(query.as_ptr(), &options))
            .map_err(spi_failed)?;
        Ok((receiver.descriptor, pg_sys::SPI_processed))
    }
}

/// PostgreSQL's receiver of rows, which keeps them.
#[repr(C)]
struct Receiver {
    /// First, as PostgreSQL takes the whole for it.
    callbacks: pg_sys::DestReceiver,
    rows: *mut pg_sys::Tuplestorestate,
    descriptor: pg_sys::TupleDesc,
    /// Where the descriptor outlives the query.
    memory: pg_sys::MemoryContext,
}

#[pg_guard]
unsafe extern "C-unwind" fn start(
    receiver: *mut pg_sys::DestReceiver,
    _operation: i32,
    descriptor: pg_sys::TupleDesc,
) {
    // SAFETY: PostgreSQL calls this with the receiver that `run` passed, and the descriptor of the rows to come.
    unsafe {
        let receiver = receiver.cast::<Receiver>();
        let before = pg_sys::MemoryContextSwitchTo((*receiver).memory);
        (*receiver).descriptor = pg_sys::CreateTupleDescCopy(descriptor);
        pg_sys::MemoryContextSwitchTo(before);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn receive(
    slot: *mut pg_sys::TupleTableSlot,
    receiver: *mut pg_sys::DestReceiver,
) -> bool {
    // SAFETY: as above; the row is copied.
    unsafe { pg_sys::tuplestore_puttupleslot((*receiver.cast::<Receiver>()).rows, slot) };
    true
}

#[pg_guard]
unsafe extern "C-unwind" fn ignore(_receiver: *mut pg_sys::DestReceiver) {}
