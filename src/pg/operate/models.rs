//! Activating, dropping, renaming and granting models. Row-level security lets the owner alone change the rows.

use pgrx::prelude::*;

use crate::pg::error::{Error, Report, report};
use crate::pg::registry::{self, change, spi_failed};
use crate::pg::security::with_catalog_names;

#[pg_extern]
fn activate(model: &str, version: i32) -> Result<(), Report> {
    lock_existing(model)?;
    let version = registry::find(model, Some(version))?;
    change(
        "UPDATE persona.model SET active_version = $2 WHERE id = $1",
        &[version.model_id.into(), version.version.into()],
    )
}

#[pg_extern]
fn drop_model(model: &str) -> Result<(), Report> {
    lock_existing(model)?;
    // In one statement: row-level security shows what belongs to a model while the model is there.
    change(
        "WITH m AS (SELECT id FROM persona.model WHERE name = $1), \
         chunks AS (DELETE FROM persona.model_chunk c USING m WHERE c.model_id = m.id), \
         versions AS (DELETE FROM persona.model_version v USING m WHERE v.model_id = m.id), \
         names AS (DELETE FROM persona.segment_name s USING m WHERE s.model_id = m.id), \
         publications AS (DELETE FROM persona.publication p USING m WHERE p.model_id = m.id), \
         runs AS (DELETE FROM persona.refit_run r USING m WHERE r.model_id = m.id) \
         DELETE FROM persona.model d USING m WHERE d.id = m.id",
        &[model.into()],
    )
}

#[pg_extern]
fn rename_model(model: &str, new_name: &str) -> Result<(), Report> {
    lock_existing(model)?;
    registry::lock(new_name, None, true)?;
    let taken = with_catalog_names(|| {
        Spi::connect(|client| {
            let query = "SELECT kind FROM persona.model WHERE name = $1";
            let rows = client.select(query, Some(1), &[new_name.into()])?;
            if rows.is_empty() { Ok(None) } else { rows.first().get_one::<String>() }
        })
    })
    .map_err(spi_failed)?;
    if taken.is_some() {
        return Err(Error::NameTaken { name: new_name.to_owned(), kind: taken }.into());
    }
    change("UPDATE persona.model SET name = $2 WHERE name = $1", &[model.into(), new_name.into()])
}

#[pg_extern]
fn grant_model(model: &str, role: &str) -> Result<(), Report> {
    lock_existing(model)?;
    change(
        "UPDATE persona.model SET readers = array_append(array_remove(readers, $2::text::regrole), $2::text::regrole) WHERE name = $1",
        &[model.into(), reader(role)?.into()],
    )
}

#[pg_extern]
fn revoke_model(model: &str, role: &str) -> Result<(), Report> {
    lock_existing(model)?;
    change(
        "UPDATE persona.model SET readers = array_remove(readers, $2::text::regrole) WHERE name = $1",
        &[model.into(), reader(role)?.into()],
    )
}

/// Takes the model's lock; the model is there and the caller its owner.
fn lock_existing(model: &str) -> Result<(), Report> {
    registry::lock(model, None, true)?;
    registry::find(model, None).map(|_| ())
}

/// The role of this name, as regrole reads it by number; 0 for `public`, which is no role and stands for all.
fn reader(role: &str) -> Result<String, Report> {
    if role == "public" {
        return Ok("0".into());
    }
    let found = Spi::connect(|client| {
        let query =
            "SELECT oid::text FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) $1";
        let rows = client.select(query, Some(1), &[role.into()])?;
        if rows.is_empty() { Ok(None) } else { rows.first().get_one::<String>() }
    });
    found.map_err(spi_failed)?.ok_or_else(|| {
        report(PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT, format!("role \"{role}\" does not exist"))
    })
}
