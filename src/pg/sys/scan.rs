//! Rows of a table read without a query: no privilege is asked for, nothing is planned, and so nothing of anybody's runs but
//! the index's own comparison.
//!
//! PostgreSQL reads its catalogues in this way. Rows are those that the active snapshot sees.
#![allow(
    unsafe_code,
    reason = "a scan of a table or an index, as PostgreSQL does it for its own catalogues"
)]

use std::ffi::{CStr, CString};

use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::prelude::*;

use crate::pg::error::{Report, report};
use crate::pg::sys::raw::bytes_of;

/// An open table.
pub(crate) struct Table {
    relation: pg_sys::Relation,
}

impl Table {
    /// Opens a table that is there.
    pub(crate) fn open(id: Oid) -> Self {
        // SAFETY: it is closed when this is dropped, or by PostgreSQL after an error.
        Self { relation: unsafe { pg_sys::table_open(id, pg_sys::AccessShareLock as i32) } }
    }

    /// Hands out all rows until `row` answers false.
    pub(crate) fn rows(&self, mut row: impl FnMut(&Row) -> bool) {
        // SAFETY: the scan is of an open relation under the active snapshot; a row is read before the next one is fetched.
        unsafe {
            let scan = pg_sys::systable_beginscan(
                self.relation,
                pg_sys::InvalidOid,
                false,
                snapshot(),
                0,
                std::ptr::null_mut(),
            );
            loop {
                check_for_interrupts!();
                let tuple = pg_sys::systable_getnext(scan);
                let descriptor = (*self.relation).rd_att;
                if tuple.is_null() || !row(&Row { tuple, descriptor }) {
                    break;
                }
            }
            pg_sys::systable_endscan(scan);
        }
    }

    /// Rows that a btree index of the table finds.
    pub(crate) fn by_index(&self, index: Oid) -> Result<Lookup<'_>, Report> {
        // SAFETY: an index that is there; it is closed when this is dropped, or by PostgreSQL after an error.
        let index = unsafe { pg_sys::index_open(index, pg_sys::AccessShareLock as i32) };
        let lookup = Lookup { table: self, index, keys: Vec::new() };
        // SAFETY: both are open.
        let is_of = unsafe {
            (*(*index).rd_index).indrelid == (*self.relation).rd_id
                && (*(*index).rd_rel).relam == pg_sys::BTREE_AM_OID
        };
        if is_of { Ok(lookup) } else { Err(no_such_index()) }
    }
}

/// A value that a column of an index is to be equal to.
#[derive(Clone, Copy)]
pub(crate) enum Key<'a> {
    Int4(i32),
    Int8(i64),
    Text(&'a str),
    Value(Value),
}

/// A value of a type that a column has.
#[derive(Clone, Copy)]
pub(crate) struct Value {
    datum: Datum,
    type_oid: Oid,
}

/// A look-up in an index, whose first columns are equal to keys.
pub(crate) struct Lookup<'t> {
    table: &'t Table,
    index: pg_sys::Relation,
    keys: Vec<pg_sys::ScanKeyData>,
}

