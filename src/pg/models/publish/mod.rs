//! Keeps tables up to date from models: what a model says about each customer of a source.
//!
//! Only a model's owner publishes, into tables of his own: a refit writes them again as the owner, whoever asks for it.

mod change;
mod errors;
pub(crate) mod key_type;
mod publication;
pub(crate) mod table;
pub(crate) mod target;

use std::panic::AssertUnwindSafe;

use pgrx::PgTryBuilder;
use pgrx::prelude::*;
use pgrx::spi::quote_identifier;

use crate::pg::error::{Error, Report, report};
use crate::pg::models::family::{Answers, Published, Wanted, Whose, family};
use crate::pg::models::registry::with_catalog_first;
use crate::pg::models::registry::{self, Path, Privilege, Version};
use crate::pg::rows::ingest::query_of;
use crate::pg::sys::place;
use crate::pg::sys::query::spi_failed;
use crate::pg::sys::security::{as_role, attempt, with_search_path};
use crate::pg::types::names::written_type;
use crate::pg::types::options::{required, within};

pub(crate) use errors::is_twice;
use errors::{key_twice, read_without_key, without_column, without_key};
use publication::publications;
pub(crate) use publication::{Publication, remember};
use table::{Rows, Stamp, Written, qualified_name, select_one, write_query};
use target::{check_key, must_be_fit, must_be_own, refuse_temporary};

/// Brings every table that the model is published into up to date, as the owner: the version has just become the active one. `written` was
/// written with it; `answers` are what it says of the rows of its fit. Where one cannot be, nothing is changed. Returns how many rows were.
pub(crate) fn follow(
    version: &Version,
    written: Option<&str>,
    answers: Option<&dyn Answers>,
) -> Result<u64, Report> {
    let path_of_fit = registry::fresh(|| registry::path(version))?;
    let mut n_changed = 0;
    for publication in publications(version.model_id)? {
        let target = publication.target.as_str();
        if written == Some(target) {
            continue;
        }
        let is_of_fit = publication.source.is_none() && publication.path == path_of_fit;
        let publish = || {
            let path = publication.path.setting(version)?;
            let answers = answers.filter(|_| is_of_fit);
            with_search_path(&path, || publish_again(version, &publication, answers))
        };
        let done = attempt(|| as_role(version.owner, publish)).map_err(|error| {
            let told = report(
                error.code,
                format!("table {target} cannot be kept up to date: {}", error.message),
            )
            .set_hint("publish => false leaves it as it is, persona.unpublish leaves it alone from now on.");
            match error.detail {
                Some(detail) => told.set_detail(detail),
                None => told,
            }
        })?;
        n_changed += done.n_changed();
    }
    Ok(n_changed)
}

/// Writes what the model's active version says, where that is not known: the publication is made for the first time, or again.
pub(crate) fn publish_again(
    version: &Version,
    publication: &Publication,
    known: Option<&dyn Answers>,
) -> Result<Written, Report> {
    with_catalog_first(|| {
        must_be_own(&version.name, &publication.target)?;
        let published = family(version.kind)?.published();
        let (columns, keys) = columns_for(published, publication);
        let Publication { target, key_column, key_type, .. } = publication;
        check_key(key_column, published.columns)?;
        must_be_fit(version.model_id, false, target, (key_column, key_type), published.columns)?;
        let stamp = Stamp::of(version);
        check_source(version, publication)?;
        let write = || {
            let read = match known {
                Some(_) => None,
                None => read(version, publication)?,
            };
            if let Some(answers) = known.or(read.as_deref())
                && let Some(written) = answers.publish(version, publication, &stamp)?
            {
                return Ok(written);
            }
            let (query, keys_alone) = queries_for(version, publication)?;
            let rows = Rows { query: &query, keys: keys_alone.as_deref() };
            write_query(target, &rows, &columns, &keys, &stamp)
        };
        let (what, text) = match published.rows_of {
            Whose::Model => ("publication", target.clone()),
            Whose::Source => ("source", source_of(version, publication)?),
        };
        let written = place::of_errors_in(what, &text, || {
            PgTryBuilder::new(AssertUnwindSafe(write))
                .catch_when(PgSqlErrorCode::ERRCODE_NOT_NULL_VIOLATION, |error| {
                    Err(without_key(error, key_column))
                })
                .catch_when(PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED, |error| {
                    Err(read_without_key(error, key_column))
                })
                .catch_when(PgSqlErrorCode::ERRCODE_UNIQUE_VIOLATION, |error| Err(key_twice(error)))
                .execute()
        })?;
        refuse_temporary(&publication.target)?;
        remember(version, publication, written.n_rows, &stamp)?;
        Ok(written)
    })
}

