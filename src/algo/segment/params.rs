//! A fit's parameters: raw as a user gives them, then checked against the data's shape.

use super::error::Error;
use super::limits::{MAX_FEATURES, MAX_K};
use crate::algo::declared::{Algorithm, Parameter, Whole, Word, words};
use crate::algo::store::Place;
use serde::{Deserialize, Serialize};

pub static KMEANS: Algorithm = Algorithm {
    name: "kmeans",
    meaning: "each row in the segment whose centroid is nearest, by Lloyd's iterations",
    source: "Lloyd, Least squares quantization in PCM (1982); Arthur and Vassilvitskii, k-means++ (2007)",
    parameters: &[
        Parameter::Whole(SEED),
        Parameter::Whole(MAX_ITERATIONS),
        Parameter::Whole(N_INIT),
        Parameter::Word(SEEDING),
        Parameter::Word(SCALING),
        Parameter::Word(METRIC),
    ],
};

pub const SEED: Whole = Whole {
    name: "seed",
    meaning: "decides all that is drawn by chance",
    least: i64::MIN,
    most: i64::MAX,
    default: 0,
};

pub const MAX_ITERATIONS: Whole = Whole {
    name: "max_iterations",
    meaning: "rounds over all rows after which a start ends as it is",
    least: 1,
    most: i32::MAX as i64,
    default: 100,
};

pub const N_INIT: Whole = Whole {
    name: "n_init",
    meaning: "starts from other seeds, of which the one of least inertia is kept",
    least: 1,
    most: i32::MAX as i64,
    default: 1,
};

pub const SEEDING: Word = Word {
    name: "seeding",
    meaning: "where a start begins: auto refines seeds of a sample, the others draw them from all rows",
    words: &words(&Seeding::ALL),
    default: "auto",
};

pub const SCALING: Word = Word {
    name: "scaling",
    meaning: "standard brings every feature to mean 0 and standard deviation 1 first; log1p and yeo_johnson bring in heavy tails before",
    words: &words(&Scaling::ALL),
    default: "none",
};

pub const METRIC: Word = Word {
    name: "metric",
    meaning: "cosine compares the directions of rows, not their lengths",
    words: &words(&Metric::ALL),
    default: "euclidean",
};

/// How a feature's values become coordinates; indicators of text columns stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// Distances are in the features' own units.
    None,
    /// Each feature minus its mean, over its population standard deviation; a constant feature is only centred.
    Standard,
    /// From the least value, 0, to the greatest, 1.
    Minmax,
    /// Over the greatest absolute value; 0 stays 0.
    Maxabs,
    /// Minus the median, over the interquartile range; over the deviation where the quartiles are equal.
    Robust,
    /// ln(1 + x), then as standard.
    Log1p,
    /// Yeo and Johnson's power of the greatest likelihood, then as standard.
    YeoJohnson,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    #[default]
    Euclidean,
    /// Between directions: rows and centroids are scaled to unit length, and distances are those between their ends, the
    /// square root of 2 - 2 cos (spherical k-means, Dhillon and Modha 2001).
    Cosine,
}

/// What a start begins from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Seeding {
    /// Greedy k-means++ on a sample, a few times, each refined there; the best of them.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// Greedy k-means++ over all rows, once.
    #[serde(rename = "k-means++")]
    PlusPlus,
    /// k-means|| over all rows, once.
    #[serde(rename = "k-means||")]
    Parallel,
}

impl Scaling {
    pub const ALL: [(&str, Self); 7] = [
        ("standard", Self::Standard),
        ("none", Self::None),
        ("minmax", Self::Minmax),
        ("maxabs", Self::Maxabs),
        ("robust", Self::Robust),
        ("log1p", Self::Log1p),
        ("yeo_johnson", Self::YeoJohnson),
    ];
}

impl Metric {
    pub const ALL: [(&str, Self); 2] = [("euclidean", Self::Euclidean), ("cosine", Self::Cosine)];
}

impl Seeding {
    pub const ALL: [(&str, Self); 3] =
        [("auto", Self::Auto), ("k-means++", Self::PlusPlus), ("k-means||", Self::Parallel)];
}

#[derive(Debug, Clone)]
pub struct Params {
    pub k: i64,
    pub scaling: Scaling,
    pub metric: Metric,
    /// Over all rows; those that refine the seeds beforehand are not counted.
    pub max_iterations: i64,
    /// Number of starts, of which the best inertia is kept.
    pub n_init: i64,
    pub seeding: Seeding,
    pub seed: i64,
    /// Also end when the centroids' squared moves add up to at most this share of the features' mean variance, as
    /// scikit-learn's `tol`; `None` goes on until no label changes.
    pub tolerance: Option<f64>,
    /// Whether to compute [`super::Quality`] as well, with the silhouette of at most so many rows.
    pub quality: Option<usize>,
    /// Where the arrays lie that are as long as there are rows.
    pub place: Place,
}

