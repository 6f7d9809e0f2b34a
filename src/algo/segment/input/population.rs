//! What the rows of a fit are like, feature by feature: mean, deviation, extremes.

use std::ops::Range;

use multiversion::multiversion;
use rayon::prelude::*;

use super::features::Features;
use super::rows::{Rows, TOGETHER};
use crate::algo::segment::error::Error;
use crate::algo::stop::Watch;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Population {
    pub(crate) mean: Vec<f64>,
    pub(crate) sd: Vec<f64>,
    pub(crate) min: Vec<f64>,
    pub(crate) max: Vec<f64>,
}

impl Population {
    /// A scale that is above 0 unless the feature is constant: its deviation, or the range where the squares of deviations vanish in
    /// f64; any positive scale will do there.
    pub(crate) fn spread(&self, feature: usize) -> f64 {
        if self.sd[feature] > 1e-140 { self.sd[feature] } else { self.range(feature) }
    }

    pub(crate) fn range(&self, feature: usize) -> f64 {
        self.max[feature] - self.min[feature]
    }
}

/// Mean and population standard deviation of each feature; refuses a row that no distance can be computed to.
pub(crate) fn population(
    rows: &impl Rows,
    limit: f64,
    features: &Features,
    watch: &Watch,
) -> Result<Population, Error> {
    /// Chunks that one thread adds up, one after the other.
    const CHUNKS: usize = 4;
    /// Parts that are held at once: enough for any number of threads.
    const PARTS: usize = 1024;
    let (n_rows, n_features) = (rows.n_rows(), rows.n_features());
    let part_rows = CHUNKS * TOGETHER;
    let n_parts = n_rows.div_ceil(part_rows);
    let mut all = Moments::none(n_features);
    for first_part in (0..n_parts).step_by(PARTS) {
        let parts: Vec<Moments> = (first_part..n_parts.min(first_part + PARTS))
            .into_par_iter()
            .map(|part_idx| {
                let mut values = [0f64; TOGETHER];
                let mut part = Moments::none(n_features);
                let mut chunk = Moments::none(n_features);
                let end = n_rows.min((part_idx + 1) * part_rows);
                for first in (part_idx * part_rows..end).step_by(TOGETHER) {
                    watch.check()?;
                    let values = &mut values[..TOGETHER.min(end - first)];
                    let weights: Option<Vec<f64>> = rows.is_weighted().then(|| {
                        (first..first + values.len()).map(|row| rows.weight(row)).collect()
                    });
                    chunk.n = match &weights {
                        None => values.len() as f64,
                        Some(weights) => weights.iter().sum(),
                    };
                    for feature in 0..n_features {
                        rows.copy(feature, first, values);
                        chunk.set(feature, values);
                        if !chunk.is_within(feature, limit) {
                            return Err(refused(
                                rows,
                                limit,
                                first..first + values.len(),
                                features,
                            ));
                        }
                        if let Some(weights) = &weights {
                            chunk.set_weighted(feature, values, weights);
                        }
                    }
                    part.merge(&chunk);
                }
                Ok(part)
            })
            .collect::<Result<_, Error>>()?;
        for part in &parts {
            all.merge(part);
        }
    }
    Ok(all.population())
}

/// What is wrong with the first offending cell of these rows, in row order.
fn refused(rows: &impl Rows, limit: f64, of: Range<usize>, features: &Features) -> Error {
    for row in of {
        for feature_idx in 0..rows.n_features() {
            let value = rows.value(row, feature_idx);
            let feature = || features.column(feature_idx).to_owned();
            if value.is_nan() {
                return Error::MissingValue { feature: feature(), row };
            }
            if value.abs() > limit {
                return Error::TooLarge { feature: feature(), row, value, limit };
            }
        }
    }
    Error::EmptyInput
}

/// Count (or weight), mean, sum of squared deviations and extremes of every feature over some rows.
struct Moments {
    n: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
    min: Vec<f64>,
    max: Vec<f64>,
}

