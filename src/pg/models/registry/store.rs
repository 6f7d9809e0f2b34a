//! Writing versions of models, which never change once written.

use pgrx::JsonB;
use pgrx::prelude::*;
use sha2::{Digest, Sha256};

use crate::pg::error::{Error, Report};
use crate::pg::kind::Kind;
use crate::pg::sys::query::spi_failed;
use crate::pg::sys::security::current_role;
use crate::pg::types::options::{required, within};

use super::gate::through;
use super::{Path, Version};

/// What a fit or an import writes.
pub(crate) struct NewVersion<'a> {
    pub(crate) model: &'a str,
    pub(crate) kind: Kind,
    pub(crate) algorithm: &'a str,
    pub(crate) payload: &'a [u8],
    pub(crate) n_rows: usize,
    pub(crate) features: Vec<String>,
    /// The arguments of the fit, by which a refit runs it again.
    pub(crate) parameters: serde_json::Value,
    pub(crate) metrics: serde_json::Value,
    pub(crate) source: Option<&'a str>,
    pub(crate) filing: Filing,
}

/// What becomes of a version when it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filing {
    pub(crate) activate: bool,
    publish: bool,
    /// None for what the model has.
    keep_versions: Option<i64>,
}

impl Filing {
    /// That of a refit: whether it publishes is for the refit to say.
    pub(crate) const REFIT: Self = Self { activate: true, publish: false, keep_versions: None };

    /// From the arguments of a fit or an import.
    pub(crate) fn of(
        activate: Option<bool>,
        publish: Option<bool>,
        keep_versions: Option<i64>,
    ) -> Result<Self, Report> {
        let at_least_one = |n| within("keep_versions", n, 1.., "1 and more");
        let keep_versions = keep_versions.map(at_least_one).transpose()?;
        Ok(Self {
            activate: required(activate, "activate")?,
            publish: required(publish, "publish")?,
            keep_versions,
        })
    }

    /// Whether the tables that the model is published into are to be written again.
    pub(crate) fn publishes(self) -> bool {
        self.activate && self.publish
    }
}

/// The bytes of a chunk in the registry: an out-of-line value that is fetched quickly.
const CHUNK: usize = 1 << 20;

/// Writes a version, and the model if it is new; returns it. The caller is the model's owner and has its lock.
pub(crate) fn store(new: &NewVersion) -> Result<Version, Report> {
    let sha256: [u8; 32] = Sha256::digest(new.payload).into();
    let owner = current_role();
    let path = Path::current()?;
    let stored = through(|| {
        Spi::connect_mut(|client| {
            client.update(
                "INSERT INTO persona.model (name, kind, owner) VALUES ($1, $2, $3) ON CONFLICT (persona.hidden(name)) DO NOTHING",
                None,
                &[new.model.into(), new.kind.name().into(), owner.into()],
            )?;
            // Under an old snapshot the model may have been changed or dropped since: then this is an error.
            client.update(
                "SELECT FROM persona.model WHERE persona.hidden(name) = $1 FOR NO KEY UPDATE",
                None,
                &[new.model.into()],
            )?;
            let rows = client.update(
                "SELECT id, last_version + 1, active_version FROM persona.model WHERE persona.hidden(name) = $1 AND owner = $2",
                Some(1),
                &[new.model.into(), owner.into()],
            )?;
            if rows.is_empty() {
                return Ok(None);
            }
            let (Some(model_id), Some(version), replaced) =
                rows.first().get_three::<i64, i32, i32>()?
            else {
                return Ok(None);
            };
            let written = client.update(
                "INSERT INTO persona.model_version (model_id, version, algorithm, n_rows, features, parameters, \
                 metrics, source, search_path, sha256, n_bytes, created_by, path_owners) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13::oid[]::persona.role[]) RETURNING created_at",
                Some(1),
                &[
                    model_id.into(),
                    version.into(),
                    new.algorithm.into(),
                    (new.n_rows as i64).into(),
                    new.features.clone().into(),
                    JsonB(new.parameters.clone()).into(),
                    JsonB(new.metrics.clone()).into(),
                    new.source.into(),
                    path.schemas.as_str().into(),
                    sha256.as_slice().into(),
                    (new.payload.len() as i64).into(),
                    owner.into(),
                    path.owners.clone().into(),
                ],
            )?;
            let written_at = written.first().get_one::<TimestampWithTimeZone>()?;
            for (position, chunk) in new.payload.chunks(CHUNK).enumerate() {
                client.update(
                    "INSERT INTO persona.model_chunk (model_id, version, position, bytes) VALUES ($1, $2, $3, $4)",
                    None,
                    &[model_id.into(), version.into(), (position as i32).into(), chunk.into()],
                )?;
            }
            // Changed in any case: under an older snapshot nobody can make a version active that is dropped here.
            let active = if new.filing.activate { Some(version) } else { replaced };
            client.update(
                "UPDATE persona.model SET active_version = $2, last_version = $3, keep_versions = coalesce($4, keep_versions) WHERE id = $1",
                None,
                &[model_id.into(), active.into(), version.into(), new.filing.keep_versions.into()],
            )?;
            // What is kept: the newest, the active one, and the one that this one replaces, however old it is.
            client.update(
                "DELETE FROM persona.model_version v USING persona.model m WHERE m.id = $1 AND v.model_id = m.id \
                 AND v.version IS DISTINCT FROM m.active_version AND v.version IS DISTINCT FROM $3 \
                 AND v.version <= $2 - m.keep_versions",
                None,
                &[model_id.into(), version.into(), replaced.into()],
            )?;
            Ok(Some(Version {
                model_id,
                name: new.model.to_owned(),
                kind: new.kind,
                owner,
                version,
                algorithm: new.algorithm.to_owned(),
                sha256,
                written_at: written_at.map_or(0, i64::from),
            }))
        })
        .map_err(spi_failed)
    })?;
    stored.ok_or_else(|| Error::NameTaken { name: new.model.to_owned(), kind: None }.into())
}
