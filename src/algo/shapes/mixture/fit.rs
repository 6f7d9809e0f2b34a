//! Expectation-maximisation: components from shares, shares from components, until the likelihood stays where it is.

use std::cmp::Ordering;

use ndarray::{Array2, Axis};

use super::model::{Mixture, MixtureEnded};
use super::params::{Covariance, ValidMixtureParams};
use super::pass::{Moments, Shares, Standardised, pass};
use super::prepared::Component;
use crate::algo::segment::{self, Features, Rows};
use crate::algo::shapes::Error;
use crate::algo::stop::Watch;

/// Fits a mixture to rows in original units (n x d), which should come in an order of their own, as by content: from so many starts,
/// whose seeds follow each other, the one of the greatest likelihood, and of equal ones the first.
pub fn fit_mixture(
    rows: impl Rows,
    feature_names: &[String],
    params: &ValidMixtureParams,
    watch: &Watch,
) -> Result<Mixture, Error> {
    let mut best = fit_once(&rows, feature_names, params, 0, watch);
    if !matches!(best, Ok(_) | Err(Error::Collapsed)) {
        return best;
    }
    for number in 1..params.n_init {
        match fit_once(&rows, feature_names, params, number, watch) {
            // A component that collapses is this start's.
            Err(Error::Collapsed) => (),
            Err(error) => return Err(error),
            Ok(other) => {
                let is_better = |best: &Mixture| other.log_likelihood > best.log_likelihood;
                match &best {
                    Err(Error::Collapsed) => best = Ok(other),
                    Ok(known) if is_better(known) => best = Ok(other),
                    _ => (),
                }
            }
        }
    }
    best
}

fn fit_once(
    rows: &impl Rows,
    feature_names: &[String],
    params: &ValidMixtureParams,
    number: u32,
    watch: &Watch,
) -> Result<Mixture, Error> {
    let features = Features::numbers(feature_names.to_vec());
    let start = params.start.with_seed(params.seed.wrapping_add(i64::from(number)));
    let start = segment::fit(rows, &features, &start, watch)?;
    let (center, scale) = (start.model.center, start.model.scale);
    let points = Standardised { rows, center: &center, scale: &scale };
    let (d, n_rows) = (feature_names.len(), rows.n_rows());
    let centres = Array2::from_shape_fn((params.k, d), |(component, feature)| {
        (start.model.centroids[component * d + feature] - center[feature]) / scale[feature]
    });
    let shares = Shares::Labels(&start.labels, centres.view());
    let sums = pass(&points, shares, params.covariance, watch)?;
    let about = centres.rows().into_iter().map(|centre| centre.to_vec());
    let mut estimates: Vec<Estimate> = about
        .zip(&sums.moments)
        .map(|(mean, sums)| Estimate::new(mean, sums, n_rows, params))
        .collect();
    drop((start.labels, sums));
    let (mut iterations, mut before) = (0, f64::NAN);
    let (ended, log_likelihood) = loop {
        let components: Vec<Component> = estimates
            .iter()
            .map(|estimate| estimate.component(params.covariance, watch))
            .collect::<Result<_, _>>()?;
        let sums = pass(&points, Shares::Components(&components), params.covariance, watch)?;
        let now = sums.log_likelihood / n_rows as f64;
        watch.report(u64::from(iterations), u64::from(params.max_iterations), now);
        if (now - before).abs() <= params.tolerance {
            break (MixtureEnded::Converged, now);
        }
        if iterations == params.max_iterations {
            break (MixtureEnded::MaxIterations, now);
        }
        drop(components);
        for (estimate, sums) in estimates.iter_mut().zip(&sums.moments) {
            *estimate = Estimate::new(std::mem::take(&mut estimate.mean), sums, n_rows, params);
        }
        (iterations, before) = (iterations + 1, now);
    };
    estimates.sort_by(Estimate::order);
    let total: f64 = estimates.iter().map(|estimate| estimate.weight).sum();
    let log_scale: f64 = scale.iter().map(|scale| scale.ln()).sum();
    Ok(Mixture {
        format: Mixture::FORMAT,
        features: feature_names.to_vec(),
        covariance: params.covariance,
        center,
        scale,
        weights: estimates.iter().map(|estimate| estimate.weight / total).collect(),
        means: estimates.iter().flat_map(|estimate| estimate.mean.iter().copied()).collect(),
        covariances: estimates.into_iter().flat_map(|estimate| estimate.covariance).collect(),
        log_likelihood: log_likelihood - log_scale,
        iterations,
        ended,
        seed: params.seed,
        n_rows: n_rows as u64,
    })
}

/// A component as the rows' shares make it.
struct Estimate {
    weight: f64,
    mean: Vec<f64>,
    /// The lower triangle row after row, or the diagonal.
    covariance: Vec<f64>,
}

impl Estimate {
    /// From moments about what was its mean. A component that no row has a share of stays where it is.
    fn new(
        mut mean: Vec<f64>,
        moments: &Moments,
        n_rows: usize,
        params: &ValidMixtureParams,
    ) -> Self {
        let weight = moments.weight + 10.0 * f64::EPSILON;
        let shift: Vec<f64> = moments.differences.iter().map(|sum| sum / weight).collect();
        let d = mean.len();
        for (mean, shift) in mean.iter_mut().zip(&shift) {
            *mean += shift;
        }
        let variance = |i: usize, products: f64| {
            (products / weight - shift[i] * shift[i]).max(0.0) + params.regularization
        };
        let covariance = match params.covariance {
            Covariance::Diagonal => {
                moments.products.iter().enumerate().map(|(i, &sum)| variance(i, sum)).collect()
            }
            Covariance::Full => {
                let mut packed = Vec::with_capacity(d * (d + 1) / 2);
                for (i, row) in moments.products.axis_iter(Axis(0)).enumerate() {
                    packed.extend((0..i).map(|j| row[j] / weight - shift[i] * shift[j]));
                    packed.push(variance(i, row[i]));
                }
                packed
            }
        };
        Self { weight: weight / n_rows as f64, mean, covariance }
    }

    fn component(&self, kind: Covariance, watch: &Watch) -> Result<Component, Error> {
        Component::new(self.weight, &self.mean, kind, &self.covariance, watch)?
            .ok_or(Error::Collapsed)
    }

    /// The greatest weight first, and of equal ones the first by content.
    fn order(&self, other: &Self) -> Ordering {
        let by_mean = || self.mean.iter().zip(&other.mean).map(|(a, b)| a.total_cmp(b));
        other
            .weight
            .total_cmp(&self.weight)
            .then_with(|| by_mean().find(|order| order.is_ne()).unwrap_or(Ordering::Equal))
    }
}
