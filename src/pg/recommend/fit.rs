//! Fits a recommender from a source, and measures one on a source that it has not seen.

use std::rc::Rc;

use pgrx::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::served::{Columns, KeyColumn, Served, payload};
use super::{places, required};
use crate::algo::frame::{Column, Frame, Values};
use crate::algo::memory;
use crate::algo::recommend::{
    self, Algorithm, Interactions, Params, Quality, Split, Stratum, evaluate,
};
use crate::pg::datum::type_name;
use crate::pg::error::{Error, Report, report};
use crate::pg::guc;
use crate::pg::ingest::{Others, Request, Role, Work, ingest_for};
use crate::pg::operate::publish;
use crate::pg::options::one_of;
use crate::pg::progress::Progress;
use crate::pg::query::spi_failed;
use crate::pg::registry::{self, NewVersion, Privilege, Stored, Version, current};
use crate::pg::security::with_catalog_names;
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
    neighbors: Option<i32>,
    shrinkage: Option<f64>,
    holdout: Option<f64>,
    seed: Option<i64>,
    activate: Option<bool>,
    publish: Option<bool>,
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
        ),
    >,
    Report,
> {
    let arguments = Arguments {
        user_column: required(user_column, "user_column")?.to_owned(),
        item_column: required(item_column, "item_column")?.to_owned(),
        weight_column: weight_column.map(str::to_owned),
        time_column: time_column.map(str::to_owned),
        algorithm: required(algorithm, "algorithm")?.to_owned(),
        neighbors: required(neighbors, "neighbors")?,
        shrinkage: required(shrinkage, "shrinkage")?,
        holdout: required(holdout, "holdout")?,
        seed: required(seed, "seed")?,
    };
    let (activate, publish) = (required(activate, "activate")?, required(publish, "publish")?);
    let fitted = fit(required(model, "model")?, required(source, "source")?, &arguments, activate)?;
    if activate && publish {
        publish::follow(&fitted.version, None)?;
    }
    let quality = fitted.quality;
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
    )))
}

/// Fits the model again as its arguments in the registry say; the new version is active.
pub(crate) fn fit_again(
    live: &Version,
    source: &str,
    parameters: &serde_json::Value,
) -> Result<Version, Report> {
    let arguments = Arguments::deserialize(parameters).map_err(|error| Error::CorruptModel {
        name: live.name.clone(),
        version: live.version,
        why: error.to_string(),
    })?;
    Ok(fit(&live.name, source, &arguments, true)?.version)
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
    neighbors: i32,
    shrinkage: f64,
    holdout: f64,
    seed: i64,
}

struct Fitted {
    version: Version,
    n_users: usize,
    n_items: usize,
    n_events: usize,
    quality: Option<Quality>,
}

fn fit(model: &str, source: &str, arguments: &Arguments, activate: bool) -> Result<Fitted, Report> {
    let names = Names {
        user: &arguments.user_column,
        item: &arguments.item_column,
        weight: arguments.weight_column.as_deref(),
        time: arguments.time_column.as_deref(),
    };
    let algorithm = algorithm_of(&arguments.algorithm)?;
    let neighbors = places(Some(arguments.neighbors), "neighbors")?;
    let params = Params {
        algorithm,
        neighbors,
        shrinkage: arguments.shrinkage,
        holdout: split_of(arguments.holdout, arguments.seed, names.time.is_some())?,
        k: MEASURED,
    }
    .check()?;

    registry::lock_for_fit(model, Served::KIND)?;
    let mut progress = Progress::start("fit_recommender", model);
    let events = read(source, &names, &mut progress)?;
    progress.phase("fitting");
    let interactions = threads::run(&progress, |watch| events.interactions(&names, watch))??;
    check_memory(&interactions, events.frame.n_rows, algorithm, neighbors)?;
    let (recommender, quality) =
        threads::run(&progress, |watch| recommend::fit(&interactions, &params, watch))??;

    progress.phase("storing");
    let used = [Some(names.user), Some(names.item), names.weight, names.time];
    let version = registry::store(&NewVersion {
        model,
        kind: Served::KIND,
        algorithm: &arguments.algorithm,
        payload: &payload(&events.columns, &recommender)?,
        n_rows: events.frame.n_rows,
        features: used.into_iter().flatten().map(str::to_owned).collect(),
        parameters: json!(arguments),
        metrics: metrics(&recommender, quality.as_ref()),
        source: Some(source),
        activate,
    })?;
    let (n_users, n_items) = (recommender.n_users(), recommender.n_items());
    Ok(Fitted { version, n_users, n_items, n_events: events.frame.n_rows, quality })
}

/// Columns that are not named are those of the fit.
#[pg_extern]
fn evaluate_recommender(
    model: Option<&str>,
    source: Option<&str>,
    user_column: Option<&str>,
    item_column: Option<&str>,
    weight_column: Option<&str>,
    n: Option<i32>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(n_users, i64),
            name!(ndcg, Option<f64>),
            name!(precision_mean, Option<f64>),
            name!(recall, Option<f64>),
            name!(map, Option<f64>),
            name!(coverage, Option<f64>),
        ),
    >,
    Report,
