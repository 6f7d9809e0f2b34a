//! Writes what a model says about each customer into a table of the caller's, by difference.
//!
//! A table that is not there is made, filled and given its key. A table that is there is changed where it differs: a nightly
//! refresh that moves one customer in a hundred writes about that many rows. Rows from memory are written with the caller's
//! rights; a query of a model's source runs with its owner's, who made it and whose refit will run it again.

use pgrx::pg_sys::Oid;
use pgrx::prelude::*;
use pgrx::spi::{quote_identifier, quote_literal};

use crate::pg::bulk::{self, RowWriter};
use crate::pg::error::{Error, Report, report};
use crate::pg::ingest::query_of;
use crate::pg::names::find_relation;
use crate::pg::recommend;
use crate::pg::registry::{self, Version, spi_failed};
use crate::pg::security::{as_owner, with_catalog_first, with_catalog_names};

/// A column of the table.
pub(crate) struct Output<'a> {
    pub(crate) name: &'a str,
    pub(crate) sql_type: &'a str,
    pub(crate) is_key: bool,
}

/// How many rows were changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) inserted: i64,
    pub(crate) updated: i64,
    pub(crate) deleted: i64,
}

/// A table that is kept up to date from a model.
#[derive(Debug, Clone)]
pub(crate) struct Publication {
    /// Qualified and quoted.
    pub(crate) target: String,
    /// None for the source of the fit.
    pub(crate) source: Option<String>,
    pub(crate) key_column: String,
    pub(crate) key_type: String,
    /// Items per customer, for a recommender.
    pub(crate) n: Option<i32>,
    pub(crate) search_path: String,
}

/// Writes `n_rows` rows from memory. `row` writes one row's fields in the order of `columns`, which have at least one key. A
/// column `since` of our own says when a row last changed.
pub(crate) fn write(
    target: &str,
    columns: &[Output],
    n_rows: usize,
    row: impl FnMut(usize, &mut RowWriter),
) -> Result<Written, Report> {
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    let keys: Vec<&str> =
        columns.iter().filter(|column| column.is_key).map(|column| column.name).collect();
    let definitions: Vec<String> = columns
        .iter()
        .map(|column| {
            // A key that is NOT NULL from the start spares the primary key a scan to see to it.
            let not_null = if column.is_key { " NOT NULL" } else { "" };
            format!("{} {}{not_null}", quote_identifier(column.name), column.sql_type)
        })
        .collect();
    let definitions = definitions.join(", ");
    if let Some(target) = existing(target)? {
        run(&format!("CREATE TEMPORARY TABLE persona_staging ({definitions}) ON COMMIT DROP"))?;
        bulk::fill(table_oid("pg_temp.persona_staging")?, n_rows, row)?;
        run("ANALYZE pg_temp.persona_staging")?;
        let query = "SELECT * FROM pg_temp.persona_staging";
        let written = with_catalog_first(|| change(&target, query, &names, &keys))?;
        run("DROP TABLE pg_temp.persona_staging")?;
        return Ok(written);
    }
    let name = parsed_name(target)?;
    run(&format!("CREATE TABLE {name} ({definitions})"))?;
    let inserted = bulk::fill(table_oid(&name)?, n_rows, row)? as i64;
    add_since(&name)?;
    add_key(&name, &keys)?;
    Ok(Written { inserted, ..Written::default() })
}

/// Remembers that the table is kept up to date from the model.
pub(crate) fn remember(version: &Version, publication: &Publication) -> Result<(), Report> {
    with_catalog_names(|| {
        Spi::connect_mut(|client| {
            client
                .update(
                    "INSERT INTO persona.publication \
             (model_id, target, source, key_column, key_type, n, search_path, published_version) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
             ON CONFLICT (model_id, target) DO UPDATE SET source = excluded.source, \
             key_column = excluded.key_column, key_type = excluded.key_type, n = excluded.n, \
             search_path = excluded.search_path, published_version = excluded.published_version, \
             published_at = pg_catalog.clock_timestamp()",
                    None,
                    &[
                        version.model_id.into(),
                        publication.target.as_str().into(),
                        publication.source.as_deref().into(),
                        publication.key_column.as_str().into(),
                        publication.key_type.as_str().into(),
                        publication.n.into(),
                        publication.search_path.as_str().into(),
                        version.version.into(),
                    ],
                )
                .map(|_| ())
        })
    })
    .map_err(spi_failed)
}

