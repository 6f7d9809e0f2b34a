//! Which tables may be read for a caller whom somebody else told their names.
//!
//! Anybody may name a table in a publication of a model of his own. What such a table holds can run code of its owner's: an
//! expression of an index runs even while a query is planned. So the table is read as its owner, in a restricted operation, and
//! only after the caller's own right to each column that is read was checked.

use pgrx::pg_sys::Oid;
use pgrx::prelude::*;

use crate::pg::error::Report;
use crate::pg::query::select_one;
use crate::pg::security::with_catalog_names;

/// A table that may be read, as its owner.
pub(super) struct Readable {
    /// Qualified and quoted.
    pub(super) table: String,
    pub(super) owner: Oid,
    /// The type of the key column, as SQL.
    pub(super) key_type: String,
}

/// The table of this name, qualified and quoted, if it is there with these columns and the caller may read them; without
/// `columns`, all of its columns. One whose row-level security applies to the caller is passed over with a NOTICE.
pub(super) fn readable(
    name: &str,
    key: &str,
    columns: Option<&[&str]>,
) -> Result<Option<Readable>, Report> {
    let columns =
        columns.map(|columns| columns.iter().map(|&one| one.to_owned()).collect::<Vec<_>>());
    let found = with_catalog_names(|| {
        select_one(
            "SELECT format('%I.%I', n.nspname, c.relname), c.relowner, format_type(k.atttypid, k.atttypmod), \
                        row_security_active(c.oid) \
                 FROM parse_ident($1) AS part \
                 JOIN pg_namespace n ON n.nspname = part[1] AND cardinality(part) = 2 \
                 JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = part[2] AND c.relkind IN ('r', 'p') \
                 JOIN pg_attribute k ON k.attrelid = c.oid AND k.attname = $2 AND k.attnum > 0 \
                 WHERE has_schema_privilege(n.oid, 'USAGE') \
                   AND (SELECT count(*) FILTER (WHERE has_column_privilege(c.oid, a.attnum, 'SELECT')) \
                               = coalesce(cardinality($3), count(*)) \
                        FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
                          AND (a.attname = ANY ($3) OR $3 IS NULL))",
            &[name.into(), key.into(), columns.into()],
            |row| {
                (row.get::<String>(1), row.get::<Oid>(2), row.get::<String>(3), row.get::<bool>(4))
            },
        )
    })?;
    let Some((Some(table), Some(owner), Some(key_type), is_hidden)) = found else {
        return Ok(None);
    };
    if is_hidden == Some(true) {
        notice!("table {table} is skipped: its row-level security applies to you");
        return Ok(None);
    }
    Ok(Some(Readable { table, owner, key_type }))
}
