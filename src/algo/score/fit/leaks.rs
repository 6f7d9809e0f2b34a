//! Features that tell the classes apart all by themselves: most often known only after the target is.

use rayon::prelude::*;

use crate::algo::frame::{Column, Frame, MISSING, Values};
use crate::algo::memory::{self, Refused};
use crate::algo::metrics::classification::roc_auc;
use crate::algo::score::Error;
use crate::algo::score::inputs::Target;
use crate::algo::stop::Watch;

use super::split::Split;

/// Rows of each class that the holdout must have: few rows are told apart by chance.
const LEAST_ROWS: usize = 50;
/// The area under the curve of one feature, either way round.
const AREA: f64 = 0.999;
/// Most features are told from a leak by so many rows.
const SOME: usize = 2_000;

/// The names of such features, by the holdout rows; a text's levels are ranked by their share of the positive class in training.
pub(super) fn leaks(
    frame: &Frame,
    target: &Target,
    split: &Split,
    watch: &Watch,
) -> Result<Vec<String>, Error> {
    let mut labels = memory::filled(false, split.holdout.len())?;
    labels.iter_mut().zip(&split.holdout).for_each(|(to, row)| *to = target.labels[*row]);
    let n_positive = labels.iter().filter(|label| **label).count();
    if n_positive < LEAST_ROWS || labels.len() - n_positive < LEAST_ROWS {
        return Ok(Vec::new());
    }
    let found = frame.columns.par_iter().map(|column| {
        watch.check()?;
        let scores = scores(column, target, split)?;
        let some = labels.len().min(SOME);
        let is_leak = area(&labels[..some], &scores[..some])?.is_none_or(|area| area >= AREA)
            && area(&labels, &scores)?.is_some_and(|area| area >= AREA);
        Ok(is_leak.then(|| column.name.clone()))
    });
    Ok(found.collect::<Result<Vec<_>, Error>>()?.into_iter().flatten().collect())
}

/// None where all rows are of one class.
fn area(labels: &[bool], scores: &[f64]) -> Result<Option<f64>, Refused> {
    Ok(roc_auc(labels, scores)?.map(|area| area.max(1.0 - area)))
}

fn scores(column: &Column, target: &Target, split: &Split) -> Result<Vec<f64>, Refused> {
    let mut scores = memory::filled(0f64, split.holdout.len())?;
    let rows = scores.iter_mut().zip(&split.holdout);
    match &column.values {
        Values::Number(values) => rows.for_each(|(score, &row)| {
            *score = if values[row].is_nan() { f64::NEG_INFINITY } else { values[row] };
        }),
        Values::Integer(values) => rows.for_each(|(score, &row)| *score = values[row] as f64),
        Values::Text { codes, dictionary } => {
            // Of each level, and of none: how many rows there are, and how many of them are positive.
            let place = |row: usize| match codes[row] {
                MISSING => dictionary.len(),
                code => code as usize,
            };
            let mut counts = memory::filled((0u32, 0u32), dictionary.len() + 1)?;
            for &row in &split.train {
                let (n, positive) = &mut counts[place(row)];
                *n += 1;
                *positive += u32::from(target.labels[row]);
            }
            rows.for_each(|(score, &row)| {
                let (n, positive) = counts[place(row)];
                *score = if n == 0 { 0.5 } else { f64::from(positive) / f64::from(n) };
            });
        }
    }
    Ok(scores)
}
