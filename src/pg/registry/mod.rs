//! Models as rows: versions that never change, found by name under the statement's snapshot, loaded once per backend.
//!
//! Reads use read-only SPI (no transaction id, so they work on standbys and in parallel workers). Every look-up runs with
//! pg_catalog alone on the search_path, and as the caller, so row-level security decides what is there.

mod load;
mod store;

use std::ffi::CString;

use pgrx::prelude::*;
use pgrx::{JsonB, pg_sys};

use super::error::{Error, Report, report};
use super::security::with_catalog_names;

pub(crate) use load::{Found, LoadError, Model, decode, encode, load, payload};
pub(crate) use store::{NewVersion, lock, store};

/// A version of a model, as the registry describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) model_id: i64,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) owner: pg_sys::Oid,
    pub(crate) version: i32,
    pub(crate) algorithm: String,
    pub(crate) sha256: [u8; 32],
}

/// The active version of the model of this name and kind.
pub(crate) fn active(name: &str, kind: &'static str) -> Result<Version, Report> {
    let version = find(name, None)?;
    if version.kind == kind {
        return Ok(version);
    }
    Err(Error::WrongKind { name: version.name, is: version.kind, wanted: kind }.into())
}

/// A version of a model: the active one, or the one asked for.
pub(crate) fn find(name: &str, version: Option<i32>) -> Result<Version, Report> {
    look_up(name, version)?.ok_or_else(|| match version {
        Some(version) => report(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("model \"{name}\" has no version {version}"),
        )
        .set_hint("The view persona.model_versions lists the versions of each model."),
        None => Error::UnknownModel { name: name.to_owned() }.into(),
    })
}

/// The active version of the model of this name, if there is one.
pub(crate) fn existing(name: &str) -> Result<Option<Version>, Report> {
    look_up(name, None)
}

/// The newest version of the model that is older than this one.
pub(crate) fn before(version: &Version) -> Result<Option<Version>, Report> {
    let older = with_catalog_names(|| {
        Spi::connect(|client| {
            let query = "SELECT max(version) FROM persona.model_version WHERE model_id = $1 AND version < $2";
            let arguments = [version.model_id.into(), version.version.into()];
            client.select(query, Some(1), &arguments)?.first().get_one::<i32>()
        })
    })
    .map_err(spi_failed)?;
    older.map_or(Ok(None), |older| look_up(&version.name, Some(older)))
}

/// When a version was made, in the session's time zone.
pub(crate) fn fitted_at(version: &Version) -> Result<String, Report> {
    let text = with_catalog_names(|| {
        Spi::connect(|client| {
            let query = "SELECT to_char(created_at, 'YYYY-MM-DD HH24:MI TZ') FROM persona.model_version \
                         WHERE model_id = $1 AND version = $2";
            let arguments = [version.model_id.into(), version.version.into()];
            client.select(query, Some(1), &arguments)?.first().get_one::<String>()
        })
    })
    .map_err(spi_failed)?;
    Ok(text.unwrap_or_default())
}

fn look_up(name: &str, version: Option<i32>) -> Result<Option<Version>, Report> {
    let found = with_catalog_names(|| {
        Spi::connect(|client| {
            let rows = client.select(
                "SELECT m.id, m.name, m.kind, m.owner::pg_catalog.oid, v.version, v.algorithm, v.sha256 \
                 FROM persona.model m JOIN persona.model_version v ON v.model_id = m.id \
                 WHERE m.name = $1 AND v.version = coalesce($2, m.active_version)",
                Some(1),
                &[name.into(), version.into()],
            )?;
            if rows.is_empty() {
                return Ok(None);
            }
            let row = rows.first();
            let sha256: Option<Vec<u8>> = row.get(7)?;
            Ok(Some((
                row.get::<i64>(1)?,
                row.get::<String>(2)?,
                row.get::<String>(3)?,
                row.get::<pg_sys::Oid>(4)?,
                row.get::<i32>(5)?,
                row.get::<String>(6)?,
                sha256.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()),
            )))
        })
    })
    .map_err(spi_failed)?;
    Ok(match found {
        Some((
            Some(model_id),
            Some(name),
            Some(kind),
            Some(owner),
            Some(version),
            Some(algorithm),
            Some(sha256),
        )) => Some(Version { model_id, name, kind, owner, version, algorithm, sha256 }),
        _ => None,
    })
}