/// The tables that are kept up to date from the model.
pub(crate) fn publications(model_id: i64) -> Result<Vec<Publication>, Report> {
    with_catalog_names(|| {
        Spi::connect(|client| {
            let rows = client.select(
            "SELECT target, source, key_column, key_type, n, search_path FROM persona.publication \
             WHERE model_id = $1 ORDER BY target",
            None,
            &[model_id.into()],
        )?;
            rows.map(|row| {
                Ok(Publication {
                    target: row.get(1)?.unwrap_or_default(),
                    source: row.get(2)?,
                    key_column: row.get(3)?.unwrap_or_default(),
                    key_type: row.get(4)?.unwrap_or_default(),
                    n: row.get(5)?,
                    search_path: row.get(6)?.unwrap_or_default(),
                })
            })
            .collect::<Result<Vec<_>, pgrx::spi::Error>>()
        })
    })
    .map_err(spi_failed)
}

/// Writes what the model's active version says, by a query: the publication is made for the first time, or again.
pub(crate) fn publish_again(
    version: &Version,
    publication: &Publication,
) -> Result<Written, Report> {
    with_catalog_first(|| {
        let query = query_for(version, publication)?;
        let written = written_by(&query, version, publication)?;
        remember(version, publication)?;
        Ok(written)
    })
}

fn written_by(
    query: &str,
    version: &Version,
    publication: &Publication,
) -> Result<Written, Report> {
    match existing(&publication.target)? {
        Some(target) => {
            let (columns, keys) = columns_for(version, publication);
            let (columns, keys): (Vec<&str>, Vec<&str>) = (
                columns.iter().map(String::as_str).collect(),
                keys.iter().map(String::as_str).collect(),
            );
            change(&target, query, &columns, &keys)
        }
        None => {
            let name = parsed_name(&publication.target)?;
            let inserted = run(&format!("CREATE TABLE {name} AS {query}"))? as i64;
            add_since(&name)?;
            let (_, keys) = columns_for(version, publication);
            add_key(&name, &keys.iter().map(String::as_str).collect::<Vec<_>>())?;
            Ok(Written { inserted, ..Written::default() })
        }
    }
}

/// The target's name, qualified and quoted, whether it is there or will be made in the first schema of the search_path.
pub(crate) fn qualified_name(target: &str) -> Result<String, Report> {
    if let Some(name) = existing(target)? {
        return Ok(name);
    }
    let name = parsed_name(target)?;
    let parts = select_one::<i32>(&format!(
        "SELECT pg_catalog.cardinality(pg_catalog.parse_ident({}))",
        quote_literal(target)
    ))?;
    if parts != Some(1) {
        return Ok(name);
    }
    let schema =
        select_one::<String>("SELECT pg_catalog.quote_ident(pg_catalog.current_schema())")?;
    schema.map(|schema| format!("{schema}.{name}")).ok_or_else(|| {
        report(
            PgSqlErrorCode::ERRCODE_INVALID_SCHEMA_NAME,
            "no schema has been selected to create in",
        )
    })
}

/// publish(model, target_table, source, key, n)
#[pg_extern]
fn publish(
    model: Option<&str>,
    target_table: Option<&str>,
    source: Option<&str>,
    key: Option<&str>,
    n: Option<i32>,
) -> Result<
    TableIterator<'static, (name!(inserted, i64), name!(updated, i64), name!(deleted, i64))>,
    Report,
> {
    let model = model.ok_or(Error::NullArgument { argument: "model" })?;
    let target = target_table.ok_or(Error::NullArgument { argument: "target_table" })?;
    registry::lock(model, None, true)?;
    let version = registry::find(model, None)?;
    if n.is_some_and(|n| n < 1) {
        let value = n.unwrap_or_default().to_string();
        return Err(
            Error::InvalidOption { option: "n".into(), value, valid: "1 and more".into() }.into()
        );
    }
    let key_column = match (key, version.kind.as_str()) {
        (Some(key), _) => key.to_owned(),
        (None, "recommender") => {
            fit_argument(&version, "user_column")?.unwrap_or_else(|| "user_id".into())
        }
        (None, _) => {
            fit_argument(&version, "key")?.ok_or(Error::NullArgument { argument: "key" })?
        }
    };
    let Written { inserted, updated, deleted } = as_owner(version.owner, || {
        let mut publication = Publication {
            target: qualified_name(target)?,
            source: source.map(str::to_owned),
            key_column,
            key_type: String::new(),
            n,
            search_path: registry::current_search_path(),
        };
        publication.key_type = key_type(&version, &publication)?;
        publish_again(&version, &publication)
    })?;
    Ok(TableIterator::once((inserted, updated, deleted)))
}

