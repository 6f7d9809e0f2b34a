//! Metrics of a two-class score: how well it ranks (ROC AUC, average precision) and how true its probabilities are.
//!
//! Labels and scores are of one length. A ranking metric is `None` where it is undefined: with one class alone.

use crate::algo::memory::{self, Refused};

/// The probability that a positive row scores above a negative one, ties counted half (Mann-Whitney by mid-ranks).
pub fn roc_auc(labels: &[bool], scores: &[f64]) -> Result<Option<f64>, Refused> {
    let n_positive = labels.iter().filter(|&&label| label).count();
    let n_negative = labels.len() - n_positive;
    if n_positive == 0 || n_negative == 0 {
        return Ok(None);
    }
    // Twice the wins, so that a tie counts 1: whole numbers, exact up to 2^63 pairs.
    let mut twice_wins = 0u128;
    let mut negatives_above = 0usize;
    for (_, positives, negatives) in ties(&ordered(labels, scores)?) {
        let negatives_below = n_negative - negatives_above - negatives;
        twice_wins += positives as u128 * (2 * negatives_below + negatives) as u128;
        negatives_above += negatives;
    }
    Ok(Some(twice_wins as f64 / (2.0 * n_positive as f64 * n_negative as f64)))
}

/// The precision at each distinct score, weighted by the recall it adds (scikit-learn's average_precision_score).
pub fn average_precision(labels: &[bool], scores: &[f64]) -> Result<Option<f64>, Refused> {
    let n_positive = labels.iter().filter(|&&label| label).count();
    if n_positive == 0 {
        return Ok(None);
    }
    let (mut sum, mut hits, mut seen) = (0.0, 0usize, 0usize);
    for (_, positives, negatives) in ties(&ordered(labels, scores)?) {
        hits += positives;
        seen += positives + negatives;
        sum += positives as f64 * hits as f64 / seen as f64;
    }
    Ok(Some(sum / n_positive as f64))
}

/// So far beyond 0 and 1 a probability may be that was added up of 32-bit floats.
const ROUNDING: f64 = 1e-6;

/// The two metrics below mean nothing for a score of another kind.
pub fn is_probability(score: f64) -> bool {
    (-ROUNDING..=1.0 + ROUNDING).contains(&score)
}

/// The mean of -ln(probability of the class that came), probabilities clipped to [1e-15, 1 - 1e-15].
pub fn log_loss(labels: &[bool], probabilities: &[f64]) -> f64 {
    mean(labels, probabilities, log_loss_of)
}

/// Of one row.
pub fn log_loss_of(label: bool, probability: f64) -> f64 {
    let p = probability.clamp(1e-15, 1.0 - 1e-15);
    if label { -p.ln() } else { -(1.0 - p).ln() }
}

/// The mean squared difference between probability and outcome.
pub fn brier(labels: &[bool], probabilities: &[f64]) -> f64 {
    mean(labels, probabilities, brier_of)
}

/// Of one row.
pub fn brier_of(label: bool, probability: f64) -> f64 {
    (probability - f64::from(u8::from(label))).powi(2)
}

/// The share of rows on the right side of 0.5.
pub fn accuracy(labels: &[bool], probabilities: &[f64]) -> f64 {
    mean(labels, probabilities, |label, p| f64::from(u8::from(label == (p > 0.5))))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Confusion {
    pub true_positives: usize,
    pub false_positives: usize,
    pub true_negatives: usize,
    pub false_negatives: usize,
}

impl Confusion {
    /// The share of rows on the right side; None without rows.
    pub fn accuracy(&self) -> Option<f64> {
        let right = self.true_positives + self.true_negatives;
        share(right, right + self.false_positives + self.false_negatives)
    }

    /// Of the rows that count as positive; None where none does.
    pub fn precision(&self) -> Option<f64> {
        share(self.true_positives, self.true_positives + self.false_positives)
    }

    /// Of the positive rows; None where there is none.
    pub fn recall(&self) -> Option<f64> {
        share(self.true_positives, self.true_positives + self.false_negatives)
    }

    /// Of the negative rows; None where there is none.
    pub fn specificity(&self) -> Option<f64> {
        share(self.true_negatives, self.true_negatives + self.false_positives)
    }

    /// The harmonic mean of precision and recall; None where no row is positive and none counts so.
    pub fn f1(&self) -> Option<f64> {
        let wrong = self.false_positives + self.false_negatives;
        share(2 * self.true_positives, 2 * self.true_positives + wrong)
    }

    /// The correlation of label and side, Matthews 1975; None where either has one value alone.
    pub fn mcc(&self) -> Option<f64> {
        let [tp, fp, tn, fn_] =
            [self.true_positives, self.false_positives, self.true_negatives, self.false_negatives]
                .map(|count| count as f64);
        let spread = (tp + fp).sqrt() * (tp + fn_).sqrt() * (tn + fp).sqrt() * (tn + fn_).sqrt();
        (spread > 0.0).then(|| (tp * tn - fp * fn_) / spread)
    }
}

fn share(part: usize, of: usize) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

/// Scores and labels, from the highest score down.
pub(super) fn ordered(labels: &[bool], scores: &[f64]) -> Result<Vec<(f64, bool)>, Refused> {
    // + 0.0 makes -0.0 and 0.0 one score.
    let pairs = scores.iter().map(|score| score + 0.0).zip(labels.iter().copied());
    let mut order = memory::collect(pairs)?;
    order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    Ok(order)
}

/// Each distinct score with its positive and negative rows.
pub(super) fn ties(order: &[(f64, bool)]) -> impl Iterator<Item = (f64, usize, usize)> {
    order.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()).map(|group| {
        let positives = group.iter().filter(|row| row.1).count();
        (group[0].0, positives, group.len() - positives)
    })
}

