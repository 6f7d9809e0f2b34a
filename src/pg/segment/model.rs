//! Named models of segments: label a row, describe the segments, name them.

use std::collections::HashMap;

use pgrx::pg_sys::FunctionCallInfo;
use pgrx::prelude::*;

use crate::algo::segment::{
    Ended, KMeans, Prepared, Quality, label_in_plain_words, profile_of_model,
};
use crate::pg::call_site::CallSite;
use crate::pg::error::{Error, Report, report};
use crate::pg::record::{Binding, Record};
use crate::pg::registry::{self, Found, LoadError, Model, Version, spi_failed};
use crate::pg::security::with_catalog_names;

pub(super) const KIND: &str = "segments";

/// A version in memory.
pub(super) struct Segments {
    pub(super) model: KMeans,
    pub(super) prepared: Prepared,
}

impl Model for Segments {
    const KIND: &'static str = KIND;

    fn load(version: &Version) -> Result<Self, LoadError> {
        let model: KMeans = registry::decode(version)?;
        model.check().map_err(|error| LoadError::Corrupt(error.to_string()))?;
        let prepared = model.prepare();
        Ok(Self { model, prepared })
    }
}

/// What a call site keeps between rows.
#[derive(Default)]
struct Site {
    found: Found<Segments>,
    binding: Binding,
}

fn with_row<T>(
    model: &str,
    features: Record,
    fcinfo: FunctionCallInfo,
    answer: impl Fn(&Prepared, &[f64]) -> T,
) -> Result<T, Report> {
    let site: &mut Site = CallSite::of(fcinfo).remember(|| Ok(Site::default()))?;
    let (_, segments, is_new) = site.found.get(model)?;
    if is_new {
        site.binding.forget();
    }
    let row = site.binding.numbers(features, &segments.model.features)?;
    Ok(answer(&segments.prepared, row))
}

#[pg_extern]
fn model_segment(
    model: &str,
    features: Record,
    fcinfo: FunctionCallInfo,
) -> Result<Option<i32>, Report> {
    with_row(model, features, fcinfo, |prepared, row| {
        prepared.segment(row).map(|segment| segment as i32)
    })
}

#[pg_extern]
fn model_distance(
    model: &str,
    features: Record,
    fcinfo: FunctionCallInfo,
) -> Result<Option<f64>, Report> {
    with_row(model, features, fcinfo, |prepared, row| prepared.distance(row))
}

/// A segment as people see it.
pub(super) struct Described {
    pub(super) segment: i32,
    pub(super) name: Option<String>,
    pub(super) size: i64,
    pub(super) share: f64,
    pub(super) label: String,
}

/// The segments of a version, with the names that people gave them.
pub(super) fn describe(version: &Version, model: &KMeans) -> Result<Vec<Described>, Report> {
    let mut names = names(version.model_id)?;
    let labels = label_in_plain_words(&profile_of_model(model));
    let described = model.sizes.iter().zip(labels).enumerate().map(|(idx, (&size, label))| {
        let segment = idx as i32 + 1;
        let share = size as f64 / model.n_rows.max(1) as f64;
        Described { segment, name: names.remove(&segment), size: size as i64, share, label }
    });
    Ok(described.collect())
}

fn names(model_id: i64) -> Result<HashMap<i32, String>, Report> {
    with_catalog_names(|| {
        Spi::connect(|client| {
            let rows = client.select(
                "SELECT segment, name FROM persona.segment_name WHERE model_id = $1",
                None,
                &[model_id.into()],
            )?;
            let mut names = HashMap::new();
            for row in rows {
                if let (Some(segment), Some(name)) = (row.get::<i32>(1)?, row.get::<String>(2)?) {
                    names.insert(segment, name);
                }
            }
            Ok(names)
        })
    })
    .map_err(spi_failed)
}

pub(super) type SegmentRow = (i32, Option<String>, i64, f64, String);

pub(super) fn rows(described: Vec<Described>) -> impl Iterator<Item = SegmentRow> {
    described.into_iter().map(|one| (one.segment, one.name, one.size, one.share, one.label))
}

