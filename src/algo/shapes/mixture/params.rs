//! What a fit of a mixture takes, checked.

use serde::{Deserialize, Serialize};

use crate::algo::declared::{Algorithm, Number, Parameter, Settings, Whole, Word, words};
use crate::algo::segment;
use crate::algo::segment::params::{MAX_ITERATIONS, SEED};
use crate::algo::shapes::Error;
use std::ops::Bound;

/// Numbers that the covariances of a model may have: 32 MB of them.
pub(super) const MAX_PARAMETERS: usize = 1 << 22;
/// Beside a variance of 1, which the features have, more is no regularisation.
const MAX_REGULARIZATION: f64 = 1e6;

pub static GAUSSIAN_MIXTURE: Algorithm = Algorithm {
    name: "gaussian_mixture",
    meaning: "segments that overlap, each a normal distribution, by expectation-maximisation",
    source: "Dempster, Laird and Rubin, Maximum likelihood from incomplete data via the EM algorithm (1977)",
    parameters: &[
        Parameter::Word(COVARIANCE),
        Parameter::Number(REGULARIZATION),
        Parameter::Whole(SEED),
        Parameter::Whole(MAX_ITERATIONS),
        Parameter::Whole(N_INIT),
        Parameter::Number(TOLERANCE),
    ],
};

const N_INIT: Whole = Whole {
    name: "n_init",
    meaning: "starts from other seeds, of which the one of the greatest likelihood is kept",
    least: 1,
    most: i32::MAX as i64,
    default: 1,
};

const COVARIANCE: Word = Word {
    name: "covariance",
    meaning: "full lets features vary together, diagonal each by itself",
    words: &words(&Covariance::ALL),
    default: "full",
};

const REGULARIZATION: Number = Number {
    name: "regularization",
    meaning: "added to the variances of the standardised features, so that no component collapses",
    least: Bound::Included(0.0),
    most: Bound::Included(MAX_REGULARIZATION),
    default: 1e-6,
};

const TOLERANCE: Number = Number {
    name: "tolerance",
    meaning: "the fit ends when the mean log-likelihood of a row changes by less",
    least: Bound::Included(0.0),
    most: Bound::Unbounded,
    default: 1e-3,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Covariance {
    /// Features vary together: ellipsoids in any direction.
    Full,
    /// Each feature by itself: ellipsoids along the axes.
    Diagonal,
}

impl Covariance {
    const ALL: [(&str, Self); 2] = [("full", Self::Full), ("diagonal", Self::Diagonal)];

    /// Numbers of one component's covariance as a model keeps it; the lower triangle of a full one.
    pub(super) fn n_parameters(self, n_features: usize) -> usize {
        match self {
            Self::Full => n_features * (n_features + 1) / 2,
            Self::Diagonal => n_features,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MixtureParams {
    pub k: i64,
    pub covariance: Covariance,
    /// Added to the variances of the standardised features, as scikit-learn's `reg_covar`: no component can collapse onto
    /// one row, or a feature that never varies.
    pub regularization: f64,
    /// Ends when the mean log-likelihood of a row changes by less.
    pub tolerance: f64,
    pub max_iterations: i64,
    /// Number of starts, of which the greatest likelihood is kept.
    pub n_init: i64,
    pub seed: i64,
}

/// Parameters that a fit takes; made by [`MixtureParams::check`] alone.
#[derive(Debug, Clone)]
pub struct ValidMixtureParams {
    pub(super) start: segment::ValidParams,
    pub(super) k: usize,
    pub(super) covariance: Covariance,
    pub(super) regularization: f64,
    pub(super) tolerance: f64,
    pub(super) max_iterations: u32,
    pub(super) n_init: u32,
    pub(super) seed: i64,
}

impl MixtureParams {
    pub fn new(k: i64) -> Self {
        Self::of(k, &GAUSSIAN_MIXTURE.defaults())
    }

    pub fn of(k: i64, settings: &Settings) -> Self {
        Self {
            k,
            covariance: settings.meant(&COVARIANCE, &Covariance::ALL),
            regularization: settings.number(&REGULARIZATION),
            tolerance: settings.number(&TOLERANCE),
            max_iterations: settings.whole(&MAX_ITERATIONS),
            n_init: settings.whole(&N_INIT),
            seed: settings.whole(&SEED),
        }
    }

    pub fn check(self, n_rows: usize, n_features: usize) -> Result<ValidMixtureParams, Error> {
        let Self { k, covariance, regularization, tolerance, max_iterations, n_init, seed } = self;
        if !(0.0..=MAX_REGULARIZATION).contains(&regularization) {
            return Err(Error::InvalidRegularization { regularization });
        }
        let start = segment::Params {
            tolerance: Some(tolerance),
            max_iterations,
            n_init,
            seed,
            ..segment::Params::new(k)
        };
        // Refuses what this fit cannot do either. The start goes on until no label changes.
        start.check(n_rows, n_features)?;
        let start =
            segment::Params { seed, ..segment::Params::new(k) }.check(n_rows, n_features)?;
        let (k, n_parameters) = (k as usize, covariance.n_parameters(n_features));
        if k * n_parameters > MAX_PARAMETERS {
            return Err(Error::TooManyParameters { found: k * n_parameters });
        }
        let (max_iterations, n_init) = (max_iterations as u32, n_init as u32);
        Ok(ValidMixtureParams {
            start,
            k,
            covariance,
            regularization,
            tolerance,
            max_iterations,
            n_init,
            seed,
        })
    }
}
