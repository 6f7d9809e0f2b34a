//! Logistic regression: one weight for each column of the encoded inputs.

pub mod newton;

use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::Error;
use super::additive::{Additive, Encoding, OfNumber};
use super::inputs::{
    Input, MAX_CATEGORIES, MISSING_INDICATOR, Training, design_bytes, encode, in_input_order,
    standardise, standardised,
};
use crate::algo::declared::{Algorithm, Number, Parameter, Settings};
use crate::algo::memory;
use crate::algo::stop::Watch;

pub use newton::MAX_COLUMNS;

pub static ALGORITHM: Algorithm = Algorithm {
    name: "logistic",
    meaning: "logistic regression by Newton's method",
    source: "Hastie, Tibshirani and Friedman, The Elements of Statistical Learning (2009), 4.4",
    parameters: &[
        Parameter::Number(L2),
        Parameter::Whole(MAX_CATEGORIES),
        Parameter::Flag(MISSING_INDICATOR),
    ],
};

/// The fit minimises the summed log-loss + l2 / 2 |w|², so 1 is scikit-learn's C = 1.
pub const L2: Number = Number {
    name: "l2",
    meaning: "penalty on the squared weights; the reciprocal of scikit-learn's C",
    least: Bound::Included(0.0),
    most: Bound::Unbounded,
    default: 1.0,
};

const MAX_ITERATIONS: usize = 100;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Linear {
    /// As many for each input as it is wide, in the order of the inputs.
    pub coefficients: Vec<f64>,
    pub intercept: f64,
}

/// The model, the steps that it took, and whether it converged.
pub fn fit(
    training: &Training,
    settings: &Settings,
    watch: &Watch,
) -> Result<(Linear, usize, bool), Error> {
    let &Training { frame, inputs, rows, labels, .. } = training;
    let found = 1 + inputs.iter().map(Input::width).sum::<usize>();
    if found > MAX_COLUMNS {
        return Err(Error::TooManyFeatures { found, limit: MAX_COLUMNS });
    }
    memory::probe(design_bytes(rows.len(), inputs) + newton::work_bytes(found))?;
    let design = encode(frame, inputs, rows, watch)?;
    let solution = newton::solve(&design, labels, settings.number(&L2), MAX_ITERATIONS, watch)?;
    let coefficients = in_input_order(inputs, &solution.weights);
    let linear = Linear { coefficients, intercept: solution.weights[0] };
    Ok((linear, solution.iterations, solution.converged))
}

/// Times [`super::inputs::STANDARDISED_LIMIT`] it is still finite, so no sum of contributions is inf - inf. No fit comes near.
const COEFFICIENT_LIMIT: f64 = 1e200;

impl Linear {
    /// What is wrong with it, as the learner of these inputs.
    pub fn fault(&self, inputs: &[Input]) -> Option<&'static str> {
        let width: usize = inputs.iter().map(Input::width).sum();
        if width != self.coefficients.len() {
            return Some("coefficients and inputs differ in number");
        }
        let mut weights = self.coefficients.iter().chain([&self.intercept]);
        // False for NaN too.
        let bounded = weights.all(|weight| weight.abs() <= COEFFICIENT_LIMIT);
        (!bounded).then_some("a coefficient is not finite or huge")
    }

    pub fn prepare(&self, inputs: &[Input]) -> Additive<Weighed> {
        Additive::new(self.intercept, inputs, &self.coefficients, |encoding, own| {
            let Encoding { mean, center, scale } = encoding;
            let weight = own.first().copied().unwrap_or(0.0);
            let indicator = own.get(1).copied().unwrap_or(0.0);
            let missing = weight * standardise(f64::NAN, mean, center, scale) + indicator;
            Weighed { center, scale, weight, missing }
        })
    }
}

/// A standardised number times its weight; what a missing one says instead.
#[derive(Debug, Clone, Copy)]
pub struct Weighed {
    center: f64,
    scale: f64,
    weight: f64,
    missing: f64,
}

impl OfNumber for Weighed {
    #[inline]
    fn part(&self, value: f64) -> f64 {
        if value.is_nan() {
            return self.missing;
        }
        self.weight * standardised(value, self.center, self.scale)
    }
}
