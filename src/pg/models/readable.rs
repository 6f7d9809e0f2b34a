//! Tables that somebody else named, read for a caller without running anything of their owners'.
//!
//! Anybody may name a table in a publication of a model of his own. A query of it could run code of its owner's, as the caller or
//! as whomever it runs as: an expression of an index runs even while a query is planned, a domain's constraint when a key is
//! cast. So the table is locked, the caller's right to each column is checked as it is now, and the rows are read by the key's
//! index, or one after another, without a query. Only columns whose types are PostgreSQL's own, an extension's or an enum's are
//! shown.

use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;

use crate::pg::error::Report;
use crate::pg::sys::lock::try_to_read;
use crate::pg::sys::query::{self, select_one};
use crate::pg::sys::scan::{Key, Row, Table};
use crate::pg::sys::security::{attempt, with_catalog_names, with_latest_snapshot};
use crate::pg::types::datum::{base_type, is_built_in, is_citext};

/// A publication has a row of each key, or a page of items.
const MAX_ROWS_OF_KEY: usize = 1000;

/// A table that may be read; its lock is held until the transaction ends.
pub(crate) struct Readable {
    /// Qualified and quoted.
    pub(crate) name: String,
    table: Table,
    key: Column,
    columns: Vec<Column>,
    /// A btree index whose first column is the key.
    index: Option<Oid>,
}

/// A column of a type that runs nothing of anybody's.
#[derive(Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    number: i16,
    /// A domain's base.
    type_id: Oid,
}

/// What the catalogue says of a table of this name, as it is now.
#[derive(PartialEq)]
struct Described {
    id: Oid,
    name: String,
    is_hidden: bool,
    is_table: bool,
    key: Option<i16>,
    numbers: Vec<i16>,
    names: Vec<String>,
    types: Vec<Oid>,
    /// For each column whether its type is an enum or an extension's: one of a superuser's, for whoever made an extension may add types
    /// of his own to it.
    are_known: Vec<bool>,
    index: Option<Oid>,
    /// The relations in which its long values are.
    toast: Vec<Oid>,
}

/// The table of this name, qualified and quoted, if it is there with this key, and the caller may read the columns that are
/// `wanted`, or all. What is passed over for another reason is told.
pub(crate) fn readable(
    name: &str,
    key: &str,
    wanted: Option<&[&str]>,
) -> Result<Option<Readable>, Report> {
    let Some(found) = described(name, key, wanted)? else { return Ok(None) };
    let skip = |why: &str| {
        notice!("table {} is skipped: {why}", found.name);
        Ok(None)
    };
    // The table, and what else is opened while it is read: a REINDEX has an index to itself, and the table not.
    let mut all = [found.id].into_iter().chain(found.index).chain(found.toast.iter().copied());
    if !all.all(try_to_read) {
        return skip("another session has locked it");
    }
    // While it was not locked yet, it may have become another one.
    if described(name, key, wanted)?.as_ref() != Some(&found) {
        return skip("another session has changed it");
    }
    if found.is_hidden {
        return skip("its row-level security applies to you");
    }
    if !found.is_table {
        return skip("it is no plain table");
    }
    let columns: Vec<Column> = found.columns().collect();
    let key_column = columns.iter().find(|column| Some(column.number) == found.key).cloned();
    let Some(key) = key_column else {
        return skip("the type of its key is none of PostgreSQL's own");
    };
    let missing = wanted
        .unwrap_or_default()
        .iter()
        .find(|name| !columns.iter().any(|column| column.name == **name));
    if let Some(missing) = missing {
        return skip(&format!(
            "its column \"{missing}\" is missing, or of a type that is none of PostgreSQL's own"
        ));
    }
    let (table, index) = (Table::open(found.id), found.index);
    Ok(Some(Readable { name: found.name, table, key, columns, index }))
}

impl Described {
    fn columns(&self) -> impl Iterator<Item = Column> {
        let all = self.numbers.iter().zip(&self.names).zip(&self.types).zip(&self.are_known);
        all.filter_map(|(((&number, name), &type_id), &is_known)| {
            let base = base_type(type_id);
            (is_built_in(base) || is_known).then(|| Column {
                name: name.clone(),
                number,
                type_id: base,
            })
        })
    }
}

fn described(name: &str, key: &str, wanted: Option<&[&str]>) -> Result<Option<Described>, Report> {
    let wanted = wanted.map(|names| names.iter().map(|&one| one.to_owned()).collect::<Vec<_>>());
    let found = with_latest_snapshot(|| {
        with_catalog_names(|| {
            select_one(
                "SELECT c.oid, format('%I.%I', n.nspname, c.relname), row_security_active(c.oid), c.relkind = 'r' AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery()), \
                        k.attnum, a.numbers, a.names, a.types, a.are_known, i.indexrelid, \
                        ARRAY(SELECT c.reltoastrelid WHERE c.reltoastrelid <> 0 UNION ALL SELECT x.indexrelid FROM pg_index x WHERE x.indrelid = c.reltoastrelid) \
                 FROM parse_ident($1) AS part \
                 JOIN pg_namespace n ON n.nspname = part[1] AND cardinality(part) = 2 \
                 JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = part[2] AND c.relkind IN ('r', 'p') \
                 JOIN pg_attribute k ON k.attrelid = c.oid AND k.attname = $2 AND k.attnum > 0 \
                 CROSS JOIN LATERAL ( \
                     SELECT array_agg(a.attnum ORDER BY a.attnum) AS numbers, array_agg(a.attname::text ORDER BY a.attnum) AS names, \
                            array_agg(a.atttypid ORDER BY a.attnum) AS types, \
                            array_agg(t.typtype = 'e' OR t.typtype = 'b' AND EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass \
                                AND d.objid = t.oid AND d.deptype = 'e') \
                                AND (SELECT r.rolsuper FROM pg_roles r WHERE r.oid = t.typowner) ORDER BY a.attnum) AS are_known, \
                            bool_and(has_column_privilege(c.oid, a.attnum, 'SELECT')) AS may_read \
                     FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
                     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND (a.attname = ANY ($3) OR $3 IS NULL)) AS a \
                 LEFT JOIN LATERAL ( \
                     SELECT i.indexrelid FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid AND x.relam = 403 \
                     WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND i.indkey[0] = k.attnum \
                     ORDER BY i.indisprimary DESC, i.indexrelid LIMIT 1) AS i ON true \
                 WHERE has_schema_privilege(n.oid, 'USAGE') AND a.may_read",
                &[name.into(), key.into(), wanted.into()],
                |row| {
                    Some(Described {
                        id: row.get(1)?,
                        name: row.get(2)?,
                        is_hidden: row.get(3)?,
                        is_table: row.get(4)?,
                        key: row.get(5),
                        numbers: row.get(6)?,
                        names: row.get(7)?,
                        types: row.get(8)?,
                        are_known: row.get(9)?,
                        index: row.get(10),
                        toast: row.get(11)?,
                    })
                },
            )
        })
    })?;
    Ok(found.flatten())
}

