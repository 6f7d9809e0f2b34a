//! What labels and scores say together: curves and tables over any source that has both, or over the holdout of a model.

use pgrx::prelude::*;

use crate::algo::frame::{Column, Values};
use crate::algo::memory;
use crate::algo::metrics::classification::Confusion;
use crate::algo::metrics::curves::Ranking;
use crate::pg::error::{Report, report};
use crate::pg::models::registry::{self, Privilege, Stored};
use crate::pg::rows::ingest::{Others, Request, Role, ingest};
use crate::pg::sys::progress::Progress;
use crate::pg::types::names::find_relation;
use crate::pg::types::options::{invalid, required, within};

use super::holdout;
use super::metrics::finite;
use super::scoring::Scoring;

const MOST_BINS: i64 = 10_000;

#[pg_extern]
fn roc_curve(
    source: Option<&str>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(threshold, Option<f64>),
            name!(false_positive_rate, f64),
            name!(true_positive_rate, f64),
        ),
    >,
    Report,
> {
    let ranking = of_both_classes(ranking("roc_curve", source)?)?;
    let rows = ranking.roc()?.into_iter();
    Ok(TableIterator::new(
        rows.map(|at| (at.threshold, at.false_positive_rate, at.true_positive_rate)),
    ))
}

#[pg_extern]
fn pr_curve(
    source: Option<&str>,
) -> Result<
    TableIterator<
        'static,
        (name!(threshold, f64), name!(n, i64), name!(precision, f64), name!(recall, f64)),
    >,
    Report,
> {
    let ranking = of_both_classes(ranking("pr_curve", source)?)?;
    let rows = ranking.precision_recall()?.into_iter();
    Ok(TableIterator::new(rows.map(|at| (at.threshold, at.n_rows as i64, at.precision, at.recall))))
}

#[pg_extern]
fn lift_table(
    source: Option<&str>,
    bins: Option<i64>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(bin, i32),
            name!(n, i64),
            name!(positives, i64),
            name!(rate, f64),
            name!(lift, Option<f64>),
            name!(captured, Option<f64>),
            name!(mean_score, f64),
        ),
    >,
    Report,
> {
    let n_bins = n_bins(bins)?;
    let ranking = ranking("lift_table", source)?;
    let (n_rows, n_positive) = (ranking.n_rows as f64, ranking.n_positive as f64);
    let has_positive = ranking.n_positive > 0;
    let rows = ranking.lift(n_bins).into_iter().map(move |bin| {
        let (n, positives) = (bin.n_rows as i64, bin.n_positive as i64);
        let lift = has_positive.then(|| bin.rate() * n_rows / n_positive);
        let captured = has_positive.then(|| bin.n_captured as f64 / n_positive);
        (bin.number as i32, n, positives, bin.rate(), lift, captured, bin.mean_score)
    });
    Ok(TableIterator::new(rows))
}

#[pg_extern]
fn calibration(
    source: Option<&str>,
    bins: Option<i64>,
) -> Result<
    TableIterator<
        'static,
        (name!(bin, i32), name!(n, i64), name!(mean_score, f64), name!(rate, f64)),
    >,
    Report,
> {
    let n_bins = n_bins(bins)?;
    let rows = ranking("calibration", source)?.calibration(n_bins).into_iter();
    Ok(TableIterator::new(
        rows.map(|bin| (bin.number as i32, bin.n_rows as i64, bin.mean_score, bin.rate())),
    ))
}

#[pg_extern]
fn confusion(
    source: Option<&str>,
    threshold: Option<f64>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(threshold, f64),
            name!(true_positives, i64),
            name!(false_positives, i64),
            name!(true_negatives, i64),
            name!(false_negatives, i64),
            name!(accuracy, f64),
            name!(precision, Option<f64>),
            name!(recall, Option<f64>),
            name!(specificity, Option<f64>),
            name!(f1, Option<f64>),
            name!(mcc, Option<f64>),
        ),
    >,
    Report,
> {
    let threshold = finite("threshold", required(threshold, "threshold")?)?;
    let counts = ranking("confusion", source)?.confusion(threshold);
    let Confusion { true_positives, false_positives, true_negatives, false_negatives } = counts;
    Ok(TableIterator::once((
        threshold,
        true_positives as i64,
        false_positives as i64,
        true_negatives as i64,
        false_negatives as i64,
        counts.accuracy().unwrap_or_default(),
        counts.precision(),
        counts.recall(),
        counts.specificity(),
        counts.f1(),
        counts.mcc(),
    )))
}

#[pg_extern]
fn profit_curve(
    source: Option<&str>,
    value: Option<f64>,
    cost: Option<f64>,
    max_contacts: Option<i64>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(n, i64),
            name!(threshold, f64),
            name!(positives, f64),
            name!(profit, f64),
            name!(is_best, bool),
        ),
    >,
    Report,
