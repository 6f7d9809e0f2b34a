//! What a fitted scorer keeps of its rows: label and score of those that were held out, and hashes of those that it has learnt from.

use pgrx::prelude::*;
use serde::de::DeserializeOwned;

use crate::algo::memory;
use crate::algo::score::{Fit, Holdout, Seen};
use crate::pg::error::{Report, report};
use crate::pg::models::registry::evidence::{self, Evidence};
use crate::pg::models::registry::{self, Privilege, Stored, Version, encode};

use super::scoring::Scoring;
use crate::pg::types::options::required;

#[pg_extern]
fn holdout_scores(
    model: Option<&str>,
    version: Option<i64>,
) -> Result<TableIterator<'static, (name!(label, bool), name!(score, f64))>, Report> {
    let model = registry::find(required(model, "model")?, Privilege::Read)?;
    model.check_kind(Scoring::KIND)?;
    let version = match version {
        Some(version) => model.version(version)?,
        None => model.live()?,
    };
    let holdout = of(&version)?;
    Ok(TableIterator::new(holdout.labels.into_iter().zip(holdout.scores)))
}

/// Label and score of the rows that a version's fit has held out.
pub(super) fn of(version: &Version) -> Result<Holdout, Report> {
    let Some(holdout) = read::<Holdout>(version, Evidence::HoldoutScores)? else {
        return Err(report(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "version {} of model \"{}\" has no holdout scores",
                version.version, version.name
            ),
        )
        .set_detail("It was imported, or was fitted without holding rows out."));
    };
    if !holdout.is_whole() {
        return Err(version.corrupt("its holdout scores do not fit together"));
    }
    Ok(holdout)
}

/// Keeps both with a version that was just written.
pub(super) fn keep(version: &Version, fit: &Fit) -> Result<(), Report> {
    if !fit.holdout.scores.is_empty() {
        evidence::keep(version, Evidence::HoldoutScores, &encode(&fit.holdout)?)?;
    }
    evidence::keep(version, Evidence::RowsOfTheFit, &encode(&fit.seen)?)
}

pub(super) fn rows_of_the_fit(version: &Version) -> Result<Option<Seen>, Report> {
    read(version, Evidence::RowsOfTheFit)
}

fn read<T: DeserializeOwned>(version: &Version, what: Evidence) -> Result<Option<T>, Report> {
    let Some(bytes) = evidence::of(version, what)? else { return Ok(None) };
    memory::probe_decoding(bytes.len())?;
    match postcard::from_bytes(&bytes) {
        Ok(found) => Ok(Some(found)),
        Err(error) => Err(version.corrupt(error.to_string())),
    }
}
