//! Activating, dropping, renaming and granting models: the owner's rights.

use pgrx::prelude::*;

use crate::pg::error::{Report, report};
use crate::pg::query::spi_failed;
use crate::pg::registry::{self, Model, Privilege, change, lock_existing, lock_free_name};

#[pg_extern]
fn activate(model: &str, version: i32) -> Result<(), Report> {
    let model = lock_owned(model)?;
    let version = registry::fresh(|| model.version(version))?;
    change(
        "UPDATE persona.model SET active_version = $2 WHERE id = $1",
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
            "UPDATE persona.model SET users = array_append(users, $2::oid::regrole) \
             WHERE id = $1 AND $2::oid::regrole <> ALL (users || readers)",
            &[model.id.into(), role.into()],
        ),
        Privilege::Read | Privilege::Own => change(
            "UPDATE persona.model SET users = array_remove(users, $2::oid::regrole), readers = array_append(readers, $2::oid::regrole) \
             WHERE id = $1 AND $2::oid::regrole <> ALL (readers)",
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
            "UPDATE persona.model SET users = array_remove(users, $2::oid::regrole), readers = array_remove(readers, $2::oid::regrole) \
             WHERE id = $1",
            &[model.id.into(), role.into()],
        ),
        Privilege::Read | Privilege::Own => change(
            "UPDATE persona.model SET users = array_append(users, $2::oid::regrole), readers = array_remove(readers, $2::oid::regrole) \
             WHERE id = $1 AND $2::oid::regrole = ANY (readers)",
            &[model.id.into(), role.into()],
        ),
    }
}

/// Takes the model's lock, for a caller who has the owner's rights.
fn lock_owned(model: &str) -> Result<Model, Report> {
    lock_existing(model, |model| model.allow(Privilege::Own))
}

/// The number of the role of this name; 0 for `public`, which is no role and stands for all.
fn grantee(role: &str) -> Result<i64, Report> {
    if role == "public" {
        return Ok(0);
    }
    let found = Spi::connect(|client| {
        let query =
            "SELECT oid::bigint FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) $1";
        let rows = client.select(query, Some(1), &[role.into()])?;
        if rows.is_empty() { Ok(None) } else { rows.first().get_one::<i64>() }
    });
    found.map_err(spi_failed)?.ok_or_else(|| {
        report(PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT, format!("role \"{role}\" does not exist"))
    })
}
