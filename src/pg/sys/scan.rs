//! Rows of a table read without a query: no privilege is asked for, nothing is planned, and so nothing of anybody's runs but
//! the index's own comparison.
//!
//! PostgreSQL reads its catalogues in this way. Rows are those that the active snapshot sees.
#![allow(
    unsafe_code,
    reason = "a scan of a table or an index, as PostgreSQL does it for its own catalogues"
)]

use crate::pg::sys::raw::bytes_of;
use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::prelude::*;

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

    /// Hands out the rows whose first columns in a btree index are equal to these values, until `row` answers false.
    ///
    /// # Safety
    /// The index is the table's; the keys are of its first columns, in their order, each made for the column's type.
    pub(crate) unsafe fn rows_of<const N: usize>(
        &self,
        index: Oid,
        mut keys: [pg_sys::ScanKeyData; N],
        mut row: impl FnMut(&Row) -> bool,
    ) {
        // SAFETY: as above; what is opened is closed here, or by PostgreSQL after an error.
        unsafe {
            let index = pg_sys::index_open(index, pg_sys::AccessShareLock as i32);
            let scan = begin(self.relation, index, N as i32);
            pg_sys::index_rescan(scan, keys.as_mut_ptr(), N as i32, std::ptr::null_mut(), 0);
            let slot = pg_sys::table_slot_create(self.relation, std::ptr::null_mut());
            let forward = pg_sys::ScanDirection::ForwardScanDirection;
            loop {
                check_for_interrupts!();
                if !pg_sys::index_getnext_slot(scan, forward, slot) {
                    break;
                }
                let mut is_copy = false;
                let tuple = pg_sys::ExecFetchSlotHeapTuple(slot, false, &mut is_copy);
                let goes_on = row(&Row { tuple, descriptor: (*self.relation).rd_att });
                if is_copy {
                    pg_sys::heap_freetuple(tuple);
                }
                if !goes_on {
                    break;
                }
            }
            pg_sys::index_endscan(scan);
            pg_sys::ExecDropSingleTupleTableSlot(slot);
            pg_sys::index_close(index, pg_sys::NoLock as i32);
        }
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

/// That a column is equal to a value.
///
/// # Safety
/// The operator's function takes the column's type, of which the value is.
pub(crate) unsafe fn equal(
    column: i16,
    function: Oid,
    collation: Oid,
    value: Datum,
) -> pg_sys::ScanKeyData {
    let mut key = pg_sys::ScanKeyData::default();
    // SAFETY: by the caller's promise.
    unsafe {
        pg_sys::ScanKeyEntryInitialize(
            &mut key,
            0,
            column,
            pg_sys::BTEqualStrategyNumber as u16,
            pg_sys::InvalidOid,
            collation,
            function,
            value,
        );
    }
    key
}

/// A row of a scan. Columns are asked for by number, as the types that they have.
pub(crate) struct Row {
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
}

impl Row {
    pub(crate) fn get(&self, column: i16) -> Option<Datum> {
        let mut is_null = false;
        // SAFETY: the row is of the relation whose descriptor this is.
        let value = unsafe {
            pg_sys::heap_getattr(self.tuple, i32::from(column), self.descriptor, &mut is_null)
        };
        (!is_null).then_some(value)
    }

    /// # Safety
    /// The column is a varlena.
    pub(crate) unsafe fn bytes(&self, column: i16) -> Option<Vec<u8>> {
        let value = self.get(column)?;
        // SAFETY: by the caller's promise.
        unsafe { Some(bytes_of(value).to_vec()) }
    }

    /// # Safety
    /// The column is text.
    pub(crate) unsafe fn text(&self, column: i16) -> Option<String> {
        // SAFETY: by the caller's promise.
        String::from_utf8(unsafe { self.bytes(column) }?).ok()
    }
}
