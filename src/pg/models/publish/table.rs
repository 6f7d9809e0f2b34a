//! Writes rows into a table of the caller's, by difference.
//!
//! A table that is not there is made, filled and given its key. A table that is there is changed where it differs: a nightly
//! refresh that moves one customer in a hundred writes about that many rows. Columns of our own, `since` and `version`, say
//! when a row last changed, and by which version of the model.

use pgrx::datum::clock_timestamp;
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;
use pgrx::spi::{SpiClient, quote_identifier, quote_literal};

use crate::pg::error::{Report, report};
use crate::pg::models::registry::Version;
use crate::pg::models::registry::with_catalog_first;
use crate::pg::rows::bulk::{self, RowWriter};
use crate::pg::rows::rowset::Rowset;
use crate::pg::sys::query::spi_failed;
use crate::pg::sys::security::{with_latest_snapshot, with_plain_quotes};
use crate::pg::types::names::find_relation;

use super::change::Change;
use super::errors::is_twice;

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
    pub(super) version: i32,
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

fn count(rows: &str) -> Result<i64, Report> {
    Ok(select_one(&format!("SELECT pg_catalog.count(*) FROM {rows}"))?.unwrap_or_default())
}

/// What a table was before it is made equal to its rows.
pub(crate) struct Before {
    /// How many rows of nobody were deleted.
    pub(crate) n_keyless: i64,
    /// How many others there were, where that is known.
    pub(crate) n_rows: Option<i64>,
}

/// Makes a table that is there equal to its rows, as `make` does by a [`Change`].
fn change(
    table: &str,
    (columns, keys): (&[&str], &[&str]),
    stamp: &Stamp,
    before: &Before,
    make: impl FnOnce(&Change, &mut SpiClient) -> Result<Written, Report>,
) -> Result<Written, Report> {
    let written = with_catalog_first(|| {
        let change = Change::of(table, columns, keys, stamp)?;
        Spi::connect_mut(|client| make(&change, client))
    })?;
    if !is_unique(table, keys)? {
        refuse_twice(table, keys, None)?;
    }
    let n_rows = match before.n_rows {
        Some(n_rows) if written.n_changed() == 0 => n_rows,
        // Triggers and rules may have changed others.
        _ => count(table)?,
    };
    Ok(Written { n_rows, deleted: written.deleted + before.n_keyless, ..written })
}

/// Refuses rows of which two have one key, in the table or in the source: the table, which was just made equal to the rows, would
/// have the one or the other of the two.
pub(crate) fn refuse_twice(table: &str, keys: &[&str], source: Option<&str>) -> Result<(), Report> {
    let keys = keys.iter().map(|key| quote_identifier(*key)).collect::<Vec<_>>().join(", ");
    let of_source = source.map(|rows| (format!("({rows})"), None));
    let of_table = (table.to_owned(), Some(table));
    for (rows, of) in of_source.into_iter().chain([of_table]) {
        let twice = format!(
            "SELECT pg_catalog.concat_ws(', ', {keys}) FROM {rows} AS q GROUP BY {keys} HAVING pg_catalog.count(*) > 1 LIMIT 1"
        );
        if let Some(key) = select_one::<String>(&twice)? {
            return Err(is_twice(&keys, &key, of));
        }
    }
    Ok(())
}

/// The columns of our own in each table that is written.
pub(crate) const STAMPED: [Column; 2] =
    [Column::new("since", "timestamptz"), Column::new("version", "integer")];

/// Writes `n_rows` rows from memory, of which no two have one key. `row` writes one row's fields in the order of `columns`, which
/// have at least one key.
pub(crate) fn write(
    target: &str,
    columns: &[Output],
    stamp: &Stamp,
    n_rows: usize,
    mut row: impl FnMut(usize, &mut RowWriter),
) -> Result<Written, Report> {
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    let keys: Vec<&str> =
        columns.iter().filter(|column| column.is_key).map(|column| column.name).collect();
    let each = |write: &dyn Fn(&Output) -> String| {
        columns.iter().map(write).collect::<Vec<String>>().join(", ")
    };
    if let Some(table) = existing(target)? {
        let before = Before { n_keyless: without_keyless(&table, &keys)?, n_rows: None };
        let shape = each(&|Output { name, sql_type, .. }| {
            format!("NULL::{sql_type} AS {}", quote_identifier(*name))
        });
        return change(&table, (&names, &keys), stamp, &before, |change, client| {
            let mut rows = Rowset::of_columns(client, &format!("SELECT {shape}"))?;
            for place in 0..n_rows {
                rows.push(|fields| row(place, fields))?;
            }
            rows.register(client, c"persona_rows")?;
            change.to_query(client, "SELECT * FROM persona_rows")
        });
    }
    let name = parsed_name(target)?;
    let definitions = each(&|Output { name, sql_type, is_key }| {
        // A key that is NOT NULL from the start spares the primary key a scan to see to it.
        let not_null = if *is_key { " NOT NULL" } else { "" };
        format!("{} {sql_type}{not_null}", quote_identifier(*name))
    });
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
    if let Some(table) = existing(target)? {
        let before = Before { n_keyless: without_keyless(&table, keys)?, n_rows: None };
        let written = change(&table, (columns, keys), stamp, &before, |change, client| {
            change.to_query(client, rows.query)
        })?;
        // The source may have changed since, too.
        if let Some(source) = rows.keys
            && count(&format!("({source}) AS q"))? != written.n_rows
        {
            refuse_twice(&table, keys, rows.keys)?;
        }
        return Ok(written);
    }
    let name = parsed_name(target)?;
    let inserted = run(&format!("CREATE TABLE {name} AS {}", rows.query))? as i64;
    add_stamp(&name, stamp)?;
    add_key(&name, keys)?;
    Ok(Written { inserted, n_rows: inserted, ..Written::default() })
}

/// Makes a table that is there equal to what is wanted where it differs: `write` writes the keys, the other columns, whether a row is there
/// (NULL if not) and whether it is to be.
pub(crate) fn write_differences(
    table: &str,
    (columns, key): (&[&str], &str),
    stamp: &Stamp,
    before: &Before,
    n_differences: usize,
    write: impl FnMut(usize, &mut RowWriter),
) -> Result<Written, Report> {
    change(table, (columns, &[key]), stamp, before, |change, client| {
        change.of_differences(client, n_differences, write)
    })
}

/// Deletes the rows of a table that have no key, as only one without a primary key has. Returns how many.
pub(crate) fn without_keyless(table: &str, keys: &[&str]) -> Result<i64, Report> {
    let nulls: Vec<String> =
        keys.iter().map(|key| format!("{} IS NULL", quote_identifier(*key))).collect();
    run(&format!("DELETE FROM {table} WHERE {}", nulls.join(" OR "))).map(|n| n as i64)
}

/// Whether PostgreSQL sees to it that no two rows of the table have one key.
fn is_unique(table: &str, keys: &[&str]) -> Result<bool, Report> {
    let keys: Vec<String> = keys.iter().map(|key| quote_literal(*key)).collect();
    let query = format!(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid OPERATOR(pg_catalog.=) {}::pg_catalog.regclass::pg_catalog.oid \
           AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL \
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid OPERATOR(pg_catalog.=) i.indrelid \
             AND a.attnum OPERATOR(pg_catalog.=) ANY (i.indkey::pg_catalog.int2[]) AND a.attname::pg_catalog.text OPERATOR(pg_catalog.<>) ALL (ARRAY[{}])))",
        quote_literal(table),
        keys.join(", ")
    );
    Ok(with_latest_snapshot(|| select_one::<bool>(&query))? == Some(true))
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
