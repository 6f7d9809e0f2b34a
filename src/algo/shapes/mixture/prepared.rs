//! A mixture made ready to answer for rows: each component's covariance factorised, once per statement.

use std::f64::consts::PI;

use ndarray::{Array1, Array2};

use super::model::unpacked;
use super::params::Covariance;
use crate::algo::cholesky::{factorise, inverse_transposed};
use crate::algo::stop::{Stopped, Watch};

/// A variance below this is rounding noise of a standardised feature.
const MIN_VARIANCE: f64 = 1e-30;
/// A standardised value is held within this, so that no square leaves f64: only a row that is no training row reaches it.
const MAX_SCALED: f64 = 1e50;
/// As improbable as a row is called.
const MIN_LOG_DENSITY: f64 = -1e300;

#[derive(Debug, Clone)]
pub struct PreparedMixture {
    pub(super) center: Vec<f64>,
    pub(super) scale: Vec<f64>,
    pub(super) components: Vec<Component>,
    /// What standardising takes off a log density.
    pub(super) log_scale: f64,
}

/// One normal distribution over standardised features.
#[derive(Debug, Clone)]
pub(super) struct Component {
    pub(super) mean: Array1<f64>,
    pub(super) whitening: Whitening,
    /// The log of the density at the mean times the weight.
    log_peak: f64,
}

/// What makes differences from the mean independent and of variance 1.
#[derive(Debug, Clone)]
pub(super) enum Whitening {
    /// The inverse of the covariance's lower Cholesky factor, transposed.
    Full(Array2<f64>),
    /// One over each standard deviation.
    Diagonal(Array1<f64>),
}

impl PreparedMixture {
    pub fn n_features(&self) -> usize {
        self.center.len()
    }

    /// How probable each component is for a row, adding up to 1; `None` when a feature is missing (NaN) or the number of
    /// features is not the model's.
    pub fn membership(&self, features: &[f64]) -> Option<Vec<f64>> {
        let mut logs = self.log_densities(features)?;
        to_shares(&mut logs);
        Some(logs)
    }

    /// The most probable component, from 1; of equally probable ones the first.
    pub fn segment(&self, features: &[f64]) -> Option<u32> {
        let logs = self.log_densities(features)?;
        let mut best = 0;
        for (component, log) in logs.iter().enumerate() {
            if *log > logs[best] {
                best = component;
            }
        }
        Some(best as u32 + 1)
    }

    /// The log of the density of rows where this one is, in the features' own units.
    pub fn log_density(&self, features: &[f64]) -> Option<f64> {
        let mut logs = self.log_densities(features)?;
        Some(to_shares(&mut logs) - self.log_scale)
    }

    /// Of each component, with its weight.
    fn log_densities(&self, features: &[f64]) -> Option<Vec<f64>> {
        if features.len() != self.n_features() || features.iter().any(|x| x.is_nan()) {
            return None;
        }
        let scaled = |(feature, &value): (usize, &f64)| {
            ((value - self.center[feature]) / self.scale[feature]).clamp(-MAX_SCALED, MAX_SCALED)
        };
        let row: Vec<f64> = features.iter().enumerate().map(scaled).collect();
        Some(self.components.iter().map(|component| component.log_density(&row)).collect())
    }
}

/// Turns log densities into shares of their sum, whose log this returns.
pub(super) fn to_shares(logs: &mut [f64]) -> f64 {
    let greatest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for log in logs.iter_mut() {
        *log = (*log - greatest).exp();
    }
    let sum: f64 = logs.iter().sum();
    for share in logs.iter_mut() {
        *share /= sum;
    }
    greatest + sum.ln()
}

impl Component {
    /// `covariance` is a lower triangle, row after row, or a diagonal; None where it is not positive definite.
    pub(super) fn new(
        weight: f64,
        mean: &[f64],
        kind: Covariance,
        covariance: &[f64],
        watch: &Watch,
    ) -> Result<Option<Self>, Stopped> {
        let d = mean.len();
        let (whitening, log_determinant) = match kind {
            Covariance::Diagonal => {
                if !is_wide(covariance.iter()) {
                    return Ok(None);
                }
                let inverse = covariance.iter().map(|variance| 1.0 / variance.sqrt()).collect();
                let log = covariance.iter().map(|variance| variance.ln()).sum::<f64>();
                (Whitening::Diagonal(inverse), log)
            }
            Covariance::Full => {
                let mut lower = unpacked(covariance, d);
                if !is_wide(lower.diag().iter()) || !factorise(&mut lower, watch)? {
                    return Ok(None);
                }
                let log = lower.diag().iter().map(|pivot| 2.0 * pivot.ln()).sum::<f64>();
                (Whitening::Full(inverse_transposed(&lower, watch)?), log)
            }
        };
        let log_peak = weight.max(f64::MIN_POSITIVE).ln()
            - 0.5 * (d as f64 * (2.0 * PI).ln() + log_determinant);
        Ok(Some(Self { mean: mean.iter().copied().collect(), whitening, log_peak }))
    }

    fn log_density(&self, row: &[f64]) -> f64 {
        let difference = |feature: usize| row[feature] - self.mean[feature];
        let squares: f64 = match &self.whitening {
            Whitening::Diagonal(inverse) => {
                (0..row.len()).map(|j| (difference(j) * inverse[j]).powi(2)).sum()
            }
            Whitening::Full(inverse) => {
                let mut whitened = vec![0f64; row.len()];
                for (i, inverse) in inverse.rows().into_iter().enumerate() {
                    let difference = difference(i);
                    for (whitened, inverse) in whitened.iter_mut().zip(inverse).skip(i) {
                        *whitened += difference * inverse;
                    }
                }
                whitened.iter().map(|whitened| whitened * whitened).sum()
            }
        };
        self.log_density_at(squares)
    }

    /// The log of the density, times the weight, where the whitened differences from the mean have these squares together.
    pub(super) fn log_density_at(&self, squares: f64) -> f64 {
        // The greater one also where the squares are no number.
        (self.log_peak - 0.5 * squares).max(MIN_LOG_DENSITY)
    }
}

fn is_wide<'a>(mut variances: impl Iterator<Item = &'a f64>) -> bool {
    variances.all(|&variance| variance >= MIN_VARIANCE)
}
