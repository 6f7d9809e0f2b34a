//! What a version keeps beside its model: by what it was measured, and what it has learnt from.
//!
//! No figure of a model needs it, and no call that scores reads it. It goes with its version.

use crate::pg::error::Report;

use super::{Version, change, select_one};

/// By its number in the registry.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Evidence {
    /// Labels and scores of the rows that were held out.
    HoldoutScores = 1,
    /// Hashes of rows that the fit has learnt from.
    RowsOfTheFit = 2,
}

/// Keeps it with a version that was just written.
pub(crate) fn keep(version: &Version, what: Evidence, bytes: &[u8]) -> Result<(), Report> {
    change(
        "INSERT INTO persona.model_evidence (model_id, version, kind, bytes) VALUES ($1, $2, $3, $4)",
        &[version.model_id.into(), version.version.into(), (what as i32).into(), bytes.into()],
    )
}

/// None where the version has none.
pub(crate) fn of(version: &Version, what: Evidence) -> Result<Option<Vec<u8>>, Report> {
    let bytes = select_one(
        "SELECT bytes FROM persona.model_evidence WHERE model_id = $1 AND version = $2 AND kind = $3",
        &[version.model_id.into(), version.version.into(), (what as i32).into()],
        |row| row.get::<Vec<u8>>(1),
    )?;
    Ok(bytes.flatten())
}
