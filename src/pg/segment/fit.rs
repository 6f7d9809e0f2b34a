//! `fit_segments`: from a source to a version of a model, to rows, and to a table of labels. Also the fit of a refit.

use std::collections::BTreeMap;

use pgrx::JsonB;
use pgrx::prelude::*;
use pgrx::spi::quote_identifier;
use serde::{Deserialize, Serialize};

use crate::algo::frame::{Column, Values};
use crate::algo::segment::{
    self, Columns, Features, Fit, KMeans, MAX_LEVELS, Metric, Ordered, Params, Scaling, bind,
    order_by_integer, order_by_text, original,
};
use crate::algo::stop::Watch;
use crate::algo::store::Place;
use crate::pg::error::{Error, Report, report};
use crate::pg::ingest::{
    Ingested, Others, Request, Role, Work, ingest_for, ingest_if_it_fits, ingest_into, query_of,
};
use crate::pg::progress::Progress;
use crate::pg::registry::{self, NewVersion, Version};
use crate::pg::{temporary, threads};

use super::choose;
use super::labels::{self, Labelled};
use super::model::{self, KIND, Segments};
use super::names;

const ALGORITHM: &str = "kmeans";

/// The arguments of a fit, as the registry keeps them for the next one.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Arguments {
    key: String,
    k: i64,
    /// Columns of the source, in the order of the fit.
    features: Option<Vec<String>>,
    scaling: Scaling,
    seed: i64,
    max_iterations: i64,
    n_init: i64,
    #[serde(default)]
    weights: BTreeMap<String, f64>,
    #[serde(default)]
    storage: Storage,
    #[serde(default)]
    metric: Metric,
}

/// Where the rows of a fit and its arrays lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Storage {
    /// In memory if the budget has room for them.
    #[default]
    Auto,
    Memory,
    Disk,
}

#[pg_extern]
#[allow(
    clippy::too_many_arguments,
    reason = "pgrx reads the arguments of the SQL function from the type"
)]
fn fit_segments(
    model: Option<&str>,
    source: Option<&str>,
    key: Option<&str>,
    k: Option<i32>,
    features: Option<Vec<Option<String>>>,
    scaling: Option<&str>,
    save_to: Option<&str>,
    seed: Option<i64>,
    max_iterations: Option<i32>,
    n_init: Option<i32>,
    activate: Option<bool>,
    weights: Option<JsonB>,
    storage: Option<&str>,
    metric: Option<&str>,
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
    let missing = |argument| Report::from(Error::NullArgument { argument });
    let model = model.ok_or_else(|| missing("model"))?;
    let source = source.ok_or_else(|| missing("source"))?;
    let mut arguments = Arguments {
        key: key.ok_or_else(|| missing("key"))?.to_owned(),
        k: k.map_or(*choose::RANGE.start(), i64::from),
        features: features.map(feature_names).transpose()?,
        scaling: parse_scaling(scaling.ok_or_else(|| missing("scaling"))?)?,
        seed: seed.ok_or_else(|| missing("seed"))?,
        max_iterations: max_iterations.ok_or_else(|| missing("max_iterations"))?.into(),
        n_init: n_init.ok_or_else(|| missing("n_init"))?.into(),
        weights: weights.map(parse_weights).transpose()?.unwrap_or_default(),
        storage: parse_storage(storage.ok_or_else(|| missing("storage"))?)?,
        metric: parse_metric(metric.ok_or_else(|| missing("metric"))?)?,
    };
    let activate = activate.ok_or_else(|| missing("activate"))?;
    if save_to.is_some() && !activate {
        return Err(report(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "save_to needs activate => true",
        )
        .set_hint("A table shows the active version: activate this one later and publish it."));
    }
    arguments.params(&Place::Memory).check(1, 1)?;
    registry::lock(model, Some(KIND), true)?;
    let before = registry::existing(model)?;
    let mut progress = Progress::start("fit_segments", model);
    let data = read(source, &arguments, &mut progress)?;
    if k.is_none() {
        arguments.k = data.choose_k(&arguments, &mut progress)?;
    }
    let fitted = fit(&data, &arguments, save_to.is_some(), None, &mut progress)?;
    let version = store(model, source, arguments, &data, &fitted.fit, activate, None)?;
    if let Some(before) = before {
        names::carry(&before, &version)?;
    }
    let described = model::describe(&version, &fitted.fit.model)?;
    if let Some(target) = save_to {
        progress.phase("writing");
        let labelled = Labelled {
            key: &data.key,
            key_type: &data.key_type,
            order: fitted.order.as_deref(),
            labels: &fitted.fit.labels,
        };
        labels::write(target, &labelled, &described)?;
        labels::remember(&version, target, &labelled)?;
    }
    Ok(TableIterator::new(model::rows(described)))
}

