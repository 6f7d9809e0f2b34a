//! What a statement sees, in few numbers that can be compared.
#![allow(
    unsafe_code,
    reason = "the active snapshot and the isolation level are globals of PostgreSQL"
)]

use pgrx::pg_sys;

/// What a snapshot sees, in seven numbers: two snapshots of a session with equal keys see the same rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SnapshotKey {
    xmin: u32,
    xmax: u32,
    /// Transactions and subtransactions in progress: of those below one xmax they only ever become fewer. An imported
    /// snapshot has no count of completions, and is told apart by these.
    in_progress: (u32, i32),
    command: u32,
    /// A rollback to a savepoint takes rows back and leaves all the other numbers as they are in a transaction that keeps its
    /// snapshot.
    subtransaction: u32,
    completions: u64,
}

impl SnapshotKey {
    #[inline]
    pub(crate) fn now() -> Self {
        // SAFETY: a function runs with an active snapshot; a null one is answered below.
        unsafe {
            if !pg_sys::ActiveSnapshotSet() {
                return Self::default();
            }
            let snapshot = &*pg_sys::GetActiveSnapshot();
            Self {
                xmin: u32::from(snapshot.xmin),
                xmax: u32::from(snapshot.xmax),
                in_progress: (snapshot.xcnt, snapshot.subxcnt),
                subtransaction: pg_sys::GetCurrentSubTransactionId(),
                command: snapshot.curcid,
                completions: snapshot.snapXactCompletionCount,
            }
        }
    }
}

/// When the transaction began, if it keeps its snapshot; else 0.
#[inline]
pub(crate) fn transaction_of_one_snapshot() -> i64 {
    // SAFETY: reads globals.
    unsafe {
        if pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32 {
            pg_sys::GetCurrentTransactionStartTimestamp()
        } else {
            0
        }
    }
}