impl Moments {
    fn none(n_features: usize) -> Self {
        Self {
            n: 0.0,
            mean: vec![0.0; n_features],
            squares: vec![0.0; n_features],
            min: vec![f64::INFINITY; n_features],
            max: vec![f64::NEG_INFINITY; n_features],
        }
    }

    fn set(&mut self, feature: usize, values: &[f64]) {
        [self.mean[feature], self.squares[feature], self.min[feature], self.max[feature]] =
            moments(values);
    }

    /// Whether all values of a feature are numbers between these limits.
    fn is_within(&self, feature: usize, limit: f64) -> bool {
        !self.mean[feature].is_nan() && self.min[feature] >= -limit && self.max[feature] <= limit
    }

    /// As [`Self::set`], of values that count by their weights, those of 0 not at all; `n` is their sum.
    fn set_weighted(&mut self, feature: usize, values: &[f64], weights: &[f64]) {
        let weighing = values.iter().zip(weights).filter(|(_, weight)| **weight > 0.0);
        let (mut mean, mut min, mut max) = (0.0, f64::INFINITY, f64::NEG_INFINITY);
        for (&value, weight) in weighing.clone() {
            mean += value * (weight / self.n);
            (min, max) = (f64::min(min, value), f64::max(max, value));
        }
        let squares = weighing.map(|(value, weight)| weight * (value - mean) * (value - mean));
        self.squares[feature] = squares.sum();
        (self.mean[feature], self.min[feature], self.max[feature]) = (mean, min, max);
    }

    /// Chan, Golub and LeVeque's pairwise update (1983).
    fn merge(&mut self, other: &Self) {
        let n = self.n + other.n;
        if other.n == 0.0 {
            return;
        }
        for feature in 0..self.mean.len() {
            let delta = other.mean[feature] - self.mean[feature];
            self.mean[feature] += delta * (other.n / n);
            self.squares[feature] +=
                other.squares[feature] + delta * delta * (self.n * other.n / n);
            self.min[feature] = self.min[feature].min(other.min[feature]);
            self.max[feature] = self.max[feature].max(other.max[feature]);
        }
        self.n = n;
    }

    fn population(self) -> Population {
        let mut population = Population {
            sd: self.squares.iter().map(|squares| (squares / self.n).sqrt()).collect(),
            mean: self.mean,
            min: self.min,
            max: self.max,
        };
        for feature in 0..population.mean.len() {
            // Rounding must not make a spread out of a constant: 0.1 added a million times is not a million tenths.
            if population.range(feature) == 0.0 {
                population.mean[feature] = population.min[feature];
                population.sd[feature] = 0.0;
            }
        }
        population
    }
}

/// Mean, sum of squared deviations from it, least and largest of some values: two passes over what stays in the cache. In
/// sixteen lanes, for the compiler to keep in registers; always in the same order.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
fn moments(values: &[f64]) -> [f64; 4] {
    const LANES: usize = 16;
    let (parts, rest) = values.as_chunks::<LANES>();
    let mut sums = [0f64; LANES];
    let (mut min, mut max) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
    // Not by f64::min, which looks at NaN too: the sum shows that there is one.
    let mut add = |lane: usize, value: f64| {
        sums[lane] += value;
        min[lane] = if value < min[lane] { value } else { min[lane] };
        max[lane] = if value > max[lane] { value } else { max[lane] };
    };
    parts.iter().for_each(|part| (0..LANES).for_each(|lane| add(lane, part[lane])));
    rest.iter().enumerate().for_each(|(lane, &value)| add(lane, value));
    let mean = sums.iter().sum::<f64>() / values.len() as f64;
    let mut squares = [0f64; LANES];
    let mut add = |lane: usize, value: f64| squares[lane] += (value - mean) * (value - mean);
    parts.iter().for_each(|part| (0..LANES).for_each(|lane| add(lane, part[lane])));
    rest.iter().enumerate().for_each(|(lane, &value)| add(lane, value));
    let min = min.into_iter().fold(f64::INFINITY, f64::min);
    let max = max.into_iter().fold(f64::NEG_INFINITY, f64::max);
    [mean, squares.iter().sum(), min, max]
}