/// Fits a model again, from its live version: warm, with each segment's number kept. The caller holds the model's lock.
pub(crate) fn fit_again(
    live: &Version,
    source: &str,
    parameters: &serde_json::Value,
) -> Result<Version, Report> {
    let corrupt = |why: String| {
        Report::from(Error::CorruptModel { name: live.name.clone(), version: live.version, why })
    };
    let arguments: Arguments =
        serde_json::from_value(parameters.clone()).map_err(|error| corrupt(error.to_string()))?;
    let earlier = registry::load::<Segments>(live)?;
    let mut progress = Progress::start("refit", &live.name);
    let data = read(source, &arguments, &mut progress)?;
    let fitted = fit(&data, &arguments, false, Some(&earlier.model), &mut progress)?;
    // Words may name a level that is gone, where the features are others.
    let same = earlier.model.features == fitted.fit.model.features;
    let labels = same.then(|| model::words(live, &earlier.model)).transpose()?;
    let known = Known { numbering: names::numbering(live)?, labels };
    store(&live.name, source, arguments, &data, &fitted.fit, true, Some(known))
}

impl Arguments {
    fn params(&self, place: &Place) -> Params {
        Params {
            k: self.k,
            scaling: self.scaling,
            metric: self.metric,
            max_iterations: self.max_iterations,
            n_init: self.n_init,
            seed: self.seed,
            tolerance: None,
            quality: true,
            place: place.clone(),
        }
    }
}

pub(super) fn parse_metric(metric: &str) -> Result<Metric, Report> {
    match metric {
        "euclidean" => Ok(Metric::Euclidean),
        "cosine" => Ok(Metric::Cosine),
        other => Err(Error::InvalidOption {
            option: "metric".into(),
            value: other.into(),
            valid: "euclidean, cosine".into(),
        }
        .into()),
    }
}

fn parse_storage(storage: &str) -> Result<Storage, Report> {
    match storage {
        "auto" => Ok(Storage::Auto),
        "memory" => Ok(Storage::Memory),
        "disk" => Ok(Storage::Disk),
        other => Err(Error::InvalidOption {
            option: "storage".into(),
            value: other.into(),
            valid: "auto, memory, disk".into(),
        }
        .into()),
    }
}

pub(super) fn parse_scaling(scaling: &str) -> Result<Scaling, Report> {
    match scaling {
        "standard" => Ok(Scaling::Standard),
        "none" => Ok(Scaling::None),
        other => Err(Error::InvalidOption {
            option: "scaling".into(),
            value: other.into(),
            valid: "standard, none".into(),
        }
        .into()),
    }
}

/// `{"column": 2}`: how much columns count.
pub(super) fn parse_weights(JsonB(weights): JsonB) -> Result<BTreeMap<String, f64>, Report> {
    let invalid = |value: &serde_json::Value| {
        Report::from(Error::InvalidOption {
            option: "weights".into(),
            value: value.to_string(),
            valid: "a JSON object of numbers by column, as {\"monetary\": 2}".into(),
        })
    };
    let object = weights.as_object().ok_or_else(|| invalid(&weights))?;
    let weight = |(column, value): (&String, &serde_json::Value)| {
        value.as_f64().map(|weight| (column.clone(), weight)).ok_or_else(|| invalid(value))
    };
    object.iter().map(weight).collect()
}

pub(super) fn feature_names(features: Vec<Option<String>>) -> Result<Vec<String>, Report> {
    let names: Option<Vec<String>> = features.into_iter().collect();
    let names = names.ok_or(Error::NullArgument { argument: "features" })?;
    if names.is_empty() {
        return Err(Error::NoFeatures.into());
    }
    for (idx, name) in names.iter().enumerate() {
        if names[..idx].contains(name) {
            return Err(Error::DuplicateColumn { column: name.clone() }.into());
        }
    }
    Ok(names)
}

/// The order by key while it is sorted (16 bytes and 4), which makes room for labels (2 and 4) and bounds on distances (12); the
/// points as f32, which a refit holds no more than once.
pub(crate) const WORK: Work = Work { per_row: 32, per_number: 4 };

