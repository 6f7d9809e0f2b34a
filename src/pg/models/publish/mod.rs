//! Keeps tables up to date from models: what a model says about each customer of a source.
//!
//! Only a model's owner publishes, into tables of his own: a refit writes them again as the owner, whoever asks for it.

pub(crate) mod key_type;
mod rowset;
pub(crate) mod table;
pub(crate) mod target;

use std::panic::AssertUnwindSafe;

use pgrx::PgTryBuilder;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;
use pgrx::spi::quote_identifier;

use crate::pg::error::{Error, Report, report};
use crate::pg::ingest::query_of;
use crate::pg::models::family::{From, Published, Wanted, family};
use crate::pg::models::registry::with_catalog_first;
use crate::pg::models::registry::{self, Path, Privilege, Version};
use crate::pg::names::written_type;
use crate::pg::query::Row;
use crate::pg::security::{as_role, attempt, with_search_path};

use table::{Rows, Stamp, Written, qualified_name, select_one, write_query};
use target::{check_key, must_be_fit, must_be_own, refuse_temporary};

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
    pub(crate) n: Option<i32>,
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
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::oid[]::persona.role[], $10, $11, {}) \
         ON CONFLICT (model_id, persona.hidden(target)) DO UPDATE SET source = excluded.source, \
         key_column = excluded.key_column, key_type = excluded.key_type, n = excluded.n, \
         history = coalesce(excluded.history, publication.history), \
         search_path = excluded.search_path, path_owners = excluded.path_owners, published_version = excluded.published_version, \
         n_rows = excluded.n_rows, published_at = excluded.published_at",
        stamp.now
    );
    registry::change(
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
    )
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

/// Brings every table that the model is published into up to date, as the owner: the version has just become the active one. `written` was
/// written with it. Where one cannot be, nothing is changed. Returns how many rows were.
pub(crate) fn follow(version: &Version, written: Option<&str>) -> Result<u64, Report> {
    let mut n_changed = 0;
    for publication in publications(version.model_id)? {
        let target = publication.target.as_str();
        if written == Some(target) {
            continue;
        }
        let publish = || {
            let path = publication.path.setting(version)?;
            with_search_path(&path, || publish_again(version, &publication))
        };
        let done = attempt(|| as_role(version.owner, publish)).map_err(|error| {
            report(
                error.code,
                format!("table {target} cannot be kept up to date: {}", error.message),
            )
            .set_hint("publish => false leaves it as it is, persona.unpublish leaves it alone from now on.")
        })?;
        n_changed += done.n_changed();
    }
    Ok(n_changed)
}

/// Writes what the model's active version says, by a query: the publication is made for the first time, or again.
pub(crate) fn publish_again(
    version: &Version,
    publication: &Publication,
) -> Result<Written, Report> {
    with_catalog_first(|| {
        must_be_own(&version.name, &publication.target)?;
        let (columns, keys) = columns_for(family(version.kind)?.published(), publication);
        check_key(&publication.key_column, &columns[1..])?;
        let Publication { target, key_type, .. } = publication;
        must_be_fit(version.model_id, false, target, &columns, key_type)?;
        let (query, keys_alone) = queries_for(version, publication)?;
        let (rows, stamp) =
            (Rows { query: &query, keys: keys_alone.as_deref() }, Stamp::of(version));
        let write = || write_query(&publication.target, &rows, &columns, &keys, &stamp);
        let written = PgTryBuilder::new(AssertUnwindSafe(write))
            .catch_when(PgSqlErrorCode::ERRCODE_NOT_NULL_VIOLATION, |error| {
                Err(without_key(error, &publication.key_column))
            })
            .execute()?;
        refuse_temporary(&publication.target)?;
        remember(version, publication, written.n_rows, &stamp)?;
        Ok(written)
    })
}

/// What PostgreSQL says of a row without a key, and what to do about it.
fn without_key(error: CaughtError, key: &str) -> Report {
    // Another column of the table may be needed, too.
    let is_of_key = |said: &str| said.contains(&format!("\"{key}\""));
    let error = match error {
        CaughtError::PostgresError(error) | CaughtError::ErrorReport(error)
            if is_of_key(error.message()) =>
        {
            error
        }
        error => error.rethrow(),
    };
    report(error.sql_error_code(), error.message().to_owned())
        .set_hint("A row of nobody cannot be published: leave rows without a key out of the source, with WHERE ... IS NOT NULL.")
}

/// publish(model, target_table, source, key, n, history_table)
#[pg_extern]
fn publish(
    model: Option<&str>,
    target_table: Option<&str>,
    source: Option<&str>,
    key: Option<&str>,
    n: Option<i32>,
    history_table: Option<&str>,
) -> Result<
    TableIterator<'static, (name!(inserted, i64), name!(updated, i64), name!(deleted, i64))>,
    Report,
> {
    let model = model.ok_or(Error::NullArgument { argument: "model" })?;
    let target = target_table.ok_or(Error::NullArgument { argument: "target_table" })?;
    let found = registry::lock_existing(model, |model| {
        model.allow(Privilege::Use)?;
        model.must_be_its_owner()
    })?;
    let version = registry::fresh(|| found.live())?;
    check_arguments(&version, source, n, history_table)?;
    let target = qualified_name(target)?;
    let before = publications(version.model_id)?.into_iter().find(|one| one.target == target);
    let key_column = match (key, &before) {
        (Some(key), _) => key.to_owned(),
        (None, Some(before)) => before.key_column.clone(),
        (None, None) => key_of_fit(&version)?,
    };
    let (source_before, n_before, path_before) = match before {
        Some(Publication { source, n, path, .. }) => (source, n, Some(path)),
        None => (None, None, None),
    };
    // A source means what it meant where it was written down.
    let path = match (source, path_before) {
        (Some(_), _) => Path::current()?,
        (None, Some(path_before)) => path_before,
        (None, None) => registry::fresh(|| registry::path(&version))?,
    };
    let mut publication = Publication {
        target,
        source: source.map(str::to_owned).or(source_before),
        key_column,
        key_type: String::new(),
        n: n.or(n_before),
        history: history_table.map(qualified_name).transpose()?,
        path,
    };
    let path = publication.path.setting(&version)?;
    let Written { inserted, updated, deleted, .. } = with_search_path(&path, || {
        publication.key_type = key_type(&version, &publication)?;
        publish_again(&version, &publication)
    })?;
    Ok(TableIterator::once((inserted, updated, deleted)))
}

