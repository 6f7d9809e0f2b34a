//! What a role may do with a model: use it, read it, or all that its owner may.
//!
//! **Use** is to score, segment, recommend for a key that one names, and to see metrics. **Read** is all that hands out the
//! source, the parameters, the bytes or all keys. A grant is written in the model's row; this file alone says what it means.

use pgrx::pg_sys::{self, Oid};

use crate::pg::error::{Error, Report};
use crate::pg::sys::security::{can_become, current_role, has_rights_of, role_name};
use crate::pg::types::options::one_of;

use super::Model;

/// From the least to the most; each one includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Privilege {
    Use,
    Read,
    /// Of the owner, its members and superusers.
    Own,
}

/// What can be granted.
const GRANTS: [(&str, Privilege); 2] = [("use", Privilege::Use), ("read", Privilege::Read)];

impl Privilege {
    /// The right of a grant, by its name in SQL.
    pub(crate) fn granted(name: &str) -> Result<Self, Report> {
        one_of("privilege", name, &GRANTS)
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        [Privilege::Use, Privilege::Read, Privilege::Own].into_iter().find(|one| one.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Privilege::Use => "use",
            Privilege::Read => "read",
            Privilege::Own => "own",
        }
    }

    /// What the current role may do with a model of this owner and these grants; None where it may not even see it.
    pub(crate) fn of_caller(owner: Oid, users: &[Oid], readers: &[Oid]) -> Option<Self> {
        let role = current_role();
        // 0 stands for PUBLIC.
        let among = |grants: &[Oid]| {
            grants.iter().any(|&one| one == pg_sys::InvalidOid || has_rights_of(role, one))
        };
        if has_rights_of(role, owner) {
            Some(Privilege::Own)
        } else if among(readers) {
            Some(Privilege::Read)
        } else {
            among(users).then_some(Privilege::Use)
        }
    }
}

impl Model {
    /// What the current role may do with it.
    pub(crate) fn privilege(&self) -> Option<Privilege> {
        Privilege::of_caller(self.owner, &self.users, &self.readers)
    }

    /// Refuses a role that may not do this. A model that the role may not see is one that is not there.
    pub(crate) fn allow(&self, wanted: Privilege) -> Result<(), Report> {
        let name = || self.name.clone();
        match self.privilege() {
            None => Err(Error::UnknownModel { name: name() }.into()),
            Some(privilege) if privilege >= wanted => Ok(()),
            Some(_) if wanted == Privilege::Own => {
                let owner =
                    role_name(self.owner).unwrap_or_else(|| self.owner.to_u32().to_string());
                Err(Error::NotOwner { name: name(), owner }.into())
            }
            Some(_) => {
                let role = role_name(current_role()).unwrap_or_default();
                Err(Error::NotReader { name: name(), role }.into())
            }
        }
    }

    /// Refuses every role but the owner itself, superusers too: what such a call does next runs with the caller's rights, in a
    /// world that the owner made.
    pub(crate) fn must_be_its_owner(&self) -> Result<(), Report> {
        if current_role() == self.owner {
            return Ok(());
        }
        self.check_owner()?;
        let (name, owner) = (self.name.clone(), role_name(self.owner).unwrap_or_default());
        let can_become = can_become(current_role(), self.owner);
        Err(Error::NotItsOwner { name, owner, can_become }.into())
    }

    /// Refuses what would run as an owner that is no role any more.
    pub(crate) fn check_owner(&self) -> Result<(), Report> {
        match role_name(self.owner) {
            Some(_) => Ok(()),
            None => {
                let (name, owner) = (self.name.clone(), self.owner.to_u32());
                Err(Error::OwnerIsGone { name, owner }.into())
            }
        }
    }
}
