//! Fits a scorer: splits, learns from the training rows, and takes the metrics from the held-out ones.
//!
//! The encoding too is learnt from the training rows alone, so the metrics are honest, and the model that is returned is the one
//! that they are of. With `refit_on_all` it is then fitted to all rows: nothing has measured that one.

#[cfg(test)]
mod tests;

mod leaks;
mod params;
#[cfg(test)]
mod quality;
mod split;

pub use params::{Params, ValidParams};

use super::Error;
use super::inputs::{self, Target, Training, fit_inputs};
use super::learner::{self, Learnt};
use super::measure::{Holdout, Metrics, Seen};
use super::scorer::{FORMAT, Scorer};
use crate::algo::frame::{Column, Frame, Values};
use crate::algo::stop::Watch;
use leaks::leaks;
use split::split;

#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// Its `metrics` are those of the held-out rows.
    pub scorer: Scorer,
    /// Steps of the final fit.
    pub iterations: usize,
    pub converged: bool,
    pub holdout: Holdout,
    /// The rows that the scorer has learnt from.
    pub seen: Seen,
    /// Features by which alone the classes of the holdout are told apart.
    pub leaks: Vec<String>,
}

pub fn fit(
    frame: &Frame,
    target: &Column,
    params: &ValidParams,
    watch: &Watch,
) -> Result<Fit, Error> {
    let params = params.get();
    check_lengths(frame, target)?;
    let target = inputs::code(target, params.positive.as_deref())?;
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
    fit.leaks = leaks(frame, &target, &split, watch)?;
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
    let settings = &params.settings;
    let inputs = fit_inputs(frame, rows, settings)?;
    let labels: Vec<bool> = rows.iter().map(|&row_idx| target.labels[row_idx]).collect();
    let training = Training { frame, inputs: &inputs, rows, labels: &labels, seed: params.seed };
    let Learnt { learner, iterations, converged } = learner::fit(&training, settings, watch)?;
    let scorer = Scorer {
        format: FORMAT,
        inputs,
        learner,
        classes: target.classes.clone(),
        positive: target.positive as u8,
        metrics: None,
        n_rows: rows.len() as u64,
    };
    Ok(Fit {
        scorer,
        iterations,
        converged,
        holdout: Holdout::default(),
        seen: Seen::new(frame, &target.labels, rows)?,
        leaks: Vec::new(),
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
