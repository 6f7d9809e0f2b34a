//! `fit_scorer`: a source in, a version and its holdout metrics out; and the same again for a refit.

use pgrx::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::algo::declared::{self, Settings};
use crate::algo::frame::{Column, Frame, TextBuilder, Values, base_name};
use crate::algo::score::inputs::order;
use crate::algo::score::{self, Fit, Params, Scorer, ValidParams};
use crate::algo::stop::Watch;
use crate::pg::error::{Error, Report, no_room, report};
use crate::pg::ingest::{Ingested, Others, Request, Role, ingest};
use crate::pg::models::publish;
use crate::pg::models::registry::{self, Filing, NewVersion, Stored, Version};
use crate::pg::options::{self, Json};
use crate::pg::progress::Progress;
use crate::pg::threads;
use crate::pg::value::Names;

use super::scoring::Scoring;
use super::{holdout, required};

#[allow(clippy::too_many_arguments, reason = "they are the SQL function's")]
#[pg_extern]
fn fit_scorer(
    model: Option<&str>,
    source: Option<&str>,
    target: Option<&str>,
    algorithm: Option<&str>,
    parameters: Option<Json>,
    positive: Option<&str>,
    features: Option<Names>,
    key: Option<&str>,
    holdout: Option<f64>,
    holdout_column: Option<&str>,
    seed: Option<i64>,
    activate: Option<bool>,
    publish: Option<bool>,
    refit_on_all: Option<bool>,
    keep_versions: Option<i32>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(model, String),
            name!(version, i32),
            name!(algorithm, String),
            name!(positive, String),
            name!(n_rows, i64),
            name!(n_train, i64),
            name!(n_holdout, i64),
            name!(roc_auc, Option<f64>),
            name!(average_precision, Option<f64>),
            name!(log_loss, Option<f64>),
            name!(brier, Option<f64>),
            name!(accuracy, Option<f64>),
            name!(base_rate, Option<f64>),
            name!(refit_on_all, bool),
        ),
    >,
    Report,
> {
    let algorithm = options::algorithm(required(algorithm, "algorithm")?, &score::algorithms())?;
    let settings = required(parameters, "parameters")?.settings("parameters", algorithm)?;
    let asked = Asked {
        target: required(target, "target")?.to_owned(),
        algorithm: algorithm.name.to_owned(),
        parameters: settings.to_json(),
        positive: positive.map(str::to_owned),
        features: features.map(names).transpose()?,
        key: key.map(str::to_owned),
        holdout: required(holdout, "holdout")?,
        holdout_column: holdout_column.map(str::to_owned),
        seed: required(seed, "seed")?,
        refit_on_all: required(refit_on_all, "refit_on_all")?,
    };
    let refit_on_all = asked.refit_on_all;
    let (model, source) = (required(model, "model")?, required(source, "source")?);
    let filing = Filing::of(activate, publish, keep_versions)?;
    let (version, Fit { scorer, .. }) = fit(model, source, asked, settings, filing)?;
    if filing.publishes() {
        publish::follow(&version, None, None)?;
    }
    let metrics = scorer.metrics.as_ref();
    Ok(TableIterator::once((
        version.name,
        version.version,
        version.algorithm,
        scorer.positive_class().to_owned(),
        n_rows(&scorer) as i64,
        metrics.map_or(scorer.n_rows, |metrics| metrics.n_train) as i64,
        metrics.map_or(0, |metrics| metrics.n_holdout) as i64,
        metrics.and_then(|metrics| metrics.roc_auc),
        metrics.and_then(|metrics| metrics.average_precision),
        metrics.map(|metrics| metrics.log_loss),
        metrics.map(|metrics| metrics.brier),
        metrics.map(|metrics| metrics.accuracy),
        metrics.map(|metrics| metrics.base_rate),
        refit_on_all,
    )))
}

/// The rows of the source: those that were learnt from and those that were held out.
fn n_rows(scorer: &Scorer) -> u64 {
    scorer.metrics.as_ref().map_or(scorer.n_rows, |metrics| metrics.n_train + metrics.n_holdout)
}

/// Runs a stored fit again on the columns of that fit. The new version is active at once: a caller who finds it worse than
/// the live one raises an error, and the transaction takes it back.
pub(super) fn fit_again(
    live: &Version,
    source: &str,
    parameters: &serde_json::Value,
) -> Result<Version, Report> {
    let corrupt = |why: String| {
        let why = format!("its parameters are not those of a fit ({why})");
        Report::from(Error::CorruptModel { name: live.name.clone(), version: live.version, why })
    };
    let asked: Asked =
        serde_json::from_value(parameters.clone()).map_err(|error| corrupt(error.to_string()))?;
    let settings = asked.settings().map_err(corrupt)?;
    fit(&live.name, source, asked, settings, Filing::REFIT).map(|(version, _)| version)
}

