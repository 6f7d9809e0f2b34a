//! The space that a fit works in: each feature centred on its mean and divided by a scale, so that f32 suffices.
//!
//! Standard scaling divides by the feature's own deviation. Without scaling all features are divided by one number, which
//! leaves the geometry alone and keeps 1e-300 and 1e140 alike within f32; `unit` turns lengths back into the user's.

use std::ops::Range;

use multiversion::multiversion;
use rayon::prelude::*;

use super::features::Features;
use super::rows::{Rows, TOGETHER};
use crate::algo::segment::error::Error;
use crate::algo::segment::params::{Metric, Scaling};
use crate::algo::stop::Watch;

/// A scaled value is held within this, so that neither a square nor a sum of 4096 products leaves f32. Training rows reach
/// the square root of the number of values at most; only a row seen later can be farther out.
pub(crate) const MAX_SCALED: f64 = 1e16;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Space {
    pub(crate) center: Vec<f64>,
    pub(crate) scale: Vec<f64>,
    /// Length in the user's space of a length 1 in this one.
    pub(crate) unit: f64,
    /// With [`Metric::Cosine`] rows are divided by their lengths after all that.
    pub(crate) metric: Metric,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Population {
    pub(crate) mean: Vec<f64>,
    pub(crate) sd: Vec<f64>,
    range: Vec<f64>,
}

impl Space {
    pub(crate) fn identity(n_features: usize) -> Self {
        Self {
            center: vec![0.0; n_features],
            scale: vec![1.0; n_features],
            unit: 1.0,
            metric: Metric::Euclidean,
        }
    }

    pub(crate) fn new(
        population: &Population,
        scaling: Scaling,
        metric: Metric,
        features: &Features,
    ) -> Self {
        // A deviation whose squares vanish in f64 is replaced with the range: any positive scale will do there.
        let spread: Vec<f64> = population
            .sd
            .iter()
            .zip(&population.range)
            .map(|(&sd, &range)| if sd > 1e-140 { sd } else { range })
            .collect();
        let indicators = features.dimensions().indicators();
        let mut center = population.mean.clone();
        let (mut scale, unit) = match scaling {
            Scaling::Standard => (
                spread.iter().map(|&spread| if spread > 0.0 { spread } else { 1.0 }).collect(),
                1.0,
            ),
            Scaling::None => {
                let widest = spread.iter().copied().fold(0.0, f64::max);
                let common = if widest > 0.0 { widest } else { 1.0 };
                // A direction is one from the origin.
                if metric == Metric::Cosine {
                    center.fill(0.0);
                }
                (vec![common; center.len()], common)
            }
        };
        for place in (0..center.len()).filter(|&place| indicators[place]) {
            center[place] = 0.0;
            scale[place] = unit;
        }
        for (scale, weight) in scale.iter_mut().zip(&features.weights) {
            *scale /= weight.sqrt();
        }
        let unit = if metric == Metric::Cosine { 1.0 } else { unit };
        Self { center, scale, unit, metric }
    }

    /// What the squared length of a scaled row is on average.
    pub(crate) fn mean_square(&self, population: &Population) -> f64 {
        if self.metric == Metric::Cosine {
            return 1.0;
        }
        let moments = population.mean.iter().zip(&population.sd);
        let squares = moments.zip(self.center.iter().zip(&self.scale)).map(
            |((mean, sd), (center, scale))| {
                (sd / scale).powi(2) + ((mean - center) / scale).powi(2)
            },
        );
        squares.sum()
    }

    /// Scales a row; false when a feature is missing, or when the row has no direction and is to have one.
    pub(crate) fn scale_row<T: Copy + Into<f64>>(&self, features: &[T], row: &mut [f32]) -> bool {
        let mut missing = false;
        for (feature, (scaled, &value)) in row.iter_mut().zip(features).enumerate() {
            *scaled = self.scaled(feature, value.into());
            missing |= scaled.is_nan();
        }
        !missing && (self.metric == Metric::Euclidean || to_unit_length::<1>(row) == [true])
    }

    /// Puts a scaled centroid where it belongs: with [`Metric::Cosine`] on the unit sphere, unless it is 0.
    pub(crate) fn project(&self, centroid: &mut [f64]) {
        if self.metric == Metric::Cosine {
            let length = centroid.iter().map(|value| value * value).sum::<f64>().sqrt();
            if length > 0.0 {
                centroid.iter_mut().for_each(|value| *value /= length);
            }
        }
    }

    pub(crate) fn scaled(&self, feature: usize, value: f64) -> f32 {
        self.scaled_wide(feature, value) as f32
    }

    /// As [`Self::scaled`], of many values of one feature.
    pub(crate) fn scale_all(&self, feature: usize, values: &[f64], scaled: &mut [f32]) {
        scale_all(values, self.center[feature], self.scale[feature], scaled);
    }

    pub(crate) fn scaled_wide(&self, feature: usize, value: f64) -> f64 {
        ((value - self.center[feature]) / self.scale[feature]).clamp(-MAX_SCALED, MAX_SCALED)
    }

    pub(crate) fn original(&self, feature: usize, scaled: f64) -> f64 {
        scaled * self.scale[feature] + self.center[feature]
    }
}

/// Divides rows by their lengths, `N` of which lie side by side, feature by feature. Tells which have a direction: those of 0 stay.
pub(crate) fn to_unit_length<const N: usize>(rows: &mut [f32]) -> [bool; N] {
    let (features, _) = rows.as_chunks_mut::<N>();
    let mut largest = [0f32; N];
    for values in &*features {
        for lane in 0..N {
            largest[lane] = largest[lane].max(values[lane].abs());
        }
    }
    let has_direction = largest.map(|largest| largest > 0.0);
    let largest = largest.map(|largest| if largest > 0.0 { largest } else { 1.0 });
    // By the largest first: a square may be too small or too large for f32.
    let mut squares = [0f32; N];
    for values in &mut *features {
        for lane in 0..N {
            values[lane] /= largest[lane];
            squares[lane] += values[lane] * values[lane];
        }
    }
    let lengths = squares.map(|square| if square > 0.0 { square.sqrt() } else { 1.0 });
    for values in features {
        for lane in 0..N {
            values[lane] /= lengths[lane];
        }
    }
    has_direction
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

#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
fn scale_all(values: &[f64], center: f64, scale: f64, scaled: &mut [f32]) {
    for (scaled, value) in scaled.iter_mut().zip(values) {
        *scaled = ((value - center) / scale).clamp(-MAX_SCALED, MAX_SCALED) as f32;
    }
}

/// The centroids as the kernel sees them. The fit goes through original units as well, so that both see the same bits.
pub(crate) fn scaled_centroids(space: &Space, original: &[f64]) -> Vec<f32> {
    let n_features = space.center.len();
    original.iter().enumerate().map(|(idx, &value)| space.scaled(idx % n_features, value)).collect()
}