#[pg_extern]
fn model_segments(
    model: &str,
) -> Result<
    TableIterator<
        'static,
        (
            name!(segment, i32),
            name!(name, Option<String>),
            name!(size, i64),
            name!(share, f64),
            name!(label, String),
        ),
    >,
    Report,
> {
    let version = registry::active(model, KIND)?;
    let segments = registry::load::<Segments>(&version)?;
    Ok(TableIterator::new(rows(describe(&version, &segments.model)?)))
}

#[pg_extern]
fn model_segment_profile(
    model: &str,
) -> Result<
    TableIterator<
        'static,
        (
            name!(segment, i32),
            name!(name, Option<String>),
            name!(feature, String),
            name!(mean, f64),
            name!(population_mean, f64),
            name!(difference, f64),
        ),
    >,
    Report,
> {
    let version = registry::active(model, KIND)?;
    let segments = registry::load::<Segments>(&version)?;
    let names = names(version.model_id)?;
    let mut profile = profile_of_model(&segments.model);
    // What sets a segment apart comes first; equal ones stay in the order of the features.
    profile.sort_by(|a, b| a.segment.cmp(&b.segment).then(b.z.abs().total_cmp(&a.z.abs())));
    Ok(TableIterator::new(profile.into_iter().map(move |row| {
        let segment = row.segment as i32;
        let name = names.get(&segment).cloned();
        (segment, name, row.feature, row.mean, row.population_mean, row.z)
    })))
}

#[pg_extern]
fn model_segment_quality(
    model: &str,
) -> Result<
    TableIterator<
        'static,
        (
            name!(version, i32),
            name!(k, i32),
            name!(n_rows, i64),
            name!(inertia, f64),
            name!(silhouette, Option<f64>),
            name!(silhouette_rows, Option<i64>),
            name!(davies_bouldin, Option<f64>),
            name!(calinski_harabasz, Option<f64>),
            name!(iterations, i32),
            name!(is_converged, bool),
        ),
    >,
    Report,
> {
    let version = registry::active(model, KIND)?;
    let segments = registry::load::<Segments>(&version)?;
    let model = &segments.model;
    // A version without the figures is none of ours, or older than they are.
    let quality: Option<Quality> =
        serde_json::from_value(registry::metrics(&version)?["quality"].take()).unwrap_or_default();
    Ok(TableIterator::once((
        version.version,
        model.k() as i32,
        model.n_rows as i64,
        model.inertia,
        quality.and_then(|quality| quality.silhouette),
        quality.map(|quality| quality.silhouette_rows as i64),
        quality.and_then(|quality| quality.davies_bouldin),
        quality.and_then(|quality| quality.calinski_harabasz),
        model.iterations as i32,
        model.ended == Ended::Converged,
    )))
}

#[pg_extern]
fn name_segment(
    model: Option<&str>,
    segment: Option<i32>,
    name: Option<&str>,
) -> Result<(), Report> {
    let model = model.ok_or(Error::NullArgument { argument: "model" })?;
    let segment = segment.ok_or(Error::NullArgument { argument: "segment" })?;
    registry::lock(model, Some(KIND), true)?;
    let version = registry::active(model, KIND)?;
    let k = registry::load::<Segments>(&version)?.model.k();
    if segment < 1 || segment as usize > k {
        return Err(report(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("model \"{model}\" has no segment {segment}"),
        )
        .set_hint(format!("Its segments are numbered from 1 to {k}.")));
    }
    if name == Some("") {
        return Err(report(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "the name of a segment must not be empty",
        )
        .set_hint("NULL takes a name away."));
    }
    with_catalog_names(|| {
        Spi::connect_mut(|client| {
            match name {
                Some(name) => client.update(
                    "INSERT INTO persona.segment_name (model_id, segment, name) VALUES ($1, $2, $3) \
                     ON CONFLICT (model_id, segment) DO UPDATE SET name = excluded.name",
                    None,
                    &[version.model_id.into(), segment.into(), name.into()],
                )?,
                None => client.update(
                    "DELETE FROM persona.segment_name WHERE model_id = $1 AND segment = $2",
                    None,
                    &[version.model_id.into(), segment.into()],
                )?,
            };
            Ok(())
        })
    })
    .map_err(spi_failed)
}
