//! Naive Bayes: each input speaks for itself, a number by how it is spread in each class, a text by how often each class has it.
//!
//! In a class numbers follow a normal distribution, and the slots of a text's encoding have the shares that were counted, with
//! Laplace's smoothing. So the log-odds are ln(n1 / n0) and, of each input, ln P(value | class 1) - ln P(value | class 0): for a
//! standardised number z with means m and variances v
//!
//! ```text
//! ln sqrt(v0 / v1) + (z - m0)² / (2 v0) - (z - m1)² / (2 v1).
//! ```
//!
//! A missing text is a slot of its own. That a number is missing says as much as the share of rows that miss it in each class,
//! smoothed as the shares of a text are, and that it is there says the rest. Of a column of which the fit saw no missing value, and
//! without `missing_indicator`, a missing number says nothing.
//!
//! linfa-bayes is an oracle of the tests and not the engine: it has no missing values and no text beside numbers, it smooths by the
//! variance of the last batch alone, and where both densities are below the least float its probabilities are NaN.

pub mod count;
#[cfg(test)]
mod tests;

use std::ops::Bound;

use serde::{Deserialize, Serialize};

use self::count::{Bell, bells, slots};
use super::Error;
use super::additive::{Additive, Encoding, OfNumber};
use super::inputs::{
    Input, Kind, MAX_CATEGORIES, MISSING_INDICATOR, STANDARDISED_LIMIT, Training, standardised,
};
use crate::algo::declared::{Algorithm, Number, Parameter, Settings};
use crate::algo::stop::Watch;

pub static ALGORITHM: Algorithm = Algorithm {
    name: "naive_bayes",
    meaning: "naive Bayes: numbers are normal in each class, texts have the shares of their levels",
    source: "Hastie, Tibshirani and Friedman, The Elements of Statistical Learning (2009), 6.6.3",
    parameters: &[
        Parameter::Number(ALPHA),
        Parameter::Number(VAR_SMOOTHING),
        Parameter::Whole(MAX_CATEGORIES),
        Parameter::Flag(MISSING_INDICATOR),
    ],
};

const ALPHA: Number = Number {
    name: "alpha",
    meaning: "rows by which each level of a text column, and a missing number, is counted more in each class",
    least: Bound::Included(1e-10),
    most: Bound::Included(1e9),
    default: 1.0,
};

const VAR_SMOOTHING: Number = Number {
    name: "var_smoothing",
    meaning: "added to the variance of a number in each class, as a share of its variance in all rows, a missing one counting as the mean",
    least: Bound::Included(1e-12),
    most: Bound::Included(1e3),
    default: 1e-9,
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NaiveBayes {
    /// The log-odds of the classes before any input is known.
    prior: f64,
    /// As many for each input as it is wide: what each slot of a text says, in log-odds. Of a number what its bells say where both
    /// are at their means and that it is there, then that it is missing.
    weights: Vec<f64>,
    /// For each number, of the other class and of the positive one.
    bells: Vec<[Bell; 2]>,
}

pub fn fit(training: &Training, settings: &Settings, watch: &Watch) -> Result<NaiveBayes, Error> {
    let Training { frame, inputs, labels, .. } = training;
    let n_positive = labels.iter().filter(|&&label| label).count() as f64;
    let n_negative = labels.len() as f64 - n_positive;
    let alpha = settings.number(&ALPHA);
    // Of one that has so many slots, and so many rows of the other class and of the positive one.
    let log_odds = |[negative, positive]: [u64; 2], n_slots: usize| {
        let share = |count: u64, n: f64| (count as f64 + alpha) / (n + alpha * n_slots as f64);
        share(positive, n_positive).ln() - share(negative, n_negative).ln()
    };
    let mut model = NaiveBayes {
        prior: (n_positive / n_negative).ln(),
        weights: Vec::new(),
        bells: Vec::new(),
    };
    for (input_idx, (input, column)) in inputs.iter().zip(&frame.columns).enumerate() {
        match &input.kind {
            &Kind::Number { center, scale, missing, .. } => {
                let smoothing = settings.number(&VAR_SMOOTHING);
                let found = bells(training, &column.values, (center, scale), smoothing, watch)?;
                let [negative, positive] = &found.bells;
                let at_means = 0.5 * (negative.variance / positive.variance).ln();
                if missing {
                    model.weights.push(at_means + log_odds(found.present, 2));
                    let n = [n_negative as u64, n_positive as u64];
                    let n_missing = [0, 1].map(|class| n[class] - found.present[class]);
                    model.weights.push(log_odds(n_missing, 2));
                } else {
                    model.weights.push(at_means);
                }
                model.bells.push(found.bells);
            }
            kind @ Kind::Category { .. } => {
                let [negative, positive] = slots(training, &column.values, input, kind, watch)?;
                let both = negative.iter().zip(&positive);
                let weight = |(&negative, &positive)| log_odds([negative, positive], input.width());
                model.weights.extend(both.map(weight));
            }
        }
        watch.report(input_idx as u64 + 1, inputs.len() as u64, f64::NAN);
    }
    Ok(model)
}

/// No logarithm of a share or of a ratio of variances comes near. With it, and the least variance, no sum of parts is infinite.
const WEIGHT_LIMIT: f64 = 1e6;
const VARIANCES: std::ops::RangeInclusive<f64> = 1e-13..=1e31;

impl NaiveBayes {
    /// What is wrong with it, as the learner of these inputs.
    pub fn fault(&self, inputs: &[Input]) -> Option<&'static str> {
        let width: usize = inputs.iter().map(Input::width).sum();
        let is_number = |input: &&Input| matches!(input.kind, Kind::Number { .. });
        if width != self.weights.len()
            || inputs.iter().filter(is_number).count() != self.bells.len()
        {
            return Some("log-odds and inputs differ in number");
        }
        // False for NaN too.
        let mut weights = self.weights.iter().chain([&self.prior]);
        if !weights.all(|weight| weight.abs() <= WEIGHT_LIMIT) {
            return Some("log-odds are not finite or huge");
        }
        let is_sound = |bell: &Bell| {
            bell.mean.abs() <= STANDARDISED_LIMIT && VARIANCES.contains(&bell.variance)
        };
        let all_sound = self.bells.iter().flatten().all(is_sound);
        (!all_sound).then_some("a mean or a variance is out of range")
    }

    pub fn prepare(&self, inputs: &[Input]) -> Additive<Bells> {
        let mut bells = self.bells.iter();
        Additive::new(self.prior, inputs, &self.weights, |encoding, own| {
            let Encoding { center, scale, .. } = encoding;
            let weight = own.first().copied().unwrap_or(0.0);
            let missing = own.get(1).copied().unwrap_or(0.0);
            let [negative, positive] = bells.next().copied().unwrap_or_default();
            Bells { center, scale, weight, missing, negative, positive }
        })
    }
}

/// What a number says by where it lies in the bell of each class, or by being missing.
#[derive(Debug, Clone, Copy)]
pub struct Bells {
    center: f64,
    scale: f64,
    weight: f64,
    missing: f64,
    negative: Bell,
    positive: Bell,
}

impl OfNumber for Bells {
    #[inline]
    fn part(&self, value: f64) -> f64 {
        if value.is_nan() {
            return self.missing;
        }
        let z = standardised(value, self.center, self.scale);
        self.weight + self.negative.depth(z) - self.positive.depth(z)
    }
}