impl Params {
    pub fn new(k: i64) -> Self {
        Self {
            k,
            scaling: Scaling::Standard,
            metric: Metric::Euclidean,
            max_iterations: MAX_ITERATIONS.default,
            n_init: N_INIT.default,
            seeding: Seeding::Auto,
            seed: SEED.default,
            tolerance: None,
            quality: None,
            place: Place::Memory,
        }
    }

    /// Refuses what no fit can do, whatever its rows.
    pub fn check_alone(&self) -> Result<(), Error> {
        let Self { k, max_iterations, n_init, tolerance, .. } = *self;
        if !(1..=MAX_K as i64).contains(&k) {
            return Err(Error::InvalidK { k });
        }
        if let Some(tolerance) =
            tolerance.filter(|tolerance| !(tolerance.is_finite() && *tolerance >= 0.0))
        {
            return Err(Error::InvalidTolerance { tolerance });
        }
        count(max_iterations).ok_or(Error::InvalidIterations { max_iterations })?;
        count(n_init).ok_or(Error::InvalidStarts { n_init })?;
        Ok(())
    }

    /// Refuses what no fit of such rows can do. `k` above the number of distinct rows shows only in the fit.
    pub fn check(&self, n_rows: usize, n_features: usize) -> Result<ValidParams, Error> {
        self.check_alone()?;
        let Self { k, scaling, metric, max_iterations, n_init, seed, tolerance, quality, .. } =
            *self;
        if !(1..=MAX_FEATURES).contains(&n_features) {
            return Err(Error::InvalidFeatures { found: n_features });
        }
        if n_rows == 0 {
            return Err(Error::EmptyInput);
        }
        if u32::try_from(n_rows).is_err() {
            return Err(Error::TooManyRows { n_rows });
        }
        Ok(ValidParams {
            k: k as usize,
            n_features,
            scaling,
            metric,
            max_iterations: max_iterations as u32,
            n_init: n_init as u32,
            seeding: self.seeding,
            seed,
            tolerance,
            quality,
            place: self.place.clone(),
        })
    }
}

fn count(count: i64) -> Option<u32> {
    i32::try_from(count).ok().filter(|&count| count >= 1).map(i32::cast_unsigned)
}

/// Parameters that a fit takes; made by [`Params::check`] alone.
#[derive(Debug, Clone)]
pub struct ValidParams {
    pub(super) k: usize,
    pub(super) n_features: usize,
    pub(super) scaling: Scaling,
    pub(super) metric: Metric,
    pub(super) max_iterations: u32,
    pub(super) n_init: u32,
    pub(super) seeding: Seeding,
    pub(super) seed: i64,
    pub(super) tolerance: Option<f64>,
    pub(super) quality: Option<usize>,
    pub(super) place: Place,
}

impl ValidParams {
    /// The same fit from another seed.
    pub fn with_seed(&self, seed: i64) -> Self {
        Self { seed, ..self.clone() }
    }

    /// What a fit takes for its segments: centroids, and sums on each thread.
    pub fn segment_bytes(&self, n_threads: usize) -> usize {
        (self.k * self.n_features * size_of::<f64>()).saturating_mul(2 * n_threads + 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(
        change: impl Fn(&mut Params),
        n_rows: usize,
        n_features: usize,
        expected: Error,
    ) {
        let mut params = Params::new(3);
        change(&mut params);
        assert_eq!(params.check(n_rows, n_features).unwrap_err(), expected);
    }

    #[test]
    fn what_no_fit_can_do_is_refused() {
        check_refused(|p| p.k = 0, 9, 2, Error::InvalidK { k: 0 });
        check_refused(|p| p.k = 65_536, 9, 2, Error::InvalidK { k: 65_536 });
        check_refused(|_| (), 0, 2, Error::EmptyInput);
        check_refused(|_| (), 9, 0, Error::InvalidFeatures { found: 0 });
        check_refused(|_| (), 9, 4097, Error::InvalidFeatures { found: 4097 });
        check_refused(
            |p| p.max_iterations = 0,
            9,
            2,
            Error::InvalidIterations { max_iterations: 0 },
        );
        check_refused(|p| p.n_init = -1, 9, 2, Error::InvalidStarts { n_init: -1 });
        check_refused(
            |p| p.tolerance = Some(-1.0),
            9,
            2,
            Error::InvalidTolerance { tolerance: -1.0 },
        );
        assert!(Params::new(3).check(1, 1).is_ok());
        assert_eq!(Params::new(0).check_alone(), Err(Error::InvalidK { k: 0 }));
    }
}
