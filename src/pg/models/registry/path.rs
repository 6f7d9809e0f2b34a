//! The schemas in which a source's names are resolved, at the fit and at each refit.
//!
//! A path is names. Where a schema was renamed or dropped since, another role may have made one of its name, and what lies in that
//! would run as the model's owner. So a path is kept with the owner of each schema, and a schema that belongs to somebody else by
//! now is refused; so far as it is not the model's owner or a superuser, as after a restore.

use std::ffi::CString;

use pgrx::pg_sys::Oid;
use pgrx::prelude::*;

use crate::pg::error::{Report, report};
use crate::pg::sys::query::{self, Row};
use crate::pg::sys::security::{identifiers, is_superuser, with_latest_snapshot, with_search_path};

use super::Version;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Path {
    /// As SQL writes them in a setting.
    pub(crate) schemas: String,
    /// Of each of them, in their order.
    pub(crate) owners: Vec<Oid>,
}

impl Path {
    /// From two columns of a row of the registry, `search_path, path_owners::oid[]`, of which this is the first.
    pub(crate) fn of(row: &Row, column: i32) -> Self {
        Self {
            schemas: row.get(column).unwrap_or_default(),
            owners: row.get(column + 1).unwrap_or_default(),
        }
    }

    /// That in which unqualified names resolve now.
    pub(crate) fn current() -> Result<Self, Report> {
        let found = with_latest_snapshot(|| {
            query::select_one(
                // The session's temporary schema is another's by the time of a refit. No other schema's name begins like that.
                "SELECT pg_catalog.string_agg(pg_catalog.quote_ident(s.name), ', ' ORDER BY s.place), \
                    pg_catalog.array_agg(n.nspowner ORDER BY s.place) \
             FROM pg_catalog.unnest(pg_catalog.current_schemas(false)) WITH ORDINALITY AS s (name, place) \
             JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) s.name \
             WHERE NOT pg_catalog.starts_with(s.name::pg_catalog.text, 'pg_temp_')",
                &[],
                |row| Self::of(row, 1),
            )
        })?;
        Ok(found.unwrap_or_default())
    }

    /// As a setting, for what runs as the version's owner: with the caller's temporary tables behind all others, where they hide
    /// none. A schema that is gone is left out, lest somebody make it meanwhile.
    pub(crate) fn setting(&self, version: &Version) -> Result<CString, Report> {
        let mut path = String::new();
        let schemas = identifiers(&self.schemas).ok_or_else(|| {
            report(
                PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
                format!(
                    "\"{}\", where the source of model \"{}\" finds its tables, is no list of schemas",
                    self.schemas, version.name
                ),
            )
        })?;
        for (place, schema) in schemas.into_iter().enumerate() {
            let Some(owner) = owner_of(&schema)? else { continue };
            let is_known = self.owners.get(place).is_some_and(|known| *known == owner);
            // Of `public`, whose owner is whoever owns the database.
            let is_of_database = owner.to_u32() == pg_sys::ROLE_PG_DATABASE_OWNER;
            if !(is_known || is_of_database || owner == version.owner || is_superuser(owner)) {
                return Err(report(
                    PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                    format!(
                        "schema \"{schema}\", in which the source of model \"{}\" finds its tables, belongs to another role now",
                        version.name
                    ),
                )
                .set_hint("What lies in it would run as the model's owner: fit the model again, or publish it with its source, if that is right."));
            }
            path.push_str(&pgrx::spi::quote_identifier(&schema));
            path.push_str(", ");
        }
        Ok(CString::new(path + "pg_temp").unwrap_or_default())
    }
}

/// Runs `work` with the caller's search_path and pg_catalog before it: of two operators that fit equally well PostgreSQL's own
/// is taken, and a type's own still fits better.
pub(crate) fn with_catalog_first<T>(work: impl FnOnce() -> T) -> T {
    let schemas = Path::current().map(|path| path.schemas).unwrap_or_default();
    let path = format!("pg_catalog, {schemas}");
    let path = CString::new(path.trim_end_matches(", ")).unwrap_or_default();
    with_search_path(&path, work)
}

/// As the catalogue is now. None if there is no such schema.
fn owner_of(schema: &str) -> Result<Option<Oid>, Report> {
    with_latest_snapshot(|| {
        query::select_one(
            "SELECT n.nspowner FROM pg_catalog.pg_namespace n WHERE n.nspname OPERATOR(pg_catalog.=) $1::pg_catalog.name",
            &[schema.into()],
            |row| row.get::<Oid>(1),
        )
    })
    .map(Option::flatten)
}