> {
    let model = required(model, "model")?;
    let source = required(source, "source")?;
    let n = places(n, "n")?;
    let served = Rc::clone(&current::<Served>(model, Privilege::Use)?.model);
    let names = Names {
        user: user_column.unwrap_or(&served.columns.user.name),
        item: item_column.unwrap_or(&served.columns.item.name),
        weight: weight_column,
        time: None,
    };
    let mut progress = Progress::start("evaluate_recommender", model);
    let events = read(source, &names, &mut progress)?;
    progress.phase("evaluating");
    let recommender = &served.recommender;
    let quality = threads::run(&progress, |watch| {
        evaluate(recommender, &events.interactions(&names, watch)?, n, watch)
    })??;
    Ok(TableIterator::once((
        quality.map_or(0, |quality| quality.n_users as i64),
        quality.map(|quality| quality.ndcg),
        quality.map(|quality| quality.precision),
        quality.map(|quality| quality.recall),
        quality.map(|quality| quality.map),
        quality.map(|quality| quality.coverage),
    )))
}

struct Names<'a> {
    user: &'a str,
    item: &'a str,
    weight: Option<&'a str>,
    time: Option<&'a str>,
}

/// Who had what, as it was read.
struct Events {
    frame: Frame,
    columns: Columns,
}

impl Events {
    fn interactions(
        &self,
        names: &Names,
        watch: &crate::algo::stop::Watch,
    ) -> Result<Interactions, recommend::Error> {
        let columns = recommend::Columns {
            user: names.user,
            item: names.item,
            weight: names.weight,
            time: names.time,
        };
        Interactions::from_frame(&self.frame, &columns, watch)
    }
}

/// Codes, histories by user and by item, and what is held out: measured 72 bytes an event with 20 events a user, 112 with one.
const WORK: Work = Work { per_row: 88, per_number: 0 };

fn read(source: &str, names: &Names, progress: &mut Progress) -> Result<Events, Report> {
    if names.user == names.item {
        return Err(report(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("user_column and item_column are both \"{}\"", names.user),
        ));
    }
    let mut columns = vec![(names.user, Role::Key), (names.item, Role::Key)];
    columns.extend(names.weight.map(|name| (name, Role::Number)));
    columns.extend(names.time.map(|name| (name, Role::Number)));
    let request = Request { source, columns, others: Others::Ignore };
    let mut read = ingest_for(WORK, &request, progress)?;
    let mut key_column = |position: usize, name: &str| {
        let read_type = read.types.get(position).map_or("text", String::as_str);
        if read_type == "character"
            && let Some(column) = read.frame.columns.get_mut(position)
        {
            without_padding(column);
        }
        Ok::<_, Report>(KeyColumn { name: name.to_owned(), sql_type: qualified(read_type)? })
    };
    let columns = Columns { user: key_column(0, names.user)?, item: key_column(1, names.item)? };
    Ok(Events { frame: read.frame, columns })
}

/// A char(n) loses its blanks when SQL casts it to text, and so must the keys that are compared with such text.
fn without_padding(column: &mut Column) {
    if let Values::Text { dictionary, .. } = &mut column.values {
        for word in dictionary {
            word.truncate(word.trim_end_matches(' ').len());
        }
    }
}

/// The type's name as it is found whatever the search_path.
fn qualified(type_of_caller: &str) -> Result<String, Report> {
    let oid = Spi::get_one_with_args::<pg_sys::Oid>(
        "SELECT pg_catalog.to_regtype($1)::pg_catalog.oid",
        &[type_of_caller.into()],
    )
    .map_err(spi_failed)?;
    Ok(oid.map_or_else(|| "text".to_owned(), |oid| with_catalog_names(|| type_name(oid))))
}

fn algorithm_of(name: &str) -> Result<Algorithm, Report> {
    let algorithms = [("item_knn", Algorithm::ItemKnn), ("popular", Algorithm::Popular)];
    one_of("algorithm", name, &algorithms)
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

/// Neighbour lists can be far larger than the data they are made of: refused before they are made.
fn check_memory(
    interactions: &Interactions,
    n_events: usize,
    algorithm: Algorithm,
    neighbors: usize,
) -> Result<(), Report> {
    /// A neighbour in the lists, in their transpose, and in the stored bytes.
    const NEIGHBOUR_BYTES: usize = 24;
    /// What each thread has for every item.
    const ITEM_BYTES: usize = 16;
    let n_neighbours = match algorithm {
        Algorithm::ItemKnn => interactions.most_neighbours(neighbors),
        Algorithm::Popular => 0,
    };
    let wanted = n_neighbours.saturating_mul(NEIGHBOUR_BYTES);
    let budget = guc::max_fit_memory();
    if wanted > budget {
        return Err(Error::OutOfMemoryBudget { wanted, budget }.into());
    }
    // The codes and histories are there; what is held out and measured is to come.
    let more = guc::threads() * interactions.n_items() * ITEM_BYTES + n_events * WORK.per_row / 2;
    Ok(memory::probe(wanted.saturating_add(more))?)
}

fn metrics(recommender: &recommend::Recommender, quality: Option<&Quality>) -> serde_json::Value {
    let mut metrics = json!({
        "n_users": recommender.n_users(),
        "n_items": recommender.n_items(),
    });
    if let Some(quality) = quality {
        metrics["n_test_users"] = json!(quality.n_users);
        metrics["ndcg_at_10"] = json!(quality.ndcg);
        metrics["precision_at_10"] = json!(quality.precision);
        metrics["recall_at_10"] = json!(quality.recall);
        metrics["map_at_10"] = json!(quality.map);
        metrics["coverage_at_10"] = json!(quality.coverage);
    }
    metrics
}
