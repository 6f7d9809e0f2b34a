//! Publications as the registry has them.

use pgrx::prelude::*;

use crate::pg::error::{Report, report};
use crate::pg::models::family::family;
use crate::pg::models::registry::{self, Path, Version, with_catalog_first};
use crate::pg::sys::query::Row;

use super::table::Stamp;

/// A table that is kept up to date from a model.
#[derive(Debug, Clone)]
pub(crate) struct Publication {
    /// Qualified and quoted.
    pub(crate) target: String,
    /// None for the source of the fit.
    pub(crate) source: Option<String>,
    pub(crate) key_column: String,
    pub(crate) key_type: String,
    /// Rows per customer, where the model knows its customers.
    pub(crate) n: Option<i64>,
    /// Qualified and quoted: keeps when each key entered a segment and left it.
    pub(crate) history: Option<String>,
    pub(crate) path: Path,
}

/// Remembers that the table, which was just written, is kept up to date from the model; and brings its history up to date, if
/// one is kept.
pub(crate) fn remember(
    version: &Version,
    publication: &Publication,
    n_rows: i64,
    stamp: &Stamp,
) -> Result<(), Report> {
    remember_alone(version, publication, n_rows, stamp)?;
    let history = registry::fresh(|| {
        registry::select_one(
            "SELECT history FROM persona.publication WHERE model_id = $1 AND target = $2",
            &[version.model_id.into(), publication.target.as_str().into()],
            |row| row.get::<String>(1),
        )
    })?;
    match history.flatten() {
        None => Ok(()),
        Some(history) => with_catalog_first(|| {
            family(version.kind)?.keep_history(version, publication, &history, stamp)
        }),
    }
}

fn remember_alone(
    version: &Version,
    publication: &Publication,
    n_rows: i64,
    stamp: &Stamp,
) -> Result<(), Report> {
    let statement = format!(
        "INSERT INTO persona.publication \
         (model_id, target, source, key_column, key_type, n, history, search_path, path_owners, published_version, n_rows, published_at) \
         SELECT id, $2, $3, $4, $5, $6, $7, $8, $9::oid[]::persona.role[], $10, $11, {} FROM persona.model WHERE id = $1 \
         ON CONFLICT (model_id, persona.hidden(target)) DO UPDATE SET source = excluded.source, \
         key_column = excluded.key_column, key_type = excluded.key_type, n = excluded.n, \
         history = coalesce(excluded.history, publication.history), \
         search_path = excluded.search_path, path_owners = excluded.path_owners, published_version = excluded.published_version, \
         n_rows = excluded.n_rows, published_at = excluded.published_at",
        stamp.now
    );
    let n_written = registry::n_changed(
        &statement,
        &[
            version.model_id.into(),
            publication.target.as_str().into(),
            publication.source.as_deref().into(),
            publication.key_column.as_str().into(),
            publication.key_type.as_str().into(),
            publication.n.into(),
            publication.history.as_deref().into(),
            publication.path.schemas.as_str().into(),
            publication.path.owners.clone().into(),
            version.version.into(),
            n_rows.into(),
        ],
    )?;
    if n_written == 0 {
        let why = format!(
            "model \"{}\" was dropped while {} was written",
            version.name, publication.target
        );
        return Err(report(PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, why));
    }
    Ok(())
}

/// The tables that are kept up to date from the model, as they are now.
pub(crate) fn publications(model_id: i64) -> Result<Vec<Publication>, Report> {
    let read = |row: &Row| Publication {
        target: row.get(1).unwrap_or_default(),
        source: row.get(2),
        key_column: row.get(3).unwrap_or_default(),
        key_type: row.get(4).unwrap_or_default(),
        n: row.get(5),
        history: row.get(6),
        path: Path::of(row, 7),
    };
    registry::fresh(|| {
        registry::select(
            "SELECT target, source, key_column, key_type, n, history, search_path, path_owners::oid[] FROM persona.publication \
             WHERE model_id = $1 ORDER BY target",
            &[model_id.into()],
            read,
        )
    })
}
