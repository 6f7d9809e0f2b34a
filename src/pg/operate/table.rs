//! Writes rows into a table of the caller's, by difference.
//!
//! A table that is not there is made, filled and given its key. A table that is there is changed where it differs: a nightly
//! refresh that moves one customer in a hundred writes about that many rows. Columns of our own, `since` and `version`, say
//! when a row last changed, and by which version of the model.

use pgrx::datum::clock_timestamp;
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;
use pgrx::spi::{quote_identifier, quote_literal};

use crate::pg::bulk::{self, RowWriter};
use crate::pg::error::{Report, report};
use crate::pg::names::find_relation;
use crate::pg::query::spi_failed;
use crate::pg::registry::Version;
use crate::pg::security::{with_catalog_first, with_plain_quotes};

use super::key_type::equality;

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

impl Written {
    pub(crate) fn n_changed(&self) -> u64 {
        (self.inserted + self.updated + self.deleted) as u64
    }
}

/// When a table is written, and by which version of its model: one for all that is written together. Taken when the model is
/// locked, the time is later than that of every writing before, which the beginning of the transaction need not be.
pub(crate) struct Stamp {
    /// As SQL.
    pub(super) now: String,
    version: i32,
}

impl Stamp {
    pub(crate) fn of(version: &Version) -> Self {
        let now = quote_literal(clock_timestamp().to_iso_string());
        Self { now: format!("{now}::pg_catalog.timestamptz"), version: version.version }
    }
}

/// The columns of our own in each table that is written.
pub(crate) const STAMPED: [&str; 2] = ["since", "version"];

/// Writes `n_rows` rows from memory. `row` writes one row's fields in the order of `columns`, which have at least one key.
pub(crate) fn write(
    target: &str,
    columns: &[Output],
    stamp: &Stamp,
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
        let staging = free_temporary_name()?;
        run(&format!("CREATE TEMPORARY TABLE {staging} ({definitions}) ON COMMIT DROP"))?;
        bulk::fill(table_oid(&staging)?, n_rows, row)?;
        run(&format!("ANALYZE {staging}"))?;
        let query = format!("SELECT * FROM {staging}");
        let written = with_catalog_first(|| change(&target, &query, &names, &keys, stamp))?;
        run(&format!("DROP TABLE {staging}"))?;
        return Ok(written);
    }
    let name = parsed_name(target)?;
    run(&format!("CREATE TABLE {name} ({definitions})"))?;
    let inserted = bulk::fill(table_oid(&name)?, n_rows, row)? as i64;
    add_stamp(&name, stamp)?;
    add_key(&name, &keys)?;
    Ok(Written { inserted, ..Written::default() })
}

/// Writes the rows of a query, which have the table's columns; at least one is a key.
pub(crate) fn write_query(
    target: &str,
    query: &str,
    columns: &[&str],
    keys: &[&str],
    stamp: &Stamp,
) -> Result<Written, Report> {
    if let Some(target) = existing(target)? {
        return change(&target, query, columns, keys, stamp);
    }
    let name = parsed_name(target)?;
    let inserted = run(&format!("CREATE TABLE {name} AS {query}"))? as i64;
    add_stamp(&name, stamp)?;
    add_key(&name, keys)?;
    Ok(Written { inserted, ..Written::default() })
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
    let schema = with_plain_quotes(|| {
        select_one::<String>("SELECT pg_catalog.quote_ident(pg_catalog.current_schema())")
    })?;
    schema.map(|schema| format!("{schema}.{name}")).ok_or_else(|| {
        report(
            PgSqlErrorCode::ERRCODE_INVALID_SCHEMA_NAME,
            "no schema has been selected to create in",
        )
    })
}

/// The table's name, qualified and quoted, if it is there.
pub(super) fn existing(target: &str) -> Result<Option<String>, Report> {
    // Text that is no name is refused, here and on every server alike.
    parsed_name(target)?;
    find_relation(target)
}

/// The name as SQL, without the name of this database before it, each part quoted and as long as PostgreSQL keeps it; text that is no name is refused by PostgreSQL.
pub(super) fn parsed_name(target: &str) -> Result<String, Report> {
    let query = format!(
        "SELECT pg_catalog.string_agg(pg_catalog.quote_ident(part.part::pg_catalog.name::pg_catalog.text), '.' ORDER BY part.place) \
         FROM pg_catalog.unnest(pg_catalog.parse_ident({})) WITH ORDINALITY AS part (part, place) \
         WHERE part.place OPERATOR(pg_catalog.>) 1 OR pg_catalog.cardinality(pg_catalog.parse_ident({})) OPERATOR(pg_catalog.<) 3 \
           OR part.part OPERATOR(pg_catalog.<>) pg_catalog.current_database()::pg_catalog.text",
        quote_literal(target),
        quote_literal(target)
    );
    with_plain_quotes(|| select_one(&query))?.ok_or_else(|| {
        report(PgSqlErrorCode::ERRCODE_INVALID_NAME, format!("invalid table name \"{target}\""))
    })
}

