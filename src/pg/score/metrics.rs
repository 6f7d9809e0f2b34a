//! Aggregates over outcomes and what was said of them: labels and scores, actual values and predictions.

use pgrx::prelude::*;

use crate::algo::memory;
use crate::algo::metrics::curves::Ranking;
use crate::algo::metrics::{classification, regression};
use crate::pg::error::{Error, Report, report};
use crate::pg::sys::call::{Call, Internal, OwnState, functions};
use crate::pg::sys::guc;
use crate::pg::types::datum::FloatArray;
use crate::pg::types::options::within;

functions! {
    /// Adds a row: its label and its score. A NULL label or score is skipped.
    fn persona_scored_add(Internal<Scored>, bool, f64) -> Internal<Scored> = add;
    fn persona_scored_roc_auc(Internal<Scored>) -> f64 = |call| finish(call, classification::roc_auc);
    fn persona_scored_average_precision(Internal<Scored>) -> f64 = |call| finish(call, classification::average_precision);
    fn persona_scored_calibration_error(Internal<Scored>) -> f64 = |call| finish(call, calibration_error);
    /// Adds the loss of a row to a mean: its label and its score. A NULL label or score is skipped.
    fn persona_log_loss_add(FloatArray, bool, f64) -> FloatArray = |call| add_loss(call, classification::log_loss_of);
    /// As `persona_log_loss_add`.
    fn persona_brier_add(FloatArray, bool, f64) -> FloatArray = |call| add_loss(call, classification::brier_of);
    /// Adds a row to a table of counts: its label, and whether its score reaches the threshold.
    fn persona_confusion_add(FloatArray, bool, f64, f64) -> FloatArray = add_side;
    /// Adds the loss of a row to a mean: its actual value and its prediction. A row with a NULL is skipped.
    fn persona_squared_error_add(FloatArray, f64, f64) -> FloatArray = |call| add_error(call, regression::squared_error);
    /// As `persona_squared_error_add`.
    fn persona_absolute_error_add(FloatArray, f64, f64) -> FloatArray = |call| add_error(call, regression::absolute_error);
    /// As `persona_squared_error_add`.
    fn persona_percentage_error_add(FloatArray, f64, f64) -> FloatArray = |call| add_error(call, regression::percentage_error);
    /// As `persona_squared_error_add`.
    fn persona_poisson_deviance_add(FloatArray, f64, f64) -> FloatArray = |call| add_error(call, regression::poisson_deviance);
    /// Adds a row to a table of squares and products: its actual value and its prediction. A row with a NULL is skipped.
    fn persona_r2_add(FloatArray, f64, f64) -> FloatArray = add_pair;
    /// As `persona_squared_error_add`, of a prediction of this quantile.
    fn persona_pinball_loss_add(FloatArray, f64, f64, f64) -> FloatArray = add_pinball;
}

/// The rows of an aggregate: a metric that ranks needs all of them.
#[derive(Default)]
struct Scored {
    labels: Vec<bool>,
    scores: Vec<f64>,
}

fn add<'call>(
    Call { args, .. }: Call<'call, (Internal<Scored>, bool, f64)>,
) -> Result<OwnState<'call, Scored>, Report> {
    let row = args.get::<1>().zip(args.get::<2>());
    let mut state = args.internal_or_default()?;
    if let Some((label, score)) = row {
        state.add(label, score)?;
    }
    Ok(state)
}

impl Scored {
    fn add(&mut self, label: bool, score: f64) -> Result<(), Report> {
        finite("score", score)?;
        if self.labels.len() == self.labels.capacity() {
            // Twice what there is, the old and the new together, and as much again for a metric's own order.
            let (wanted, budget) = (self.labels.len() * 2 * 9 * 2, guc::max_fit_memory());
            if wanted > budget {
                return Err(Error::OutOfMemoryBudget { wanted, budget }.into());
            }
        }
        memory::push(&mut self.labels, label)?;
        memory::push(&mut self.scores, score)?;
        Ok(())
    }
}

fn finish<E: Into<Report>>(
    Call { args, .. }: Call<(Internal<Scored>,)>,
    metric: fn(&[bool], &[f64]) -> Result<Option<f64>, E>,
) -> Result<Option<f64>, Report> {
    match args.internal()?.filter(|state| !state.labels.is_empty()) {
        Some(state) => metric(&state.labels, &state.scores).map_err(Into::into),
        None => Ok(None),
    }
}

/// The bins of the expected calibration error, as in the literature.
const CALIBRATION_BINS: u32 = 15;

fn calibration_error(labels: &[bool], scores: &[f64]) -> Result<Option<f64>, Report> {
    for &score in scores {
        check_probability(score)?;
    }
    Ok(Ranking::new(labels, scores)?.calibration_error(CALIBRATION_BINS))
}