/// One row per customer (per customer and rank for a recommender), of the columns that [`columns_for`] names.
fn query_for(version: &Version, publication: &Publication) -> Result<String, Report> {
    let model = quote_literal(&version.name);
    let key = quote_identifier(&publication.key_column);
    // A recommender is asked for the users that it knows: its source may be gone.
    let source = match version.kind.as_str() {
        "recommender" => String::new(),
        _ => source_of(version, publication)?,
    };
    Ok(match version.kind.as_str() {
        "segments" => format!(
            "SELECT p.{key}, p.segment, coalesce(d.name, d.label) AS label FROM \
             (SELECT s.{key}, persona.segment({model}, s) AS segment FROM ({source}) AS s) AS p \
             LEFT JOIN persona.segments({model}) AS d ON d.segment = p.segment"
        ),
        "scorer" => {
            format!(
                "SELECT s.{key}, persona.score_batch({model}, s) OVER () AS score FROM ({source}) AS s"
            )
        }
        _ => format!(
            "SELECT r.user_key::{} AS {key}, r.rank, r.item::{item_type}, r.score, \
             r.because_of::{item_type}, r.is_popular FROM persona.recommend_all({model}, {}) AS r",
            publication.key_type,
            publication.n.unwrap_or(10),
            item_type = recommend::item_type(&version.name)?,
        ),
    })
}

/// The names of the columns, and of those that are the key.
fn columns_for(version: &Version, publication: &Publication) -> (Vec<String>, Vec<String>) {
    let key = publication.key_column.as_str();
    let (columns, keys): (&[&str], &[&str]) = match version.kind.as_str() {
        "segments" => (&["segment", "label"], &[]),
        "scorer" => (&["score"], &[]),
        _ => (&["rank", "item", "score", "because_of", "is_popular"], &["rank"]),
    };
    let with_key =
        |names: &[&str]| [key].iter().chain(names).map(|name| (*name).to_owned()).collect();
    (with_key(columns), with_key(keys))
}

fn source_of(version: &Version, publication: &Publication) -> Result<String, Report> {
    if let Some(source) = &publication.source {
        return query_of(source);
    }
    let source = version_text(
        version,
        "SELECT source FROM persona.model_version WHERE model_id = $1 AND version = $2",
    )?;
    source
        .map(|source| query_of(&source))
        .unwrap_or_else(|| Err(Error::NullArgument { argument: "source" }.into()))
}

/// An argument of the fit, as text.
fn fit_argument(version: &Version, argument: &str) -> Result<Option<String>, Report> {
    let query = format!(
        "SELECT parameters OPERATOR(pg_catalog.->>) {} FROM persona.model_version WHERE model_id = $1 AND version = $2",
        quote_literal(argument)
    );
    version_text(version, &query)
}

fn version_text(version: &Version, query: &str) -> Result<Option<String>, Report> {
    with_catalog_names(|| {
        Spi::connect(|client| {
            let rows = client.select(
                query,
                Some(1),
                &[version.model_id.into(), version.version.into()],
            )?;
            if rows.is_empty() { Ok(None) } else { rows.first().get_one::<String>() }
        })
    })
    .map_err(spi_failed)
}

/// The type of the key column in the source.
fn key_type(version: &Version, publication: &Publication) -> Result<String, Report> {
    let source = source_of(version, publication)?;
    let key = quote_identifier(&publication.key_column);
    let query = format!(
        "SELECT pg_catalog.format_type(pg_catalog.pg_typeof(k.v)::pg_catalog.oid, -1) FROM \
         (SELECT (SELECT s.{key} FROM ({source}) AS s LIMIT 1) AS v) AS k"
    );
    select_one::<String>(&query).map(|found| found.unwrap_or_else(|| "text".into()))
}

/// The table's name, qualified and quoted, if it is there.
fn existing(target: &str) -> Result<Option<String>, Report> {
    // Text that is no name is refused, here and on every server alike.
    parsed_name(target)?;
    find_relation(target)
}

/// The name as SQL, each part quoted; text that is no name is refused by PostgreSQL.
fn parsed_name(target: &str) -> Result<String, Report> {
    let query = format!(
        "SELECT pg_catalog.string_agg(pg_catalog.quote_ident(part), '.') \
         FROM pg_catalog.unnest(pg_catalog.parse_ident({})) AS part",
        quote_literal(target)
    );
    select_one(&query)?.ok_or_else(|| {
        report(PgSqlErrorCode::ERRCODE_INVALID_NAME, format!("invalid table name \"{target}\""))
    })
}

