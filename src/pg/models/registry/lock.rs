//! One fit, refit or change of a model at a time: locks that SQL cannot take, taken after the rights are checked.
//!
//! They are PostgreSQL's locks of objects, in a class of our own: the table of models. So whoever may not change a model cannot
//! hold it up, as an advisory lock let anybody do. A model is locked by its id. A name that is not taken yet is locked by its
//! hash. Single statements cannot deadlock: a name is waited for by one that holds no model but, in a
//! rename, its own, and it is given back before a model is waited for.

use crate::algo::hash::stable_hash;
use crate::pg::error::{Error, Report};
use crate::pg::kind::Kind;
use crate::pg::sys::lock::Lock;
use crate::pg::sys::security::{refuse_read_only, with_fresh_snapshot, with_latest_snapshot};

use super::gate::change;
use super::{Model, rows};

/// The model into which a fit or an import writes, locked; None for a name that is not taken, which is locked then. Only the
/// owner itself may fit into a model.
pub(crate) fn lock_for_fit(name: &str, kind: Kind) -> Result<Option<Model>, Report> {
    check_name(name)?;
    check_writable(name)?;
    let check = |model: Model| {
        if model.privilege().is_none() {
            return Err(Error::NameTaken { name: name.to_owned(), kind: None }.into());
        }
        model.must_be_its_owner()?;
        if model.kind != kind {
            let kind = Some(model.kind);
            return Err(Error::NameTaken { name: name.to_owned(), kind }.into());
        }
        Ok::<_, Report>(model)
    };
    loop {
        let Some(model) = look(name)?.map(check).transpose()? else {
            let lock = of_name(name)?;
            lock.wait();
            if look(name)?.is_none() {
                return Ok(None);
            }
            lock.release();
            continue;
        };
        let lock = of_model(&model)?;
        lock.wait();
        // While this waited the model may have been dropped, renamed or replaced.
        match look(name)?.map(check).transpose()? {
            Some(now) if now.id == model.id => {
                hold_row(&now)?;
                return Ok(Some(now));
            }
            _ => lock.release(),
        }
    }
}

/// A model that is changed or published: it is there, `check` allows it, and it is locked.
pub(crate) fn lock_existing(
    name: &str,
    check: impl Fn(&Model) -> Result<(), Report>,
) -> Result<Model, Report> {
    lock_model(name, check, |lock| {
        lock.wait();
        true
    })
    .and_then(|model| model.ok_or_else(|| Error::UnknownModel { name: name.to_owned() }.into()))
}

/// As [`lock_existing`]; None when another session has the model's lock.
pub(crate) fn try_lock_existing(
    name: &str,
    check: impl Fn(&Model) -> Result<(), Report>,
) -> Result<Option<Model>, Report> {
    lock_model(name, check, Lock::try_now)
}

fn lock_model(
    name: &str,
    check: impl Fn(&Model) -> Result<(), Report>,
    take: impl Fn(&Lock) -> bool,
) -> Result<Option<Model>, Report> {
    let checked = || {
        let model = look(name)?.ok_or(Error::UnknownModel { name: name.to_owned() })?;
        check(&model)?;
        Ok::<_, Report>(model)
    };
    loop {
        let model = checked()?;
        check_writable(name)?;
        let lock = of_model(&model)?;
        if !take(&lock) {
            return Ok(None);
        }
        let now = checked()?;
        if now.id == model.id {
            hold_row(&now)?;
            return Ok(Some(now));
        }
        lock.release();
    }
}

/// Locks a name that a model is to be given; it is not taken.
pub(crate) fn lock_free_name(name: &str) -> Result<(), Report> {
    check_name(name)?;
    // As it is now, in a transaction with an old snapshot too: no key of the index would say it so well.
    let taken = || match with_latest_snapshot(|| rows::model(name))? {
        None => Ok(()),
        Some(model) => {
            let kind = model.privilege().map(|_| model.kind);
            Err(Report::from(Error::NameTaken { name: name.to_owned(), kind }))
        }
    };
    taken()?;
    of_name(name)?.wait();
    taken()
}

/// Under the old snapshot of a transaction the model may have been changed or dropped since: then this is 40001. No foreign key
/// would refuse what is written for a model that is gone.
fn hold_row(model: &Model) -> Result<(), Report> {
    change("SELECT FROM persona.model WHERE id = $1 FOR NO KEY UPDATE", &[model.id.into()])
}

/// The model as it is now, whatever the statement's snapshot: it may have waited.
fn look(name: &str) -> Result<Option<Model>, Report> {
    with_fresh_snapshot(|| rows::model(name))
}

fn check_name(name: &str) -> Result<(), Report> {
    if name.is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
        return Err(Error::InvalidModelName { name: name.to_owned() }.into());
    }
    Ok(())
}

/// Before a long fit and not at its first write; on a standby that would even ask for a transaction id, which is an internal
/// error.
fn check_writable(name: &str) -> Result<(), Report> {
    refuse_read_only(|| format!("model \"{name}\""))
}

/// The model's lock. The last number tells a model from a name.
fn of_model(model: &Model) -> Result<Lock, Report> {
    let id = model.id as u64;
    Ok(Lock::of(rows::table_of_models()?, id as u32, 1 + (id >> 32) as u16))
}

fn of_name(name: &str) -> Result<Lock, Report> {
    Ok(Lock::of(rows::table_of_models()?, stable_hash(name.as_bytes()) as u32, 0))
}
