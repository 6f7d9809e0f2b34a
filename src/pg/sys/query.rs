//! Queries of our own that read, under the snapshot that the statement has.
//!
//! The client of pgrx takes a newer snapshot in a transaction that has written, and a statement would see two versions of what
//! it reads in several queries.
#![allow(unsafe_code, reason = "SPI is called as C")]

use std::ffi::CString;

use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::pg::error::{Report, report};

/// Reads rows as the active snapshot sees them. Takes no transaction id, so it works on standbys and in parallel workers.
pub(crate) fn select<T>(
    statement: &str,
    arguments: &[DatumWithOid],
    read: impl Fn(&Row) -> T,
) -> Result<Vec<T>, Report> {
    let query = CString::new(statement).unwrap_or_default();
    let mut types: Vec<pg_sys::Oid> = arguments.iter().map(DatumWithOid::oid).collect();
    let nulls: Vec<_> =
        arguments.iter().map(|one| if one.datum().is_some() { b' ' } else { b'n' } as _).collect();
    let value = |one: &DatumWithOid| {
        one.datum().map_or(pg_sys::Datum::null(), |datum| datum.sans_lifetime())
    };
    let mut values: Vec<pg_sys::Datum> = arguments.iter().map(value).collect();
    Spi::connect(|_| {
        // SAFETY: SPI is connected; as many types, values and marks of NULL as there are arguments outlive the call; the
        // rows live until SPI is left, and what is read of them is copied.
        unsafe {
            let status = pg_sys::SPI_execute_with_args(
                query.as_ptr(),
                arguments.len() as i32,
                types.as_mut_ptr(),
                values.as_mut_ptr(),
                nulls.as_ptr(),
                true,
                0,
            );
            Spi::check_status(status)?;
            let table = pg_sys::SPI_tuptable;
            let n = pg_sys::SPI_processed as usize;
            let tuples =
                if table.is_null() { &[] } else { std::slice::from_raw_parts((*table).vals, n) };
            Ok(tuples
                .iter()
                .map(|&tuple| read(&Row { tuple, descriptor: (*table).tupdesc }))
                .collect())
        }
    })
    .map_err(spi_failed)
}

/// The first row, if there is one.
pub(crate) fn select_one<T>(
    statement: &str,
    arguments: &[DatumWithOid],
    read: impl Fn(&Row) -> T,
) -> Result<Option<T>, Report> {
    select(statement, arguments, read).map(|rows| rows.into_iter().next())
}

/// A row that was read.
pub(crate) struct Row {
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
}

impl Row {
    /// A column, from 1; None for NULL. It is asked for as the type that it has.
    pub(crate) fn get<T: FromDatum>(&self, column: i32) -> Option<T> {
        let mut is_null = false;
        // SAFETY: the row is of that descriptor, and lives as long as `select` hands it out.
        unsafe {
            let value = pg_sys::SPI_getbinval(self.tuple, self.descriptor, column, &mut is_null);
            T::from_polymorphic_datum(
                value,
                is_null,
                pg_sys::SPI_gettypeid(self.descriptor, column),
            )
        }
    }
}

/// A failure inside SPI that is no error of PostgreSQL's (those unwind by themselves).
pub(crate) fn spi_failed(error: pgrx::spi::Error) -> Report {
    report(
        PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
        format!("a query of the extension failed: {error}"),
    )
}