/// publish(model, target_table, source, key, n, history_table)
#[pg_extern]
fn publish(
    model: Option<&str>,
    target_table: Option<&str>,
    source: Option<&str>,
    key: Option<&str>,
    n: Option<i64>,
    history_table: Option<&str>,
) -> Result<
    TableIterator<'static, (name!(inserted, i64), name!(updated, i64), name!(deleted, i64))>,
    Report,
> {
    let model = required(model, "model")?;
    let target = required(target_table, "target_table")?;
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
        publish_again(&version, &publication, None)
    })?;
    Ok(TableIterator::once((inserted, updated, deleted)))
}

/// Refuses what says nothing of models of this kind.
fn check_arguments(
    version: &Version,
    source: Option<&str>,
    n: Option<i64>,
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
    if source.is_some() && published.rows_of == Whose::Model {
        return refused(
            format!(
                "model \"{name}\" is of kind {kind}, of which the users that it knows are published"
            ),
            "Leave source out: it says nothing of such a model.",
        );
    }
    let Some(n) = n else { return Ok(()) };
    if published.rows_of == Whose::Source {
        return refused(
            format!("model \"{name}\" is of kind {kind}, of which n says nothing"),
            "Leave n out: it is how many rows there are for each user whom a model knows.",
        );
    }
    within("n", n, 1.., "1 and more").map(drop)
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

/// What the version says of the rows of the publication's source, where there is one and it can be read into memory.
fn read(version: &Version, publication: &Publication) -> Result<Option<Box<dyn Answers>>, Report> {
    let family = family(version.kind)?;
    match family.published().rows_of {
        Whose::Model => Ok(None),
        Whose::Source => {
            family.answers(version, &source_of(version, publication)?, &publication.key_column)
        }
    }
}

/// The rows, of the columns that [`columns_for`] names; and the keys of them alone, where the source may have one twice.
fn queries_for(
    version: &Version,
    publication: &Publication,
) -> Result<(String, Option<String>), Report> {
    let family = family(version.kind)?;
    let whose = family.published().rows_of;
    let source = match whose {
        Whose::Source => source_of(version, publication)?,
        Whose::Model => String::new(),
    };
    let wanted = Wanted {
        key: &quote_identifier(&publication.key_column),
        key_type: &publication.key_type,
        source: &source,
        n: publication.n,
    };
    let keys = (whose == Whose::Source).then(|| wanted.of_source(""));
    Ok((family.rows(version, &wanted)?, keys))
}

/// The names of the columns, and of those that are the key.
fn columns_for<'a>(
    published: &Published,
    publication: &'a Publication,
) -> (Vec<&'a str>, Vec<&'a str>) {
    let key = publication.key_column.as_str();
    let columns = [key].into_iter().chain(published.columns.iter().map(|column| column.name));
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

/// Refuses a source that PostgreSQL does not understand: within the queries that have it inside it could not be told where.
fn check_source(version: &Version, publication: &Publication) -> Result<(), Report> {
    if family(version.kind)?.published().rows_of == Whose::Model {
        return Ok(());
    }
    let source = source_of(version, publication)?;
    place::of_errors_in("source", &source, || {
        Spi::connect(|client| client.prepare(source.as_str(), &[]).map(drop)).map_err(spi_failed)
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
    check_source(version, publication)?;
    let source = source_of(version, publication)?;
    let key = quote_identifier(&publication.key_column);
    let query = format!(
        "SELECT pg_catalog.format_type(pg_catalog.pg_typeof(k.v)::pg_catalog.oid, -1) FROM \
         (SELECT (SELECT s.{key} FROM ({source}\n) AS s LIMIT 1) AS v) AS k"
    );
    let look_up = || select_one::<String>(&query);
    let found = place::of_errors_in("source", &source, || {
        PgTryBuilder::new(AssertUnwindSafe(look_up))
            .catch_when(PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN, |error| {
                Err(without_column(error, &publication.key_column))
            })
            .execute()
    })?
    .unwrap_or_else(|| "text".into());
    Ok(written_type(&found)?.unwrap_or(found))
}