/// A name that no temporary table of the session has, qualified.
fn free_temporary_name() -> Result<String, Report> {
    let mut number = 0;
    loop {
        let name = format!("pg_temp.persona_staging_{number}");
        let query = format!("SELECT pg_catalog.to_regclass({}) IS NULL", quote_literal(&name));
        if select_one::<bool>(&query)? == Some(true) {
            return Ok(name);
        }
        number += 1;
    }
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

/// Adds the columns that say when a row last changed, and by which version. With rows already there it is a change of the
/// catalogue alone: the defaults are the same for all of them. A row that somebody adds by hand is of no version.
fn add_stamp(table: &str, stamp: &Stamp) -> Result<(), Report> {
    let Stamp { now, version } = stamp;
    run(&format!(
        "ALTER TABLE {table} ADD COLUMN since timestamptz NOT NULL DEFAULT {now}, ADD COLUMN version integer DEFAULT {version}"
    ))?;
    run(&format!(
        "ALTER TABLE {table} ALTER COLUMN since SET DEFAULT pg_catalog.now(), ALTER COLUMN version DROP DEFAULT"
    ))
    .map(drop)
}

fn add_key(table: &str, keys: &[&str]) -> Result<(), Report> {
    let keys: Vec<String> = keys.iter().map(|key| quote_identifier(*key)).collect();
    run(&format!("ALTER TABLE {table} ADD PRIMARY KEY ({})", keys.join(", "))).map(|_| ())
}

/// Makes the table equal to the rows of the query, where they differ at all, in one statement: no table in between, so it can run
/// where none may be made, and every part sees the same rows.
fn change(
    target: &str,
    query: &str,
    columns: &[&str],
    keys: &[&str],
    stamp: &Stamp,
) -> Result<Written, Report> {
    let Stamp { now, version } = stamp;
    let free = |name: &str| {
        let mut name = name.to_owned();
        while columns.contains(&name.as_str()) {
            name.push('_');
        }
        name
    };
    let (here, is_old, is_new) = (free("is_here"), free("is_old"), free("is_new"));
    let quoted =
        |names: &[&str]| names.iter().map(|name| quote_identifier(*name)).collect::<Vec<String>>();
    let equalities = keys.iter().map(|key| equality(key, [target, target]));
    let equalities: Vec<String> = equalities.collect::<Result<_, Report>>()?;
    let (columns, keys) = (quoted(columns), quoted(keys));
    let values: Vec<&String> = columns.iter().filter(|column| !keys.contains(column)).collect();
    let joined = |separator: &str, parts: Vec<String>| parts.join(separator);
    let equal = |other: &str| {
        let both = keys.iter().zip(&equalities);
        joined(
            " AND ",
            both.map(|(key, equals)| format!("t.{key} {equals} {other}.{key}")).collect(),
        )
    };
    let (same_key, its_key) = (equal("s"), equal("d"));
    let set = joined(", ", values.iter().map(|name| format!("{name} = d.{name}")).collect());
    let old = joined(", ", values.iter().map(|name| format!("t.{name}")).collect());
    let new = joined(", ", values.iter().map(|name| format!("s.{name}")).collect());
    // One pass over both finds what differs; the changes look up those rows alone.
    let either = keys.iter().map(|key| format!("coalesce(s.{key}, t.{key}) AS {key}")).collect();
    let (either, all) = (joined(", ", either), columns.join(", "));
    let differences = format!(
        "(SELECT true AS {here}, q.* FROM ({query}) AS q OFFSET 0) AS s \
         FULL JOIN (SELECT true AS {here}, {all} FROM {target} AS q) AS t ON {same_key} \
         WHERE s.{here} IS NULL OR t.{here} IS NULL OR ROW({old}) IS DISTINCT FROM ROW({new})"
    );
    if !has_rows(&format!("SELECT FROM {differences} LIMIT 1"))? {
        return Ok(Written::default());
    }
    let statement = format!(
        "WITH d AS MATERIALIZED (SELECT {either}, {new}, t.{here} AS {is_old}, s.{here} AS {is_new} FROM {differences}), \
         gone AS (DELETE FROM {target} t USING d WHERE d.{is_new} IS NULL AND {its_key} RETURNING 1), \
         changed AS (UPDATE {target} t SET {set}, since = {now}, version = {version} FROM d \
                     WHERE d.{is_new} AND d.{is_old} AND {its_key} RETURNING 1), \
         added AS (INSERT INTO {target} ({all}, since, version) SELECT {all}, {now}, {version} FROM d WHERE d.{is_old} IS NULL RETURNING 1) \
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

/// Whether a query has any, as all is now.
fn has_rows(query: &str) -> Result<bool, Report> {
    Spi::connect_mut(|client| client.update(query, None, &[]).map(|rows| !rows.is_empty()))
        .map_err(spi_failed)
}

pub(super) fn select_one<T: FromDatum + IntoDatum>(query: &str) -> Result<Option<T>, Report> {
    Spi::connect(|client| {
        let rows = client.select(query, Some(1), &[])?;
        if rows.is_empty() { Ok(None) } else { rows.first().get_one::<T>() }
    })
    .map_err(spi_failed)
}

/// Runs a statement as the caller, and returns how many rows it changed.
pub(super) fn run(statement: &str) -> Result<usize, Report> {
    Spi::connect_mut(|client| client.update(statement, None, &[]).map(|rows| rows.len()))
        .map_err(spi_failed)
}
