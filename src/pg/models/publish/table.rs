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
use crate::pg::models::registry::Version;
use crate::pg::models::registry::with_catalog_first;
use crate::pg::names::find_relation;
use crate::pg::query::spi_failed;
use crate::pg::security::with_plain_quotes;

use super::key_type::equality;
use super::rowset::with_rows;

/// A column that tables of a kind have, after the key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    /// None where it is one of the model's own.
    pub(crate) sql_type: Option<&'static str>,
}

impl Column {
    pub(crate) const fn new(name: &'static str, sql_type: &'static str) -> Self {
        Self { name, sql_type: Some(sql_type) }
    }
}

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
    /// How many there are now.
    pub(crate) n_rows: i64,
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
    pub(crate) now: String,
    version: i32,
}

impl Stamp {
    pub(crate) fn of(version: &Version) -> Self {
        let now = quote_literal(clock_timestamp().to_iso_string());
        Self { now: format!("{now}::pg_catalog.timestamptz"), version: version.version }
    }
}

/// The rows to be written.
pub(crate) struct Rows<'a> {
    /// They have the table's columns.
    pub(crate) query: &'a str,
    /// A query of their keys alone, which costs less. None where no two rows can have the same.
    pub(crate) keys: Option<&'a str>,
}

pub(super) const ONE_A_KEY: &str =
    "A table has one row for each key: name a source that has, as with SELECT DISTINCT ON.";

impl Rows<'_> {
    /// Refuses rows of which two have one key: the table, which was just made equal to them, would have the one or the other of the
    /// two. Returns how many rows it has.
    fn must_be_one_a_key(&self, table: &str, keys: &[String]) -> Result<i64, Report> {
        let count = |rows: &str| format!("(SELECT pg_catalog.count(*) FROM {rows})");
        let Some(rows) = self.keys else {
            return Ok(select_one(&format!("SELECT {}", count(table)))?.unwrap_or_default());
        };
        let counts = format!("SELECT {}, {}", count(table), count(&format!("({rows}) AS q")));
        let counts = Spi::connect_mut(|client| {
            client.update(&counts, None, &[])?.first().get_two::<i64, i64>()
        });
        let (n_rows, n_wanted) = counts.map_err(spi_failed)?;
        // The source may have changed since; or the table has no key, and had a row twice.
        if n_rows != n_wanted {
            let keys = keys.join(", ");
            for (all, what) in [
                (format!("({rows})"), String::new()),
                (table.to_owned(), format!(" in table {table}")),
            ] {
                let twice = format!(
                    "SELECT pg_catalog.concat_ws(', ', {keys}) FROM {all} AS q GROUP BY {keys} HAVING pg_catalog.count(*) > 1 LIMIT 1"
                );
                if let Some(key) = select_one::<String>(&twice)? {
                    return Err(report(
                        PgSqlErrorCode::ERRCODE_UNIQUE_VIOLATION,
                        format!("key ({keys})=({key}) is there more than once{what}"),
                    )
                    .set_hint(ONE_A_KEY));
                }
            }
        }
        Ok(n_rows.unwrap_or_default())
    }
}

/// The columns of our own in each table that is written.
pub(crate) const STAMPED: [Column; 2] =
    [Column::new("since", "timestamptz"), Column::new("version", "integer")];

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
        let rows = Rows { query: &query, keys: Some(&query) };
        let written = with_catalog_first(|| change(&target, &rows, &names, &keys, stamp))?;
        run(&format!("DROP TABLE {staging}"))?;
        return Ok(written);
    }
    let name = parsed_name(target)?;
    run(&format!("CREATE TABLE {name} ({definitions})"))?;
    let inserted = bulk::fill(table_oid(&name)?, n_rows, row)? as i64;
    add_stamp(&name, stamp)?;
    add_key(&name, &keys)?;
    Ok(Written { inserted, n_rows: inserted, ..Written::default() })
}

/// Writes the rows of a query, of whose columns at least one is a key.
pub(crate) fn write_query(
    target: &str,
    rows: &Rows,
    columns: &[&str],
    keys: &[&str],
    stamp: &Stamp,
) -> Result<Written, Report> {
    if let Some(target) = existing(target)? {
        return change(&target, rows, columns, keys, stamp);
    }
    let name = parsed_name(target)?;
    let inserted = run(&format!("CREATE TABLE {name} AS {}", rows.query))? as i64;
    add_stamp(&name, stamp)?;
    add_key(&name, keys)?;
    Ok(Written { inserted, n_rows: inserted, ..Written::default() })
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
pub(crate) fn existing(target: &str) -> Result<Option<String>, Report> {
    // Text that is no name is refused, here and on every server alike.
    parsed_name(target)?;
    find_relation(target)
}

/// The name as SQL, without the name of this database before it, each part quoted and as long as PostgreSQL keeps it; text that is no name is refused by PostgreSQL.
pub(crate) fn parsed_name(target: &str) -> Result<String, Report> {
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

/// Makes the table equal to the rows of the query, where they differ.
fn change(
    target: &str,
    rows: &Rows,
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
    let query = rows.query;
    // As a comparison with a number, of which the planner takes few rows to be true: the join pays in parallel then.
    let differences = format!(
        "SELECT {either}, {new}, t.{here} AS {is_old}, s.{here} AS {is_new} FROM (SELECT true AS {here}, q.* FROM ({query}) AS q) AS s \
         FULL JOIN (SELECT true AS {here}, {all} FROM {target} AS q) AS t ON {same_key} \
         WHERE (s.{here} IS NULL OR t.{here} IS NULL OR ROW({old}) IS DISTINCT FROM ROW({new}))::pg_catalog.int4 = 1"
    );
    let mut written = with_rows(&differences, c"persona_differences", |client, n_rows| {
        let mut changed = |statement: String| match n_rows {
            0 => Ok(0),
            _ => client.update(&statement, None, &[]).map(|rows| rows.len() as i64),
        };
        Ok(Written {
            deleted: changed(format!(
                "DELETE FROM {target} t USING persona_differences d WHERE d.{is_new} IS NULL AND {its_key}"
            ))?,
            updated: changed(format!(
                "UPDATE {target} t SET {set}, since = {now}, version = {version} FROM persona_differences d \
                 WHERE d.{is_new} AND d.{is_old} AND {its_key}"
            ))?,
            inserted: changed(format!(
                "INSERT INTO {target} ({all}, since, version) \
                 SELECT {all}, {now}, {version} FROM persona_differences WHERE {is_old} IS NULL"
            ))?,
            n_rows: 0,
        })
    })?;
    written.n_rows = rows.must_be_one_a_key(target, &keys)?;
    Ok(written)
}

pub(crate) fn select_one<T: FromDatum + IntoDatum>(query: &str) -> Result<Option<T>, Report> {
    Spi::connect(|client| {
        let rows = client.select(query, Some(1), &[])?;
        if rows.is_empty() { Ok(None) } else { rows.first().get_one::<T>() }
    })
    .map_err(spi_failed)
}

/// Runs a statement as the caller, and returns how many rows it changed.
pub(crate) fn run(statement: &str) -> Result<usize, Report> {
    Spi::connect_mut(|client| client.update(statement, None, &[]).map(|rows| rows.len()))
        .map_err(spi_failed)
}
