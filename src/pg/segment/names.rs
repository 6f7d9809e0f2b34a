//! Names that people gave to segments.
//!
//! A name belongs to a segment's number, and a number means the same from a fit through all its refits: the versions of one
//! numbering. A new fit numbers anew, whatever its k; a name then goes with its segment to the new one that succeeds it.

use std::collections::HashMap;

use pgrx::prelude::*;

use crate::algo::segment::successors;
use crate::pg::error::{Report, report};
use crate::pg::models::registry::{self, Privilege, Version, change, select};
use crate::pg::types::options::required;

use super::model::{KIND, Segments};

/// What a refit leaves as people know it from the fit.
pub(super) struct Known {
    /// The version with which the numbering of the segments began.
    pub(super) numbering: i32,
    /// What sets each segment apart, in words; None for a fit, whose own words are in its model.
    pub(super) words: Option<Vec<String>>,
}

impl Known {
    pub(super) fn of(version: &Version) -> Result<Self, Report> {
        let mut metrics = registry::metrics(version)?;
        let began = metrics["numbering"].as_i64();
        Ok(Self {
            numbering: began.map_or(version.version, |began| began as i32),
            words: serde_json::from_value(metrics["labels"].take()).unwrap_or_default(),
        })
    }
}

/// The names of the segments of a numbering.
pub(super) fn names(model_id: i64, numbering: i32) -> Result<HashMap<i32, String>, Report> {
    let names = select(
        "SELECT segment, name FROM persona.segment_name WHERE model_id = $1 AND numbering = $2",
        &[model_id.into(), numbering.into()],
        |row| row.get::<i32>(1).zip(row.get::<String>(2)),
    )?;
    Ok(names.into_iter().flatten().collect())
}

#[pg_extern]
fn name_segment(
    model: Option<&str>,
    segment: Option<i64>,
    name: Option<&str>,
) -> Result<(), Report> {
    let model = required(model, "model")?;
    let segment = required(segment, "segment")?;
    let found = registry::lock_existing(model, |model| {
        model.allow(Privilege::Own)?;
        model.check_kind(KIND)
    })?;
    let (version, k, numbering) = registry::fresh(|| {
        let version = found.live()?;
        let k = registry::load::<Segments>(&version)?.model.k();
        let numbering = Known::of(&version)?.numbering;
        Ok::<_, Report>((version, k, numbering))
    })?;
    let Some(segment) = (1..=k as i32).find(|one| i64::from(*one) == segment) else {
        return Err(report(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("model \"{model}\" has no segment {segment}"),
        )
        .set_hint(format!("Its segments are numbered from 1 to {k}.")));
    };
    if name == Some("") {
        return Err(report(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "the name of a segment must not be empty",
        )
        .set_hint("NULL takes a name away."));
    }
    match name {
        Some(name) => keep(version.model_id, numbering, segment, name),
        None => change(
            "DELETE FROM persona.segment_name WHERE model_id = $1 AND numbering = $2 AND segment = $3",
            &[version.model_id.into(), numbering.into(), segment.into()],
        ),
    }
}

/// Gives the segments of a fresh fit the names of those that they succeed; what is lost is told to the user.
pub(super) fn carry(before: &Version, fresh: &Version) -> Result<(), Report> {
    let names = names(before.model_id, Known::of(before)?.numbering)?;
    if names.is_empty() {
        return Ok(());
    }
    let new = registry::load::<Segments>(fresh)?;
    // A version that cannot be read any more is no reason to fail: this fit is in its place.
    let successors = registry::load::<Segments>(before)
        .map_or_else(|_| Vec::new(), |old| successors(&old.model, &new.model));
    let mut lost: Vec<&str> = Vec::new();
    for (&segment, name) in &names {
        let successor = segment.checked_sub(1).and_then(|idx| *successors.get(idx as usize)?);
        match successor {
            Some(successor) => keep(fresh.model_id, fresh.version, successor as i32, name)?,
            None => lost.push(name),
        }
    }
    if !lost.is_empty() {
        lost.sort_unstable();
        notice!("no segment of the new fit succeeds those named {}", lost.join(", "));
    }
    change(
        "DELETE FROM persona.segment_name WHERE model_id = $1 AND numbering NOT IN \
         (SELECT coalesce((metrics->>'numbering')::integer, version) FROM persona.model_version WHERE model_id = $1)",
        &[fresh.model_id.into()],
    )
}

fn keep(model_id: i64, numbering: i32, segment: i32, name: &str) -> Result<(), Report> {
    change(
        "INSERT INTO persona.segment_name (model_id, numbering, segment, name) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (model_id, numbering, segment) DO UPDATE SET name = excluded.name",
        &[model_id.into(), numbering.into(), segment.into(), name.into()],
    )
}
