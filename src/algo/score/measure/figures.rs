//! How good scores are on rows that came later: the metrics that their kind allows.
//!
//! As in the aggregates, a row without a score is left out. Scores that are no probabilities rank rows, and say no more.

use crate::algo::memory::{self, Refused};
use crate::algo::metrics::classification;

/// None is a metric that these scores do not have.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// Rows with a score.
    pub n_rows: usize,
    pub roc_auc: Option<f64>,
    pub average_precision: Option<f64>,
    pub log_loss: Option<f64>,
    pub brier: Option<f64>,
    pub accuracy: Option<f64>,
    /// The share of positive rows.
    pub base_rate: Option<f64>,
}

impl Figures {
    /// Of labels and scores of one length, of which those that are no finite number are left out. `may_be_probabilities` is false
    /// where the scores are known to be values of another kind.
    pub fn new(
        labels: &[bool],
        scores: &[f64],
        may_be_probabilities: bool,
    ) -> Result<Self, Refused> {
        let is_whole = scores.iter().all(|score| score.is_finite());
        if !is_whole {
            let (mut with_score, mut finite) = (Vec::new(), Vec::new());
            for (&label, &score) in labels.iter().zip(scores).filter(|row| row.1.is_finite()) {
                memory::push(&mut with_score, label)?;
                memory::push(&mut finite, score)?;
            }
            return Self::new(&with_score, &finite, may_be_probabilities);
        }
        let n_rows = labels.len();
        let n_positive = labels.iter().filter(|&&label| label).count();
        let are_probabilities = n_rows > 0
            && may_be_probabilities
            && scores.iter().copied().all(classification::is_probability);
        let of =
            |metric: fn(&[bool], &[f64]) -> f64| are_probabilities.then(|| metric(labels, scores));
        let both_classes = n_positive > 0 && n_positive < n_rows;
        Ok(Self {
            n_rows,
            roc_auc: classification::roc_auc(labels, scores)?,
            average_precision: classification::average_precision(labels, scores)?
                .filter(|_| both_classes),
            log_loss: of(classification::log_loss),
            brier: of(classification::brier),
            accuracy: of(classification::accuracy),
            base_rate: (n_rows > 0).then(|| n_positive as f64 / n_rows as f64),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_without_a_score_are_left_out() {
        let labels = [true, false, true, false, true];
        let scores = [0.9, 0.2, f64::NAN, f64::INFINITY, 0.6];
        let found = Figures::new(&labels, &scores, true).unwrap();
        assert_eq!(found, Figures::new(&[true, false, true], &[0.9, 0.2, 0.6], true).unwrap());
        assert_eq!((found.n_rows, found.roc_auc), (3, Some(1.0)));
        assert!(found.log_loss.is_some_and(|loss| loss < 0.4));
    }

    #[test]
    fn without_any_score_there_is_no_figure() {
        for scores in [&[f64::NAN, f64::NAN][..], &[]] {
            let found = Figures::new(&[true, false][..scores.len()], scores, true).unwrap();
            assert_eq!((found.n_rows, found.roc_auc, found.log_loss), (0, None, None));
            assert_eq!((found.brier, found.accuracy, found.base_rate), (None, None, None));
        }
    }

    #[test]
    fn values_have_the_figures_of_a_ranking_alone() {
        let labels = [true, false];
        for (scores, may_be) in [([152.1, 13.0], true), ([0.7, 0.2], false), ([0.7, -0.2], true)] {
            let found = Figures::new(&labels, &scores, may_be).unwrap();
            assert_eq!((found.roc_auc, found.base_rate), (Some(1.0), Some(0.5)));
            assert_eq!((found.log_loss, found.brier, found.accuracy), (None, None, None));
        }
        let rounded = Figures::new(&labels, &[1.000_000_1, 0.0], true).unwrap();
        assert!(rounded.log_loss.is_some_and(|loss| loss < 1e-9));
    }
}
