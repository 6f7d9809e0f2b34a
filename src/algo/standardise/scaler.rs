//! Scalers, fitted from a summary: per feature `(x - center) / scale + offset`, after a power transformation for a power scaler;
//! a quantile scaler looks the value up among quantiles instead. The reference is scikit-learn.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

use super::power;
use super::quantiles::FeatureQuantiles;
use super::stats::FeatureStats;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Mean 0, population standard deviation 1.
    Standard,
    /// Least value and greatest to two given ones.
    Minmax,
    /// Greatest absolute value 1; 0 stays 0.
    Maxabs,
    /// Median 0, interquartile range 1.
    Robust,
    /// ln(1 + x), then as standard.
    Log1p,
    /// Yeo and Johnson's power of the greatest likelihood, then as standard.
    YeoJohnson,
    /// The share of the values that are below: uniform in 0 … 1.
    Uniform,
    /// The same made normal.
    Normal,
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
    /// Added at the end: the low end of a minmax scaler.
    #[serde(default)]
    pub offset: f64,
    /// The scales are of halves of the values: the range of the greatest and the least float is beyond the floats.
    #[serde(default)]
    pub halved: bool,
    /// Of a Yeo-Johnson scaler, one a feature; else empty.
    #[serde(default)]
    pub lambda: Vec<f64>,
    /// Of a uniform or normal scaler, some quantiles of each feature at equal steps; else empty.
    #[serde(default)]
    pub quantiles: Vec<Vec<f64>>,
}

/// Quantiles of a quantile scaler, as scikit-learn's n_quantiles.
pub const GRID: usize = 1000;
/// Shares this near to 0 and 1 are those of the normal distribution's tails, as in scikit-learn.
const TAIL: f64 = 1e-7 - f64::EPSILON;

/// A spread this small against the values is rounding, and the feature constant: scikit-learn's bound.
const CONSTANT: f64 = 10.0 * f64::EPSILON;

/// The squared deviations of a feature add up to more than the largest float, or its range is more than so many of those that it is
/// to be scaled to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the values of feature {feature} are too large to be standardised")]
pub struct Overflow {
    /// Its name, or its place in the array.
    pub feature: String,
}

impl Overflow {
    fn of(stats: &FeatureStats, feature: usize) -> Self {
        let names = stats.features.as_ref();
        let feature =
            names.map_or_else(|| (feature + 1).to_string(), |names| names[feature].clone());
        Self { feature }
    }
}

impl Scaler {
    pub fn standard(stats: &FeatureStats) -> Result<Self, Overflow> {
        let scale = (0..stats.n.len()).map(|j| {
            let n = stats.n[j].max(1) as f64;
            let m2 = stats.m2[j].ok_or_else(|| Overflow::of(stats, j))?;
            let (mean, variance) = (stats.mean[j].unwrap_or(0.0), m2 / n);
            // The variance of n equal values is off by at most this (scikit-learn's `_is_constant_feature`).
            let rounding = n * f64::EPSILON * variance + (n * mean * f64::EPSILON).powi(2);
            Ok(if variance <= rounding { 1.0 } else { variance.sqrt() })
        });
        let scale = scale.collect::<Result<_, _>>()?;
        Ok(Self {
            center: stats.mean.clone(),
            ..Self::of(Kind::Standard, stats.features.clone(), scale)
        })
    }

    /// `low` and `high` are finite, and `low` is less.
    pub fn minmax(stats: &FeatureStats, low: f64, high: f64) -> Result<Self, Overflow> {
        let half_ranges = stats.min.iter().zip(&stats.max);
        let half_ranges = half_ranges.map(|(min, max)| half_distance(*min, *max) / (high - low));
        let scaler = Self {
            center: stats.min.clone(),
            offset: low,
            ..Self::of(Kind::Minmax, stats.features.clone(), half_ranges.collect())
        };
        match scaler.scale.iter().position(|scale| scale.is_infinite()) {
            None => Ok(scaler.of_halves()),
            Some(feature) => Err(Overflow::of(stats, feature)),
        }
    }

    pub fn maxabs(stats: &FeatureStats) -> Self {
        let scale = stats.min.iter().zip(&stats.max).map(|(min, max)| {
            let greatest = min.unwrap_or(0.0).abs().max(max.unwrap_or(0.0).abs());
            if greatest < CONSTANT { 1.0 } else { greatest }
        });
        let center = stats.min.iter().map(|min| min.map(|_| 0.0)).collect();
        let scale = scale.collect();
        Self { center, ..Self::of(Kind::Maxabs, stats.features.clone(), scale) }
    }

