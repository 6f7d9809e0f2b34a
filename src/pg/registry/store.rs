//! Writing models: one fit, refit or activation of a model at a time, by its owner, and versions that never change.

use pgrx::prelude::*;
use pgrx::{JsonB, pg_sys};
use sha2::{Digest, Sha256};

use crate::pg::error::{Error, Report, report};
use crate::pg::security::{current_role, has_rights_of, is_read_only, with_catalog_names};

use super::{Version, current_search_path, spi_failed};

/// What a fit or an import writes.
pub(crate) struct NewVersion<'a> {
    pub(crate) model: &'a str,
    pub(crate) kind: &'static str,
    pub(crate) algorithm: &'a str,
    pub(crate) payload: &'a [u8],
    pub(crate) n_rows: usize,
    pub(crate) features: Vec<String>,
    /// The arguments of the fit, by which a refit runs it again.
    pub(crate) parameters: serde_json::Value,
    pub(crate) metrics: serde_json::Value,
    pub(crate) source: Option<&'a str>,
    pub(crate) activate: bool,
}

/// The bytes of a chunk in the registry: an out-of-line value that is fetched quickly.
const CHUNK: usize = 1 << 20;

/// Checks that the name can be written by the current role, before a long fit begins; takes the model's lock, so that one
/// fit, refit or activation of a model runs at a time. False: another session has the lock and `wait` is false.
pub(crate) fn lock(name: &str, kind: Option<&str>, wait: bool) -> Result<bool, Report> {
    if name.is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
        return Err(Error::InvalidModelName { name: name.to_owned() }.into());
    }
    // Here and not at the first write, which would find out after the fit; on a standby it would even ask for a
    // transaction id, which is an internal error.
    if is_read_only() {
        return Err(report(
            PgSqlErrorCode::ERRCODE_READ_ONLY_SQL_TRANSACTION,
            format!("cannot change model \"{name}\" in a read-only transaction"),
        ));
    }
    let query = if wait {
        "SELECT pg_advisory_xact_lock(1886548595, hashtext($1)) IS NOT NULL"
    } else {
        "SELECT pg_try_advisory_xact_lock(1886548595, hashtext($1))"
    };
    let (locked, found) = with_catalog_names(|| {
        Spi::connect_mut(|client| {
            let locked =
                client.update(query, Some(1), &[name.into()])?.first().get_one::<bool>()?;
            let rows = client.update(
                "SELECT kind, owner::pg_catalog.oid FROM persona.model WHERE name = $1",
                Some(1),
                &[name.into()],
            )?;
            let found = if rows.is_empty() {
                None
            } else {
                Some(rows.first().get_two::<String, pg_sys::Oid>()?)
            };
            Ok((locked, found))
        })
    })
    .map_err(spi_failed)?;
    if locked == Some(false) {
        return Ok(false);
    }
    if let Some((Some(is), Some(owner))) = found {
        if !has_rights_of(current_role(), owner) {
            return Err(Error::NotOwner { name: name.to_owned() }.into());
        }
        if kind.is_some_and(|kind| kind != is) {
            return Err(Error::NameTaken { name: name.to_owned(), kind: Some(is) }.into());
        }
    }
    Ok(true)
}

/// Writes a version, and the model if it is new; returns it. The caller holds the model's [`lock`].
pub(crate) fn store(new: &NewVersion) -> Result<Version, Report> {
    let sha256: [u8; 32] = Sha256::digest(new.payload).into();
    let owner = current_role();
    let search_path = current_search_path();
    let stored = with_catalog_names(|| {
        Spi::connect_mut(|client| {
            client.update(
                "INSERT INTO persona.model (name, kind, owner) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
                None,
                &[new.model.into(), new.kind.into(), owner.into()],
            )?;
            // Under an old snapshot the model may have been changed or dropped since: then this is an error.
            client.update(
                "SELECT FROM persona.model WHERE name = $1 FOR NO KEY UPDATE",
                None,
                &[new.model.into()],
            )?;
            let rows = client.update(
                "SELECT m.id, coalesce(max(v.version), 0) + 1, m.owner::pg_catalog.oid FROM persona.model m \
                 LEFT JOIN persona.model_version v ON v.model_id = m.id WHERE m.name = $1 GROUP BY m.id",
                Some(1),
                &[new.model.into()],
            )?;
            if rows.is_empty() {
                return Ok(None);
            }
            let (Some(model_id), Some(version), Some(owner)) =
                rows.first().get_three::<i64, i32, pg_sys::Oid>()?
            else {
                return Ok(None);
            };
            client.update(
                "INSERT INTO persona.model_version (model_id, version, algorithm, n_rows, features, parameters, \
                 metrics, source, search_path, sha256, n_bytes, created_by) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
                None,
                &[
                    model_id.into(),
                    version.into(),
                    new.algorithm.into(),
                    (new.n_rows as i64).into(),
                    new.features.clone().into(),
                    JsonB(new.parameters.clone()).into(),
                    JsonB(new.metrics.clone()).into(),
                    new.source.into(),
                    search_path.as_str().into(),
                    sha256.as_slice().into(),
                    (new.payload.len() as i64).into(),
                    current_role().into(),
                ],
            )?;
            for (position, chunk) in new.payload.chunks(CHUNK).enumerate() {
                client.update(
                    "INSERT INTO persona.model_chunk (model_id, version, position, bytes) VALUES ($1, $2, $3, $4)",
                    None,
                    &[model_id.into(), version.into(), (position as i32).into(), chunk.into()],
                )?;
            }
            if new.activate {
                client.update(
                    "UPDATE persona.model SET active_version = $2 WHERE id = $1",
                    None,
                    &[model_id.into(), version.into()],
                )?;
            }
            client.update(
                "WITH old AS (SELECT v.model_id, v.version FROM persona.model_version v JOIN persona.model m \
                 ON m.id = v.model_id WHERE m.id = $1 AND v.version IS DISTINCT FROM m.active_version \
                 AND v.version <= $2 - m.keep_versions), \
                 chunks AS (DELETE FROM persona.model_chunk c USING old \
                 WHERE c.model_id = old.model_id AND c.version = old.version) \
                 DELETE FROM persona.model_version v USING old \
                 WHERE v.model_id = old.model_id AND v.version = old.version",
                None,
                &[model_id.into(), version.into()],
            )?;
            Ok(Some(Version {
                model_id,
                name: new.model.to_owned(),
                kind: new.kind.to_owned(),
                owner,
                version,
                algorithm: new.algorithm.to_owned(),
                sha256,
            }))
        })
    })
    .map_err(spi_failed)?;
    // The name is taken by a model that row-level security hides from this role.
    stored.ok_or_else(|| Error::NameTaken { name: new.model.to_owned(), kind: None }.into())
}
