//! The rows of the registry that every look-up needs, read from the tables without a query.
//!
//! A call that scores one row looks its model up by name. As a query, parsed and planned each time, that left 4 to 6 thousand
//! calls a second of 36 thousand; `make bench --only one_row` has today's. A scan of the index takes no transaction id, asks
//! for no privilege, and runs nothing of a user's. Rows are those that the active snapshot sees.
#![allow(unsafe_code, reason = "columns are read as the types that they have")]

use std::cell::RefCell;
use std::ffi::CStr;

use pgrx::pg_sys::{self, AttrNumber, Datum, Oid};
use pgrx::prelude::*;

use crate::pg::error::{Report, report};
use crate::pg::kind::Kind;
use crate::pg::sys::scan::{Row, Table, equal};

use super::{Model, Privilege, Version};

/// The columns that are read, in the order of `Model`'s and `Version`'s fields.
const MODEL: [&CStr; 7] =
    [c"id", c"name", c"kind", c"owner", c"users", c"readers", c"active_version"];
const VERSION: [&CStr; 5] = [c"model_id", c"version", c"algorithm", c"sha256", c"created_at"];

/// The model of this name, whoever owns it: what the caller may do with it is for [`Model::allow`] to say.
pub(super) fn model(name: &str) -> Result<Option<Model>, Report> {
    // SAFETY: the value is a text that outlives the scan; the columns are read as the types that the install script gives them.
    unsafe {
        let text = pg_sys::cstring_to_text_with_len(name.as_ptr().cast(), name.len() as i32);
        first(c"model", &MODEL, c"model_name_key", [(pg_sys::F_TEXTEQ, text.into())], described)
    }
}

/// The model of this number, whoever owns it.
fn model_of_id(id: i64) -> Result<Option<Model>, Report> {
    // SAFETY: as above.
    unsafe {
        first(c"model", &MODEL, c"model_pkey", [(pg_sys::F_INT8EQ, Datum::from(id))], described)
    }
}

fn described(row: &Columns) -> Option<Model> {
    Some(Model {
        id: row.get(0)?.value() as i64,
        name: row.text(1)?,
        kind: Kind::named(&row.text(2)?)?,
        owner: oid(row.get(3)?),
        users: row.oids(4)?,
        readers: row.oids(5)?,
        active_version: row.get(6).map(|version| version.value() as i32),
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
    // SAFETY: as above.
    unsafe {
        let keys =
            [(pg_sys::F_INT8EQ, Datum::from(model.id)), (pg_sys::F_INT4EQ, Datum::from(version))];
        first(c"model_version", &VERSION, c"model_version_pkey", keys, |row| {
            Some(Version {
                model_id: model.id,
                name: model.name.clone(),
                kind: model.kind,
                owner: model.owner,
                version,
                algorithm: row.text(2)?,
                sha256: row.bytes(3)?.try_into().ok()?,
                written_at: row.get(4)?.value() as i64,
            })
        })
    }
}

/// Who owns the registry's tables: the role as whom alone they are written.
pub(super) fn owner() -> Result<Oid, Report> {
    // SAFETY: the relation's entry in the cache is held while it is read.
    unsafe {
        let relation = pg_sys::RelationIdGetRelation(relation_id(c"model")?);
        if relation.is_null() {
            return Err(missing(c"model"));
        }
        let owner = (*(*relation).rd_rel).relowner;
        pg_sys::RelationClose(relation);
        Ok(owner)
    }
}

/// The number of the table of models, which names a class of locks.
pub(super) fn table_of_models() -> Result<Oid, Report> {
    relation_id(c"model")
}

/// The one row with this key of a unique index, in columns of a table of the registry.
///
/// # Safety
/// The keys are of the index's first columns: the function of the type's equality, and a value of that type.
unsafe fn first<T, const N: usize>(
    table: &CStr,
    columns: &[&CStr],
    index: &CStr,
    keys: [(u32, Datum); N],
    read: impl FnOnce(&Columns) -> Option<T>,
) -> Result<Option<T>, Report> {
    let (id, index) = (relation_id(table)?, relation_id(index)?);
    let numbers = numbers(id, columns);
    let (mut read, mut found) = (Some(read), None);
    // SAFETY: by the caller's promise; the index is the table's.
    unsafe {
        let mut place = 0;
        let keys = keys.map(|(function, value)| {
            place += 1;
            equal(place, function.into(), pg_sys::DEFAULT_COLLATION_OID, value)
        });
        Table::open(id).rows_of(index, keys, |row| {
            found = read.take().and_then(|read| read(&Columns { row, numbers: &numbers }));
            false
        });
    }
    Ok(found)
}

/// The columns of a row, by their places in the list of those that are read.
struct Columns<'a> {
    row: &'a Row,
    numbers: &'a [AttrNumber],
}

impl Columns<'_> {
    fn get(&self, column: usize) -> Option<Datum> {
        self.row.get(self.numbers[column])
    }

    fn bytes(&self, column: usize) -> Option<Vec<u8>> {
        // SAFETY: the columns that are read so are text and bytea.
        unsafe { self.row.bytes(self.numbers[column]) }
    }

    fn text(&self, column: usize) -> Option<String> {
        // SAFETY: the columns that are read so are text.
        unsafe { self.row.text(self.numbers[column]) }
    }

    fn oids(&self, column: usize) -> Option<Vec<Oid>> {
        let value = self.get(column)?;
        // SAFETY: the column is an array of persona.role, whose elements are laid out as those of oid.
        let oids: Array<Oid> =
            unsafe { Array::from_polymorphic_datum(value, false, pg_sys::OIDOID)? };
        Some(oids.iter().flatten().collect())
    }
}

fn oid(value: Datum) -> Oid {
    Oid::from(value.value() as u32)
}

fn relation_id(name: &CStr) -> Result<Oid, Report> {
    // SAFETY: look-ups in the catalogue's cache.
    let id = unsafe {
        let schema = pg_sys::get_namespace_oid(c"persona".as_ptr(), true);
        pg_sys::get_relname_relid(name.as_ptr(), schema)
    };
    if id == pg_sys::InvalidOid { Err(missing(name)) } else { Ok(id) }
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
        // SAFETY: look-ups in the catalogue's cache.
        let number = |column: &&CStr| unsafe { pg_sys::get_attnum(relation, column.as_ptr()) };
        let numbers: Vec<AttrNumber> = columns.iter().map(number).collect();
        known.push((relation, numbers.clone()));
        numbers
    })
}
