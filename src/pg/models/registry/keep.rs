//! What a call finds by name, kept: for a call site from row to row, and for a backend from statement to statement.
//!
//! It is looked up again when something changed that could change the answer: the snapshot, the role, or any role's
//! memberships. Grants are in the model's row, so the snapshot covers them.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

use pgrx::pg_sys::{self, Oid};

use crate::pg::error::{Error, Report};
use crate::pg::sys::security::current_role;

use super::load::{Stored, load};
use super::{Model, Privilege, Version, rows};

/// The active version of a model, loaded.
pub(crate) struct Current<T> {
    pub(crate) version: Version,
    pub(crate) model: Rc<T>,
}

/// A call site's model.
pub(crate) struct Found<T> {
    kept: Option<(Key, Rc<Current<T>>)>,
}

impl<T> Default for Found<T> {
    fn default() -> Self {
        Self { kept: None }
    }
}

impl<T: Stored> Found<T> {
    /// The active version of a model that the caller may use, and whether it is another one than at the call before.
    #[inline]
    pub(crate) fn get(&mut self, name: &str) -> Result<(&Current<T>, bool), Report> {
        let key = Key::now();
        let is_same =
            self.kept.as_ref().is_some_and(|(at, kept)| *at == key && kept.version.name == name);
        let mut is_new = false;
        if !is_same {
            let found = current::<T>(name, Privilege::Use)?;
            is_new = self.kept.as_ref().is_none_or(|(_, kept)| !Rc::ptr_eq(kept, &found));
            self.kept = Some((key, found));
        }
        match &self.kept {
            Some((_, kept)) => Ok((kept, is_new)),
            None => Err(Error::UnknownModel { name: name.to_owned() }.into()),
        }
    }
}

/// The active version of a model with which the caller may do this.
pub(crate) fn current<T: Stored>(name: &str, wanted: Privilege) -> Result<Rc<Current<T>>, Report> {
    let key = Key::now();
    let kept = KEPT.with_borrow_mut(|kept| {
        let position =
            kept.iter().position(|one| one.name == name && one.current.is::<Current<T>>());
        position.map(|position| kept.remove(position))
    });
    let kept =
        kept.and_then(|one| Some((one.key, one.model, one.current.downcast::<Current<T>>().ok()?)));
    let (model, current) = match kept {
        Some((at, model, current)) if at == key => (model, current),
        kept => {
            let model = rows::model(name)?.ok_or(Error::UnknownModel { name: name.to_owned() })?;
            model.allow(Privilege::Use)?;
            model.check_kind(T::KIND)?;
            let version = model.live()?;
            let current = match kept {
                Some((_, _, current)) if current.version == version => current,
                _ => {
                    let model = load(&version)?;
                    Rc::new(Current { version, model })
                }
            };
            (model, current)
        }
    };
    let allowed = model.allow(wanted);
    KEPT.with_borrow_mut(|kept| {
        kept.truncate(NAMES - 1);
        let current: Rc<dyn Any> = Rc::clone(&current) as Rc<dyn Any>;
        kept.insert(0, Kept { name: name.to_owned(), key, model, current });
    });
    allowed.map(|()| current)
}

/// What a backend keeps of a name.
struct Kept {
    name: String,
    key: Key,
    model: Model,
    current: Rc<dyn Any>,
}

/// Names kept in a backend, last used first.
const NAMES: usize = 16;

thread_local! {
    static KEPT: RefCell<Vec<Kept>> = const { RefCell::new(Vec::new()) };
    static MEMBERSHIPS: Cell<u64> = const { Cell::new(0) };
}

/// Has this backend told when roles or their memberships change, which no snapshot of a transaction shows. Called once.
#[allow(unsafe_code, reason = "a callback of PostgreSQL's caches")]
pub(crate) fn watch_memberships() {
    use pg_sys::SysCacheIdentifier::*;
    extern "C-unwind" fn changed(_: pg_sys::Datum, _: i32, _: u32) {
        MEMBERSHIPS.set(MEMBERSHIPS.get().wrapping_add(1));
    }
    // Who owns the database is a membership, too: that of pg_database_owner.
    for cache in [AUTHOID, AUTHMEMROLEMEM, DATABASEOID] {
        // SAFETY: the library stays loaded as long as the backend lives; the callback touches its own memory alone.
        unsafe {
            pg_sys::CacheRegisterSyscacheCallback(
                cache as i32,
                Some(changed),
                pg_sys::Datum::null(),
            );
        }
    }
}

/// All on which the answer to a name depends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    snapshot: SnapshotKey,
    role: Oid,
    memberships: u64,
    /// Of a transaction that keeps its snapshot: a serializable one must read for itself what it builds on, and an imported snapshot
    /// is the same in two transactions, of which one saw its own changes. Else 0.
    transaction: i64,
}

impl Key {
    #[inline]
    fn now() -> Self {
        let (snapshot, role) = (SnapshotKey::now(), current_role());
        Self { snapshot, role, memberships: MEMBERSHIPS.get(), transaction: with_one_snapshot() }
    }
}

/// When the transaction began, if it keeps its snapshot.
#[inline]
#[allow(unsafe_code, reason = "the isolation level is a global of PostgreSQL")]
fn with_one_snapshot() -> i64 {
    // SAFETY: reads globals.
    unsafe {
        if pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32 {
            pg_sys::GetCurrentTransactionStartTimestamp()
        } else {
            0
        }
    }
}

/// What a snapshot sees, in seven numbers: two snapshots of a session with equal keys see the same rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct SnapshotKey {
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
    #[allow(unsafe_code, reason = "the active snapshot is a global of PostgreSQL")]
    fn now() -> Self {
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