/// What was read of a source.
struct Data {
    n_rows: usize,
    key: Column,
    key_type: String,
    columns: Vec<Column>,
    features: Features,
    place: Place,
}

/// What stops a fit on its threads, where no report can be made.
enum Failure {
    Algo(segment::Error),
    DuplicateKey { key: String, value: String },
}

impl From<segment::Error> for Failure {
    fn from(error: segment::Error) -> Self {
        Failure::Algo(error)
    }
}

impl From<Failure> for Report {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Algo(error) => error.into(),
            Failure::DuplicateKey { key, value } => report(
                PgSqlErrorCode::ERRCODE_UNIQUE_VIOLATION,
                format!("key \"{key}\" has the value {value} more than once"),
            )
            .set_hint("A table of labels has one row for each key: group the source by it."),
        }
    }
}

fn read(source: &str, arguments: &Arguments, progress: &mut Progress) -> Result<Data, Report> {
    let key = arguments.key.as_str();
    let mut columns = vec![(key, Role::Key)];
    columns.extend(arguments.features.iter().flatten().map(|name| (name.as_str(), Role::Feature)));
    let except = [key];
    let others = match arguments.features {
        Some(_) => Others::Ignore,
        None => Others::Numbers { except: &except },
    };
    let request = Request { source, columns, others };
    let in_memory = match arguments.storage {
        Storage::Memory => Some(ingest_for(WORK, &request, progress)?),
        Storage::Auto => ingest_if_it_fits(WORK, &request, progress)?,
        Storage::Disk => None,
    };
    let (Ingested { frame, mut types }, place) = match in_memory {
        Some(ingested) => (ingested, Place::Memory),
        None => {
            let place = temporary::place();
            let source = sorted_by(key, source, progress)?;
            (ingest_into(&place, &Request { source: &source, ..request }, progress)?, place)
        }
    };
    let key_type = types.swap_remove(0);
    let mut columns = frame.columns.into_iter();
    let (Some(key), columns) = (columns.next(), columns.collect::<Vec<_>>()) else {
        return Err(Error::NoFeatures.into());
    };
    if ["numeric", "real", "double precision", "date", "timestamp"]
        .iter()
        .any(|inexact| key_type.starts_with(inexact))
    {
        return Err(Error::WrongType {
            column: key.name,
            type_name: key_type,
            wanted: "an integer or text",
            hint: "Cast the key to bigint or text in the source.",
        }
        .into());
    }
    let features = dimensions(&columns, &arguments.weights)?;
    Ok(Data { n_rows: frame.n_rows, key, key_type, columns, features, place })
}

/// The source in the order of its key, in which a fit reads it: sorting is then PostgreSQL's, within work_mem, and no order of the
/// rows has to be held.
fn sorted_by(key: &str, source: &str, progress: &mut Progress) -> Result<String, Report> {
    let query = query_of(source)?;
    let none = format!("SELECT * FROM ({query}\n) AS s LIMIT 0");
    let columns = vec![(key, Role::Key)];
    let request = Request { source: &none, columns, others: Others::Ignore };
    let is_integer =
        matches!(ingest_for(WORK, &request, progress)?.frame.columns[0].values, Values::Integer(_));
    let order = match is_integer {
        true => "",
        false => "::pg_catalog.text COLLATE pg_catalog.\"C\"",
    };
    Ok(format!("SELECT * FROM ({query}\n) AS s ORDER BY s.{}{order}", quote_identifier(key)))
}

/// The dimensions of a fit of these columns. A text column with very many levels is told to the user: it may be an identifier.
pub(super) fn dimensions(
    columns: &[Column],
    weights: &BTreeMap<String, f64>,
) -> Result<Features, Report> {
    let features = Features::of(columns, weights)?;
    if features.is_empty() {
        return Err(Error::NoFeatures.into());
    }
    for category in features.categories.iter().filter(|one| one.levels.max_levels.is_some()) {
        notice!(
            "column \"{}\" has more than {MAX_LEVELS} levels: all but the most frequent count as one",
            category.column
        );
    }
    Ok(features)
}

