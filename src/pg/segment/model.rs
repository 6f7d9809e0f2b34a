//! Named models of segments: label a row, describe the segments.

use pgrx::JsonB;
use pgrx::prelude::*;

use crate::algo::encode::categories::Encoder;
use crate::algo::segment::{
    Category, Ended, KMeans, Prepared, Quality, Wanted, in_plain_words, profile,
};
use crate::pg::error::{Error, Report};
use crate::pg::kind::Kind;
use crate::pg::models::registry::{self, Found, LoadError, Privilege, Stored, Version, current};
use crate::pg::sys::call_site::CallSite;
use crate::pg::types::record::{self, Binding, Cell, Record};

use super::names::{Known, names};

pub(super) const KIND: Kind = Kind::Segments;

/// A version in memory.
pub(super) struct Segments {
    pub(super) model: KMeans,
    pub(super) prepared: Prepared,
    /// The columns that a row must have: numbers, then categories.
    columns: Vec<(String, record::Wanted)>,
    /// Which feature each of the numbers is.
    numbers: Vec<usize>,
    /// The first feature of each category, and which of its features a level is.
    categories: Vec<(usize, Encoder)>,
}

impl Stored for Segments {
    const KIND: Kind = KIND;

    fn load(version: &Version) -> Result<Self, LoadError> {
        let model: KMeans = registry::decode(version)?;
        model.check().map_err(|error| LoadError::Corrupt(error.to_string()))?;
        let prepared = model.prepare();
        let (mut columns, mut numbers) = (Vec::new(), Vec::new());
        for wanted in model.dimensions().wanted() {
            match wanted {
                Wanted::Number(name, place) => {
                    columns.push((name.to_owned(), record::Wanted::Number));
                    numbers.push(place);
                }
                Wanted::Category(name, _) => {
                    columns.push((name.to_owned(), record::Wanted::Category))
                }
            }
        }
        let category = |category: &Category| (category.first as usize, category.encoder());
        let categories = model.categories.iter().map(category).collect();
        Ok(Self { model, prepared, columns, numbers, categories })
    }
}

/// What a call site keeps between rows.
#[derive(Default)]
struct Site {
    found: Found<Segments>,
    binding: Binding,
    /// Of a model with categories.
    row: Vec<f64>,
}

fn with_row<T>(
    model: &str,
    features: Record,
    site: CallSite,
    answer: impl Fn(&Segments, &[f64]) -> T,
) -> Result<T, Report> {
    let site: &mut Site = site.remember(|_| Ok(Site::default()))?;
    let (found, is_new) = site.found.get(model)?;
    let segments = &found.model;
    if is_new {
        site.binding.forget();
    }
    let model = &segments.model;
    if model.categories.is_empty() {
        return Ok(answer(segments, site.binding.numbers(features, &model.features)?));
    }
    let Segments { columns, numbers, categories, .. } = &**segments;
    let columns = columns.iter().map(|(name, wanted)| (name.as_str(), *wanted));
    let row = &mut site.row;
    row.clear();
    row.resize(model.features.len(), 0.0);
    site.binding.cells(features, columns, |index, cell| {
        match cell {
            Cell::Number(number) => row[numbers[index]] = number,
            Cell::Whole(number) => row[numbers[index]] = number as f64,
            Cell::Category(level) => {
                let (first, encoder) = &categories[index - numbers.len()];
                match level.map(|level| encoder.place(level)) {
                    Some(Some(place)) => row[first + place] = 1.0,
                    // A level that the fit did not see is none of its levels.
                    Some(None) => (),
                    None => row[*first] = f64::NAN,
                }
            }
        }
        Ok(())
    })?;
    Ok(answer(segments, row))
}

#[pg_extern]
fn model_segment(model: &str, features: Record, site: CallSite) -> Result<Option<i32>, Report> {
    with_row(model, features, site, |segments, row| {
        segments.prepared.segment(row).map(|segment| segment as i32)
    })
}