/// The arguments of a fit, as they are stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Asked {
    target: String,
    algorithm: String,
    /// Of the algorithm, all of them.
    parameters: serde_json::Map<String, serde_json::Value>,
    positive: Option<String>,
    /// Columns of the source; once stored, those that the fit found.
    features: Option<Vec<String>>,
    key: Option<String>,
    holdout: f64,
    holdout_column: Option<String>,
    seed: i64,
    refit_on_all: bool,
}

impl Asked {
    /// The algorithm's parameters as they were stored, or why they are none.
    fn settings(&self) -> Result<Settings, String> {
        let algorithm = declared::named(&self.algorithm, &score::algorithms())
            .map_err(|_| format!("algorithm \"{}\" is not known", self.algorithm))?;
        algorithm.stored(&self.parameters).map_err(|error| error.to_string())
    }

    fn params(&self, settings: Settings) -> Result<Params, Report> {
        let params = Params {
            settings,
            holdout: self.holdout,
            positive: self.positive.clone(),
            seed: self.seed,
            refit_on_all: self.refit_on_all,
            ..Params::default()
        };
        // Refused before anything is read.
        params.clone().check()?;
        Ok(params)
    }

    /// Refuses a column in two parts.
    fn check_columns(&self) -> Result<(), Report> {
        let others = [("key", &self.key), ("holdout_column", &self.holdout_column)];
        for (option, column) in others {
            if column.as_ref() == Some(&self.target) {
                return Err(invalid(option, &self.target, "a column other than the target"));
            }
        }
        if self.key.is_some() && self.key == self.holdout_column {
            let key = self.key.clone().unwrap_or_default();
            return Err(invalid("holdout_column", key, "a column other than the key"));
        }
        let Some(features) = &self.features else { return Ok(()) };
        if features.is_empty() {
            return Err(Error::NoFeatures.into());
        }
        for feature in features {
            let is_taken = *feature == self.target
                || [&self.key, &self.holdout_column].into_iter().flatten().any(|c| c == feature);
            if is_taken {
                let valid = "columns other than the target, the key and the holdout column";
                return Err(invalid("features", feature, valid));
            }
        }
        if let Some((_, twice)) =
            features.iter().enumerate().find(|(index, name)| features[..*index].contains(name))
        {
            return Err(invalid("features", twice, "each column once"));
        }
        Ok(())
    }
}

fn fit(
    model: &str,
    source: &str,
    mut asked: Asked,
    settings: Settings,
    filing: Filing,
) -> Result<(Version, Fit), Report> {
    let algorithm = settings.algorithm().name;
    let params = asked.params(settings)?;
    asked.check_columns()?;
    registry::lock_for_fit(model, Scoring::KIND)?;
    let mut progress = Progress::start("fit_scorer", model);
    let data = read(source, &asked, &mut progress)?;
    progress.phase("fitting");
    let (fit, columns) = threads::run(&progress, |watch| data.fit(params, watch))??;
    if !fit.converged {
        pgrx::warning!(
            "the fit of model \"{model}\" ended after {} steps without converging",
            fit.iterations
        );
    }

    progress.phase("storing");
    asked.features = Some(columns);
    let scorer = &fit.scorer;
    let mut metrics = scorer.metrics.as_ref().map_or_else(|| json!({}), |metrics| json!(metrics));
    metrics["positive"] = json!(scorer.positive_class());
    metrics["classes"] = json!(scorer.classes);
    metrics["refit_on_all"] = json!(asked.refit_on_all);
    let version = registry::store(&NewVersion {
        model,
        kind: Scoring::KIND,
        algorithm,
        payload: &scorer.to_bytes()?,
        n_rows: n_rows(scorer) as usize,
        features: scorer.inputs.iter().map(|input| input.name.clone()).collect(),
        parameters: json!(asked),
        metrics,
        source: Some(source),
        filing,
    })?;
    holdout::keep(&version, &fit)?;
    Ok((version, fit))
}

/// A source as it was read: target, then the key and the holdout column where they are, then the features.
struct Data {
    frame: Frame,
    has_key: bool,
    has_holdout: bool,
}

