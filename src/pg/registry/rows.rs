//! The rows of the registry that every look-up needs, read from the tables without a query.
//!
//! A call that scores one row looks its model up by name: as a query, parsed and planned each time, that cost more than all
//! the rest of the call (150 of 200 us). An index scan costs some 5 us, takes no transaction id, asks for no privilege, and
//! runs nothing of a user's. Rows are those that the active snapshot sees.
#![allow(unsafe_code, reason = "a scan of an index, as PostgreSQL does it for its own catalogues")]

use std::cell::RefCell;
use std::ffi::CStr;

use pgrx::pg_sys::{self, AttrNumber, Datum, Oid};
use pgrx::prelude::*;

use crate::pg::datum::varlena_bytes;
use crate::pg::error::{Report, report};

use super::{Model, Version};

/// The columns that are read, in the order of `Model`'s and `Version`'s fields.
const MODEL: [&CStr; 7] =
    [c"id", c"name", c"kind", c"owner", c"users", c"readers", c"active_version"];
const VERSION: [&CStr; 5] = [c"model_id", c"version", c"algorithm", c"sha256", c"created_at"];

/// The model of this name, whoever owns it: what the caller may do with it is for [`Model::allow`] to say.
pub(super) fn model(name: &str) -> Result<Option<Model>, Report> {
    // SAFETY: the value is a text that outlives the scan; the columns are read as the types that the install script gives them.
    unsafe {
        let text =
            Datum::from(pg_sys::cstring_to_text_with_len(name.as_ptr().cast(), name.len() as i32));
        let table = Table::open(c"model", &MODEL)?;
        let key = [table.key(1, pg_sys::F_TEXTEQ, text)];
        table.first(c"model_name_key", key, |row| {
            Some(Model {
                id: row.get(0)?.value() as i64,
                name: row.text(1)?,
                kind: row.text(2)?,
                owner: oid(row.get(3)?),
                users: row.oids(4)?,
                readers: row.oids(5)?,
                active_version: row.get(6).map(|version| version.value() as i32),
            })
        })
    }
}

/// A version of the model.
pub(super) fn version(model: &Model, version: i32) -> Result<Option<Version>, Report> {
    // SAFETY: as above.
    unsafe {
        let table = Table::open(c"model_version", &VERSION)?;
        let key = [
            table.key(0, pg_sys::F_INT8EQ, Datum::from(model.id)),
            table.key(1, pg_sys::F_INT4EQ, Datum::from(version)),
        ];
        table.first(c"model_version_pkey", key, |row| {
            Some(Version {
                model_id: model.id,
                name: model.name.clone(),
                kind: model.kind.clone(),
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

/// A table of the registry, open.
struct Table {
    relation: pg_sys::Relation,
    columns: Vec<AttrNumber>,
}

impl Table {
    fn open(name: &CStr, columns: &[&CStr]) -> Result<Self, Report> {
        let id = relation_id(name)?;
        let columns = numbers(id, columns);
        // SAFETY: the relation is there; it is closed when this is dropped, or by PostgreSQL after an error.
        let relation = unsafe { pg_sys::table_open(id, pg_sys::AccessShareLock as i32) };
        Ok(Self { relation, columns })
    }

    /// That a column is equal to a value.
    ///
    /// # Safety
    /// The operator's function takes the column's type, of which the value is.
    unsafe fn key(&self, column: usize, equal: u32, value: Datum) -> pg_sys::ScanKeyData {
        let mut key = pg_sys::ScanKeyData::default();
        // SAFETY: by the caller's promise.
        unsafe {
            pg_sys::ScanKeyEntryInitialize(
                &mut key,
                0,
                self.columns[column],
                pg_sys::BTEqualStrategyNumber as u16,
                pg_sys::InvalidOid,
                pg_sys::DEFAULT_COLLATION_OID,
                equal.into(),
                value,
            );
        }
        key
    }

    /// What `read` makes of the one row with this key of a unique index.
    fn first<T, const N: usize>(
        &self,
        index: &CStr,
        mut key: [pg_sys::ScanKeyData; N],
        read: impl FnOnce(&Row) -> Option<T>,
    ) -> Result<Option<T>, Report> {
        let index = relation_id(index)?;
        // SAFETY: the scan is of an open relation under the active snapshot; the row is read before the scan ends.
        unsafe {
            let snapshot = pg_sys::GetActiveSnapshot();
            let scan = pg_sys::systable_beginscan(
                self.relation,
                index,
                true,
                snapshot,
                N as i32,
                key.as_mut_ptr(),
            );
            let tuple = pg_sys::systable_getnext(scan);
            let found = if tuple.is_null() {
                None
            } else {
                let descriptor = (*self.relation).rd_att;
                read(&Row { tuple, descriptor, columns: &self.columns })
            };
            pg_sys::systable_endscan(scan);
            Ok(found)
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // After an error PostgreSQL closes it itself.
        // SAFETY: opened by `open`, closed once; the lock stays until the transaction ends.
        unsafe {
            if !std::thread::panicking() {
                pg_sys::table_close(self.relation, pg_sys::NoLock as i32);
            }
        }
    }
}

/// A row of a scan.
struct Row<'a> {
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
    columns: &'a [AttrNumber],
}

impl Row<'_> {
    fn get(&self, column: usize) -> Option<Datum> {
        let mut is_null = false;
        // SAFETY: the row is of the relation whose descriptor this is.
        let value = unsafe {
            let number = i32::from(self.columns[column]);
            pg_sys::heap_getattr(self.tuple, number, self.descriptor, &mut is_null)
        };
        (!is_null).then_some(value)
    }

    fn bytes(&self, column: usize) -> Option<Vec<u8>> {
        let value = self.get(column)?;
        // SAFETY: the columns that are read so are text and bytea.
        unsafe {
            Some(varlena_bytes(pg_sys::pg_detoast_datum_packed(value.cast_mut_ptr())).to_vec())
        }
    }

    fn text(&self, column: usize) -> Option<String> {
        String::from_utf8(self.bytes(column)?).ok()
    }

    fn oids(&self, column: usize) -> Option<Vec<Oid>> {
        let value = self.get(column)?;
        // SAFETY: the column is an array of regrole, whose elements are laid out as those of oid.
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
