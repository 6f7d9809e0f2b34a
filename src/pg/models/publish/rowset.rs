//! The rows of a query under a name, for the statements after it: as a trigger has those of its statement.
//!
//! The query runs once, in parallel where its plan is, which no statement that writes does; and no table is made, so that it can
//! be where none may be.
#![allow(unsafe_code, reason = "SPI, a DestReceiver and a tuplestore are C structures")]

use std::ffi::{CStr, CString};

use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::{SpiClient, SpiError};

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
}

/// Runs the query as all is now, then `work`, in whose statements `name` is a relation of its rows: it is told how many there are.
pub(super) fn with_rows<T>(
    query: &str,
    name: &CStr,
    work: impl FnOnce(&mut SpiClient, u64) -> Result<T, SpiError>,
) -> Result<T, Report> {
    let query = CString::new(query).unwrap_or_default();
    Spi::connect_mut(|client| {
        // SAFETY: SPI is connected, so what is allocated here lives until it is left, by an error as well. The receiver
        // outlives the query, and the relation all statements that name it.
        let n_rows = unsafe {
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
            };
            let options = pg_sys::SPIExecuteOptions {
                must_return_tuples: true,
                dest: (&raw mut receiver).cast(),
                ..Default::default()
            };
            Spi::check_status(pg_sys::SPI_execute_extended(query.as_ptr(), &options))?;
            let n_rows = pg_sys::SPI_processed;
            let relation: *mut pg_sys::EphemeralNamedRelationData =
                pg_sys::palloc0(size_of::<pg_sys::EphemeralNamedRelationData>()).cast();
            (*relation).md.name = name.as_ptr().cast_mut();
            (*relation).md.tupdesc = receiver.descriptor;
            (*relation).md.enrtype = pg_sys::EphemeralNameRelationType::ENR_NAMED_TUPLESTORE;
            (*relation).md.enrtuples = n_rows as f64;
            (*relation).reldata = receiver.rows.cast();
            Spi::check_status(pg_sys::SPI_register_relation(relation))?;
            n_rows
        };
        work(client, n_rows)
    })
    .map_err(spi_failed)
}

#[pg_guard]
unsafe extern "C-unwind" fn start(
    receiver: *mut pg_sys::DestReceiver,
    _operation: i32,
    descriptor: pg_sys::TupleDesc,
) {
    // SAFETY: PostgreSQL calls this with the receiver that `with_rows` passed, and the descriptor of the rows to come.
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