#[pg_extern]
fn model_distance(model: &str, features: Record, site: CallSite) -> Result<Option<f64>, Report> {
    with_row(model, features, site, |segments, row| segments.prepared.distance(row))
}

#[pg_extern]
fn model_second_segment(
    model: &str,
    features: Record,
    site: CallSite,
) -> Result<Option<i32>, Report> {
    with_row(model, features, site, |segments, row| {
        segments.prepared.second_segment(row).map(|segment| segment as i32)
    })
}

#[pg_extern]
fn model_anomaly(model: &str, features: Record, site: CallSite) -> Result<Option<f64>, Report> {
    with_row(model, features, site, |segments, row| segments.prepared.anomaly(row))
}

/// The features that make a row odd: [{"feature": …, "share": …, "value": …, "expected": …}, …], the first `n`.
#[pg_extern]
fn model_anomaly_reasons(
    model: &str,
    features: Record,
    n: i32,
    site: CallSite,
) -> Result<Option<JsonB>, Report> {
    let n = usize::try_from(n).ok().filter(|n| *n > 0).ok_or_else(|| {
        Report::from(Error::InvalidOption {
            option: "n".into(),
            value: n.to_string(),
            valid: "1 and more".into(),
        })
    })?;
    with_row(model, features, site, |segments, row| {
        let Segments { model, prepared, .. } = segments;
        let expected = model.centroid(prepared.segment(row)?)?;
        let reasons = prepared.distance_shares(row)?.into_iter().take(n).map(|(place, share)| {
            serde_json::json!({
                "feature": model.features[place],
                "share": share,
                "value": row[place],
                "expected": expected[place],
            })
        });
        Some(JsonB(reasons.collect()))
    })
}

/// A segment as people see it.
pub(super) struct Described {
    pub(super) segment: i32,
    pub(super) name: Option<String>,
    pub(super) size: i64,
    pub(super) share: f64,
    pub(super) words: String,
}

/// The segments of a version, with the names that people gave them, and the words of the fit that numbered them.
pub(super) fn describe(version: &Version, model: &KMeans) -> Result<Vec<Described>, Report> {
    let known = Known::of(version)?;
    let mut names = names(version.model_id, known.numbering)?;
    let words = words(&known, model);
    let described = model.sizes.iter().zip(words).enumerate().map(|(idx, (&size, words))| {
        let segment = idx as i32 + 1;
        let share = size as f64 / model.n_rows.max(1) as f64;
        Described { segment, name: names.remove(&segment), size: size as i64, share, words }
    });
    Ok(described.collect())
}

/// What sets each segment apart, in words. A refit keeps those of the fit, which people know and published tables hold: other
/// ones would rewrite a whole segment for the sake of a feature that is now a little more striking than another.
pub(super) fn words(known: &Known, model: &KMeans) -> Vec<String> {
    let kept = known.words.clone().filter(|kept| kept.len() == model.k());
    kept.unwrap_or_else(|| in_plain_words(&profile(model)))
}

/// How good a version was found at its fit; None for one that is none of ours.
pub(super) fn quality(version: &Version) -> Result<Option<Quality>, Report> {
    Ok(serde_json::from_value(registry::metrics(version)?["quality"].take()).unwrap_or_default())
}

pub(super) type SegmentRow = (i32, Option<String>, i64, f64, String);

pub(super) fn rows(described: Vec<Described>) -> impl Iterator<Item = SegmentRow> {
    described.into_iter().map(|one| (one.segment, one.name, one.size, one.share, one.words))
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
    let found = current::<Segments>(model, Privilege::Use)?;
    Ok(TableIterator::new(rows(describe(&found.version, &found.model.model)?)))
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
    let found = current::<Segments>(model, Privilege::Use)?;
    let names = names(found.version.model_id, Known::of(&found.version)?.numbering)?;
    let mut profile = profile(&found.model.model);
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
    let found = current::<Segments>(model, Privilege::Use)?;
    let (version, model) = (&found.version, &found.model.model);
    let quality = quality(version)?;
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