    /// Median and interquartile range.
    pub fn robust(quantiles: &FeatureQuantiles) -> Self {
        let (mut center, mut scale) = (Vec::new(), Vec::new());
        for one in &quantiles.of {
            let ready = one.ready();
            let [q25, median, q75] = [0.25, 0.5, 0.75].map(|q| ready.quantile(q));
            center.push(median);
            scale.push(half_distance(q25, q75));
        }
        Self { center, ..Self::of(Kind::Robust, quantiles.features.clone(), scale) }.of_halves()
    }

    /// ln(1 + x), standardised; a value of -1 and below has none.
    pub fn log1p(quantiles: &FeatureQuantiles) -> Self {
        let scaler =
            Self::of(Kind::Log1p, quantiles.features.clone(), vec![1.0; quantiles.of.len()]);
        scaler.standardised(quantiles)
    }

    pub fn yeo_johnson(quantiles: &FeatureQuantiles) -> Self {
        let mut scaler =
            Self::of(Kind::YeoJohnson, quantiles.features.clone(), vec![1.0; quantiles.of.len()]);
        for one in &quantiles.of {
            let values = one.representatives();
            scaler.lambda.push(if values.is_empty() { 1.0 } else { power::most_likely(&values) });
        }
        scaler.standardised(quantiles)
    }

    /// A quantile scaler to a uniform or a normal distribution.
    pub fn quantile(quantiles: &FeatureQuantiles, kind: Kind) -> Self {
        let n = quantiles.of.len();
        let mut scaler = Self::of(kind, quantiles.features.clone(), vec![1.0; n]);
        scaler.center.clear();
        for one in &quantiles.of {
            // Missing values count, as in scikit-learn.
            let n_grid = (one.n() + one.nulls).clamp(2, GRID as u64) as usize;
            let grid = one.ready().grid(n_grid);
            scaler.center.push(grid.as_ref().map(|_| 0.0));
            scaler.quantiles.push(grid.unwrap_or_default());
        }
        scaler
    }

    fn of(kind: Kind, features: Option<Vec<String>>, scale: Vec<f64>) -> Self {
        let center = vec![None; scale.len()];
        let (lambda, quantiles) = (Vec::new(), Vec::new());
        Self { kind, features, center, scale, offset: 0.0, halved: false, lambda, quantiles }
    }

    /// With scales that are those of halves so far: of the whole values where no scale is beyond the floats then.
    fn of_halves(mut self) -> Self {
        self.halved = self.scale.iter().any(|scale| (2.0 * scale).is_infinite());
        if !self.halved {
            self.scale.iter_mut().for_each(|scale| *scale *= 2.0);
        }
        self
    }

    /// Takes center and scale from the mean and the standard deviation of the transformed values.
    fn standardised(mut self, quantiles: &FeatureQuantiles) -> Self {
        for (feature, one) in quantiles.of.iter().enumerate() {
            let values: Vec<(f64, f64)> = one
                .representatives()
                .into_iter()
                .map(|(x, n)| (self.powered(feature, x), n))
                .filter(|(x, _)| x.is_finite())
                .collect();
            if values.is_empty() {
                continue;
            }
            let sum = |of: &dyn Fn(f64) -> f64| values.iter().map(|&(x, n)| n * of(x)).sum::<f64>();
            let n = sum(&|_| 1.0);
            let mean = sum(&|x| x) / n;
            let variance = sum(&|x| (x - mean).powi(2)) / n;
            let sd = variance.sqrt();
            self.center[feature] = Some(mean);
            self.scale[feature] =
                if sd <= CONSTANT * mean.abs() || !sd.is_finite() { 1.0 } else { sd };
        }
        self
    }

    pub fn n_features(&self) -> usize {
        self.scale.len()
    }

    /// Scales a row in place; NaN is a missing value, before and after. `row` has `n_features` numbers.
    pub fn scale(&self, row: &mut [f64]) {
        if !self.quantiles.is_empty() {
            for (x, grid) in row.iter_mut().zip(&self.quantiles) {
                *x = self.spread(share_below(grid, *x));
            }
            return;
        }
        if matches!(self.kind, Kind::Log1p | Kind::YeoJohnson) {
            for (feature, x) in row.iter_mut().enumerate() {
                *x = self.powered(feature, *x);
            }
        }
        for ((x, center), scale) in row.iter_mut().zip(&self.center).zip(&self.scale) {
            let center = center.unwrap_or(f64::NAN);
            let distance = *x - center;
            *x = self.offset
                + if self.halved {
                    (0.5 * *x - 0.5 * center) / scale
                } else if distance.is_infinite() {
                    *x / scale - center / scale
                } else {
                    distance / scale
                };
        }
    }

