//! The space that a fit works in: each feature centred on its mean and divided by a scale, so that f32 suffices.
//!
//! Standard scaling divides by the feature's own deviation. Without scaling all features are divided by one number, which
//! leaves the geometry alone and keeps 1e-300 and 1e140 alike within f32; `unit` turns lengths back into the user's.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::error::Error;
use super::params::Scaling;
use super::rows::Rows;
use crate::algo::stop::Watch;

/// Above this the sum of the squares of some 1e9 rows would not fit f64.
pub const MAX_MAGNITUDE: f64 = 1e149;

/// A scaled value is held within this, so that neither a square nor a sum of 4096 products leaves f32. Training rows reach
/// the square root of the number of values at most; only a row seen later can be farther out.
pub(super) const MAX_SCALED: f64 = 1e16;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Space {
    pub(super) center: Vec<f64>,
    pub(super) scale: Vec<f64>,
    /// Length in the user's space of a length 1 in this one.
    pub(super) unit: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Population {
    pub(super) mean: Vec<f64>,
    pub(super) sd: Vec<f64>,
    range: Vec<f64>,
}

impl Space {
    pub(super) fn identity(n_features: usize) -> Self {
        Self { center: vec![0.0; n_features], scale: vec![1.0; n_features], unit: 1.0 }
    }

    pub(super) fn new(population: &Population, scaling: Scaling) -> Self {
        // A deviation whose squares vanish in f64 is replaced with the range: any positive scale will do there.
        let spread: Vec<f64> = population
            .sd
            .iter()
            .zip(&population.range)
            .map(|(&sd, &range)| if sd > 1e-140 { sd } else { range })
            .collect();
        let center = population.mean.clone();
        match scaling {
            Scaling::Standard => {
                let scale =
                    spread.iter().map(|&spread| if spread > 0.0 { spread } else { 1.0 }).collect();
                Self { center, scale, unit: 1.0 }
            }
            Scaling::None => {
                let widest = spread.iter().copied().fold(0.0, f64::max);
                let common = if widest > 0.0 { widest } else { 1.0 };
                Self { scale: vec![common; center.len()], center, unit: common }
            }
        }
    }

    pub(super) fn scaled(&self, feature: usize, value: f64) -> f32 {
        self.scaled_wide(feature, value) as f32
    }

    pub(super) fn scaled_wide(&self, feature: usize, value: f64) -> f64 {
        ((value - self.center[feature]) / self.scale[feature]).clamp(-MAX_SCALED, MAX_SCALED)
    }

    pub(super) fn original(&self, feature: usize, scaled: f64) -> f64 {
        scaled * self.scale[feature] + self.center[feature]
    }
}

/// Mean and population standard deviation of each feature; refuses a row that no distance can be computed to.
pub(super) fn population(
    rows: &impl Rows,
    limit: f64,
    feature_names: &[String],
    watch: &Watch,
) -> Result<Population, Error> {
    const ROWS: usize = 1024;
    let (n_rows, n_features) = (rows.n_rows(), rows.n_features());
    let chunks: Vec<Moments> = (0..n_rows.div_ceil(ROWS))
        .into_par_iter()
        .map(|chunk_idx| {
            watch.check()?;
            let first = chunk_idx * ROWS;
            let chunk =
                Array2::from_shape_fn((ROWS.min(n_rows - first), n_features), |(row, feature)| {
                    rows.value(first + row, feature)
                });
            check_values(chunk.view(), limit, first, feature_names)?;
            Ok(Moments::of(chunk.view()))
        })
        .collect::<Result<_, Error>>()?;
    let mut all = Moments::none(n_features);
    for chunk in &chunks {
        all.merge(chunk);
    }
    Ok(all.population())
}

/// The first offending cell in row order of its chunk.
fn check_values(
    chunk: ArrayView2<f64>,
    limit: f64,
    first: usize,
    feature_names: &[String],
) -> Result<(), Error> {
    // Comparing with the limit also catches NaN and infinity; the search for the cell is made only when there is one.
    if chunk.iter().fold(true, |fine, value| fine & (value.abs() <= limit)) {
        return Ok(());
    }
    for ((row_idx, feature_idx), &value) in chunk.indexed_iter() {
        let feature = || feature_names.get(feature_idx).cloned().unwrap_or_default();
        let row = first + row_idx;
        if value.is_nan() {
            return Err(Error::MissingValue { feature: feature(), row });
        }
        if value.abs() > limit {
            return Err(Error::TooLarge { feature: feature(), row, value, limit });
        }
    }
    Ok(())
}

/// Count, mean, sum of squared deviations and extremes of every feature over some rows.
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

    /// Two passes over a chunk that stays in the cache: first the mean, then the deviations from it.
    fn of(chunk: ArrayView2<f64>) -> Self {
        let mut moments = Self::none(chunk.ncols());
        moments.n = chunk.nrows() as f64;
        for row in chunk.rows() {
            for (feature, value) in row.iter().copied().enumerate() {
                moments.mean[feature] += value;
                moments.min[feature] = moments.min[feature].min(value);
                moments.max[feature] = moments.max[feature].max(value);
            }
        }
        for mean in &mut moments.mean {
            *mean /= moments.n;
        }
        for row in chunk.rows() {
            for (feature, value) in row.iter().copied().enumerate() {
                moments.squares[feature] += (value - moments.mean[feature]).powi(2);
            }
        }
        moments
    }

    /// Chan, Golub and LeVeque's pairwise update (1983).
    fn merge(&mut self, other: &Self) {
        let n = self.n + other.n;
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
            range: self.min.iter().zip(&self.max).map(|(min, max)| max - min).collect(),
            mean: self.mean,
        };
        for feature in 0..population.mean.len() {
            // Rounding must not make a spread out of a constant: 0.1 added a million times is not a million tenths.
            if population.range[feature] == 0.0 {
                population.mean[feature] = self.min[feature];
                population.sd[feature] = 0.0;
            }
        }
        population
    }
}
