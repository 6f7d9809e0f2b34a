//! The gate: the one place where statements run on the registry's tables.
//!
//! They run as the tables' owner, whom no row-level security and no grant holds back, also under `row_security = off`; in a
//! restricted operation, with names resolved in pg_catalog alone. What the caller may do with a model was checked before.
//! Nothing of a user's can run in here: statements name tables of the registry and functions and operators of PostgreSQL.

use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{SpiHeapTupleData, SpiResult};

use crate::pg::error::{Report, report};
use crate::pg::security::{as_role, with_catalog_names};

use super::rows;

/// Reads rows of the registry. Takes no transaction id, so it works on standbys and in parallel workers.
pub(crate) fn select<T>(
    statement: &str,
    arguments: &[DatumWithOid],
    read: impl Fn(&SpiHeapTupleData) -> SpiResult<T>,
) -> Result<Vec<T>, Report> {
    through(|| {
        Spi::connect(|client| {
            client.select(statement, None, arguments)?.map(|row| read(&row)).collect()
        })
    })
}

/// The first row of the registry, if there is one.
pub(crate) fn select_one<T>(
    statement: &str,
    arguments: &[DatumWithOid],
    read: impl Fn(&SpiHeapTupleData) -> SpiResult<T>,
) -> Result<Option<T>, Report> {
    select(statement, arguments, read).map(|rows| rows.into_iter().next())
}

/// Changes rows of the registry.
pub(crate) fn change(statement: &str, arguments: &[DatumWithOid]) -> Result<(), Report> {
    through(|| Spi::connect_mut(|client| client.update(statement, None, arguments).map(|_| ())))
}

/// Runs statements on the registry, and maps SPI's own failures.
pub(super) fn through<T>(work: impl FnOnce() -> SpiResult<T>) -> Result<T, Report> {
    let owner = rows::owner()?;
    as_role(owner, || with_catalog_names(work)).map_err(spi_failed)
}

/// A failure inside SPI that is no error of PostgreSQL's (those unwind by themselves).
pub(crate) fn spi_failed(error: pgrx::spi::Error) -> Report {
    report(
        PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
        format!("a query of the extension failed: {error}"),
    )
}
