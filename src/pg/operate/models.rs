//! Activating, dropping, renaming, granting and giving away models: the owner's rights.

use pgrx::pg_sys::Oid;
use pgrx::prelude::*;

use super::publish;
use crate::pg::error::{Error, Report, report};
use crate::pg::registry::{self, Model, Privilege, change, lock_existing, lock_free_name};
use crate::pg::security::{can_become, current_role, is_superuser, role_name, role_of_name};

#[pg_extern]
fn activate(model: &str, version: i32, publish: bool) -> Result<(), Report> {
    let model = lock_owned(model)?;
    model.check_owner()?;
    let version = registry::fresh(|| model.version(version))?;
    change(
        "UPDATE persona.model SET active_version = $2 WHERE id = $1",
        &[model.id.into(), version.version.into()],
    )?;
    if publish {
        publish::follow(&version, None)?;
    }
    Ok(())
}

/// What belongs to the model goes with it.
#[pg_extern]
fn drop_model(model: &str) -> Result<(), Report> {
    let model = lock_owned(model)?;
    change("DELETE FROM persona.model WHERE id = $1", &[model.id.into()])
}

#[pg_extern]
fn rename_model(model: &str, new_name: &str) -> Result<(), Report> {
    let model = lock_owned(model)?;
    lock_free_name(new_name)?;
    change("UPDATE persona.model SET name = $2 WHERE id = $1", &[model.id.into(), new_name.into()])
}

/// A role has the most that it was granted: to use, or to read, which includes to use.
#[pg_extern]
fn grant_model(model: &str, role: &str, privilege: &str) -> Result<(), Report> {
    let privilege = Privilege::granted(privilege)?;
    let model = lock_owned(model)?;
    let role = grantee(role)?;
    match privilege {
        Privilege::Use => change(
            "UPDATE persona.model SET users = array_append(users, $2::oid::persona.role) \
             WHERE id = $1 AND $2::oid::persona.role <> ALL (users || readers)",
            &[model.id.into(), role.into()],
        ),
        Privilege::Read | Privilege::Own => change(
            "UPDATE persona.model SET users = array_remove(users, $2::oid::persona.role), readers = array_append(readers, $2::oid::persona.role) \
             WHERE id = $1 AND $2::oid::persona.role <> ALL (readers)",
            &[model.id.into(), role.into()],
        ),
    }
}

/// Without the right to use, nothing is left; without the right to read, that to use.
#[pg_extern]
fn revoke_model(model: &str, role: &str, privilege: &str) -> Result<(), Report> {
    let privilege = Privilege::granted(privilege)?;
    let model = lock_owned(model)?;
    let role = grantee(role)?;
    match privilege {
        Privilege::Use => change(
            "UPDATE persona.model SET users = array_remove(users, $2::oid::persona.role), readers = array_remove(readers, $2::oid::persona.role) \
             WHERE id = $1",
            &[model.id.into(), role.into()],
        ),
        Privilege::Read | Privilege::Own => change(
            "UPDATE persona.model SET users = array_append(users, $2::oid::persona.role), readers = array_remove(readers, $2::oid::persona.role) \
             WHERE id = $1 AND $2::oid::persona.role = ANY (readers)",
            &[model.id.into(), role.into()],
        ),
    }
}

/// Takes the model's lock, for a caller who has the owner's rights.
fn lock_owned(model: &str) -> Result<Model, Report> {
    lock_existing(model, |model| model.allow(Privilege::Own))
}

/// Gives the model to another role. What a model's sources run, a refit runs as its owner: so the caller must be able to become that
/// role, and from a superuser, who can become any, the role gets a model without sources unless he says that he trusts them.
#[pg_extern]
fn set_owner(
    model: Option<&str>,
    role: Option<&str>,
    keep_sources: Option<bool>,
) -> Result<(), Report> {
    let model = lock_owned(model.ok_or(Error::NullArgument { argument: "model" })?)?;
    let role = existing_role(role.ok_or(Error::NullArgument { argument: "role" })?)?;
    let caller = current_role();
    if !can_become(caller, role) {
        let name = role_name(role).unwrap_or_default();
        return Err(report(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("must be able to SET ROLE \"{name}\""),
        ));
    }
    if role == model.owner {
        return Ok(());
    }
    if !keep_sources.unwrap_or(!is_superuser(caller)) {
        change("DELETE FROM persona.publication WHERE model_id = $1", &[model.id.into()])?;
        change(
            "UPDATE persona.model_version SET source = NULL WHERE model_id = $1",
            &[model.id.into()],
        )?;
    }
    change(
        "UPDATE persona.model SET owner = $2, users = array_remove(users, $2::oid::persona.role), \
         readers = array_remove(readers, $2::oid::persona.role) WHERE id = $1",
        &[model.id.into(), role.into()],
    )
}

/// The number of the role of this name; 0, which pgrx takes for NULL as an oid, for `public`.
fn grantee(role: &str) -> Result<i64, Report> {
    if role == "public" { Ok(0) } else { existing_role(role).map(|role| role.to_u32().into()) }
}

fn existing_role(role: &str) -> Result<Oid, Report> {
    role_of_name(role).ok_or_else(|| {
        report(PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT, format!("role \"{role}\" does not exist"))
    })
}
