//! Fits a scorer: splits, learns from the training rows, and takes the metrics from the held-out ones.
//!
//! The encoding too is learnt from the training rows alone, so the metrics are honest, and the model that is returned is the one
//! that they are of. With `refit_on_all` it is then fitted to all rows: nothing has measured that one.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::params::{Params, ValidParams};
use super::pipeline::{MAX_CATEGORIES, design_bytes, encode, fit_inputs, in_input_order};
use super::scorer::{FORMAT, Scorer};
use super::seen::Seen;
use super::split::split;
use super::target::{self, Target};
use super::{Error, logistic};
use crate::algo::frame::{Column, Frame, Values};
use crate::algo::memory::{self, Refused};
use crate::algo::metrics::classification;
use crate::algo::stop::Watch;

#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// Its `metrics` are those of the held-out rows.
    pub scorer: Scorer,
    /// Newton steps of the final fit.
    pub iterations: usize,
    pub converged: bool,
    pub holdout: Holdout,
    /// The rows that the scorer has learnt from.
    pub seen: Seen,
}

/// The held-out rows, whether each is positive and how the model that did not see them scored it: at most [`Holdout::LARGEST`] of
/// them, and all that the metrics are of where there are no more. Frames are in an order by content, so the first are a sample.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Holdout {
    pub labels: Vec<bool>,
    pub scores: Vec<f64>,
}

impl Holdout {
    pub const LARGEST: usize = 100_000;

    /// Whether the parts fit together.
    pub fn is_whole(&self) -> bool {
        self.labels.len() == self.scores.len() && self.scores.iter().all(|score| score.is_finite())
    }
}

/// How a model that did not see the held-out rows scored them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// None where the held-out rows are of one class.
    pub roc_auc: Option<f64>,
    pub average_precision: Option<f64>,
    pub log_loss: f64,
    pub brier: f64,
    pub accuracy: f64,
    /// The share of positive rows among the held-out ones.
    pub base_rate: f64,
    pub n_train: u64,
    pub n_holdout: u64,
}

pub fn fit(
    frame: &Frame,
    target: &Column,
    params: &ValidParams,
    watch: &Watch,
) -> Result<Fit, Error> {
    let params = params.get();
    check_lengths(frame, target)?;
    let target = target::code(target, params.positive.as_deref())?;
    let split = split(&target, params)?;
    let fit = fit_rows(frame, &target, &split.train, params, watch)?;
    if split.holdout.is_empty() {
        return Ok(fit);
    }
    let (metrics, holdout) =
        measure(&fit.scorer, frame, &target, &split.holdout, split.train.len(), watch)?;
    let mut fit = if params.refit_on_all {
        let all: Vec<usize> = (0..frame.n_rows).collect();
        fit_rows(frame, &target, &all, params, watch)?
    } else {
        fit
    };
    fit.scorer.metrics = Some(metrics);
    fit.holdout = holdout;
    Ok(fit)
}

fn check_lengths(frame: &Frame, target: &Column) -> Result<(), Error> {
    for column in frame.columns.iter().chain([target]) {
        let found = match &column.values {
            Values::Number(values) => values.len(),
            Values::Integer(values) => values.len(),
            Values::Text { codes, .. } => codes.len(),
        };
        if found != frame.n_rows {
            return Err(Error::DimensionMismatch { expected: frame.n_rows, found });
        }
    }
    Ok(())
}

fn fit_rows(
    frame: &Frame,
    target: &Target,
    rows: &[usize],
    params: &Params,
    watch: &Watch,
) -> Result<Fit, Error> {
    let inputs = fit_inputs(frame, rows, params.settings.whole(&MAX_CATEGORIES) as usize)?;
    let found = 1 + inputs.iter().map(|input| input.width()).sum::<usize>();
    if found > logistic::MAX_COLUMNS {
        return Err(Error::TooManyFeatures { found, limit: logistic::MAX_COLUMNS });
    }
    memory::probe(design_bytes(rows.len(), inputs.len()) + logistic::work_bytes(found))?;
    let design = encode(frame, &inputs, rows, watch)?;
    let labels: Vec<bool> = rows.iter().map(|&row_idx| target.labels[row_idx]).collect();
    let solution = logistic::solve(
        &design,
        &labels,
        params.settings.number(&logistic::L2),
        params.max_iterations,
        watch,
    )?;
    let scorer = Scorer {
        format: FORMAT,
        coefficients: in_input_order(&inputs, &solution.weights),
        inputs,
        intercept: solution.weights[0],
        classes: target.classes.clone(),
        positive: target.positive as u8,
        metrics: None,
        n_rows: rows.len() as u64,
    };
    Ok(Fit {
        scorer,
        iterations: solution.iterations,
        converged: solution.converged,
        holdout: Holdout::default(),
        seen: Seen::new(frame, &target.labels, rows)?,
    })
}

fn measure(
    scorer: &Scorer,
    frame: &Frame,
    target: &Target,
    holdout: &[usize],
    n_train: usize,
    watch: &Watch,
) -> Result<(Metrics, Holdout), Error> {
    let scores = scorer.score_frame(frame, watch)?;
    let mut scores: Vec<f64> = holdout.iter().map(|&row_idx| scores[row_idx]).collect();
    let mut labels: Vec<bool> = holdout.iter().map(|&row_idx| target.labels[row_idx]).collect();
    let metrics = Metrics::new(&labels, &scores, n_train)?;
    scores.truncate(Holdout::LARGEST);
    labels.truncate(Holdout::LARGEST);
    Ok((metrics, Holdout { labels, scores }))
}

impl Metrics {
    /// Of these held-out rows, of which there must be one.
    pub fn new(labels: &[bool], scores: &[f64], n_train: usize) -> Result<Self, Refused> {
        let n_positive = labels.iter().filter(|&&label| label).count();
        let one_class = n_positive == 0 || n_positive == labels.len();
        let average_precision = classification::average_precision(labels, scores)?;
        Ok(Self {
            roc_auc: classification::roc_auc(labels, scores)?,
            average_precision: average_precision.filter(|_| !one_class),
            log_loss: classification::log_loss(labels, scores),
            brier: classification::brier(labels, scores),
            accuracy: classification::accuracy(labels, scores),
            base_rate: n_positive as f64 / labels.len() as f64,
            n_train: n_train as u64,
            n_holdout: labels.len() as u64,
        })
    }

    pub(super) fn is_finite(&self) -> bool {
        let always = [self.log_loss, self.brier, self.accuracy, self.base_rate];
        let perhaps = [self.roc_auc, self.average_precision];
        always.into_iter().chain(perhaps.into_iter().flatten()).all(f64::is_finite)
    }
}
