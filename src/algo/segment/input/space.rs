//! The space that a fit works in: each feature centred on its mean and divided by a scale, so that f32 suffices.
//!
//! Standard scaling divides by the feature's own deviation. Without scaling all features are divided by one number, which
//! leaves the geometry alone and keeps 1e-300 and 1e140 alike within f32; `unit` turns lengths back into the user's. The other scalings
//! have centers and scales of their own, some of them after a curve.

use multiversion::multiversion;

use super::curve::Curve;
use super::features::Features;
use super::population::Population;
use crate::algo::segment::params::{Metric, Scaling};

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
    /// What values go through before all that, one a feature; none where all go straight. Rows do, centroids are behind it.
    pub(crate) curves: Vec<Curve>,
    /// What stands for missing values of rows, one a feature; empty where nothing does.
    pub(crate) fill: Vec<f64>,
}

impl Space {
    pub(crate) fn identity(n_features: usize) -> Self {
        Self {
            center: vec![0.0; n_features],
            scale: vec![1.0; n_features],
            unit: 1.0,
            metric: Metric::Euclidean,
            curves: Vec::new(),
            fill: Vec::new(),
        }
    }

    /// `population` is behind the curves; `quartiles` are those of the features that are scaled by them.
    pub(crate) fn new(
        population: &Population,
        (scalings, curves): (&[Scaling], Vec<Curve>),
        quartiles: &[Option<[f64; 3]>],
        metric: Metric,
        features: &Features,
    ) -> Self {
        let d = features.len();
        let indicators = features.dimensions().indicators();
        let numbers = (0..d).filter(|&place| !indicators[place]);
        let positive = |scale: f64| if scale > 0.0 { scale } else { 1.0 };
        // In units that are all the user's own, one number divides them all.
        let is_plain = numbers.clone().all(|place| scalings[place] == Scaling::None);
        let widest = (0..d).map(|place| population.spread(place)).fold(0.0, f64::max);
        let has_unit = is_plain && scalings.contains(&Scaling::None);
        let unit = if has_unit { positive(widest) } else { 1.0 };
        let (mut center, mut scale) = (vec![0.0; d], vec![unit; d]);
        for place in numbers {
            let spread = positive(population.spread(place));
            (center[place], scale[place]) = match scalings[place] {
                Scaling::Standard | Scaling::Log1p | Scaling::YeoJohnson => {
                    (population.mean[place], spread)
                }
                // A direction is one from the origin.
                Scaling::None if metric == Metric::Cosine => (0.0, unit),
                Scaling::None => (population.mean[place], unit),
                Scaling::Minmax => (population.min[place], positive(population.range(place))),
                Scaling::Maxabs => {
                    (0.0, positive(population.min[place].abs().max(population.max[place].abs())))
                }
                Scaling::Robust => {
                    let [low, median, high] =
                        quartiles[place].unwrap_or([population.mean[place]; 3]);
                    // Where the quartiles are equal they say nothing of how far the others lie.
                    (median, if high - low > 0.0 { high - low } else { spread })
                }
            };
        }
        // Two levels lie as far apart on one axis as on two.
        for category in features.categories.iter().filter(|category| category.pair().is_some()) {
            for place in category.dimensions() {
                (center[place], scale[place]) = (0.5, unit / 2f64.sqrt());
            }
        }
        for (scale, weight) in scale.iter_mut().zip(&features.weights) {
            *scale /= weight.sqrt();
        }
        let unit = if metric == Metric::Cosine { 1.0 } else { unit };
        Self { center, scale, unit, metric, curves, fill: features.fill.clone() }
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
        if self.curves.is_empty() && self.fill.is_empty() {
            for (feature, (scaled, &value)) in row.iter_mut().zip(features).enumerate() {
                *scaled = self.scaled(feature, value.into());
                missing |= scaled.is_nan();
            }
        } else {
            for (feature, (scaled, &value)) in row.iter_mut().zip(features).enumerate() {
                *scaled = self.scaled(feature, self.read(feature, value.into()));
                missing |= scaled.is_nan();
            }
        }
        !missing && (self.metric == Metric::Euclidean || to_unit_length::<1>(row) == [true])
    }

    pub(crate) fn is_bent(&self) -> bool {
        !self.curves.is_empty()
    }

    /// A value of a row as it is before center and scale; NaN for one that is missing and stays so.
    pub(crate) fn read(&self, feature: usize, value: f64) -> f64 {
        let fill = self.fill.get(feature).filter(|_| value.is_nan());
        self.bent(feature, fill.copied().unwrap_or(value))
    }

    /// A value behind the feature's curve.
    pub(crate) fn bent(&self, feature: usize, value: f64) -> f64 {
        self.curves.get(feature).map_or(value, |curve| curve.bent(value))
    }

    /// Centroids (k x d, original units) behind the curves.
    pub(crate) fn bend_all(&self, mut centroids: Vec<f64>) -> Vec<f64> {
        let d = self.curves.len().max(1);
        for (idx, value) in centroids.iter_mut().enumerate() {
            *value = self.bent(idx % d, *value);
        }
        centroids
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

    /// As [`Self::scaled`], of many original values of one feature, which are bent in place.
    pub(crate) fn scale_all(&self, feature: usize, values: &mut [f64], scaled: &mut [f32]) {
        if let Some(curve) = self.curves.get(feature).filter(|curve| **curve != Curve::Straight) {
            values.iter_mut().for_each(|value| *value = curve.bent(*value));
        }
        scale_all(values, self.center[feature], self.scale[feature], scaled);
    }

    pub(crate) fn scaled_wide(&self, feature: usize, value: f64) -> f64 {
        ((value - self.center[feature]) / self.scale[feature]).clamp(-MAX_SCALED, MAX_SCALED)
    }

    /// The inverse of [`Self::scaled_wide`], which is still behind the curve.
    pub(crate) fn unscaled(&self, feature: usize, scaled: f64) -> f64 {
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

#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
fn scale_all(values: &[f64], center: f64, scale: f64, scaled: &mut [f32]) {
    for (scaled, value) in scaled.iter_mut().zip(values) {
        *scaled = ((value - center) / scale).clamp(-MAX_SCALED, MAX_SCALED) as f32;
    }
}

/// The centroids as the kernel sees them, from what they are before center and scale. The fit goes through that as well, so that both
/// see the same bits.
pub(crate) fn scaled_centroids(space: &Space, centroids: &[f64]) -> Vec<f32> {
    let n_features = space.center.len();
    centroids
        .iter()
        .enumerate()
        .map(|(idx, &value)| space.scaled(idx % n_features, value))
        .collect()
}
