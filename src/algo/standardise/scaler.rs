//! Scalers: per feature `(x - center) / scale + offset`, fitted from a summary. The reference is scikit-learn.

use serde::{Deserialize, Serialize};

use super::stats::FeatureStats;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Mean 0, population standard deviation 1.
    Standard,
    /// Least value 0, greatest 1.
    Minmax,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scaler {
    pub kind: Kind,
    /// None when the features were an array without names.
    pub features: Option<Vec<String>>,
    /// None for a feature that had no value: it scales to a missing value.
    pub center: Vec<Option<f64>>,
    /// Never 0: a constant feature has scale 1.
    pub scale: Vec<f64>,
}

/// A spread this small against the values is rounding, and the feature constant: scikit-learn's bound.
const CONSTANT: f64 = 10.0 * f64::EPSILON;

/// The squared deviations of a feature add up to more than the largest float.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the values of feature {feature} are too large to be standardised")]
pub struct Overflow {
    /// Its name, or its place in the array.
    pub feature: String,
}

impl Scaler {
    pub fn standard(stats: &FeatureStats) -> Result<Self, Overflow> {
        let scale = (0..stats.n.len()).map(|j| {
            let n = stats.n[j].max(1) as f64;
            let m2 = stats.m2[j].ok_or_else(|| Overflow {
                feature: stats
                    .features
                    .as_ref()
                    .map_or((j + 1).to_string(), |names| names[j].clone()),
            })?;
            let (mean, variance) = (stats.mean[j].unwrap_or(0.0), m2 / n);
            // The variance of n equal values is off by at most this (scikit-learn's `_is_constant_feature`).
            let rounding = n * f64::EPSILON * variance + (n * mean * f64::EPSILON).powi(2);
            Ok(if variance <= rounding { 1.0 } else { variance.sqrt() })
        });
        let scale = scale.collect::<Result<_, _>>()?;
        Ok(Self {
            kind: Kind::Standard,
            features: stats.features.clone(),
            scale,
            center: stats.mean.clone(),
        })
    }

    pub fn minmax(stats: &FeatureStats) -> Self {
        let scale = stats.min.iter().zip(&stats.max).map(|(min, max)| {
            // Halved, so that the range of the greatest and the least float does not overflow; doubled back below.
            let half_range = max.unwrap_or(0.0) / 2.0 - min.unwrap_or(0.0) / 2.0;
            let range = (half_range * 2.0).min(f64::MAX);
            if range < CONSTANT { 1.0 } else { range }
        });
        Self {
            kind: Kind::Minmax,
            features: stats.features.clone(),
            scale: scale.collect(),
            center: stats.min.clone(),
        }
    }

    pub fn n_features(&self) -> usize {
        self.scale.len()
    }

    /// Scales a row in place; NaN is a missing value, before and after. `row` has `n_features` numbers.
    pub fn scale(&self, row: &mut [f64]) {
        for ((x, center), scale) in row.iter_mut().zip(&self.center).zip(&self.scale) {
            *x = (*x - center.unwrap_or(f64::NAN)) / scale;
        }
    }

    /// The inverse of [`Self::scale`].
    pub fn unscale(&self, row: &mut [f64]) {
        for ((x, center), scale) in row.iter_mut().zip(&self.center).zip(&self.scale) {
            *x = *x * scale + center.unwrap_or(f64::NAN);
        }
    }

    /// Why the parts do not fit together, for a scaler that came as text.
    pub fn check(&self) -> Result<(), String> {
        let d = self.scale.len();
        let named = self.features.as_ref().map_or(d, Vec::len);
        if d == 0 || self.center.len() != d || named != d {
            return Err(format!(
                "it has {named} features, {} centers and {d} scales",
                self.center.len()
            ));
        }
        if self.scale.iter().any(|&scale| !(scale.is_finite() && scale > 0.0)) {
            return Err("a scale is not a positive number".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::standardise::stats::{PARTS, clear, observe};

    fn stats(rows: &[[f64; 2]]) -> FeatureStats {
        let mut block = vec![0.0; 2 * PARTS];
        clear(&mut block);
        rows.iter().for_each(|row| observe(&mut block, row));
        FeatureStats::from_block(None, &block)
    }

    #[track_caller]
    fn check_scaled(scaler: &Scaler, row: [f64; 2], expected: [f64; 2]) {
        let mut scaled = row;
        scaler.scale(&mut scaled);
        let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-12 || (a.is_nan() && b.is_nan());
        assert!(scaled.iter().zip(&expected).all(close), "{scaled:?} is not {expected:?}");
        scaler.unscale(&mut scaled);
        assert!(scaled.iter().zip(&row).all(close), "{scaled:?} is not {row:?}");
    }

    #[test]
    fn standard_scaling_is_scikit_learns() {
        // sklearn.preprocessing.StandardScaler().fit([[0, 0], [0, 0], [1, 1], [1, 1]]).transform([[2, 2]]) -> [[3, 3]]
        let scaler =
            Scaler::standard(&stats(&[[0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [1.0, 1.0]])).unwrap();
        check_scaled(&scaler, [2.0, 2.0], [3.0, 3.0]);
    }

    #[test]
    fn minmax_scaling_is_scikit_learns() {
        // MinMaxScaler().fit([[-1, 2], [-.5, 6], [0, 10], [1, 18]]).transform([[2, 2]]) -> [[1.5, 0]]
        let scaler = Scaler::minmax(&stats(&[[-1.0, 2.0], [-0.5, 6.0], [0.0, 10.0], [1.0, 18.0]]));
        check_scaled(&scaler, [2.0, 2.0], [1.5, 0.0]);
    }

    #[test]
    fn a_constant_feature_has_scale_one() {
        let rows = [[0.1, 1e300], [0.1, 1e300], [0.1, 1e300]];
        assert_eq!(Scaler::standard(&stats(&rows)).unwrap().scale, [1.0, 1.0]);
        assert_eq!(Scaler::minmax(&stats(&rows)).scale, [1.0, 1.0]);
    }

    #[test]
    fn a_missing_value_stays_missing_and_a_feature_without_values_scales_to_missing() {
        let scaler = Scaler::standard(&stats(&[[1.0, f64::NAN], [3.0, f64::NAN]])).unwrap();
        check_scaled(&scaler, [f64::NAN, f64::NAN], [f64::NAN, f64::NAN]);
        let mut row = [2.0, 2.0];
        scaler.scale(&mut row);
        assert_eq!(row[0], 0.0);
        assert!(row[1].is_nan());
    }

    #[test]
    fn the_whole_range_of_floats_does_not_overflow() {
        let scaler = Scaler::minmax(&stats(&[[-1e308, 0.0], [1e308, 1.0]]));
        assert!(scaler.scale.iter().all(|scale| scale.is_finite()));
        assert_eq!(scaler.check(), Ok(()));
    }
}
