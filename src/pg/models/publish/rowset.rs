//! The rows of a query under a name, for the statements after it: as a trigger has those of its statement.
//!
//! The query runs once, in parallel where its plan is, which no statement that writes does; and no table is made, so that it can
//! be where none may be. Rows from memory are as good as a query's.
#![allow(unsafe_code, reason = "SPI, a DestReceiver and a tuplestore are C structures")]

use std::ffi::{CStr, CString};

use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use crate::pg::bulk::{self, RowWriter};
use crate::pg::error::Report;
use crate::pg::query::spi_failed;

/// PostgreSQL's receiver of rows, which keeps them.
#[repr(C)]
struct Receiver {
    /// First, as PostgreSQL takes the whole for it.
    callbacks: pg_sys::DestReceiver,
    rows: *mut pg_sys::Tuplestorestate,
    descriptor: pg_sys::TupleDesc,
    /// Where the descriptor outlives the query.
    memory: pg_sys::MemoryContext,
    n_rows: u64,
}

/// Runs the query as all is now. In the statements of this connection after it `name` is a relation of its rows. Returns how many
/// there are.
pub(super) fn of_query(_: &SpiClient, query: &str, name: &'static CStr) -> Result<u64, Report> {
    // SAFETY: SPI is connected, as there is a client.
    unsafe { run(query)?.register(name) }
}

/// As [`of_query`], with the columns of the query and rows from memory: `write` writes their fields.
pub(super) fn of_rows(
    _: &SpiClient,
    query: &str,
    name: &'static CStr,
    n_rows: usize,
    write: impl FnMut(usize, &mut RowWriter),
) -> Result<u64, Report> {
    // SAFETY: as above; the store and its description live until SPI is left.
    unsafe {
        let receiver = run(query)?;
        bulk::put(receiver.rows, receiver.descriptor, n_rows, write)?;
        Receiver { n_rows: receiver.n_rows + n_rows as u64, ..receiver }.register(name)
    }
}

/// # Safety
/// SPI is connected.
unsafe fn run(query: &str) -> Result<Receiver, Report> {
    let query = CString::new(query).unwrap_or_default();
    // SAFETY: what is allocated here lives until SPI is left, by an error as well. The receiver outlives the query.
    unsafe {
        let mut receiver = Receiver {
            callbacks: pg_sys::DestReceiver {
                receiveSlot: Some(receive),
                rStartup: Some(start),
                rShutdown: Some(ignore),
                rDestroy: Some(ignore),
                mydest: pg_sys::CommandDest::DestNone,
            },
            rows: pg_sys::tuplestore_begin_heap(false, false, pg_sys::work_mem),
            descriptor: std::ptr::null_mut(),
            memory: pg_sys::CurrentMemoryContext,
            n_rows: 0,
        };
        let options = pg_sys::SPIExecuteOptions {
            must_return_tuples: true,
            dest: (&raw mut receiver).cast(),
            ..Default::default()
        };
        Spi::check_status(pg_sys::SPI_execute_extended(query.as_ptr(), &options))
            .map_err(spi_failed)?;
        receiver.n_rows = pg_sys::SPI_processed;
        Ok(receiver)
    }
}

impl Receiver {
    /// # Safety
    /// SPI is connected as it was when the query ran.
    unsafe fn register(&self, name: &'static CStr) -> Result<u64, Report> {
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