fn table_oid(name: &str) -> Result<Oid, Report> {
    select_one(&format!("SELECT {}::pg_catalog.regclass::pg_catalog.oid", quote_literal(name)))?
        .ok_or_else(|| {
            report(
                PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
                format!("relation {name} does not exist"),
            )
        })
}

/// Adds the column that says when a row last changed. With rows already there it is a change of the catalogue alone: the
/// default is the same for all of them.
fn add_since(table: &str) -> Result<(), Report> {
    let column = "since timestamptz NOT NULL DEFAULT pg_catalog.now()";
    run(&format!("ALTER TABLE {table} ADD COLUMN {column}")).map(|_| ())
}

fn add_key(table: &str, keys: &[&str]) -> Result<(), Report> {
    let keys: Vec<String> = keys.iter().map(|key| quote_identifier(*key)).collect();
    run(&format!("ALTER TABLE {table} ADD PRIMARY KEY ({})", keys.join(", "))).map(|_| ())
}

/// Makes the table equal to the rows of the query, in one statement: no table in between, so it can run where none may be
/// made, and every part sees the same rows.
fn change(target: &str, query: &str, columns: &[&str], keys: &[&str]) -> Result<Written, Report> {
    let quoted =
        |names: &[&str]| names.iter().map(|name| quote_identifier(*name)).collect::<Vec<String>>();
    let (columns, keys) = (quoted(columns), quoted(keys));
    let values: Vec<&String> = columns.iter().filter(|column| !keys.contains(column)).collect();
    let joined = |separator: &str, parts: Vec<String>| parts.join(separator);
    let same_key = joined(" AND ", keys.iter().map(|key| format!("t.{key} = s.{key}")).collect());
    let its_key = joined(" AND ", keys.iter().map(|key| format!("t.{key} = d.{key}")).collect());
    let set = joined(", ", values.iter().map(|name| format!("{name} = d.{name}")).collect());
    let old = joined(", ", values.iter().map(|name| format!("t.{name}")).collect());
    let new = joined(", ", values.iter().map(|name| format!("s.{name}")).collect());
    // One pass over both finds what differs; the changes look up those rows alone.
    let either = keys.iter().map(|key| format!("coalesce(s.{key}, t.{key}) AS {key}")).collect();
    let (either, all) = (joined(", ", either), columns.join(", "));
    let statement = format!(
        "WITH d AS MATERIALIZED (\
           SELECT {either}, {new}, t.persona_here AS is_old, s.persona_here AS is_new \
           FROM (SELECT true AS persona_here, q.* FROM ({query}) AS q OFFSET 0) AS s \
           FULL JOIN (SELECT true AS persona_here, q.* FROM {target} AS q) AS t ON {same_key} \
           WHERE s.persona_here IS NULL OR t.persona_here IS NULL OR ROW({old}) IS DISTINCT FROM ROW({new})), \
         gone AS (DELETE FROM {target} t USING d WHERE d.is_new IS NULL AND {its_key} RETURNING 1), \
         changed AS (UPDATE {target} t SET {set}, since = pg_catalog.now() FROM d \
                     WHERE d.is_new AND d.is_old AND {its_key} RETURNING 1), \
         added AS (INSERT INTO {target} ({all}) SELECT {all} FROM d WHERE d.is_old IS NULL RETURNING 1) \
         SELECT (SELECT pg_catalog.count(*) FROM added), (SELECT pg_catalog.count(*) FROM changed), \
                (SELECT pg_catalog.count(*) FROM gone)"
    );
    let counts = Spi::connect_mut(|client| {
        client.update(&statement, Some(1), &[])?.first().get_three::<i64, i64, i64>()
    });
    let (inserted, updated, deleted) = counts.map_err(spi_failed)?;
    Ok(Written {
        inserted: inserted.unwrap_or(0),
        updated: updated.unwrap_or(0),
        deleted: deleted.unwrap_or(0),
    })
}

fn select_one<T: FromDatum + IntoDatum>(query: &str) -> Result<Option<T>, Report> {
    Spi::connect(|client| client.select(query, Some(1), &[])?.first().get_one::<T>())
        .map_err(spi_failed)
}

/// Runs a statement as the caller, and returns how many rows it changed.
fn run(statement: &str) -> Result<usize, Report> {
    Spi::connect_mut(|client| client.update(statement, None, &[]).map(|rows| rows.len()))
        .map_err(spi_failed)
}
