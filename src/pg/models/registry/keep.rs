//! What a call finds by name, kept: for a call site from row to row, and for a backend from statement to statement.
//!
//! It is looked up again when something changed that could change the answer: the snapshot, the role, or any role's
//! memberships. Grants are in the model's row, so the snapshot covers them.

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

use pgrx::pg_sys::Oid;

use crate::pg::error::{Error, Report};
use crate::pg::sys::security::{current_role, memberships};
use crate::pg::sys::snapshot::{SnapshotKey, transaction_of_one_snapshot};

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
        Self {
            snapshot: SnapshotKey::now(),
            role: current_role(),
            memberships: memberships(),
            transaction: transaction_of_one_snapshot(),
        }
    }
}
