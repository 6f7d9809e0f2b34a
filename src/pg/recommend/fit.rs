//! Fits a recommender from a source.

use pgrx::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::algo::declared::Settings;
use crate::algo::memory;
use crate::algo::recommend::{
    self, Evaluation, Interactions, Method, Params, Recommender, Split, Stratum, ValidParams,
};
use crate::pg::error::{Error, Report};
use crate::pg::fitting::{Chosen, Done, Filed, Fitting, Run, run, stored};
use crate::pg::kind::Kind;
use crate::pg::models::publish;
use crate::pg::models::registry::{Filing, Stored, Version};
use crate::pg::sys::guc;
use crate::pg::sys::progress::Progress;
use crate::pg::sys::threads;
use crate::pg::types::options::{Json, required, within};

use super::events::{Events, Names, WORK, read};
use super::served::{Served, payload};

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
    keep_versions: Option<i64>,
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
    let (chosen, settings) = Chosen::of(algorithm, parameters, &recommend::algorithms())?;
    let arguments = Arguments {
        user_column: required(user_column, "user_column")?.to_owned(),
        item_column: required(item_column, "item_column")?.to_owned(),
        weight_column: weight_column.map(str::to_owned),
        time_column: time_column.map(str::to_owned),
        chosen,
        holdout: required(holdout, "holdout")?,
        seed: required(seed, "seed")?,
        refit_on_all: required(refit_on_all, "refit_on_all")?,
    };
    let filing = Filing::of(activate, publish, keep_versions)?;
    let (model, source) = (required(model, "model")?, required(source, "source")?);
    let mut fit = RecommenderFit::of(arguments, settings)?;
    let Done { version, learnt, progress, .. } =
        run(&mut fit, &Run::new("fit_recommender", model, source, filing))?;
    drop(progress);
    let Learnt { events, recommender, evaluation } = learnt;
    let quality = evaluation.and_then(|evaluation| evaluation.quality);
    let row = (
        version.version,
        recommender.n_users() as i64,
        recommender.n_items() as i64,
        events.frame.n_rows as i64,
        quality.map_or(0, |quality| quality.n_users as i64),
        quality.map(|quality| quality.ndcg),
        quality.map(|quality| quality.precision),
        quality.map(|quality| quality.recall),
        quality.map(|quality| quality.map),
        quality.map(|quality| quality.coverage),
        quality.map(|quality| quality.popular_ndcg),
        evaluation.map_or(0, |evaluation| evaluation.n_unknown_users as i64),
        fit.arguments.refit_on_all,
    );
    // Tables are written with the memory of what was read.
    drop((events, recommender));
    if filing.publishes() {
        publish::follow(&version, None, None)?;
    }
    Ok(TableIterator::once(row))
}

/// Fits the model again as its arguments in the registry say; the new version is active.
pub(super) fn fit_again(
    live: &Version,
    source: &str,
    parameters: &Value,
) -> Result<Version, Report> {
    let arguments: Arguments = stored(live, parameters)?;
    let settings = arguments.chosen.settings(live, &recommend::algorithms())?;
    let mut fit = RecommenderFit::of(arguments, settings)?;
    run(&mut fit, &Run::again(live, source)).map(|done| done.version)
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
    #[serde(flatten)]
    chosen: Chosen,
    holdout: f64,
    seed: i64,
    refit_on_all: bool,
}

impl Arguments {
    fn names(&self) -> Names<'_> {
        Names {
            user: &self.user_column,
            item: &self.item_column,
            weight: self.weight_column.as_deref(),
            time: self.time_column.as_deref(),
        }
    }
}

struct RecommenderFit {
    arguments: Arguments,
    algorithm: &'static str,
    params: ValidParams,
}

impl RecommenderFit {
    fn of(arguments: Arguments, settings: Settings) -> Result<Self, Report> {
        let has_times = arguments.time_column.is_some();
        let params = Params {
            method: Method::try_from(&settings)?,
            holdout: split_of(arguments.holdout, arguments.seed, has_times)?,
            refit_on_all: arguments.refit_on_all,
            k: MEASURED,
        };
        Ok(Self { arguments, algorithm: settings.algorithm().name, params: params.check()? })
    }
}

struct Learnt {
    events: Events,
    recommender: Recommender,
    evaluation: Option<Evaluation>,
}

impl Fitting for RecommenderFit {
    const KIND: Kind = Served::KIND;
    type Read = Events;
    type Learnt = Learnt;

    fn read(&self, run: &Run, progress: &mut Progress) -> Result<Events, Report> {
        read(run.source, &self.arguments.names(), progress)
    }

    fn learn(&mut self, events: Events, progress: &mut Progress) -> Result<Learnt, Report> {
        let names = self.arguments.names();
        let last_share = Some(self.arguments.holdout).filter(|share| *share > 0.0);
        let interactions =
            threads::run(progress, |watch| events.interactions(&names, last_share, watch))??;
        check_memory(&interactions, events.frame.n_rows, &self.params.get().method)?;
        let (recommender, evaluation) =
            threads::run(progress, |watch| recommend::fit(&interactions, &self.params, watch))??;
        if let Some(Evaluation { quality: None, n_unknown_users }) = evaluation {
            notice!("the holdout measures nothing: {}", unmeasured(&interactions, n_unknown_users));
        }
        Ok(Learnt { events, recommender, evaluation })
    }

    fn filed(&self, learnt: &Learnt) -> Result<Filed, Report> {
        let Learnt { events, recommender, evaluation } = learnt;
        let Names { user, item, weight, time } = self.arguments.names();
        let used = [Some(user), Some(item), weight, time];
        Ok(Filed {
            algorithm: self.algorithm,
            payload: payload(&events.columns, recommender)?,
            n_rows: events.frame.n_rows,
            features: used.into_iter().flatten().map(str::to_owned).collect(),
            parameters: json!(self.arguments),
            metrics: metrics(recommender, *evaluation),
        })
    }
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
    within("holdout", share, 0.0..1.0, "at least 0 (no holdout) and less than 1")?;
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

fn metrics(recommender: &Recommender, evaluation: Option<Evaluation>) -> Value {
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