/// The mean over rows; NaN without rows.
fn mean(labels: &[bool], scores: &[f64], of: impl Fn(bool, f64) -> f64) -> f64 {
    let sum: f64 = labels.iter().zip(scores).map(|(&label, &score)| of(label, score)).sum();
    sum / labels.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::metrics::curves::Ranking;

    #[track_caller]
    fn check(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} instead of {expected}");
    }

    // The example in scikit-learn's documentation of roc_auc_score and average_precision_score.
    const LABELS: [bool; 4] = [false, false, true, true];
    const SCORES: [f64; 4] = [0.1, 0.4, 0.35, 0.8];

    #[test]
    fn the_documented_example_has_the_documented_figures() {
        check(roc_auc(&LABELS, &SCORES).unwrap().unwrap(), 0.75);
        check(average_precision(&LABELS, &SCORES).unwrap().unwrap(), 5.0 / 6.0);
    }

    #[test]
    fn a_constant_score_ranks_like_chance_in_any_order() {
        for labels in [[true, true, false, false], [false, true, false, true]] {
            check(roc_auc(&labels, &[0.3; 4]).unwrap().unwrap(), 0.5);
            check(average_precision(&labels, &[0.3; 4]).unwrap().unwrap(), 0.5);
        }
    }

    #[test]
    fn a_tie_across_classes_counts_half() {
        // Pairs: .9 > .5, .9 > .1, .5 = .5, .5 > .1: 3.5 of 4.
        let labels = [true, true, false, false];
        check(roc_auc(&labels, &[0.9, 0.5, 0.5, 0.1]).unwrap().unwrap(), 3.5 / 4.0);
        // Zeros of either sign are one score.
        check(roc_auc(&[true, false], &[0.0, -0.0]).unwrap().unwrap(), 0.5);
    }

    #[test]
    fn probabilities_are_judged_as_scikit_learn_does() {
        // log_loss(["spam", "ham", "ham", "spam"], [[.1, .9], [.9, .1], [.8, .2], [.35, .65]]) = 0.21616...
        let labels = [true, false, false, true];
        let p = [0.9, 0.1, 0.2, 0.65];
        assert!((log_loss(&labels, &p) - 0.21616).abs() < 1e-5);
        // brier_score_loss([0, 1, 1, 0], [.1, .9, .8, .3]) = 0.0375 (its documentation).
        check(brier(&[false, true, true, false], &[0.1, 0.9, 0.8, 0.3]), 0.0375);
        check(accuracy(&labels, &p), 1.0);
        check(accuracy(&[true, false], &[0.5, 0.5]), 0.5);
    }

    #[test]
    fn certain_mistakes_cost_a_finite_loss() {
        assert!((log_loss(&[true, false], &[0.0, 1.0]) - 34.5).abs() < 0.1);
    }

    #[test]
    fn scores_outside_0_to_1_are_no_probabilities() {
        assert!([0.0, 0.5, 1.0, 1.000_000_1, -1e-9].into_iter().all(is_probability));
        let others = [45.0, -1.0, -1e-5, 1.0 + 1e-5, f64::NAN];
        assert!(!others.into_iter().any(is_probability));
    }

    #[test]
    fn one_class_or_no_rows_have_no_ranking() {
        assert_eq!(roc_auc(&[true, true], &[0.1, 0.2]), Ok(None));
        assert_eq!(roc_auc(&[], &[]), Ok(None));
        assert_eq!(average_precision(&[false], &[0.1]), Ok(None));
        assert!(log_loss(&[], &[]).is_nan());
    }

    #[test]
    fn a_confusion_counts_the_threshold_as_positive() {
        let found = Ranking::new(&LABELS, &SCORES).unwrap().confusion(0.35);
        let expected = Confusion {
            true_positives: 2,
            false_positives: 1,
            true_negatives: 1,
            false_negatives: 0,
        };
        assert_eq!(found, expected);
    }
}