> {
    let value = finite("value", required(value, "value")?)?;
    let cost = finite("cost", required(cost, "cost")?)?;
    let most = match max_contacts {
        Some(most) => within("max_contacts", most, 1.., "a positive number of rows")? as usize,
        None => usize::MAX,
    };
    let ranking = ranking("profit_curve", source)?;
    let mut rows = Vec::new();
    for row in ranking.profits(value, cost).take(most) {
        memory::push(&mut rows, row)?;
    }
    // The fewest contacts of the highest profit; none where each contact only costs.
    let mut best: Option<(u64, f64)> = None;
    for row in &rows {
        if row.profit > best.map_or(0.0, |(_, profit)| profit) {
            best = Some((row.n_contacts, row.profit));
        }
    }
    let best = best.map(|(n_contacts, _)| n_contacts);
    Ok(TableIterator::new(rows.into_iter().map(move |row| {
        let is_best = best == Some(row.n_contacts);
        (row.n_contacts as i64, row.threshold, row.n_positive, row.profit, is_best)
    })))
}

#[pg_extern]
fn threshold_for(
    source: Option<&str>,
    min_precision: Option<f64>,
    min_recall: Option<f64>,
) -> Result<Option<f64>, Report> {
    const SHARE: &str = "a share from 0 to 1";
    match (min_precision, min_recall) {
        (Some(least), None) => {
            let least = within("min_precision", least, 0.0..=1.0, SHARE)?;
            Ok(ranking("threshold_for", source)?.threshold_of_precision(least))
        }
        (None, Some(least)) => {
            let least = within("min_recall", least, 0.0..=1.0, SHARE)?;
            Ok(ranking("threshold_for", source)?.threshold_of_recall(least))
        }
        (None, None) => Err(report(
            PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            "neither \"min_precision\" nor \"min_recall\" is given",
        )
        .set_hint("Give one of them, as in min_precision => 0.8.")),
        (Some(_), Some(recall)) => {
            Err(invalid("min_recall", recall, "NULL where min_precision is given"))
        }
    }
}

fn n_bins(bins: Option<i64>) -> Result<u32, Report> {
    let valid = format!("a whole number from 1 to {MOST_BINS}");
    Ok(within("bins", required(bins, "bins")?, 1..=MOST_BINS, valid)? as u32)
}

fn of_both_classes(ranking: Ranking) -> Result<Ranking, Report> {
    let value = match (ranking.n_positive, ranking.n_negative()) {
        (0, _) => "false",
        (_, 0) => "true",
        _ => return Ok(ranking),
    };
    let message = format!("the label is {value} in every row");
    Err(report(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message).set_hint(
        "A curve is of how positive rows are told from others: both must be in the source.",
    ))
}

/// The rows of a source by their scores: those that it gives, or, where no relation has the name, those that a fitted scorer of this
/// name has held out. Else somebody's model would hide somebody else's table. A row without a label or a score is left out.
fn ranking(what: &'static str, source: Option<&str>) -> Result<Ranking, Report> {
    let source = required(source, "source")?;
    let model = match find_relation(source)? {
        Some(_) => None,
        None => registry::find_any(source, Scoring::KIND, Privilege::Read)?,
    };
    let (labels, scores) = match model {
        Some(model) => {
            let holdout = holdout::of(&model.live()?)?;
            (holdout.labels, holdout.scores)
        }
        None => read(what, source)?,
    };
    let ranking = Ranking::new(&labels, &scores)?;
    if ranking.n_rows == 0 {
        return Err(no_rows());
    }
    Ok(ranking)
}

pub(super) fn no_rows() -> Report {
    let message = "the source has no row with a label and a score";
    report(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message)
        .set_hint("Take rows of which the outcome is known, and which have a score.")
}

fn read(what: &'static str, source: &str) -> Result<(Vec<bool>, Vec<f64>), Report> {
    let mut progress = Progress::start(what, "");
    let columns = vec![("label", Role::Target), ("score", Role::Number)];
    let mut read = ingest(&Request { source, columns, others: Others::Ignore }, &mut progress)?;
    let [label, score] = &mut read.frame.columns[..] else { return Err(no_columns()) };
    let (mut labels, mut scores) = (Vec::new(), Vec::new());
    for row in 0..read.frame.n_rows {
        let (label, score) = (label_at(label, row)?, number_at(score, row));
        let (Some(label), Some(score)) = (label, score) else { continue };
        memory::push(&mut labels, label)?;
        memory::push(&mut scores, score)?;
    }
    Ok((labels, scores))
}

fn number_at(column: &Column, row: usize) -> Option<f64> {
    match &column.values {
        Values::Number(values) => Some(values[row]).filter(|value| !value.is_nan()),
        Values::Integer(values) => Some(values[row] as f64),
        Values::Text { .. } => None,
    }
}

fn label_at(column: &Column, row: usize) -> Result<Option<bool>, Report> {
    if let Values::Text { .. } = column.values {
        return Err(no_label("values of type text"));
    }
    match number_at(column, row) {
        None => Ok(None),
        Some(0.0) => Ok(Some(false)),
        Some(1.0) => Ok(Some(true)),
        Some(other) => Err(no_label(&format!("the value {other}"))),
    }
}

fn no_label(found: &str) -> Report {
    let message = format!("column \"label\" has {found}, a boolean is expected");
    report(PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH, message)
        .set_hint("It is true in the positive rows, as in (answer = 'yes') AS label.")
}

fn no_columns() -> Report {
    let message = "the score is an array, one number for each row is expected";
    report(PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH, message)
        .set_hint("Name one element of it in the source, as in scores[1] AS score.")
}