/// The state is that of PostgreSQL's own `avg`, and so are the functions that merge and finish it.
fn add_loss<'call>(
    Call { args, site }: Call<'call, (FloatArray, bool, f64)>,
    loss: fn(bool, f64) -> f64,
) -> Result<Option<FloatArray<'call>>, Report> {
    let Some(state) = state(args.get::<0>(), 3, "a mean")? else { return Ok(None) };
    let (Some(label), Some(score)) = (args.get::<1>(), args.get::<2>()) else {
        return Ok(Some(state));
    };
    check_probability(score)?;
    Ok(Some(state.accumulate(&site, loss(label, score))))
}

fn check_probability(score: f64) -> Result<(), Report> {
    if classification::is_probability(finite("score", score)?) {
        return Ok(());
    }
    Err(report(
        PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
        format!("score {score} is not between 0 and 1"),
    )
    .set_hint("The metric is of probabilities: divide percentages by 100."))
}

/// The state is that of PostgreSQL's own `regr_count` and its kin, over label and side as 0 and 1: it has all four counts, and
/// PostgreSQL merges it.
fn add_side<'call>(
    Call { args, site }: Call<'call, (FloatArray, bool, f64, f64)>,
) -> Result<Option<FloatArray<'call>>, Report> {
    let Some(state) = state(args.get::<0>(), 6, "a regression")? else { return Ok(None) };
    let (Some(label), Some(score), Some(threshold)) =
        (args.get::<1>(), args.get::<2>(), args.get::<3>())
    else {
        return Ok(Some(state));
    };
    let number = |is: bool| f64::from(u8::from(is));
    let is_above = finite("score", score)? >= finite("threshold", threshold)?;
    Ok(Some(state.accumulate_pair(&site, number(label), number(is_above))))
}

fn add_error<'call>(
    Call { args, site }: Call<'call, (FloatArray, f64, f64)>,
    error: fn(f64, f64) -> Result<f64, regression::Error>,
) -> Result<Option<FloatArray<'call>>, Report> {
    let Some(state) = state(args.get::<0>(), 3, "a mean")? else { return Ok(None) };
    let (Some(actual), Some(prediction)) = (args.get::<1>(), args.get::<2>()) else {
        return Ok(Some(state));
    };
    let error = error(finite("actual", actual)?, finite("prediction", prediction)?)?;
    Ok(Some(state.accumulate(&site, error)))
}

fn add_pair<'call>(
    Call { args, site }: Call<'call, (FloatArray, f64, f64)>,
) -> Result<Option<FloatArray<'call>>, Report> {
    let Some(state) = state(args.get::<0>(), 6, "a regression")? else { return Ok(None) };
    let (Some(actual), Some(prediction)) = (args.get::<1>(), args.get::<2>()) else {
        return Ok(Some(state));
    };
    let (actual, prediction) = (finite("actual", actual)?, finite("prediction", prediction)?);
    Ok(Some(state.accumulate_pair(&site, actual, prediction)))
}

fn add_pinball<'call>(
    Call { args, site }: Call<'call, (FloatArray, f64, f64, f64)>,
) -> Result<Option<FloatArray<'call>>, Report> {
    let Some(state) = state(args.get::<0>(), 3, "a mean")? else { return Ok(None) };
    let (Some(actual), Some(prediction), Some(quantile)) =
        (args.get::<1>(), args.get::<2>(), args.get::<3>())
    else {
        return Ok(Some(state));
    };
    let quantile = within("quantile", quantile, 0.0..=1.0, "a share from 0 to 1")?;
    let (actual, prediction) = (finite("actual", actual)?, finite("prediction", prediction)?);
    Ok(Some(state.accumulate(&site, regression::pinball_loss(actual, prediction, quantile))))
}

/// A state of so many numbers; one that somebody stored is packed.
fn state<'call>(
    state: Option<FloatArray<'call>>,
    n: usize,
    what: &str,
) -> Result<Option<FloatArray<'call>>, Report> {
    let Some(state) = state.map(FloatArray::unpacked) else { return Ok(None) };
    if state.plain().is_none_or(|state| state.len() != n) {
        return Err(report(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("the state of {what} is an array of {n} numbers"),
        )
        .set_hint("It is what the aggregate keeps between rows: call the aggregate."));
    }
    Ok(Some(state))
}

pub(super) fn finite(argument: &'static str, value: f64) -> Result<f64, Report> {
    match value.is_finite() {
        true => Ok(value),
        false => Err(Error::NotFiniteArgument { argument: argument.to_owned(), value }.into()),
    }
}
