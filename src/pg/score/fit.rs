//! `fit_scorer`: a source in, a version and its holdout metrics out; and the same again for a refit.

use pgrx::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::algo::declared::Settings;
use crate::algo::score::{self, Fit, Params, Scorer};
use crate::pg::error::{Report, report};
use crate::pg::fitting::{self, Chosen, Done, Filed, Fitting, Run, columns, stored};
use crate::pg::kind::Kind;
use crate::pg::models::publish;
use crate::pg::models::registry::{self, Filing, Stored, Version};
use crate::pg::sys::progress::Progress;
use crate::pg::sys::threads;
use crate::pg::types::options::{Json, invalid, required};
use crate::pg::types::value::Names;

use super::data::{Data, read};
use super::holdout;
use super::scoring::Scoring;

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
    keep_versions: Option<i64>,
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
    let (chosen, settings) = Chosen::of(algorithm, parameters, &score::algorithms())?;
    let asked = Asked {
        target: required(target, "target")?.to_owned(),
        chosen,
        positive: positive.map(str::to_owned),
        features: features.map(columns).transpose()?,
        key: key.map(str::to_owned),
        holdout: required(holdout, "holdout")?,
        holdout_column: holdout_column.map(str::to_owned),
        seed: required(seed, "seed")?,
        refit_on_all: required(refit_on_all, "refit_on_all")?,
    };
    let refit_on_all = asked.refit_on_all;
    let (model, source) = (required(model, "model")?, required(source, "source")?);
    let filing = Filing::of(activate, publish, keep_versions)?;
    let run = Run::new("fit_scorer", model, source, filing);
    let (version, Fit { scorer, .. }) = fit(asked, settings, false, &run)?;
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

/// Runs a stored fit again on the columns of that fit.
pub(super) fn fit_again(
    live: &Version,
    source: &str,
    parameters: &Value,
) -> Result<Version, Report> {
    let asked: Asked = stored(live, parameters)?;
    let settings = asked.chosen.settings(live, &score::algorithms())?;
    fit(asked, settings, true, &Run::again(live, source)).map(|(version, _)| version)
}

/// The target of the first of these versions that was fitted here.
pub(super) fn target_of(versions: &[Version]) -> Result<Option<String>, Report> {
    for version in versions {
        let parameters = registry::parameters(version)?;
        if let Some(target) = parameters["target"].as_str() {
            return Ok(Some(target.to_owned()));
        }
    }
    Ok(None)
}

/// The arguments of a fit, as they are stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) target: String,
    #[serde(flatten)]
    chosen: Chosen,
    positive: Option<String>,
    /// Columns of the source; once stored, those that the fit found.
    pub(super) features: Option<Vec<String>>,
    pub(super) key: Option<String>,
    holdout: f64,
    pub(super) holdout_column: Option<String>,
    seed: i64,
    refit_on_all: bool,
}

impl Asked {
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
        let taken = [Some(&self.target), self.key.as_ref(), self.holdout_column.as_ref()];
        match self.features.iter().flatten().find(|feature| taken.contains(&Some(feature))) {
            Some(feature) => {
                let valid = "columns other than the target, the key and the holdout column";
                Err(invalid("features", feature, valid))
            }
            None => Ok(()),
        }
    }
}

fn fit(
    asked: Asked,
    settings: Settings,
    is_again: bool,
    run: &Run,
) -> Result<(Version, Fit), Report> {
    let params = asked.params(settings)?;
    asked.check_columns()?;
    let mut fitting = ScorerFit { asked, params, is_again };
    let Done { version, learnt: fit, .. } = fitting::run(&mut fitting, run)?;
    if !is_again {
        warn_of_leaks(&fit.leaks);
    }
    if !fit.converged {
        warning!(
            "the fit of model \"{}\" ended after {} steps without converging",
            run.model,
            fit.iterations
        );
    }
    holdout::keep(&version, &fit)?;
    Ok((version, fit))
}

/// A column that knows the answer is seldom known before it.
fn warn_of_leaks(leaks: &[String]) {
    for column in leaks {
        let text = format!("feature \"{column}\" alone tells the classes of the holdout apart");
        report(PgSqlErrorCode::ERRCODE_WARNING, text)
            .set_hint("Leave it out of the features unless it is known before the target is.")
            .report(PgLogLevel::WARNING);
    }
}

struct ScorerFit {
    asked: Asked,
    params: Params,
    is_again: bool,
}

impl Fitting for ScorerFit {
    const KIND: Kind = Scoring::KIND;
    type Read = Data;
    type Learnt = Fit;

    fn read(&self, run: &Run, progress: &mut Progress) -> Result<Data, Report> {
        read(run.source, &self.asked, self.is_again, progress)
    }

    fn learn(&mut self, data: Data, progress: &mut Progress) -> Result<Fit, Report> {
        let params = self.params.clone();
        let (fit, columns) = threads::run(progress, |watch| data.fit(params, watch))??;
        self.asked.features = Some(columns);
        Ok(fit)
    }

    fn filed(&self, Fit { scorer, .. }: &Fit) -> Result<Filed, Report> {
        let metrics = scorer.metrics.as_ref();
        let mut metrics = metrics.map_or_else(|| json!({}), |metrics| json!(metrics));
        metrics["positive"] = json!(scorer.positive_class());
        metrics["classes"] = json!(scorer.classes);
        metrics["refit_on_all"] = json!(self.asked.refit_on_all);
        Ok(Filed {
            algorithm: self.params.settings.algorithm().name,
            payload: scorer.to_bytes()?,
            n_rows: n_rows(scorer) as usize,
            features: scorer.inputs.iter().map(|input| input.name.clone()).collect(),
            parameters: json!(self.asked),
            metrics,
        })
    }
}
