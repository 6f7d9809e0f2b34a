//! `fit_segments`: from a source to a version of a model, to rows, and to a table of labels. Also the fit of a refit.

use pgrx::prelude::*;
use serde::{Deserialize, Serialize};

use crate::algo::frame::{Column, Values};
use crate::algo::segment::{
    self, Columns, Fit, KMeans, Ordered, Params, Scaling, order_by_integer, order_by_text, original,
};
use crate::algo::stop::Watch;
use crate::pg::error::{Error, Report, report};
use crate::pg::ingest::{Ingested, Others, Request, Role, Work, ingest_for};
use crate::pg::progress::Progress;
use crate::pg::registry::{self, NewVersion, Version};
use crate::pg::threads;

use super::choose;
use super::labels::{self, Labelled};
use super::model::{self, KIND, Segments};

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
    };
    let activate = activate.ok_or_else(|| missing("activate"))?;
    if save_to.is_some() && !activate {
        return Err(report(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "save_to needs activate => true",
        )
        .set_hint("A table shows the active version: activate this one later and publish it."));
    }
    arguments.params().check(1, 1)?;
    registry::lock(model, Some(KIND), true)?;
    let mut progress = Progress::start("fit_segments", model);
    let data = read(source, &arguments, &mut progress)?;
    if k.is_none() {
        arguments.k = data.choose_k(&arguments, &mut progress)?;
    }
    let fitted = fit(&data, &arguments, save_to.is_some(), None, &mut progress)?;
    let version = store(model, source, arguments.clone(), &data, &fitted.fit, activate)?;
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
    store(&live.name, source, arguments, &data, &fitted.fit, true)
}

impl Arguments {
    fn params(&self) -> Params {
        Params {
            k: self.k,
            scaling: self.scaling,
            max_iterations: self.max_iterations,
            n_init: self.n_init,
            seed: self.seed,
            tolerance: None,
            quality: true,
        }
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
    features: Vec<Column>,
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
    read_columns(source, &arguments.key, arguments.features.as_deref(), progress)
}

fn read_columns(
    source: &str,
    key: &str,
    features: Option<&[String]>,
    progress: &mut Progress,
) -> Result<Data, Report> {
    let mut columns = vec![(key, Role::Key)];
    columns.extend(features.unwrap_or_default().iter().map(|name| (name.as_str(), Role::Number)));
    let except = [key];
    let others = match features {
        Some(_) => Others::Ignore,
        None => Others::Numbers { except: &except },
    };
    let request = Request { source, columns, others };
    let Ingested { frame, mut types } = ingest_for(WORK, &request, progress)?;
    let key_type = types.swap_remove(0);
    let mut columns = frame.columns.into_iter();
    let (Some(key), features) = (columns.next(), columns.collect::<Vec<_>>()) else {
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
    if features.is_empty() {
        return Err(Error::NoFeatures.into());
    }
    Ok(Data { n_rows: frame.n_rows, key, key_type, features })
}

impl Data {
    fn names(&self) -> Vec<String> {
        self.features.iter().map(|column| column.name.clone()).collect()
    }

    fn columns(&self) -> Result<Columns<'_>, Report> {
        self.bind(&self.names())
    }

    /// The columns of these names.
    fn bind(&self, names: &[String]) -> Result<Columns<'_>, Report> {
        let find = |name: &String| {
            let column = self.features.iter().find(|column| column.name == *name);
            column.and_then(numbers).ok_or_else(|| {
                Report::from(Error::MissingColumn { column: name.clone(), available: self.names() })
            })
        };
        Ok(Columns(names.iter().map(find).collect::<Result<_, _>>()?))
    }

    /// A number of segments that suits the rows, told to the user.
    fn choose_k(&self, arguments: &Arguments, progress: &mut Progress) -> Result<i64, Report> {
        let (columns, names) = (self.columns()?, self.names());
        progress.phase("choosing k");
        let candidates = threads::run(progress, |watch: &Watch| {
            let rows = Ordered { order: self.order(&columns), rows: columns };
            choose::candidates(&rows, &names, &arguments.params(), watch)
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

pub(super) fn numbers(column: &Column) -> Option<&[f64]> {
    match &column.values {
        Values::Number(values) => Some(values),
        _ => None,
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
    let columns = data.columns()?;
    let names = data.names();
    if let Some(earlier) = earlier
        && let Some(gone) = earlier.features.iter().find(|name| !names.contains(name))
    {
        return Err(Error::MissingColumn { column: gone.clone(), available: names }.into());
    }
    let params = arguments.params().check(data.n_rows, names.len())?;
    progress.phase("fitting");
    let (fitted, fresh) = threads::run(progress, |watch: &Watch| {
        let order = data.order(&columns);
        if distinct {
            data.check_distinct(order.as_deref())?;
        }
        let rows = Ordered { rows: columns, order };
        let (fit, fresh) = match earlier {
            None => (segment::fit(&rows, &names, &params, watch)?, None),
            Some(earlier) => {
                let warm = segment::fit_from(&rows, &names, earlier, &params, watch)?;
                let fresh = segment::fit(&rows, &names, &params, watch).map(|fit| fit.inertia);
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

fn store(
    model: &str,
    source: &str,
    arguments: Arguments,
    data: &Data,
    fit: &Fit,
    activate: bool,
) -> Result<Version, Report> {
    let json = |error: serde_json::Error| {
        report(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, format!("arguments cannot be kept: {error}"))
    };
    // The columns that were found are the ones to look for at a refit.
    let columns = source_columns(&fit.model.features);
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
            "quality": fit.quality,
        }),
        source: Some(source),
        activate,
    };
    registry::store(&new)
}

/// The columns of a source that features come from: `v` for `v[1]`, `v[2]`, ….
pub(super) fn source_columns(features: &[String]) -> Vec<String> {
    let mut columns: Vec<String> = Vec::new();
    for feature in features {
        let column = feature
            .split_once('[')
            .filter(|(_, rest)| {
                rest.strip_suffix(']').is_some_and(|element| element.parse::<u32>().is_ok())
            })
            .map_or(feature.as_str(), |(column, _)| column);
        if !columns.iter().any(|known| known == column) {
            columns.push(column.to_owned());
        }
    }
    columns
}
