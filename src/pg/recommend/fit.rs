//! Fits a recommender from a source.

use pgrx::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::events::{Names, WORK, read};
use super::required;
use super::served::{Served, payload};
use crate::algo::declared::{self, Settings};
use crate::algo::memory;
use crate::algo::recommend::{self, Evaluation, Interactions, Method, Params, Split, Stratum};
use crate::pg::error::{Error, Report};
use crate::pg::guc;
use crate::pg::models::publish;
use crate::pg::models::registry::{self, Filing, NewVersion, Stored, Version};
use crate::pg::options::{self, Json};
use crate::pg::progress::Progress;
use crate::pg::threads;

/// Places measured by a fit: the names of its result columns say so.
const MEASURED: usize = 10;

#[allow(clippy::too_many_arguments, reason = "they are the SQL function's")]
#[pg_extern]
fn fit_recommender(
    model: Option<&str>,
    source: Option<&str>,
    user_column: Option<&str>,
    item_column: Option<&str>,
    weight_column: Option<&str>,
    time_column: Option<&str>,
    algorithm: Option<&str>,
    parameters: Option<Json>,
    holdout: Option<f64>,
    seed: Option<i64>,
    activate: Option<bool>,
    publish: Option<bool>,
    refit_on_all: Option<bool>,
    keep_versions: Option<i32>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(version, i32),
            name!(n_users, i64),
            name!(n_items, i64),
            name!(n_events, i64),
            name!(n_test_users, i64),
            name!(ndcg_at_10, Option<f64>),
            name!(precision_at_10, Option<f64>),
            name!(recall_at_10, Option<f64>),
            name!(map_at_10, Option<f64>),
            name!(coverage_at_10, Option<f64>),
            name!(popular_ndcg_at_10, Option<f64>),
            name!(n_unknown_users, i64),
            name!(refit_on_all, bool),
        ),
    >,
    Report,
> {
    let algorithm =
        options::algorithm(required(algorithm, "algorithm")?, &recommend::algorithms())?;
    let settings = required(parameters, "parameters")?.settings("parameters", algorithm)?;
    let arguments = Arguments {
        user_column: required(user_column, "user_column")?.to_owned(),
        item_column: required(item_column, "item_column")?.to_owned(),
        weight_column: weight_column.map(str::to_owned),
        time_column: time_column.map(str::to_owned),
        algorithm: algorithm.name.to_owned(),
        parameters: settings.to_json(),
        holdout: required(holdout, "holdout")?,
        seed: required(seed, "seed")?,
        refit_on_all: required(refit_on_all, "refit_on_all")?,
    };
    let filing = Filing::of(activate, publish, keep_versions)?;
    let (model, source) = (required(model, "model")?, required(source, "source")?);
    let fitted = fit(model, source, &arguments, &settings, filing)?;
    if filing.publishes() {
        publish::follow(&fitted.version, None, None)?;
    }
    let quality = fitted.evaluation.and_then(|evaluation| evaluation.quality);
    Ok(TableIterator::once((
        fitted.version.version,
        fitted.n_users as i64,
        fitted.n_items as i64,
        fitted.n_events as i64,
        quality.map_or(0, |quality| quality.n_users as i64),
        quality.map(|quality| quality.ndcg),
        quality.map(|quality| quality.precision),
        quality.map(|quality| quality.recall),
        quality.map(|quality| quality.map),
        quality.map(|quality| quality.coverage),
        quality.map(|quality| quality.popular_ndcg),
        fitted.evaluation.map_or(0, |evaluation| evaluation.n_unknown_users as i64),
        arguments.refit_on_all,
    )))
}

/// Fits the model again as its arguments in the registry say; the new version is active.
pub(super) fn fit_again(
    live: &Version,
    source: &str,
    parameters: &serde_json::Value,
) -> Result<Version, Report> {
    let corrupt = |why: String| {
        let why = format!("its parameters are not those of a fit ({why})");
        Report::from(Error::CorruptModel { name: live.name.clone(), version: live.version, why })
    };
    let arguments =
        Arguments::deserialize(parameters).map_err(|error| corrupt(error.to_string()))?;
    let settings = arguments.settings().map_err(corrupt)?;
    Ok(fit(&live.name, source, &arguments, &settings, Filing::REFIT)?.version)
}

/// The arguments by which a fit is run again, under their names in SQL.
#[derive(Debug, Serialize, Deserialize)]
struct Arguments {
    user_column: String,
    item_column: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight_column: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_column: Option<String>,
    algorithm: String,
    /// Of the algorithm, all of them.
    parameters: serde_json::Map<String, serde_json::Value>,
    holdout: f64,
    seed: i64,
    refit_on_all: bool,
}

impl Arguments {
    /// The algorithm's parameters as they were stored, or why they are none.
    fn settings(&self) -> Result<Settings, String> {
        let algorithm = declared::named(&self.algorithm, &recommend::algorithms())
            .map_err(|_| format!("algorithm \"{}\" is not known", self.algorithm))?;
        algorithm.stored(&self.parameters).map_err(|error| error.to_string())
    }
}

