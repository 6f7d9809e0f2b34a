//! Named models of segments: label a row, describe the segments.

use pgrx::JsonB;
use pgrx::prelude::*;

use crate::algo::segment::{
    Category, Ended, Indicators, KMeans, Prepared, Quality, Wanted, in_plain_words, profile,
};
use crate::pg::error::Report;
use crate::pg::kind::Kind;
use crate::pg::models::registry::{self, Found, LoadError, Privilege, Stored, Version, current};
use crate::pg::sys::call_site::CallSite;
use crate::pg::types::options::within;
use crate::pg::types::record::{self, Binding, Cell, Object, Record, Row};

use super::moments::Writing;
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
    /// What the features of each category are.
    categories: Vec<Indicators>,
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
        let categories = model.categories.iter().map(Category::indicators).collect();
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
    features: Row,
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
            Cell::Category(level) => categories[index - numbers.len()].set(level, row),
        }
        Ok(())
    })?;
    Ok(answer(segments, row))
}

/// Functions of a model and a row, which is a record or a text that holds a JSON object.
macro_rules! answers {
    ($($of_record:ident, $of_json:ident => $answer:ident($($argument:ident: $type:ty)?) -> $answered:ident;)*) => {
        $(
            #[pg_extern]
            fn $of_record(
                model: &str,
                features: Record,
                $($argument: $type,)?
                site: CallSite,
            ) -> Result<Option<$answered>, Report> {
                with_row(model, features.into(), site, |segments, row| {
                    $answer(segments, row $(, $argument)?)
                })?
            }

            #[pg_extern]
            fn $of_json(
                model: &str,
                features: &str,
                $($argument: $type,)?
                site: CallSite,
            ) -> Result<Option<$answered>, Report> {
                let features = Object::parse(features)?;
                with_row(model, Row::Object(&features), site, |segments, row| {
                    $answer(segments, row $(, $argument)?)
                })?
            }
        )*
    };
}

answers! {
    model_segment, model_segment_json => segment() -> i32;
    model_distance, model_distance_json => distance() -> f64;
    model_second_segment, model_second_segment_json => second_segment() -> i32;
    model_anomaly, model_anomaly_json => anomaly() -> f64;
    model_anomaly_reasons, model_anomaly_reasons_json => anomaly_reasons(n: i64) -> JsonB;
}

fn segment(segments: &Segments, row: &[f64]) -> Result<Option<i32>, Report> {
    Ok(segments.prepared.segment(row).map(|segment| segment as i32))
}

fn distance(segments: &Segments, row: &[f64]) -> Result<Option<f64>, Report> {
    Ok(segments.prepared.distance(row))
}

fn second_segment(segments: &Segments, row: &[f64]) -> Result<Option<i32>, Report> {
    Ok(segments.prepared.second_segment(row).map(|segment| segment as i32))
}

fn anomaly(segments: &Segments, row: &[f64]) -> Result<Option<f64>, Report> {
    Ok(segments.prepared.anomaly(row))
}

/// The features that make a row odd: [{"feature": …, "share": …, "value": …, "expected": …}, …], the first `n`.
fn anomaly_reasons(segments: &Segments, row: &[f64], n: i64) -> Result<Option<JsonB>, Report> {
    let n = within("n", n, 1.., "1 and more")?;
    let Segments { model, prepared, .. } = segments;
    let segment = prepared.segment(row);
    let shares = prepared.distance_shares(row);
    Ok(segment.zip(shares).map(|(segment, shares)| {
        let first = (segment as usize - 1) * row.len();
        let reasons = shares.into_iter().take(n as usize).map(|(place, share)| {
            serde_json::json!({
                "feature": model.features[place],
                "share": share,
                "value": row[place],
                "expected": model.shown_centroid(first + place),
            })
        });
        JsonB(reasons.collect())
    }))
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

impl Described {
    /// What a row of the segment is called: by the name that people gave it, else in words.
    pub(super) fn label(&self) -> &str {
        self.name.as_ref().unwrap_or(&self.words)
    }
}

pub(super) type SegmentRow = (i32, Option<String>, i64, f64, String, String);

pub(super) fn rows(described: Vec<Described>) -> impl Iterator<Item = SegmentRow> {
    described.into_iter().map(|one| {
        let label = one.label().to_owned();
        (one.segment, one.name, one.size, one.share, label, one.words)
    })
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
            name!(words, String),
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
            name!(mean_text, String),
            name!(population_mean_text, String),
        ),
    >,
    Report,
> {
    let found = current::<Segments>(model, Privilege::Use)?;
    let writing = Writing::of(&registry::metrics(&found.version)?);
    let names = names(found.version.model_id, Known::of(&found.version)?.numbering)?;
    let mut profile = profile(&found.model.model);
    // What sets a segment apart comes first; equal ones stay in the order of the features.
    profile.sort_by(|a, b| a.segment.cmp(&b.segment).then(b.z.abs().total_cmp(&a.z.abs())));
    let rows = profile.into_iter().map(|row| {
        let segment = row.segment as i32;
        let name = names.get(&segment).cloned();
        let [mean, population_mean] =
            [row.mean, row.population_mean].map(|value| writing.write(&row.feature, value));
        (segment, name, row.feature, row.mean, row.population_mean, row.z, mean, population_mean)
    });
    // Collected, so that the dates are written while the call's own settings hold.
    Ok(TableIterator::new(rows.collect::<Vec<_>>()))
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
