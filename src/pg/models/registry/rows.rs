//! The rows of the registry that every look-up needs, read from the tables without a query.
//!
//! A call that scores one row looks its model up by name. As a query, parsed and planned each time, that left 4 to 6 thousand
//! calls a second of 36 thousand; `make bench --only one_row` has today's. A scan of the index takes no transaction id, asks
//! for no privilege, and runs nothing of a user's. Rows are those that the active snapshot sees.

use std::cell::RefCell;
use std::ffi::CStr;

use pgrx::pg_sys::{AttrNumber, Oid};
use pgrx::prelude::*;

use crate::pg::error::{Report, report};
use crate::pg::kind::Kind;
use crate::pg::sys::relation::{column_number, owner_of_relation, relation};
use crate::pg::sys::scan::{Key, Row, Table};

use super::{Model, Privilege, Version};

/// The columns that are read, in the order of `Model`'s and `Version`'s fields.
const MODEL: [&CStr; 7] =
    [c"id", c"name", c"kind", c"owner", c"users", c"readers", c"active_version"];
const VERSION: [&CStr; 5] = [c"model_id", c"version", c"algorithm", c"sha256", c"created_at"];

/// The model of this name, whoever owns it: what the caller may do with it is for [`Model::allow`] to say.
pub(super) fn model(name: &str) -> Result<Option<Model>, Report> {
    first(c"model", &MODEL, c"model_name_key", [Key::Text(name)], described)
}

/// The model of this number, whoever owns it.
fn model_of_id(id: i64) -> Result<Option<Model>, Report> {
    first(c"model", &MODEL, c"model_pkey", [Key::Int8(id)], described)
}

fn described(row: &Columns) -> Option<Model> {
    Some(Model {
        id: row.row.int8(row.number(0))?,
        name: row.text(1)?,
        kind: Kind::named(&row.text(2)?)?,
        owner: row.row.oid(row.number(3))?,
        users: row.row.oids(row.number(4))?,
        readers: row.row.oids(row.number(5))?,
        active_version: row.row.int4(row.number(6)),
    })
}

/// For the tables' policies and the views: whether the current role may do this with the model. They ask it of a row before
/// anything else: the function says that it costs next to nothing, and a condition of the query's own, which PostgreSQL may put
/// before a dearer one, would tell by EXPLAIN ANALYZE what the row holds.
#[pg_extern]
fn may(model_id: i64, privilege: &str) -> Result<bool, Report> {
    let Some(wanted) = Privilege::named(privilege) else { return Ok(false) };
    let model = model_of_id(model_id)?;
    Ok(model.and_then(|model| model.privilege()).is_some_and(|has| has >= wanted))
}

/// For the views: own, read, use or NULL.
#[pg_extern]
fn model_privilege(model_id: i64) -> Result<Option<String>, Report> {
    let model = model_of_id(model_id)?;
    Ok(model.and_then(|model| model.privilege()).map(|privilege| privilege.name().to_owned()))
}

/// The text itself. An index of it serves the registry alone: an index of the column would tell a query's condition, by EXPLAIN
/// ANALYZE, how many hidden rows have such a name.
#[pg_extern]
fn hidden(text: &str) -> &str {
    text
}

/// A version of the model.
pub(super) fn version(model: &Model, version: i64) -> Result<Option<Version>, Report> {
    let Ok(version) = i32::try_from(version) else { return Ok(None) };
    let keys = [Key::Int8(model.id), Key::Int4(version)];
    first(c"model_version", &VERSION, c"model_version_pkey", keys, |row| {
        Some(Version {
            model_id: model.id,
            name: model.name.clone(),
            kind: model.kind,
            owner: model.owner,
            version,
            algorithm: row.text(2)?,
            sha256: row.row.bytes(row.number(3))?.try_into().ok()?,
            written_at: row.row.time(row.number(4))?,
        })
    })
}

/// Who owns the registry's tables: the role as whom alone they are written.
pub(super) fn owner() -> Result<Oid, Report> {
    owner_of_relation(relation_id(c"model")?).ok_or_else(|| missing(c"model"))
}

/// The number of the table of models, which names a class of locks.
pub(super) fn table_of_models() -> Result<Oid, Report> {
    relation_id(c"model")
}

/// The one row with this key of a unique index, in columns of a table of the registry.
fn first<T, const N: usize>(
    table: &CStr,
    columns: &[&CStr],
    index: &CStr,
    keys: [Key; N],
    read: impl FnOnce(&Columns) -> Option<T>,
) -> Result<Option<T>, Report> {
    let (id, index) = (relation_id(table)?, relation_id(index)?);
    let numbers = numbers(id, columns);
    let (mut read, mut found) = (Some(read), None);
    let table = Table::open(id);
    let lookup =
        keys.into_iter().try_fold(table.by_index(index)?, |lookup, key| lookup.with(key))?;
    lookup.rows(|row| {
        found = read.take().and_then(|read| read(&Columns { row, numbers: &numbers }));
        false
    });
    Ok(found)
}

/// The columns of a row, by their places in the list of those that are read.
struct Columns<'a> {
    row: &'a Row,
    numbers: &'a [AttrNumber],
}

impl Columns<'_> {
    fn number(&self, column: usize) -> AttrNumber {
        self.numbers[column]
    }

    fn text(&self, column: usize) -> Option<String> {
        self.row.text(self.number(column))
    }
}

fn relation_id(name: &CStr) -> Result<Oid, Report> {
    relation(c"persona", name).ok_or_else(|| missing(name))
}

fn missing(name: &CStr) -> Report {
    let name = name.to_string_lossy();
    report(
        PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
        format!("relation persona.{name} does not exist"),
    )
    .set_hint("Run CREATE EXTENSION pg_persona in this database.")
}

/// The columns' numbers: an update of the extension may add columns, and a dump restores them in their order.
fn numbers(relation: Oid, columns: &[&CStr]) -> Vec<AttrNumber> {
    thread_local! {
        static KNOWN: RefCell<Vec<(Oid, Vec<AttrNumber>)>> = const { RefCell::new(Vec::new()) };
    }
    KNOWN.with_borrow_mut(|known| {
        if let Some((_, numbers)) = known.iter().find(|(known, _)| *known == relation) {
            return numbers.clone();
        }
        let number = |column: &&CStr| column_number(relation, column);
        let numbers: Vec<AttrNumber> = columns.iter().map(number).collect();
        known.push((relation, numbers.clone()));
        numbers
    })
}
