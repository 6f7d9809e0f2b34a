//! Whether one score ranks better than another over the same rows: the difference of two areas under ROC curves and its standard
//! error. DeLong, DeLong and Clarke-Pearson 1988, by mid-ranks as Sun and Xu 2014.

use crate::algo::memory::{self, Refused};

/// Two areas under ROC curves over the same rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    pub roc_auc: f64,
    pub other_roc_auc: f64,
    /// Of their difference.
    pub standard_error: f64,
}

impl Comparison {
    pub fn difference(&self) -> f64 {
        self.roc_auc - self.other_roc_auc
    }

    /// None where no row differs from the others of its class in how far it is ranked better.
    pub fn z(&self) -> Option<f64> {
        (self.standard_error > 0.0).then(|| self.difference() / self.standard_error)
    }

    /// The probability of a difference as large, up or down, where there is none.
    pub fn p_value(&self) -> f64 {
        match self.z() {
            Some(z) => statrs::function::erf::erfc(z.abs() / std::f64::consts::SQRT_2),
            // Without any spread a difference is no chance.
            None if self.difference() == 0.0 => 1.0,
            None => 0.0,
        }
    }
}

/// None where fewer than two rows are of a class: there is no spread to be seen.
pub fn compare(
    labels: &[bool],
    scores: &[f64],
    others: &[f64],
) -> Result<Option<Comparison>, Refused> {
    let n_positive = labels.iter().filter(|&&label| label).count();
    let n_negative = labels.len() - n_positive;
    if n_positive < 2 || n_negative < 2 {
        return Ok(None);
    }
    let [first, second] = [placements(labels, scores)?, placements(labels, others)?];
    let mean = |one: &Placements| one.positive.iter().sum::<f64>() / n_positive as f64;
    let variance = variance_of_difference(&first.positive, &second.positive) / n_positive as f64
        + variance_of_difference(&first.negative, &second.negative) / n_negative as f64;
    let (roc_auc, other_roc_auc) = (mean(&first), mean(&second));
    Ok(Some(Comparison { roc_auc, other_roc_auc, standard_error: variance.sqrt() }))
}

/// Of each row the share of the other class that it ranks rightly against, in the order of the rows.
struct Placements {
    positive: Vec<f64>,
    negative: Vec<f64>,
}

fn placements(labels: &[bool], scores: &[f64]) -> Result<Placements, Refused> {
    let n_positive = labels.iter().filter(|&&label| label).count();
    let n_negative = labels.len() - n_positive;
    let mut order = memory::collect(0..labels.len())?;
    let score = |row: usize| scores[row] + 0.0;
    order.sort_unstable_by(|&a, &b| score(a).total_cmp(&score(b)));
    let mut shares = memory::filled(0.0, labels.len())?;
    let (mut positives_below, mut negatives_below) = (0usize, 0usize);
    for tie in order.chunk_by(|&a, &b| score(a).total_cmp(&score(b)).is_eq()) {
        let positives = tie.iter().filter(|&&row| labels[row]).count();
        let negatives = tie.len() - positives;
        for &row in tie {
            shares[row] = if labels[row] {
                (negatives_below as f64 + negatives as f64 / 2.0) / n_negative as f64
            } else {
                1.0 - (positives_below as f64 + positives as f64 / 2.0) / n_positive as f64
            };
        }
        positives_below += positives;
        negatives_below += negatives;
    }
    let mut placements = Placements { positive: Vec::new(), negative: Vec::new() };
    for (&label, share) in labels.iter().zip(shares) {
        let class = if label { &mut placements.positive } else { &mut placements.negative };
        memory::push(class, share)?;
    }
    Ok(placements)
}

/// Of two columns of one length, which is at least two.
fn variance_of_difference(a: &[f64], b: &[f64]) -> f64 {
    let differences = || a.iter().zip(b).map(|(a, b)| a - b);
    let mean = differences().sum::<f64>() / a.len() as f64;
    differences().map(|one| (one - mean).powi(2)).sum::<f64>() / (a.len() - 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::metrics::classification::roc_auc;

    #[test]
    fn areas_are_those_of_the_metric_and_ties_count_half() {
        let labels = [true, false, true, false, true, false];
        let scores = [0.9, 0.5, 0.5, 0.1, 0.4, 0.4];
        let others = [0.3, 0.3, 0.3, 0.2, 0.9, 0.1];
        let found = compare(&labels, &scores, &others).unwrap().unwrap();
        let auc = |scores: &[f64]| roc_auc(&labels, scores).unwrap().unwrap();
        assert!((found.roc_auc - auc(&scores)).abs() < 1e-12);
        assert!((found.other_roc_auc - auc(&others)).abs() < 1e-12);
    }

    #[test]
    fn the_error_is_that_of_all_pairs() {
        // By the definition: structural components of every pair, and their sample covariances.
        let labels = [true, true, true, false, false, false, false];
        let scores = [0.8, 0.4, 0.6, 0.5, 0.4, 0.2, 0.1];
        let others = [0.7, 0.9, 0.2, 0.6, 0.3, 0.2, 0.4];
        let psi = |x: f64, y: f64| {
            if x > y {
                1.0
            } else if x == y {
                0.5
            } else {
                0.0
            }
        };
        let of = |scores: &[f64], i: usize, j: usize| psi(scores[i], scores[j]);
        let v10: Vec<f64> = (0..3)
            .map(|i| (3..7).map(|j| of(&scores, i, j) - of(&others, i, j)).sum::<f64>() / 4.0)
            .collect();
        let v01: Vec<f64> = (3..7)
            .map(|j| (0..3).map(|i| of(&scores, i, j) - of(&others, i, j)).sum::<f64>() / 3.0)
            .collect();
        let variance = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64
        };
        let expected = (variance(&v10) / 3.0 + variance(&v01) / 4.0).sqrt();
        let found = compare(&labels, &scores, &others).unwrap().unwrap();
        assert!((found.standard_error - expected).abs() < 1e-12, "{found:?}");
        assert!(found.p_value() > 0.0 && found.p_value() < 1.0);
    }

    #[test]
    fn a_score_against_itself_differs_by_nothing() {
        let labels = [true, false, true, false];
        let scores = [0.9, 0.2, 0.4, 0.5];
        let found = compare(&labels, &scores, &scores).unwrap().unwrap();
        assert_eq!((found.difference(), found.z(), found.p_value()), (0.0, None, 1.0));
        // Every row is told apart by the one, and none by the other.
        let found = compare(&labels, &[0.9, 0.1, 0.8, 0.2], &[0.5; 4]).unwrap().unwrap();
        assert_eq!((found.difference(), found.z(), found.p_value()), (0.5, None, 0.0));
        assert_eq!(compare(&[true, false, false], &[0.0; 3], &[0.0; 3]).unwrap(), None);
    }
}
