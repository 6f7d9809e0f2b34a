//! Measures a recommender on a source of what its users took.

use std::rc::Rc;

use pgrx::prelude::*;

use super::events::{Names, read};
use super::served::Served;
use super::{places, required};
use crate::algo::recommend::evaluate;
use crate::pg::error::Report;
use crate::pg::models::registry::{Privilege, current};
use crate::pg::sys::progress::Progress;
use crate::pg::sys::threads;

/// Columns that are not named are those of the fit.
#[pg_extern]
fn evaluate_recommender(
    model: Option<&str>,
    source: Option<&str>,
    user_column: Option<&str>,
    item_column: Option<&str>,
    weight_column: Option<&str>,
    n: Option<i64>,
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
            name!(popular_ndcg, Option<f64>),
            name!(n_unknown_users, i64),
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
    let mut events = read(source, &names, &mut progress)?;
    events.read_as(&served.columns)?;
    progress.phase("evaluating");
    let recommender = &served.recommender;
    let evaluation = threads::run(&progress, |watch| {
        evaluate(recommender, &events.interactions(&names, None, watch)?, n, watch)
    })??;
    let quality = evaluation.quality;
    Ok(TableIterator::once((
        quality.map_or(0, |quality| quality.n_users as i64),
        quality.map(|quality| quality.ndcg),
        quality.map(|quality| quality.precision),
        quality.map(|quality| quality.recall),
        quality.map(|quality| quality.map),
        quality.map(|quality| quality.coverage),
        quality.map(|quality| quality.popular_ndcg),
        evaluation.n_unknown_users as i64,
    )))
}
