//! The type of the key of a table that is written: one whose name means what it meant, and by what its values are equal.
//!
//! citext is an extension's, in whichever schema: its name is qualified, and so is its equality, for which PostgreSQL would take that
//! of text where the schema is not in the search_path.

use pgrx::pg_sys::Oid;
use pgrx::prelude::PgSqlErrorCode as Code;
use pgrx::spi::quote_literal;

use crate::pg::error::{Report, report};
use crate::pg::sys::security::with_latest_snapshot;
use crate::pg::types::datum::{base_type, has_order, is_built_in, is_citext};
use crate::pg::types::names::base_of;

use super::table::select_one;
use super::target::keep_schema_name;

/// What a key's type is over. Refuses a name that is no more that of a type of PostgreSQL's own or of citext, and keeps the schema of
/// the latter from being renamed until the transaction ends: values are made as the owner of the table.
pub(crate) fn checked(table: &str, key_type: &str) -> Result<Oid, Report> {
    let found = base_of(key_type)?.filter(|&base| is_built_in(base) || is_citext(base));
    let Some(base) = found else { return Err(gone(table, key_type)) };
    if !has_order(base) {
        let why = format!("type {key_type}, of the key of table {table}, has no order");
        return Err(report(Code::ERRCODE_DATATYPE_MISMATCH, why)
            .set_hint("A table has an index of its keys: cast the key to text in the source."));
    }
    if is_built_in(base) {
        return Ok(base);
    }
    let schema = format!(
        "SELECT typnamespace FROM pg_catalog.pg_type WHERE oid OPERATOR(pg_catalog.=) {}",
        base.to_u32()
    );
    if let Some(schema) = with_latest_snapshot(|| select_one::<Oid>(&schema))? {
        keep_schema_name(schema)?;
    }
    // It may have been renamed meanwhile.
    match base_of(key_type)? {
        Some(again) if again == base => Ok(base),
        _ => Err(gone(table, key_type)),
    }
}

fn gone(table: &str, key_type: &str) -> Report {
    report(
        Code::ERRCODE_UNDEFINED_OBJECT,
        format!("type {key_type}, of the key of table {table}, is no longer there"),
    )
    .set_hint("Publish it again with its key: what type the source has now is then looked up.")
}

/// The operator by which keys of two tables are equal, by this column of both.
pub(crate) fn equality(column: &str, tables: [&str; 2]) -> Result<String, Report> {
    let mut found = None;
    for table in tables {
        let Some(base) = column_type(column, table)?.map(base_type).filter(|&it| is_citext(it))
        else {
            return Ok("=".to_owned());
        };
        found = Some(base);
    }
    let Some(citext) = found else { return Ok("=".to_owned()) };
    let schema = format!(
        "SELECT pg_catalog.quote_ident(n.nspname) FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n \
         ON n.oid OPERATOR(pg_catalog.=) t.typnamespace WHERE t.oid OPERATOR(pg_catalog.=) {}",
        citext.to_u32()
    );
    let schema = with_latest_snapshot(|| select_one::<String>(&schema))?;
    Ok(schema.map_or_else(|| "=".to_owned(), |schema| format!("OPERATOR({schema}.=)")))
}

fn column_type(column: &str, table: &str) -> Result<Option<Oid>, Report> {
    let query = format!(
        "SELECT atttypid FROM pg_catalog.pg_attribute WHERE attrelid OPERATOR(pg_catalog.=) {}::pg_catalog.regclass::pg_catalog.oid \
         AND attname OPERATOR(pg_catalog.=) {} AND attnum OPERATOR(pg_catalog.>) 0",
        quote_literal(table),
        quote_literal(column)
    );
    // As the catalogue is now: the table may have been made since the statement began.
    with_latest_snapshot(|| select_one(&query))
}
