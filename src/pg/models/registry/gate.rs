//! The gate: the one place where statements run on the registry's tables.
//!
//! They run as the tables' owner, whom no row-level security and no grant holds back, also under `row_security = off`; in a
//! restricted operation, with names resolved in pg_catalog alone. What the caller may do with a model was checked before.
//! Nothing of a user's can run in here: statements name tables of the registry and functions and operators of PostgreSQL.

use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;

use crate::pg::error::Report;
use crate::pg::sys::query::{self, Row, spi_failed};
use crate::pg::sys::security::{as_role, with_catalog_names};

use super::rows;

/// Reads rows of the registry.
pub(crate) fn select<T>(
    statement: &str,
    arguments: &[DatumWithOid],
    read: impl Fn(&Row) -> T,
) -> Result<Vec<T>, Report> {
    through(|| query::select(statement, arguments, read))
}

/// The first row of the registry, if there is one.
pub(crate) fn select_one<T>(
    statement: &str,
    arguments: &[DatumWithOid],
    read: impl Fn(&Row) -> T,
) -> Result<Option<T>, Report> {
    through(|| query::select_one(statement, arguments, read))
}

/// Changes rows of the registry.
pub(crate) fn change(statement: &str, arguments: &[DatumWithOid]) -> Result<(), Report> {
    n_changed(statement, arguments).map(drop)
}

/// Changes rows of the registry, and says how many.
pub(crate) fn n_changed(statement: &str, arguments: &[DatumWithOid]) -> Result<usize, Report> {
    through(|| {
        Spi::connect_mut(|client| client.update(statement, None, arguments).map(|rows| rows.len()))
            .map_err(spi_failed)
    })
}

/// Runs statements on the registry.
pub(super) fn through<T>(work: impl FnOnce() -> Result<T, Report>) -> Result<T, Report> {
    let owner = rows::owner()?;
    as_role(owner, || with_catalog_names(work))
}