impl Readable {
    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    pub(crate) fn key(&self) -> &Column {
        &self.key
    }

    /// All rows, in any order.
    pub(crate) fn each(&self, mut row: impl FnMut(&Row)) {
        self.table.rows(|one| {
            row(one);
            true
        });
    }

    /// The rows of a key, which comes as text, up to a number that no publication has. False where the table cannot be asked: that is
    /// told.
    pub(crate) fn each_of(&self, key: &str, mut row: impl FnMut(&Row)) -> Result<bool, Report> {
        let skip = |why: &str| {
            notice!("table {} is skipped: {why}", self.name);
            Ok(false)
        };
        let Some(index) = self.index else { return skip("it has no index of its key") };
        let lookup = self.table.by_index(index)?;
        let value = match attempt(|| lookup.value_of(key)) {
            Ok(value) => value,
            Err(error) => return skip(&error.message),
        };
        let mut n_rows = 0;
        let lookup = lookup.with(Key::Value(value))?;
        lookup.rows(|one| {
            row(one);
            n_rows += 1;
            n_rows < MAX_ROWS_OF_KEY
        });
        Ok(true)
    }
}

impl Column {
    /// The value as an integer, in a column that is one.
    pub(crate) fn integer(&self, row: &Row) -> Option<i32> {
        row.int4(self.number)
    }

    /// The value as a time, in a column of times with a zone.
    pub(crate) fn time(&self, row: &Row) -> Option<i64> {
        row.time(self.number)
    }

    /// The bytes of a value that is longer than anything that is shown. It is not even unpacked: what it takes is its owner's choice.
    fn too_long(&self, row: &Row) -> Option<usize> {
        row.n_bytes(self.number).filter(|&n_bytes| n_bytes > SHOWN_BYTES)
    }

    pub(crate) fn is(&self, type_id: Oid) -> bool {
        self.type_id == type_id
    }

    pub(crate) fn is_citext(&self) -> bool {
        is_citext(self.type_id)
    }

    pub(crate) fn text(&self, row: &Row) -> Option<String> {
        match self.too_long(row) {
            Some(n_bytes) => Some(format!("({n_bytes} bytes)")),
            None => row.written(self.number),
        }
    }
}

/// Columns of one function call: PostgreSQL's functions take a hundred arguments.
const SHOWN: usize = 45;

/// The longest row that is shown as it is; of a longer one each column is shown up to the second figure.
const SHOWN_BYTES: usize = 1 << 20;
const SHOWN_COLUMN_BYTES: usize = 10_000;

/// The columns as an object, numbers as numbers. What jsonb cannot hold, as a character of number 0 in a column of json, or no
/// number of ours, as 1e400, makes texts of them all: a table of one owner must not be an error for who asks for all tables.
pub(crate) fn object<'a>(
    row: &Row,
    columns: impl Iterator<Item = &'a Column> + Clone,
) -> Result<serde_json::Value, Report> {
    let columns = columns.take(SHOWN);
    let json = json(row, columns.clone())?;
    let fits = json.len() <= SHOWN_BYTES && !json.contains("\\u0000");
    let object = if fits { serde_json::from_str(&json).ok() } else { None };
    Ok(object.unwrap_or_else(|| {
        columns.map(|column| (column.name.clone(), cut(column.text(row)))).collect()
    }))
}

fn cut(text: Option<String>) -> Option<String> {
    text.map(|mut text| {
        text.truncate(text.floor_char_boundary(SHOWN_COLUMN_BYTES));
        text
    })
}

fn json<'a>(row: &Row, columns: impl Iterator<Item = &'a Column>) -> Result<String, Report> {
    let mut arguments: Vec<DatumWithOid> = Vec::new();
    for column in columns {
        arguments.push(column.name.as_str().into());
        // A cast to json of such a type would be somebody's.
        let is_shown = is_built_in(column.type_id) && column.too_long(row).is_none();
        let value = if is_shown { row.argument(column.number) } else { None };
        arguments.push(value.unwrap_or_else(|| column.text(row).into()));
    }
    let places: Vec<String> = (1..=arguments.len()).map(|place| format!("${place}")).collect();
    let statement =
        format!("SELECT pg_catalog.json_build_object({})::pg_catalog.text", places.join(", "));
    let found = query::select_one(&statement, &arguments, |row| row.get::<String>(1))?;
    Ok(found.flatten().unwrap_or_default())
}
