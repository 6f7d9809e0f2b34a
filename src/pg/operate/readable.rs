//! Which tables may be read for a caller whom somebody else told their names.
//!
//! Anybody may name a table in a publication of a model of his own, and reading another's table can run another's code with the
//! caller's rights. So it must be the caller's very own (a superuser has the rights of every owner), or hold nothing that runs:
//! no view, no row-level security, built-in types alone.

use pgrx::prelude::*;

use crate::pg::error::Report;
use crate::pg::names::find_relation;
use crate::pg::registry::spi_failed;
use crate::pg::security::current_role;

/// A table that may be read.
pub(super) struct Readable {
    /// Qualified and quoted.
    pub(super) table: String,
    /// The type of the key column, as SQL.
    pub(super) key_type: String,
}

/// The table of this name, if it is there with this column and may be read.
pub(super) fn readable(name: &str, key: &str) -> Result<Option<Readable>, Report> {
    let Some(table) = find_relation(name)? else { return Ok(None) };
    let key_type = Spi::connect(|client| {
        let rows = client.select(
            "SELECT pg_catalog.format_type(a.atttypid, a.atttypmod) \
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a \
             ON a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attname OPERATOR(pg_catalog.=) $2 AND a.attnum OPERATOR(pg_catalog.>) 0 \
             WHERE c.oid OPERATOR(pg_catalog.=) $1::pg_catalog.regclass::pg_catalog.oid AND c.relkind IN ('r', 'p') \
             AND pg_catalog.has_table_privilege(c.oid, 'SELECT') \
             AND (c.relowner OPERATOR(pg_catalog.=) $3 OR NOT c.relrowsecurity AND NOT EXISTS ( \
                 SELECT FROM pg_catalog.pg_attribute o JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) o.atttypid \
                 WHERE o.attrelid OPERATOR(pg_catalog.=) c.oid AND o.attnum OPERATOR(pg_catalog.>) 0 AND NOT o.attisdropped \
                 AND t.typnamespace OPERATOR(pg_catalog.<>) 'pg_catalog'::pg_catalog.regnamespace))",
            Some(1),
            &[table.as_str().into(), key.into(), current_role().into()],
        )?;
        if rows.is_empty() { Ok(None) } else { rows.first().get_one::<String>() }
    })
    .map_err(spi_failed)?;
    Ok(key_type.map(|key_type| Readable { table, key_type }))
}