    /// The inverse of [`Self::scale`]; a quantile scaler's is within the range of the values it was fitted on.
    pub fn unscale(&self, row: &mut [f64]) {
        if !self.quantiles.is_empty() {
            for (x, grid) in row.iter_mut().zip(&self.quantiles) {
                let share = match self.kind {
                    Kind::Normal => standard_normal().map_or(f64::NAN, |normal| normal.cdf(*x)),
                    _ => *x,
                };
                *x = if share.is_nan() {
                    f64::NAN
                } else {
                    super::quantiles::interpolated(grid, share).unwrap_or(f64::NAN)
                };
            }
            return;
        }
        for ((x, center), scale) in row.iter_mut().zip(&self.center).zip(&self.scale) {
            let (scaled, center) = (*x - self.offset, center.unwrap_or(f64::NAN));
            let whole = scaled * scale + center;
            *x = if self.halved {
                2.0 * (scaled * scale + 0.5 * center)
            } else if whole.is_finite() {
                whole
            } else {
                2.0 * (scaled * (0.5 * scale) + 0.5 * center)
            };
        }
        match self.kind {
            Kind::Log1p => row.iter_mut().for_each(|x| *x = x.exp_m1()),
            Kind::YeoJohnson => {
                for (x, &lambda) in row.iter_mut().zip(&self.lambda) {
                    *x = power::original(*x, lambda);
                }
            }
            _ => {}
        }
    }

    /// NaN where there is no such power.
    fn powered(&self, feature: usize, x: f64) -> f64 {
        match self.kind {
            Kind::Log1p if x > -1.0 => x.ln_1p(),
            Kind::Log1p => f64::NAN,
            Kind::YeoJohnson => {
                power::transformed(x, self.lambda.get(feature).copied().unwrap_or(1.0))
            }
            _ => x,
        }
    }

    fn spread(&self, share: f64) -> f64 {
        match self.kind {
            Kind::Normal if !share.is_nan() => standard_normal()
                .map_or(f64::NAN, |normal| normal.inverse_cdf(share.clamp(TAIL, 1.0 - TAIL))),
            _ => share,
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
        if !self.offset.is_finite() || !self.center.iter().flatten().all(|x| x.is_finite()) {
            return Err("a center or the offset is not a finite number".into());
        }
        let is_power = self.kind == Kind::YeoJohnson;
        if self.lambda.len() != if is_power { d } else { 0 }
            || !self.lambda.iter().all(|lambda| lambda.is_finite())
        {
            return Err("its lambdas are not those of its features".into());
        }
        let is_quantile = matches!(self.kind, Kind::Uniform | Kind::Normal);
        let fits = |grid: &Vec<f64>| {
            grid.len() <= GRID && grid.iter().all(|x| x.is_finite()) && grid.is_sorted()
        };
        if self.quantiles.len() != if is_quantile { d } else { 0 }
            || !self.quantiles.iter().all(fits)
        {
            return Err("its quantiles are not those of its features".into());
        }
        Ok(())
    }
}

/// Half of the distance of two values, which is not beyond the floats; a half for two that are the same but for rounding.
fn half_distance(low: Option<f64>, high: Option<f64>) -> f64 {
    let half = high.unwrap_or(0.0) / 2.0 - low.unwrap_or(0.0) / 2.0;
    if half < CONSTANT / 2.0 { 0.5 } else { half }
}

fn standard_normal() -> Option<Normal> {
    Normal::new(0.0, 1.0).ok()
}

/// Which share of the values is below, by linear interpolation between the quantiles of a grid; in the middle of the shares where
/// several quantiles are equal. 0 and 1 outside; NaN for NaN and without a grid.
fn share_below(grid: &[f64], x: f64) -> f64 {
    if x.is_nan() || grid.is_empty() {
        return f64::NAN;
    }
    let steps = (grid.len() - 1).max(1) as f64;
    let (first, end) = (grid.partition_point(|&q| q < x), grid.partition_point(|&q| q <= x));
    if end == 0 {
        return 0.0;
    }
    if first == grid.len() {
        return 1.0;
    }
    if first < end {
        // On a quantile, or on a run of equal ones; the ends are exactly 0 and 1, as the least and the greatest value.
        return match (first, end) {
            (0, _) => 0.0,
            (_, end) if end == grid.len() => 1.0,
            _ => (first + end - 1) as f64 / 2.0 / steps,
        };
    }
    let (low, high) = (grid[first - 1], grid[first]);
    let part = if (high - low).is_finite() {
        (x - low) / (high - low)
    } else {
        (x / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0)
    };
    ((first - 1) as f64 + part) / steps
}
