//! Locks that SQL cannot take.
#![allow(unsafe_code, reason = "PostgreSQL's locks are called as C")]

use pgrx::pg_sys::{self, Oid};

/// A lock of an object, which one transaction has at a time.
pub(crate) struct Lock(pg_sys::LOCKTAG);

const MODE: i32 = pg_sys::ExclusiveLock as i32;

impl Lock {
    /// Of an object of this database that is known by these numbers.
    pub(crate) fn of(class: Oid, object: u32, part: u16) -> Self {
        Self(pg_sys::LOCKTAG {
            // SAFETY: reads a global.
            locktag_field1: unsafe { pg_sys::MyDatabaseId.to_u32() },
            locktag_field2: class.to_u32(),
            locktag_field3: object,
            locktag_field4: part,
            locktag_type: pg_sys::LockTagType::LOCKTAG_OBJECT as u8,
            locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
        })
    }

    /// Waits until no other session has it.
    pub(crate) fn wait(&self) {
        self.take(false);
    }

    /// Whether it could be had without waiting.
    pub(crate) fn try_now(&self) -> bool {
        self.take(true)
    }

    fn take(&self, at_once: bool) -> bool {
        // SAFETY: a well-formed tag; PostgreSQL gives the lock back when the transaction ends. With a transaction id, queries of
        // this function see what others have committed while it waited.
        unsafe {
            let taken = pg_sys::LockAcquire(&self.0, MODE, false, at_once);
            if taken == pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL {
                return false;
            }
            pg_sys::GetCurrentTransactionId();
            true
        }
    }

    /// Gives it back before the transaction ends.
    pub(crate) fn release(&self) {
        // SAFETY: a well-formed tag.
        unsafe { pg_sys::LockRelease(&self.0, MODE, false) };
    }
}

/// Keeps a schema until the transaction ends, as one in which a table is made, from whoever locks it to rename or drop it.
pub(crate) fn keep_schema(schema: Oid) {
    let mode = pg_sys::AccessShareLock as i32;
    // SAFETY: a lock is asked for; PostgreSQL gives it back when the transaction ends.
    unsafe { pg_sys::LockDatabaseObject(pg_sys::NamespaceRelationId, schema, 0, mode) }
}

/// Whether a relation could be locked for reading without waiting for whoever has it.
pub(crate) fn try_to_read(relation: Oid) -> bool {
    // SAFETY: a lock is asked for.
    unsafe { pg_sys::ConditionalLockRelationOid(relation, pg_sys::AccessShareLock as i32) }
}