/// How a version was fitted, so that it can be fitted again.
pub(crate) struct Recipe {
    pub(crate) source: String,
    pub(crate) search_path: CString,
    pub(crate) parameters: serde_json::Value,
    pub(crate) n_rows: i64,
}

/// Refuses a version that has no source.
pub(crate) fn recipe(version: &Version) -> Result<Recipe, Report> {
    let (source, search_path, parameters, n_rows) = with_catalog_names(|| {
        Spi::connect(|client| {
            let rows = client.select(
                "SELECT source, search_path, parameters, n_rows FROM persona.model_version \
                 WHERE model_id = $1 AND version = $2",
                Some(1),
                &[version.model_id.into(), version.version.into()],
            )?;
            let row = rows.first();
            Ok((
                row.get::<String>(1)?,
                row.get::<String>(2)?,
                row.get::<JsonB>(3)?,
                row.get::<i64>(4)?,
            ))
        })
    })
    .map_err(spi_failed)?;
    let Some(source) = source else {
        return Err(report(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "model \"{}\" was imported and has no source to be refitted from",
                version.name
            ),
        )
        .set_hint("Import a new version with persona.import_onnx."));
    };
    Ok(Recipe {
        source,
        search_path: CString::new(search_path.unwrap_or_default()).unwrap_or_default(),
        parameters: parameters.map(|JsonB(parameters)| parameters).unwrap_or_default(),
        n_rows: n_rows.unwrap_or(0),
    })
}

/// The arguments of a version's fit or import.
pub(crate) fn parameters(version: &Version) -> Result<serde_json::Value, Report> {
    told(
        version,
        "SELECT parameters FROM persona.model_version WHERE model_id = $1 AND version = $2",
    )
}

/// What a version's fit or import found out about it.
pub(crate) fn metrics(version: &Version) -> Result<serde_json::Value, Report> {
    told(version, "SELECT metrics FROM persona.model_version WHERE model_id = $1 AND version = $2")
}

fn told(version: &Version, query: &str) -> Result<serde_json::Value, Report> {
    let found = with_catalog_names(|| {
        Spi::connect(|client| {
            let arguments = [version.model_id.into(), version.version.into()];
            let rows = client.select(query, Some(1), &arguments)?;
            if rows.is_empty() { Ok(None) } else { rows.first().get_one::<JsonB>() }
        })
    })
    .map_err(spi_failed)?;
    let missing = || Error::UnknownModel { name: version.name.clone() };
    Ok(found.ok_or_else(missing)?.0)
}

/// Runs a statement that changes rows of the registry.
pub(crate) fn change(
    statement: &str,
    arguments: &[pgrx::datum::DatumWithOid],
) -> Result<(), Report> {
    with_catalog_names(|| {
        Spi::connect_mut(|client| client.update(statement, None, arguments).map(|_| ()))
    })
    .map_err(spi_failed)
}

/// A failure inside SPI that is no error of PostgreSQL's (those unwind by themselves).
pub(crate) fn spi_failed(error: pgrx::spi::Error) -> Report {
    report(
        PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
        format!("a look-up in the registry failed: {error}"),
    )
}

/// The names of the schemas that unqualified names resolve in now, as a setting's text.
pub(crate) fn current_search_path() -> String {
    Spi::connect(|client| {
        client
            .select(
                "SELECT pg_catalog.string_agg(pg_catalog.quote_ident(s), ', ') \
                 FROM pg_catalog.unnest(pg_catalog.current_schemas(false)) AS s",
                Some(1),
                &[],
            )?
            .first()
            .get_one::<String>()
    })
    .ok()
    .flatten()
    .unwrap_or_default()
}