impl Lookup<'_> {
    /// The type of the next column of the index, a domain's base.
    fn next_type(&self) -> Option<Oid> {
        let place = self.keys.len();
        // SAFETY: both relations are open.
        unsafe {
            let index = &*(*self.index).rd_index;
            let column = *index.indkey.values.as_slice(index.indnatts as usize).get(place)?;
            // Of an expression the index alone has the type.
            let attribute = match usize::try_from(column) {
                Ok(number @ 1..) => attribute_at((*self.table.relation).rd_att, number - 1),
                _ => attribute_at((*self.index).rd_att, place),
            };
            Some(base((*attribute).atttypid))
        }
    }

    /// What a text says as a value of the next column; one that says none is an error of PostgreSQL's.
    pub(crate) fn value_of(&self, text: &str) -> Result<Value, Report> {
        let type_oid = self.next_type().ok_or_else(no_such_index)?;
        Ok(Value { datum: input(type_oid, text), type_oid })
    }

    /// With the next column of the index equal to the key, which is of its type.
    pub(crate) fn with(mut self, key: Key) -> Result<Self, Report> {
        let (place, type_oid) = (self.keys.len(), self.next_type().ok_or_else(no_such_index)?);
        let value = match key {
            Key::Int4(value) if type_oid == pg_sys::INT4OID => Datum::from(value),
            Key::Int8(value) if type_oid == pg_sys::INT8OID => Datum::from(value),
            Key::Text(text) if type_oid == pg_sys::TEXTOID => {
                let n_bytes = text.len() as i32;
                // SAFETY: so many bytes are copied.
                unsafe { pg_sys::cstring_to_text_with_len(text.as_ptr().cast(), n_bytes) }.into()
            }
            Key::Value(value) if type_oid == value.type_oid => value.datum,
            _ => return Err(no_such_index()),
        };
        // SAFETY: the index has this column; what compares it takes the value, which is of its type.
        unsafe {
            let family = *(*self.index).rd_opfamily.add(place);
            let class_type = *(*self.index).rd_opcintype.add(place);
            let equal = pg_sys::BTEqualStrategyNumber as i16;
            let equal = pg_sys::get_opfamily_member(family, class_type, class_type, equal);
            let mut key = pg_sys::ScanKeyData::default();
            pg_sys::ScanKeyEntryInitialize(
                &mut key,
                0,
                place as i16 + 1,
                pg_sys::BTEqualStrategyNumber as u16,
                pg_sys::InvalidOid,
                *(*self.index).rd_indcollation.add(place),
                pg_sys::get_opcode(equal),
                value,
            );
            self.keys.push(key);
        }
        Ok(self)
    }

    /// Hands out the rows until `row` answers false.
    pub(crate) fn rows(mut self, mut row: impl FnMut(&Row) -> bool) {
        // SAFETY: the index is the table's, and the keys are of its first columns; what is opened is closed here, or by PostgreSQL
        // after an error.
        unsafe {
            let (table, n_keys) = (self.table.relation, self.keys.len() as i32);
            let scan = begin(table, self.index, n_keys);
            pg_sys::index_rescan(scan, self.keys.as_mut_ptr(), n_keys, std::ptr::null_mut(), 0);
            let slot = pg_sys::table_slot_create(table, std::ptr::null_mut());
            let forward = pg_sys::ScanDirection::ForwardScanDirection;
            loop {
                check_for_interrupts!();
                if !pg_sys::index_getnext_slot(scan, forward, slot) {
                    break;
                }
                let mut is_copy = false;
                let tuple = pg_sys::ExecFetchSlotHeapTuple(slot, false, &mut is_copy);
                let goes_on = row(&Row { tuple, descriptor: (*table).rd_att });
                if is_copy {
                    pg_sys::heap_freetuple(tuple);
                }
                if !goes_on {
                    break;
                }
            }
            pg_sys::index_endscan(scan);
            pg_sys::ExecDropSingleTupleTableSlot(slot);
        }
    }
}

impl Drop for Lookup<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: opened once, closed once.
            unsafe { pg_sys::index_close(self.index, pg_sys::NoLock as i32) };
        }
    }
}

fn no_such_index() -> Report {
    report(PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH, "the index is not of such columns")
}

/// A value of the type, from its text; what is none is an error of PostgreSQL's.
fn input(type_oid: Oid, text: &str) -> Datum {
    let text = CString::new(text).unwrap_or_default();
    let (mut function, mut parameter) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
    // SAFETY: the type is there, and its own function reads the text.
    unsafe {
        pg_sys::getTypeInputInfo(type_oid, &mut function, &mut parameter);
        pg_sys::OidInputFunctionCall(function, text.as_ptr().cast_mut(), parameter, -1)
    }
}

/// # Safety
/// `descriptor` is a valid row descriptor with a column at this position.
pub(crate) unsafe fn attribute_at(
    descriptor: pg_sys::TupleDesc,
    position: usize,
) -> *const pg_sys::FormData_pg_attribute {
    // SAFETY: by the caller's promise. Up to PostgreSQL 17 the function is a macro, and the attributes lie in the descriptor.
    unsafe {
        #[cfg(feature = "pg18")]
        let attribute = pg_sys::TupleDescAttr(descriptor, position as i32);
        #[cfg(not(feature = "pg18"))]
        let attribute = (*descriptor).attrs.as_ptr().add(position);
        attribute
    }
}

/// # Safety
/// The index is the table's, and both are open.
unsafe fn begin(
    table: pg_sys::Relation,
    index: pg_sys::Relation,
    n_keys: i32,
) -> pg_sys::IndexScanDesc {
    // SAFETY: by the caller's promise.
    unsafe {
        #[cfg(feature = "pg18")]
        return pg_sys::index_beginscan(table, index, snapshot(), std::ptr::null_mut(), n_keys, 0);
        #[cfg(not(feature = "pg18"))]
        return pg_sys::index_beginscan(table, index, snapshot(), n_keys, 0);
    }
}

