//! The model that a fit leaves, without the rows.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::params::{Covariance, MAX_PARAMETERS};
use super::prepared::{Component, PreparedMixture};
use crate::algo::segment::{MAX_FEATURES, MAX_K, MAX_MAGNITUDE};
use crate::algo::shapes::Error;
use crate::algo::stop::Watch;

/// Version of the stored form.
const FORMAT: u16 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MixtureEnded {
    /// The log-likelihood changed by less than the tolerance.
    Converged,
    MaxIterations,
}

/// Means and covariances are of the standardised features: `center` is subtracted and `scale` divides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mixture {
    pub format: u16,
    pub features: Vec<String>,
    pub covariance: Covariance,
    pub center: Vec<f64>,
    pub scale: Vec<f64>,
    /// The greatest first; they add up to 1.
    pub weights: Vec<f64>,
    /// k x d, component after component.
    pub means: Vec<f64>,
    /// Component after component: the lower triangle row after row, or the diagonal.
    pub covariances: Vec<f64>,
    /// Of the rows' density in their own units, the mean.
    pub log_likelihood: f64,
    pub iterations: u32,
    pub ended: MixtureEnded,
    pub seed: i64,
    pub n_rows: u64,
}

/// A component's mean and standard deviation of one feature, in its own units.
#[derive(Debug, Clone, PartialEq)]
pub struct ComponentFeature {
    /// From 1.
    pub segment: u32,
    pub weight: f64,
    pub feature: String,
    pub mean: f64,
    pub sd: f64,
}

impl Mixture {
    pub(super) const FORMAT: u16 = FORMAT;

    pub fn k(&self) -> usize {
        self.weights.len()
    }

    /// Validates a model that was parsed from bytes of any origin. Nothing else may be called on one that fails.
    pub fn check(&self) -> Result<(), Error> {
        let malformed = |why: String| Err(Error::Malformed { why });
        let (k, d) = (self.weights.len(), self.features.len());
        if self.format != FORMAT {
            return malformed(format!(
                "it has format {}, this version reads {FORMAT}",
                self.format
            ));
        }
        if !(1..=MAX_FEATURES).contains(&d) {
            return malformed(format!("it has {d} features, must have 1 to {MAX_FEATURES}"));
        }
        if !(1..=MAX_K).contains(&k) {
            return malformed(format!("it has {k} components, must have 1 to {MAX_K}"));
        }
        let n_parameters = k * self.covariance.n_parameters(d);
        if n_parameters > MAX_PARAMETERS {
            return malformed(format!("{n_parameters} numbers of covariances are too many"));
        }
        // Twice the limit of the input: the mean of values at the limit may round up.
        let bounded = |value: f64| value.abs() <= 2.0 * MAX_MAGNITUDE;
        let standard = |value: f64| value.abs() <= MAX_STANDARD;
        numbers("center", &self.center, d, bounded)?;
        numbers("scale", &self.scale, d, |scale| scale > 0.0 && bounded(scale))?;
        numbers("weights", &self.weights, k, |weight| (0.0..=1.0).contains(&weight))?;
        numbers("means", &self.means, k * d, standard)?;
        numbers("covariances", &self.covariances, n_parameters, standard)?;
        if (self.weights.iter().sum::<f64>() - 1.0).abs() > 1e-6 {
            return malformed("the weights do not add up to 1".into());
        }
        if !self.log_likelihood.is_finite() {
            return malformed("log_likelihood is out of range".into());
        }
        // Whether the covariances are such shows in their factors.
        self.prepare().map(drop)
    }

    /// The form that answers for rows; an error where a covariance is none.
    pub fn prepare(&self) -> Result<PreparedMixture, Error> {
        let d = self.features.len();
        let own = self.covariance.n_parameters(d);
        let components = (0..self.k()).map(|component| {
            let covariance = &self.covariances[component * own..][..own];
            Component::new(
                self.weights[component],
                &self.means[component * d..][..d],
                self.covariance,
                covariance,
                &Watch::new(),
            )?
            .ok_or(Error::Malformed { why: "a covariance is not positive definite".into() })
        });
        Ok(PreparedMixture {
            center: self.center.clone(),
            scale: self.scale.clone(),
            components: components.collect::<Result<_, Error>>()?,
            log_scale: self.scale.iter().map(|scale| scale.ln()).sum(),
        })
    }

    /// What there is to read of each component, feature by feature.
    pub fn components(&self) -> impl Iterator<Item = ComponentFeature> + '_ {
        let d = self.features.len();
        let own = self.covariance.n_parameters(d);
        (0..self.k() * d).map(move |cell| {
            let (component, feature) = (cell / d, cell % d);
            let variance = match self.covariance {
                Covariance::Full => feature * (feature + 3) / 2,
                Covariance::Diagonal => feature,
            };
            let scale = self.scale[feature];
            ComponentFeature {
                segment: component as u32 + 1,
                weight: self.weights[component],
                feature: self.features[feature].clone(),
                mean: self.means[cell] * scale + self.center[feature],
                sd: self.covariances[component * own + variance].sqrt() * scale,
            }
        })
    }
}

fn numbers(
    field: &str,
    values: &[f64],
    expected: usize,
    is_fine: impl Fn(f64) -> bool,
) -> Result<(), Error> {
    let found = values.len();
    if found != expected {
        let why = format!("{field} has {found} elements, expected {expected}");
        return Err(Error::Malformed { why });
    }
    if !values.iter().all(|&value| is_fine(value)) {
        return Err(Error::Malformed { why: format!("{field} holds a number out of range") });
    }
    Ok(())
}

/// No number of a standardised mixture of at most u32::MAX rows comes near it.
const MAX_STANDARD: f64 = 1e30;

/// The lower triangle, row after row, as a matrix.
pub(super) fn unpacked(packed: &[f64], n: usize) -> Array2<f64> {
    Array2::from_shape_fn((n, n), |(i, j)| if j <= i { packed[i * (i + 1) / 2 + j] } else { 0.0 })
}