fn read(source: &str, asked: &Asked, progress: &mut Progress) -> Result<Data, Report> {
    let mut columns = vec![(asked.target.as_str(), Role::Target)];
    columns.extend(asked.key.iter().map(|key| (key.as_str(), Role::Key)));
    columns.extend(asked.holdout_column.iter().map(|name| (name.as_str(), Role::Flag)));
    let others = match &asked.features {
        Some(features) => {
            columns.extend(features.iter().map(|name| (name.as_str(), Role::Feature)));
            Others::Ignore
        }
        None => Others::Features { except: &[] },
    };
    let Ingested { mut frame, types, .. } = ingest(&Request { source, columns, others }, progress)?;
    name_classes(&mut frame, &types)?;
    let (has_key, has_holdout) = (asked.key.is_some(), asked.holdout_column.is_some());
    if let Some(name) = &asked.holdout_column {
        check_holdout(&frame, 1 + usize::from(has_key), name)?;
    }
    Ok(Data { frame, has_key, has_holdout })
}

/// The classes of a boolean target, which is the first column, are false and true.
pub(super) fn name_classes(frame: &mut Frame, types: &[String]) -> Result<(), Report> {
    match (frame.columns.first_mut(), types.first()) {
        (Some(column), Some(type_name)) if type_name == "boolean" => name_booleans(column),
        _ => Ok(()),
    }
}

fn name_booleans(column: &mut Column) -> Result<(), Report> {
    if let Values::Number(values) = &column.values {
        let name = |&value: &f64| match value {
            value if value.is_nan() => None,
            0.0 => Some("false"),
            _ => Some("true"),
        };
        let mut names = TextBuilder::default();
        names.reserve(values.len()).map_err(no_room)?;
        for name in values.iter().map(name) {
            names.push(name)?;
        }
        column.values = names.finish();
    }
    Ok(())
}

/// Refuses a row of which it is not known whether it is held out, and a fit of no row.
fn check_holdout(frame: &Frame, position: usize, name: &str) -> Result<(), Report> {
    let held_out = frame.columns.get(position).map(|column| &column.values);
    if let Some(Values::Number(held_out)) = held_out
        && !held_out.is_empty()
        && held_out.iter().all(|&value| value != 0.0 && !value.is_nan())
    {
        let why =
            format!("column \"{name}\" holds out every row, so that none is left to learn from");
        return Err(report(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, why).set_hint(
            "It is true in the rows to hold out, as in (sent_on >= '2024-10-01') AS is_late.",
        ));
    }
    let has_null = frame.columns.get(position).is_some_and(|column| match &column.values {
        Values::Number(values) => values.iter().any(|value| value.is_nan()),
        _ => false,
    });
    if has_null { Err(Error::MissingValue { column: name.to_owned() }.into()) } else { Ok(()) }
}

impl Data {
    /// The fit, and the source's columns that it used.
    fn fit(mut self, params: Params, watch: &Watch) -> Result<(Fit, Vec<String>), score::Error> {
        order::by_content(&mut self.frame, watch)?;
        let mut columns = self.frame.columns.into_iter();
        let missing = || score::Error::NoInputs;
        let target = columns.next().ok_or_else(missing)?;
        if self.has_key {
            columns.next();
        }
        let holdout_rows = match (self.has_holdout, &mut columns) {
            (true, columns) => match columns.next().ok_or_else(missing)?.values {
                Values::Number(values) => Some(values.iter().map(|&value| value != 0.0).collect()),
                _ => None,
            },
            _ => None,
        };
        let frame = Frame { n_rows: self.frame.n_rows, columns: columns.collect() };
        let params: ValidParams = Params { holdout_rows, ..params }.check()?;
        let fit = score::fit(&frame, &target, &params, watch)?;
        Ok((fit, source_columns(&frame)))
    }
}

/// The columns of the source that a frame's come from: an array's features `v[1]`, `v[2]`, … from `v`.
fn source_columns(frame: &Frame) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for column in &frame.columns {
        let name = base_name(&column.name);
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// The elements of a text[] of names.
pub(super) fn names(Names(names): Names) -> Result<Vec<String>, Report> {
    names.into_iter().collect::<Option<Vec<String>>>().ok_or_else(|| {
        report(PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED, "a feature's name must not be NULL")
    })
}

fn invalid(option: &str, value: impl ToString, valid: &str) -> Report {
    Error::InvalidOption { option: option.into(), value: value.to_string(), valid: valid.into() }
        .into()
}