struct Fitted {
    version: Version,
    n_users: usize,
    n_items: usize,
    n_events: usize,
    evaluation: Option<Evaluation>,
}

fn fit(
    model: &str,
    source: &str,
    arguments: &Arguments,
    settings: &Settings,
    filing: Filing,
) -> Result<Fitted, Report> {
    let names = Names {
        user: &arguments.user_column,
        item: &arguments.item_column,
        weight: arguments.weight_column.as_deref(),
        time: arguments.time_column.as_deref(),
    };
    let method = Method::try_from(settings)?;
    let params = Params {
        method,
        holdout: split_of(arguments.holdout, arguments.seed, names.time.is_some())?,
        refit_on_all: arguments.refit_on_all,
        k: MEASURED,
    }
    .check()?;

    registry::lock_for_fit(model, Served::KIND)?;
    let mut progress = Progress::start("fit_recommender", model);
    let events = read(source, &names, &mut progress)?;
    progress.phase("fitting");
    let last_share = Some(arguments.holdout).filter(|share| *share > 0.0);
    let interactions =
        threads::run(&progress, |watch| events.interactions(&names, last_share, watch))??;
    check_memory(&interactions, events.frame.n_rows, &method)?;
    let (recommender, evaluation) =
        threads::run(&progress, |watch| recommend::fit(&interactions, &params, watch))??;

    if let Some(Evaluation { quality: None, n_unknown_users }) = evaluation {
        notice!("the holdout measures nothing: {}", unmeasured(&interactions, n_unknown_users));
    }

    progress.phase("storing");
    let used = [Some(names.user), Some(names.item), names.weight, names.time];
    let version = registry::store(&NewVersion {
        model,
        kind: Served::KIND,
        algorithm: settings.algorithm().name,
        payload: &payload(&events.columns, &recommender)?,
        n_rows: events.frame.n_rows,
        features: used.into_iter().flatten().map(str::to_owned).collect(),
        parameters: json!(arguments),
        metrics: metrics(&recommender, evaluation),
        source: Some(source),
        filing,
    })?;
    let (n_users, n_items) = (recommender.n_users(), recommender.n_items());
    let n_events = events.frame.n_rows;
    Ok(Fitted { version, n_users, n_items, n_events, evaluation })
}

/// Why no user could be measured.
fn unmeasured(interactions: &Interactions, n_unknown_users: usize) -> &'static str {
    match &interactions.past {
        Some(past) if !past.has_later => {
            "the rows that would be held out all have the last time of the source"
        }
        _ if n_unknown_users > 0 => "only new users have rows after the cut",
        Some(_) => "after the cut no user has an item that is new to him",
        None => "no user has items to spare",
    }
}

/// With times the last are held out, as a recommender meets them: it knows nothing of the future.
fn split_of(share: f64, seed: i64, has_times: bool) -> Result<Option<Split>, Report> {
    if !(0.0..1.0).contains(&share) {
        return Err(Error::InvalidOption {
            option: "holdout".to_owned(),
            value: share.to_string(),
            valid: "at least 0 (no holdout) and less than 1".to_owned(),
        }
        .into());
    }
    Ok((share > 0.0).then_some(if has_times {
        Split::LastByTime { share }
    } else {
        Split::Random { share, seed, by: Stratum::User }
    }))
}

/// What is learned can be far larger than the data it is made of: refused before it is made.
fn check_memory(
    interactions: &Interactions,
    n_events: usize,
    method: &Method,
) -> Result<(), Report> {
    let room = method.room(interactions);
    let budget = guc::max_fit_memory();
    if room.kept > budget {
        return Err(Error::OutOfMemoryBudget { wanted: room.kept, budget }.into());
    }
    // The codes and histories are there; what is held out and measured is to come.
    let more = guc::threads() * room.by_thread + n_events * WORK.per_row / 2;
    Ok(memory::probe(room.kept.saturating_add(more))?)
}

fn metrics(
    recommender: &recommend::Recommender,
    evaluation: Option<Evaluation>,
) -> serde_json::Value {
    let mut metrics = json!({
        "n_users": recommender.n_users(),
        "n_items": recommender.n_items(),
        "learned_from_all": !recommender.is_of_a_part(),
    });
    if let Some(evaluation) = evaluation {
        metrics["n_unknown_users"] = json!(evaluation.n_unknown_users);
    }
    if let Some(quality) = evaluation.and_then(|evaluation| evaluation.quality) {
        metrics["n_test_users"] = json!(quality.n_users);
        metrics["ndcg_at_10"] = json!(quality.ndcg);
        metrics["precision_at_10"] = json!(quality.precision);
        metrics["recall_at_10"] = json!(quality.recall);
        metrics["map_at_10"] = json!(quality.map);
        metrics["coverage_at_10"] = json!(quality.coverage);
        metrics["popular_ndcg_at_10"] = json!(quality.popular_ndcg);
    }
    metrics
}
