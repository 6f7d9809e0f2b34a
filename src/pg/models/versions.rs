//! Activating, dropping, renaming, granting and giving away models: the owner's rights.

use pgrx::pg_sys::Oid;
use pgrx::prelude::*;

use super::publish;
use crate::pg::error::{Report, report};
use crate::pg::models::registry::{self, Model, Privilege, change, lock_existing, lock_free_name};
use crate::pg::sys::security::{
    can_become, current_role, has_rights_of, is_superuser, role_name, role_of_name,
};
use crate::pg::types::options::required;

#[pg_extern]
fn activate(model: &str, version: i64, publish: bool) -> Result<(), Report> {
    let model = lock_owned(model)?;
    model.check_owner()?;
    let version = registry::fresh(|| model.version(version))?;
    change(
        "UPDATE persona.model SET active_version = $2 WHERE id = $1",
        &[model.id.into(), version.version.into()],
    )?;
    if publish {
        publish::follow(&version, None, None)?;
    }
    Ok(())
}

/// Its number is not given to another version.
#[pg_extern]
fn drop_version(model: &str, version: i64) -> Result<(), Report> {
    let model = lock_owned(model)?;
    let version = registry::fresh(|| model.version(version))?;
    if registry::fresh(|| model.active())?.is_some_and(|active| active == version) {
        return Err(report(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("version {} of model \"{}\" is the active one", version.version, model.name),
        )
        .set_hint("Make another version active with persona.activate first, or drop the model."));
    }
    change(
        "DELETE FROM persona.model_version WHERE model_id = $1 AND version = $2",
        &[model.id.into(), version.version.into()],
    )
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

/// As grant_model, on each model that the owner has now. Returns how many these are.
#[pg_extern]
fn grant_models(owner: &str, role: &str, privilege: &str) -> Result<i64, Report> {
    check_grant(role, privilege)?;
    each_of(owner, |model| grant_model(model, role, privilege))
}

/// As revoke_model, on each model that the owner has now.
#[pg_extern]
fn revoke_models(owner: &str, role: &str, privilege: &str) -> Result<i64, Report> {
    check_grant(role, privilege)?;
    each_of(owner, |model| revoke_model(model, role, privilege))
}

/// Where the owner has no model, what was asked is judged all the same.
fn check_grant(role: &str, privilege: &str) -> Result<(), Report> {
    Privilege::granted(privilege)?;
    grantee(role).map(drop)
}

/// In the order of their names, so that two who change the same ones do not wait for each other.
fn each_of(owner: &str, change: impl Fn(&str) -> Result<(), Report>) -> Result<i64, Report> {
    let role = existing_role(owner)?;
    if !has_rights_of(current_role(), role) {
        return Err(report(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("must have the rights of role \"{owner}\""),
        )
        .set_hint("Only an owner, its members and superusers grant and revoke."));
    }
    let names = registry::fresh(|| {
        registry::select(
            "SELECT name FROM persona.model WHERE owner = $1 ORDER BY name",
            &[role.into()],
            |row| row.get::<String>(1).unwrap_or_default(),
        )
    })?;
    for name in &names {
        change(name)?;
    }
    Ok(names.len() as i64)
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
    let model = lock_owned(required(model, "model")?)?;
    let role = existing_role(required(role, "role")?)?;
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
            .set_hint("The view pg_roles lists the roles; in grants, public is everybody.")
    })
}
