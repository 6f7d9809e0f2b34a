//! Writes what a model says about each customer into a table of the caller's, by difference.
//!
//! A table that is not there is made, filled by COPY and given its key. A table that is there is changed where it differs:
//! a nightly refresh that moves one customer in a hundred writes about that many rows.

use pgrx::pg_sys::Oid;
use pgrx::prelude::*;
use pgrx::spi::{quote_identifier, quote_literal};

use crate::pg::bulk::{self, CopyText};
use crate::pg::error::{Report, report};
use crate::pg::registry::spi_failed;

/// A column of the table.
pub(crate) struct Output<'a> {
    pub(crate) name: &'a str,
    pub(crate) sql_type: &'a str,
    pub(crate) is_key: bool,
}

/// How many rows were changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) inserted: u64,
    pub(crate) updated: u64,
    pub(crate) deleted: u64,
}

/// Writes `n_rows` rows into `target`, named as the caller's search_path finds it. `row` writes one row's fields in the
/// order of `columns`, which have at least one key. A column `since` of our own says when a row last changed.
pub(crate) fn write(
    target: &str,
    columns: &[Output],
    n_rows: usize,
    row: impl FnMut(usize, &mut CopyText),
) -> Result<Written, Report> {
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    if let Some(target) = existing(target)? {
        let staging = create("pg_temp.persona_staging", columns, Lifetime::Transaction)?;
        bulk::fill(staging, &names, n_rows, row)?;
        let written = change(&target, columns)?;
        run("DROP TABLE pg_temp.persona_staging")?;
        return Ok(written);
    }
    let table = create(&parsed_name(target)?, columns, Lifetime::Permanent)?;
    let inserted = bulk::fill(table, &names, n_rows, row)?;
    let keys: Vec<String> =
        columns.iter().filter(|c| c.is_key).map(|c| quote_identifier(c.name)).collect();
    run(&format!("ALTER TABLE {} ADD PRIMARY KEY ({})", parsed_name(target)?, keys.join(", ")))?;
    Ok(Written { inserted, ..Written::default() })
}

enum Lifetime {
    Permanent,
    Transaction,
}

/// The table's name, qualified and quoted, if it is there.
fn existing(target: &str) -> Result<Option<String>, Report> {
    let query = format!(
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n \
         ON n.oid OPERATOR(pg_catalog.=) c.relnamespace WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass({})",
        quote_literal(target)
    );
    Spi::connect(|client| {
        let rows = client.select(&query, Some(1), &[])?;
        if rows.is_empty() { Ok(None) } else { rows.first().get_one::<String>() }
    })
    .map_err(spi_failed)
}

/// The name as SQL, each part quoted; a name that is not one is refused.
fn parsed_name(target: &str) -> Result<String, Report> {
    let query = format!(
        "SELECT pg_catalog.string_agg(pg_catalog.quote_ident(part), '.') FROM pg_catalog.unnest(pg_catalog.parse_ident({})) AS part",
        quote_literal(target)
    );
    Spi::connect(|client| client.select(&query, Some(1), &[])?.first().get_one::<String>())
        .map_err(spi_failed)?
        .ok_or_else(|| {
            report(PgSqlErrorCode::ERRCODE_INVALID_NAME, format!("invalid table name \"{target}\""))
        })
}

fn create(name: &str, columns: &[Output], lifetime: Lifetime) -> Result<Oid, Report> {
    let definitions: Vec<String> = columns
        .iter()
        .map(|column| format!("{} {}", quote_identifier(column.name), column.sql_type))
        .collect();
    let definitions = definitions.join(", ");
    match lifetime {
        Lifetime::Permanent => run(&format!(
            "CREATE TABLE {name} ({definitions}, since timestamptz NOT NULL DEFAULT pg_catalog.now())"
        ))?,
        Lifetime::Transaction => {
            run(&format!("CREATE TEMPORARY TABLE persona_staging ({definitions}) ON COMMIT DROP"))?
        }
    };
    Spi::connect(|client| {
        client
            .select(
                &format!("SELECT {}::pg_catalog.regclass::pg_catalog.oid", quote_literal(name)),
                Some(1),
                &[],
            )?
            .first()
            .get_one::<Oid>()
    })
    .map_err(spi_failed)?
    .ok_or_else(|| {
        report(PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE, format!("relation {name} does not exist"))
    })
}

/// Makes the table equal to the staging table.
fn change(target: &str, columns: &[Output]) -> Result<Written, Report> {
    let keys: Vec<String> =
        columns.iter().filter(|c| c.is_key).map(|c| quote_identifier(c.name)).collect();
    let values: Vec<String> =
        columns.iter().filter(|c| !c.is_key).map(|c| quote_identifier(c.name)).collect();
    let all: Vec<String> = columns.iter().map(|c| quote_identifier(c.name)).collect();
    let same_key: Vec<String> = keys.iter().map(|key| format!("t.{key} = s.{key}")).collect();
    let same_key = same_key.join(" AND ");
    let list = |prefix: &str, names: &[String]| {
        names.iter().map(|name| format!("{prefix}{name}")).collect::<Vec<_>>().join(", ")
    };
    run("ANALYZE pg_temp.persona_staging")?;
    let deleted = run(&format!(
        "DELETE FROM {target} t WHERE NOT EXISTS (SELECT FROM pg_temp.persona_staging s WHERE {same_key})"
    ))?;
    let updated = if values.is_empty() {
        0
    } else {
        let set: Vec<String> = values.iter().map(|name| format!("{name} = s.{name}")).collect();
        run(&format!(
            "UPDATE {target} t SET {}, since = pg_catalog.now() FROM pg_temp.persona_staging s \
             WHERE {same_key} AND ROW({}) IS DISTINCT FROM ROW({})",
            set.join(", "),
            list("t.", &values),
            list("s.", &values)
        ))?
    };
    let inserted = run(&format!(
        "INSERT INTO {target} ({}) SELECT {} FROM pg_temp.persona_staging s \
         WHERE NOT EXISTS (SELECT FROM {target} t WHERE {same_key})",
        all.join(", "),
        list("s.", &all)
    ))?;
    Ok(Written { inserted, updated, deleted })
}

/// Runs a statement as the caller, and returns how many rows it changed.
fn run(statement: &str) -> Result<u64, Report> {
    Spi::connect_mut(|client| client.update(statement, None, &[]).map(|rows| rows.len() as u64))
        .map_err(spi_failed)
}