/// Refuses what says nothing of models of this kind.
fn check_arguments(
    version: &Version,
    source: Option<&str>,
    n: Option<i32>,
    history_table: Option<&str>,
) -> Result<(), Report> {
    let Version { name, kind, .. } = version;
    let published = family(*kind)?.published();
    if history_table.is_some() && !published.keeps_history {
        return Err(report(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            format!("model \"{name}\" is of kind {kind}, of which no history is kept"),
        )
        .set_hint(
            "Leave history_table out: a history is of customers who move from segment to segment.",
        ));
    }
    let refused = |why: String, hint: &str| {
        Err(report(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, why).set_hint(hint))
    };
    if source.is_some() && published.from == From::Model {
        return refused(
            format!(
                "model \"{name}\" is of kind {kind}, of which the users that it knows are published"
            ),
            "Leave source out: it says nothing of such a model.",
        );
    }
    let Some(n) = n else { return Ok(()) };
    if published.from == From::Source {
        return refused(
            format!("model \"{name}\" is of kind {kind}, of which n says nothing"),
            "Leave n out: it is how many rows there are for each user whom a model knows.",
        );
    }
    if n < 1 {
        let (option, value) = ("n".into(), n.to_string());
        return Err(Error::InvalidOption { option, value, valid: "1 and more".into() }.into());
    }
    Ok(())
}

/// The column of keys of a model's own source.
fn key_of_fit(version: &Version) -> Result<String, Report> {
    let (argument, otherwise) = family(version.kind)?.published().key_argument;
    fit_argument(version, argument)?.or(otherwise.map(str::to_owned)).ok_or_else(|| {
        Report::from(Error::NullArgument { argument: "key" }).set_hint(
            "The fit names no key either: name the column of the source that tells whose row it is, as in key => 'customer_id'.",
        )
    })
}

/// unpublish(model, target_table): whether it was published there. The table stays, and is the owner's.
#[pg_extern]
fn unpublish(model: &str, target_table: &str) -> Result<bool, Report> {
    let found = registry::lock_existing(model, |model| model.allow(Privilege::Own))?;
    let target = qualified_name(target_table)?;
    let n_deleted = registry::n_changed(
        "DELETE FROM persona.publication WHERE model_id = $1 AND target = $2",
        &[found.id.into(), target.as_str().into()],
    )?;
    Ok(n_deleted > 0)
}

/// The rows, of the columns that [`columns_for`] names; and the keys of them alone, where the source may have one twice.
fn queries_for(
    version: &Version,
    publication: &Publication,
) -> Result<(String, Option<String>), Report> {
    let family = family(version.kind)?;
    let from = family.published().from;
    let source = match from {
        From::Source => source_of(version, publication)?,
        From::Model => String::new(),
    };
    let wanted = Wanted {
        key: &quote_identifier(&publication.key_column),
        key_type: &publication.key_type,
        source: &source,
        n: publication.n,
    };
    let keys = (from == From::Source).then(|| wanted.of_source(""));
    Ok((family.rows(version, &wanted)?, keys))
}

/// The names of the columns, and of those that are the key.
fn columns_for<'a>(
    published: &Published,
    publication: &'a Publication,
) -> (Vec<&'a str>, Vec<&'a str>) {
    let key = publication.key_column.as_str();
    let columns = [key].into_iter().chain(published.columns.iter().copied());
    (columns.collect(), [key].into_iter().chain(published.rank).collect())
}

fn source_of(version: &Version, publication: &Publication) -> Result<String, Report> {
    if let Some(source) = &publication.source {
        return query_of(source);
    }
    registry::fresh(|| registry::source(version))?
        .map(|source| query_of(&source))
        .unwrap_or_else(|| {
            Err(Report::from(Error::NullArgument { argument: "source" })
                .set_hint("The model has no source of its own: name the rows to publish, a table or a SELECT."))
        })
}

/// An argument of the fit, as text.
fn fit_argument(version: &Version, argument: &str) -> Result<Option<String>, Report> {
    let parameters = registry::fresh(|| registry::parameters(version))?;
    Ok(parameters[argument].as_str().map(str::to_owned))
}

/// The type of the key column in the source.
fn key_type(version: &Version, publication: &Publication) -> Result<String, Report> {
    if let Some(found) = family(version.kind)?.key_type(version)? {
        return Ok(found);
    }
    let source = source_of(version, publication)?;
    let key = quote_identifier(&publication.key_column);
    let query = format!(
        "SELECT pg_catalog.format_type(pg_catalog.pg_typeof(k.v)::pg_catalog.oid, -1) FROM \
         (SELECT (SELECT s.{key} FROM ({source}\n) AS s LIMIT 1) AS v) AS k"
    );
    let found = select_one::<String>(&query)?.unwrap_or_else(|| "text".into());
    Ok(written_type(&found)?.unwrap_or(found))
}
