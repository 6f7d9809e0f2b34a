//! Models as rows: versions that never change, found by name under the statement's snapshot, loaded once per backend.
//!
//! Nobody but this room touches the tables, as their owner: [`privilege`] says who may do what, [`rows`] reads what every look-up
//! needs, [`gate`] runs all other statements, [`lock`] lets one session at a time change a model. Reads take no transaction
//! id, so they work on standbys and in parallel workers.

pub(crate) mod evidence;
mod gate;
mod keep;
mod load;
mod lock;
mod path;
mod privilege;
mod role;
mod rows;
mod store;

use std::ffi::CString;

use pgrx::prelude::*;
use pgrx::{JsonB, pg_sys};

use crate::pg::error::{Error, Report, report};
use crate::pg::kind::Kind;
use crate::pg::sys::query::Row;

pub(crate) use gate::{change, n_changed, select, select_one};
pub(crate) use keep::{Found, current};
pub(crate) use load::{LoadError, Stored, decode, encode, load, payload};
pub(crate) use lock::{lock_existing, lock_for_fit, lock_free_name, try_lock_existing};
pub(crate) use path::{Path, with_catalog_first};
pub(crate) use privilege::Privilege;
pub(crate) use store::{Filing, NewVersion, store};

pub(crate) use crate::pg::sys::security::with_fresh_snapshot as fresh;

/// A model, as the registry describes it: whose it is, who may use it, which version is active.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) owner: pg_sys::Oid,
    users: Vec<pg_sys::Oid>,
    readers: Vec<pg_sys::Oid>,
    active_version: Option<i32>,
}

/// A version of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) model_id: i64,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) owner: pg_sys::Oid,
    pub(crate) version: i32,
    pub(crate) algorithm: String,
    pub(crate) sha256: [u8; 32],
    /// Which one it is: a rollback takes back a version's number, which another version is given then.
    written_at: i64,
}

impl Model {
    /// A version of it.
    pub(crate) fn version(&self, version: impl Into<i64>) -> Result<Version, Report> {
        let version = version.into();
        rows::version(self, version)?.ok_or_else(|| {
            report(
                PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
                format!("model \"{}\" has no version {version}", self.name),
            )
            .set_hint("The view persona.model_versions lists the versions of each model.")
        })
    }

    /// The version that is used, if one is.
    pub(crate) fn active(&self) -> Result<Option<Version>, Report> {
        self.active_version.map(|version| self.version(version)).transpose()
    }

    /// The version that is used.
    pub(crate) fn live(&self) -> Result<Version, Report> {
        self.active()?.ok_or_else(|| {
            report(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("model \"{}\" has no active version", self.name),
            )
            .set_hint("Make one active with persona.activate.")
        })
    }

    pub(crate) fn check_kind(&self, wanted: Kind) -> Result<(), Report> {
        if self.kind == wanted {
            return Ok(());
        }
        let (name, is) = (self.name.clone(), self.kind);
        Err(Error::WrongKind { name, is, wanted }.into())
    }
}

impl Version {
    /// That what is stored of it is not what was written.
    pub(crate) fn corrupt(&self, why: impl Into<String>) -> Report {
        let (name, why) = (self.name.clone(), why.into());
        Error::CorruptModel { name, version: self.version, why }.into()
    }
}

/// The model of this name, if the current role may do this with it.
pub(crate) fn find(name: &str, wanted: Privilege) -> Result<Model, Report> {
    let model = rows::model(name)?.ok_or(Error::UnknownModel { name: name.to_owned() })?;
    model.allow(wanted)?;
    Ok(model)
}

/// The model of this name and kind, where the current role sees one, if it may do this with it.
pub(crate) fn find_any(name: &str, kind: Kind, wanted: Privilege) -> Result<Option<Model>, Report> {
    let model = rows::model(name)?;
    let model = model.filter(|model| model.kind == kind && model.privilege().is_some());
    model.as_ref().map_or(Ok(()), |model| model.allow(wanted))?;
    Ok(model)
}

/// The active version of the model of this name and kind, if the current role may do this with it.
pub(crate) fn active(name: &str, kind: Kind, wanted: Privilege) -> Result<Version, Report> {
    let model = find(name, wanted)?;
    model.check_kind(kind)?;
    model.live()
}

/// The newest version of the model that is older than this one.
pub(crate) fn before(model: &Model, version: &Version) -> Result<Option<Version>, Report> {
    let older = select_one(
        "SELECT max(version) FROM persona.model_version WHERE model_id = $1 AND version < $2",
        &[version.model_id.into(), version.version.into()],
        |row| row.get::<i32>(1),
    )?;
    older.flatten().map(|older| model.version(older)).transpose()
}

/// When a version was made, in the session's time zone.
pub(crate) fn fitted_at(version: &Version) -> Result<String, Report> {
    of_version(version, "to_char(created_at, 'YYYY-MM-DD HH24:MI TZ')", |row| row.get(1))
        .map(Option::unwrap_or_default)
}

/// How a version was fitted, so that it can be fitted again.
pub(crate) struct Recipe {
    pub(crate) source: String,
    pub(crate) search_path: CString,
    pub(crate) parameters: serde_json::Value,
}

/// Refuses a version that has no source.
pub(crate) fn recipe(version: &Version) -> Result<Recipe, Report> {
    let (source, parameters) = of_version(version, "source, parameters", |row| {
        (row.get::<String>(1), row.get::<JsonB>(2))
    })?;
    let Some(source) = source else {
        return Err(report(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("model \"{}\" has no source to be refitted from", version.name),
        )
        .set_detail("It was imported, or was given to another owner without its source.")
        .set_hint("Fit it again, or import a new version with persona.import_onnx."));
    };
    Ok(Recipe {
        source,
        search_path: path(version)?.setting(version)?,
        parameters: parameters.map(|JsonB(parameters)| parameters).unwrap_or_default(),
    })
}

/// The source of a version's fit; None for an import.
pub(crate) fn source(version: &Version) -> Result<Option<String>, Report> {
    of_version(version, "source", |row| row.get(1))
}

/// The schemas in which the names of a version's source were resolved.
pub(crate) fn path(version: &Version) -> Result<Path, Report> {
    of_version(version, "search_path, path_owners::oid[]", |row| Path::of(row, 1))
}

/// The arguments of a version's fit or import.
pub(crate) fn parameters(version: &Version) -> Result<serde_json::Value, Report> {
    of_version(version, "parameters", |row| row.get::<JsonB>(1))
        .map(|found| found.map(|JsonB(found)| found).unwrap_or_default())
}

/// What a version's fit or import found out about it.
pub(crate) fn metrics(version: &Version) -> Result<serde_json::Value, Report> {
    of_version(version, "metrics", |row| row.get::<JsonB>(1))
        .map(|found| found.map(|JsonB(found)| found).unwrap_or_default())
}

/// How many rows a version was fitted on.
pub(crate) fn n_rows(version: &Version) -> Result<i64, Report> {
    of_version(version, "n_rows", |row| row.get(1)).map(Option::unwrap_or_default)
}

/// Columns of a version's row; it is there.
fn of_version<T>(version: &Version, columns: &str, read: impl Fn(&Row) -> T) -> Result<T, Report> {
    let query =
        format!("SELECT {columns} FROM persona.model_version WHERE model_id = $1 AND version = $2");
    let arguments = [version.model_id.into(), version.version.into()];
    let found = select_one(&query, &arguments, read)?;
    found.ok_or_else(|| Error::UnknownModel { name: version.name.clone() }.into())
}