/// The active one; a function that is called from outside of a query has that of its transaction.
fn snapshot() -> pg_sys::Snapshot {
    // SAFETY: PostgreSQL owns its snapshots.
    unsafe {
        if pg_sys::ActiveSnapshotSet() {
            pg_sys::GetActiveSnapshot()
        } else {
            pg_sys::GetTransactionSnapshot()
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // After an error PostgreSQL closes it itself.
        if !std::thread::panicking() {
            // SAFETY: opened by `open`, closed once; the lock stays until the transaction ends.
            unsafe { pg_sys::table_close(self.relation, pg_sys::NoLock as i32) };
        }
    }
}

/// A row of a scan. Columns are asked for by number; NULL, and a value of a type that is not asked for, are None.
pub(crate) struct Row {
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
}

impl Row {
    /// The value and its type, which may be a domain.
    fn get(&self, column: i16) -> Option<(Datum, Oid)> {
        let mut is_null = false;
        // SAFETY: the row is of the relation whose descriptor this is.
        unsafe {
            let n_columns = (*self.descriptor).natts;
            if !(1..=n_columns).contains(&i32::from(column)) {
                return None;
            }
            let number = i32::from(column);
            let value = pg_sys::heap_getattr(self.tuple, number, self.descriptor, &mut is_null);
            let attribute = attribute_at(self.descriptor, column as usize - 1);
            (!is_null).then(|| (value, (*attribute).atttypid))
        }
    }

    fn of(&self, column: i16, type_oid: Oid) -> Option<Datum> {
        let (value, own) = self.get(column)?;
        (own == type_oid || base(own) == type_oid).then_some(value)
    }

    pub(crate) fn int4(&self, column: i16) -> Option<i32> {
        self.of(column, pg_sys::INT4OID).map(|value| value.value() as i32)
    }

    pub(crate) fn int8(&self, column: i16) -> Option<i64> {
        self.of(column, pg_sys::INT8OID).map(|value| value.value() as i64)
    }

    /// A time with a zone, in microseconds since 2000.
    pub(crate) fn time(&self, column: i16) -> Option<i64> {
        self.of(column, pg_sys::TIMESTAMPTZOID).map(|value| value.value() as i64)
    }

    pub(crate) fn bytes(&self, column: i16) -> Option<Vec<u8>> {
        // SAFETY: the value is a varlena.
        self.of(column, pg_sys::BYTEAOID).map(|value| unsafe { bytes_of(value) }.to_vec())
    }

    pub(crate) fn text(&self, column: i16) -> Option<String> {
        // SAFETY: as above.
        let bytes = self.of(column, pg_sys::TEXTOID).map(|value| unsafe { bytes_of(value) })?;
        String::from_utf8(bytes.to_vec()).ok()
    }

    /// An oid, or a value of a type that is laid out as it.
    pub(crate) fn oid(&self, column: i16) -> Option<Oid> {
        let (value, type_oid) = self.get(column)?;
        is_as_oid(type_oid).then(|| Oid::from(value.value() as u32))
    }

    /// An array of those.
    pub(crate) fn oids(&self, column: i16) -> Option<Vec<Oid>> {
        let (value, type_oid) = self.get(column)?;
        // SAFETY: the elements are laid out as oids.
        unsafe {
            let element = pg_sys::get_element_type(base(type_oid));
            if element == pg_sys::InvalidOid || !is_as_oid(element) {
                return None;
            }
            let oids: Array<Oid> = Array::from_polymorphic_datum(value, false, pg_sys::OIDOID)?;
            Some(oids.iter().flatten().collect())
        }
    }

    /// The value as SQL writes it.
    pub(crate) fn written(&self, column: i16) -> Option<String> {
        let (value, type_oid) = self.get(column)?;
        let (mut function, mut is_varlena) = (pg_sys::InvalidOid, false);
        // SAFETY: the value is of the type; what comes back is a C string of PostgreSQL's.
        unsafe {
            pg_sys::getTypeOutputInfo(base(type_oid), &mut function, &mut is_varlena);
            let text = pg_sys::OidOutputFunctionCall(function, value);
            Some(CStr::from_ptr(text).to_string_lossy().into_owned())
        }
    }

    /// How many bytes a value of variable length takes when it is unpacked, which it is not.
    pub(crate) fn n_bytes(&self, column: i16) -> Option<usize> {
        let (value, type_oid) = self.get(column)?;
        // SAFETY: a look-up in the catalogue, and the header of a varlena.
        unsafe { (pg_sys::get_typlen(type_oid) == -1).then(|| pg_sys::toast_raw_datum_size(value)) }
    }

    /// The value as an argument of a query, for as long as the row is there.
    pub(crate) fn argument(&self, column: i16) -> Option<DatumWithOid<'_>> {
        let (value, type_oid) = self.get(column)?;
        // SAFETY: the value is of the type.
        Some(unsafe { DatumWithOid::new(value, base(type_oid)) })
    }
}

/// What a domain is over, in the end; another type is itself.
fn base(type_oid: Oid) -> Oid {
    // SAFETY: a look-up in the catalogue's cache.
    unsafe { pg_sys::getBaseType(type_oid) }
}

/// Whether values of the type are four bytes, passed by value.
fn is_as_oid(type_oid: Oid) -> bool {
    let (mut length, mut is_by_value) = (0, false);
    // SAFETY: a look-up in the catalogue's cache into two locals.
    unsafe { pg_sys::get_typlenbyval(type_oid, &mut length, &mut is_by_value) };
    length == 4 && is_by_value
}