impl Data {
    fn rows(&self) -> Result<Columns<'_>, Report> {
        Ok(bind(&self.columns, &self.features.names, &self.features.categories)?)
    }

    /// A number of segments that suits the rows, told to the user.
    fn choose_k(&self, arguments: &Arguments, progress: &mut Progress) -> Result<i64, Report> {
        let columns = self.rows()?;
        progress.phase("choosing k");
        let candidates = threads::run(progress, |watch: &Watch| {
            let rows = Ordered { order: self.order(&columns), rows: columns };
            choose::candidates(&rows, &self.features, &arguments.params(&Place::Memory), watch)
        })??;
        Ok(choose::pick(&candidates, self.n_rows)?)
    }

    /// The rows by key, so that the order of a scan does not matter.
    fn order(&self, columns: &Columns) -> Option<Vec<u32>> {
        match &self.key.values {
            Values::Integer(keys) => order_by_integer(keys, columns),
            Values::Text { codes, dictionary } => order_by_text(codes, dictionary, columns),
            Values::Number(_) => None,
        }
    }

    fn check_distinct(&self, order: Option<&[u32]>) -> Result<(), Failure> {
        let at = |place| original(order, place);
        let duplicate = match &self.key.values {
            Values::Integer(keys) => (1..self.n_rows)
                .find(|&place| keys[at(place)] == keys[at(place - 1)])
                .map(|place| keys[at(place)].to_string()),
            Values::Text { codes, dictionary } => (1..self.n_rows)
                .find(|&place| codes[at(place)] == codes[at(place - 1)])
                .map(|place| format!("\"{}\"", dictionary[codes[at(place)] as usize])),
            Values::Number(_) => None,
        };
        match duplicate {
            Some(value) => Err(Failure::DuplicateKey { key: self.key.name.clone(), value }),
            None => Ok(()),
        }
    }
}

struct Fitted {
    fit: Fit,
    /// The rows that the labels are of: by key.
    order: Option<Vec<u32>>,
}

/// A fresh start that is better by this part of the inertia is worth knowing of.
const BETTER: f64 = 0.05;

fn fit(
    data: &Data,
    arguments: &Arguments,
    distinct: bool,
    earlier: Option<&KMeans>,
    progress: &mut Progress,
) -> Result<Fitted, Report> {
    let (columns, features) = (data.rows()?, &data.features);
    let params = arguments.params(&data.place).check(data.n_rows, features.len())?;
    progress.phase("fitting");
    let (fitted, fresh) = threads::run(progress, |watch: &Watch| {
        let order = data.order(&columns);
        if distinct {
            data.check_distinct(order.as_deref())?;
        }
        let rows = Ordered { rows: columns, order };
        let (fit, fresh) = match earlier {
            None => (segment::fit(&rows, features, &params, watch)?, None),
            Some(earlier) => {
                let warm = segment::fit_from(&rows, features, earlier, &params, watch)?;
                let fresh = segment::fit(&rows, features, &params, watch).map(|fit| fit.inertia);
                (warm, fresh.ok())
            }
        };
        Ok::<_, Failure>((Fitted { fit, order: rows.order }, fresh))
    })??;
    if let Some(fresh) = fresh.filter(|fresh| *fresh < (1.0 - BETTER) * fitted.fit.inertia) {
        notice!(
            "a fresh start would lower the inertia by {:.0} %: fit_segments renumbers the segments",
            100.0 * (1.0 - fresh / fitted.fit.inertia)
        );
    }
    Ok(fitted)
}

/// What a refit leaves as people know it.
struct Known {
    numbering: i32,
    labels: Option<Vec<String>>,
}

fn store(
    model: &str,
    source: &str,
    arguments: Arguments,
    data: &Data,
    fit: &Fit,
    activate: bool,
    known: Option<Known>,
) -> Result<Version, Report> {
    let json = |error: serde_json::Error| {
        report(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, format!("arguments cannot be kept: {error}"))
    };
    // The columns that were found are the ones to look for at a refit.
    let columns = fit.model.columns();
    let arguments = Arguments { features: arguments.features.or(Some(columns)), ..arguments };
    let new = NewVersion {
        model,
        kind: KIND,
        algorithm: ALGORITHM,
        payload: &registry::encode(&fit.model)?,
        n_rows: data.n_rows,
        features: fit.model.features.clone(),
        parameters: serde_json::to_value(&arguments).map_err(json)?,
        metrics: serde_json::json!({
            "inertia": fit.inertia, "iterations": fit.iterations, "ended": fit.ended, "k": arguments.k,
            "quality": fit.quality, "on_disk": matches!(data.place, Place::Disk(_)),
            "numbering": known.as_ref().map(|known| known.numbering), "labels": known.and_then(|known| known.labels),
        }),
        source: Some(source),
        activate,
    };
    registry::store(&new)
}
