//! Count, mean, central moments and range of each feature, one row at a time, in a flat block that is changed in place.
//!
//! The block of d features is nine runs of d numbers, in the order of [`Part`]: as runs, one row updates them in vector
//! registers. A mean is the sum of two floats: one alone is off by up to 1e-4 at 1.7e12 (milliseconds since 1970), and every
//! deviation from it, too. Updating and merging follow Pébay (2008), "Formulas for robust, one-pass parallel computation of covariances
//! and arbitrary-order statistical moments": no sum of raw powers, so nothing cancels.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use super::observe::observe_finite;
use super::observe::{moved, observe_features};

/// The runs of a block, in order. Counts are whole numbers up to 2^53, exact as f64.
#[derive(Debug, Clone, Copy)]
#[repr(usize)]
pub enum Part {
    /// Values that are not missing.
    Count,
    Missing,
    Mean,
    /// Sum of squared deviations from the mean; M3 and M4 likewise.
    M2,
    M3,
    M4,
    Min,
    Max,
    /// What the mean leaves out, below its last digit.
    MeanLow,
}

/// Where counts stay: a row more would not change them.
const MAX_COUNT: f64 = (1_u64 << 53) as f64;

/// The number of runs of a block.
pub const PARTS: usize = 9;

/// Makes a block of no rows.
pub fn clear(block: &mut [f64]) {
    block.fill(0.0);
    part_mut(block, Part::Min).fill(f64::INFINITY);
    part_mut(block, Part::Max).fill(f64::NEG_INFINITY);
}

pub fn part(block: &[f64], part: Part) -> &[f64] {
    let d = block.len() / PARTS;
    &block[part as usize * d..][..d]
}

fn part_mut(block: &mut [f64], part: Part) -> &mut [f64] {
    let d = block.len() / PARTS;
    &mut block[part as usize * d..][..d]
}

/// Adds a row; NaN is a missing value. `row` has one number per feature of the block.
#[inline]
pub fn observe(block: &mut [f64], row: &[f64]) {
    debug_assert_eq!(block.len(), PARTS * row.len());
    if row.iter().any(|x| x.is_nan()) {
        observe_with_missing(block, row);
    } else if !observe_finite(block, row) {
        observe_features(block, row, 0);
    }
}

#[cold]
fn observe_with_missing(block: &mut [f64], row: &[f64]) {
    let d = row.len();
    for (j, &x) in row.iter().enumerate() {
        if x.is_nan() {
            block[Part::Missing as usize * d + j] += 1.0;
            continue;
        }
        let mut one = [0.0; PARTS];
        for (part_idx, value) in one.iter_mut().enumerate() {
            *value = block[part_idx * d + j];
        }
        observe_features(&mut one, &[x], 0);
        for (part_idx, value) in one.iter().enumerate() {
            block[part_idx * d + j] = *value;
        }
    }
}

/// Adds the rows of another block of the same features.
pub fn merge(block: &mut [f64], other: &[f64]) {
    let d = block.len() / PARTS;
    debug_assert_eq!(block.len(), other.len());
    let at = |part: Part, j: usize| part as usize * d + j;
    for j in 0..d {
        block[at(Part::Missing, j)] =
            (block[at(Part::Missing, j)] + other[at(Part::Missing, j)]).min(MAX_COUNT);
        let (na, nb) = (block[at(Part::Count, j)], other[at(Part::Count, j)]);
        if nb == 0.0 {
            continue;
        }
        if na == 0.0 {
            let missing = block[at(Part::Missing, j)];
            for part_idx in 0..PARTS {
                block[part_idx * d + j] = other[part_idx * d + j];
            }
            block[at(Part::Missing, j)] = missing;
            continue;
        }
        let n = na + nb;
        let (mean, low) = (block[at(Part::Mean, j)], block[at(Part::MeanLow, j)]);
        let (other_mean, other_low) = (other[at(Part::Mean, j)], other[at(Part::MeanLow, j)]);
        // In halves, so that no difference of two floats is beyond them.
        let half = (0.5 * other_mean - 0.5 * mean) + (0.5 * other_low - 0.5 * low);
        let delta = half + half;
        let (a2, a3, a4) = (block[at(Part::M2, j)], block[at(Part::M3, j)], block[at(Part::M4, j)]);
        let (b2, b3, b4) = (other[at(Part::M2, j)], other[at(Part::M3, j)], other[at(Part::M4, j)]);
        let step = half / (0.5 * n);
        block[at(Part::M4, j)] = a4
            + b4
            + na * nb * delta * step * step * step * (na * na - na * nb + nb * nb)
            + 6.0 * step * step * (na * na * b2 + nb * nb * a2)
            + 4.0 * step * (na * b3 - nb * a3);
        block[at(Part::M3, j)] =
            a3 + b3 + na * nb * delta * step * step * (na - nb) + 3.0 * step * (na * b2 - nb * a2);
        block[at(Part::M2, j)] = a2 + b2 + na * nb * delta * step;
        let step = nb * step;
        (block[at(Part::Mean, j)], block[at(Part::MeanLow, j)]) = if step.is_finite() {
            moved((mean, low), step)
        } else {
            (mean * (na / n) + other_mean * (nb / n), 0.0)
        };
        block[at(Part::Count, j)] = n.min(MAX_COUNT);
        block[at(Part::Min, j)] = block[at(Part::Min, j)].min(other[at(Part::Min, j)]);
        block[at(Part::Max, j)] = block[at(Part::Max, j)].max(other[at(Part::Max, j)]);
    }
}

/// A summary apart from its block: what its text says. A feature without a value has no mean, minimum and
/// maximum; a moment beyond the range of f64 is None.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureStats {
    /// None when the features were an array without names.
    pub features: Option<Vec<String>>,
    pub n: Vec<u64>,
    pub nulls: Vec<u64>,
    pub mean: Vec<Option<f64>>,
    /// What each mean leaves out below its last digit; not written where that is nothing.
    #[serde(default, skip_serializing_if = "is_all_zero")]
    pub mean_low: Vec<f64>,
    pub m2: Vec<Option<f64>>,
    pub m3: Vec<Option<f64>>,
    pub m4: Vec<Option<f64>>,
    pub min: Vec<Option<f64>>,
    pub max: Vec<Option<f64>>,
}

impl FeatureStats {
    pub fn from_block(features: Option<Vec<String>>, block: &[f64]) -> Self {
        let count = |p| part(block, p).iter().map(|&n| n as u64).collect::<Vec<u64>>();
        let n = count(Part::Count);
        let known =
            |p| part(block, p).iter().zip(&n).map(|(&x, &n)| (n > 0).then_some(x)).collect();
        let low = part(block, Part::MeanLow);
        let moment =
            |p| part(block, p).iter().map(|&x| Some(x).filter(|x| x.is_finite())).collect();
        Self {
            features,
            nulls: count(Part::Missing),
            mean: known(Part::Mean),
            mean_low: if is_all_zero(low) { Vec::new() } else { low.to_vec() },
            m2: moment(Part::M2),
            m3: moment(Part::M3),
            m4: moment(Part::M4),
            min: known(Part::Min),
            max: known(Part::Max),
            n,
        }
    }

    pub fn to_block(&self) -> Vec<f64> {
        let mut block = vec![0.0; PARTS * self.n.len()];
        clear(&mut block);
        let mut fill = |p: Part, values: &mut dyn Iterator<Item = f64>| {
            part_mut(&mut block, p).iter_mut().zip(values).for_each(|(to, from)| *to = from);
        };
        fill(Part::Count, &mut self.n.iter().map(|&n| n as f64));
        fill(Part::Missing, &mut self.nulls.iter().map(|&n| n as f64));
        fill(Part::Mean, &mut self.mean.iter().map(|x| x.unwrap_or(0.0)));
        fill(Part::MeanLow, &mut self.mean_low.iter().copied());
        fill(Part::M2, &mut self.m2.iter().map(|x| x.unwrap_or(f64::NAN)));
        fill(Part::M3, &mut self.m3.iter().map(|x| x.unwrap_or(f64::NAN)));
        fill(Part::M4, &mut self.m4.iter().map(|x| x.unwrap_or(f64::NAN)));
        fill(Part::Min, &mut self.min.iter().map(|x| x.unwrap_or(f64::INFINITY)));
        fill(Part::Max, &mut self.max.iter().map(|x| x.unwrap_or(f64::NEG_INFINITY)));
        block
    }

    /// Why the parts do not fit together, for a summary that came as text.
    pub fn check(&self) -> Result<(), String> {
        let d = self.n.len();
        let lengths = [
            self.features.as_ref().map_or(d, Vec::len),
            self.nulls.len(),
            self.mean.len(),
            self.m2.len(),
            self.m3.len(),
            self.m4.len(),
            self.min.len(),
            self.max.len(),
        ];
        let d_low = self.mean_low.len();
        if d_low != 0 && d_low != d || !self.mean_low.iter().all(|low| low.is_finite()) {
            return Err("its low parts of means are not those of its features".into());
        }
        if d == 0 {
            return Err("there is no feature".into());
        }
        if let Some(other) = lengths.iter().find(|&&length| length != d) {
            return Err(format!("its parts have {d} and {other} features"));
        }
        if self.m2.iter().flatten().any(|&m2| m2 < 0.0) {
            return Err("an M2 is negative".into());
        }
        for j in 0..d {
            let is_finite = |x: Option<f64>| x.is_some_and(f64::is_finite);
            let complete = match self.n[j] {
                0 => [self.mean[j], self.min[j], self.max[j]].iter().all(Option::is_none),
                _ => {
                    is_finite(self.mean[j])
                        && is_finite(self.min[j])
                        && is_finite(self.max[j])
                        && self.min[j] <= self.max[j]
                }
            };
            if !complete || self.n[j] > 1 << 53 || self.nulls[j] > 1 << 53 {
                return Err(format!(
                    "the n, mean, min and max of feature {} do not fit together",
                    j + 1
                ));
            }
        }
        Ok(())
    }

    /// Population standard deviation per feature: square root of M2 / n; None without a value.
    pub fn stddev_pop(&self) -> Vec<Option<f64>> {
        self.n
            .iter()
            .zip(&self.m2)
            .map(|(&n, m2)| m2.filter(|_| n > 0).map(|m2| (m2 / n as f64).sqrt()))
            .collect()
    }

    /// Sample standard deviation per feature: square root of M2 / (n - 1); None with fewer than two values.
    pub fn stddev_samp(&self) -> Vec<Option<f64>> {
        self.n
            .iter()
            .zip(&self.m2)
            .map(|(&n, m2)| m2.filter(|_| n > 1).map(|m2| (m2 / (n - 1) as f64).sqrt()))
            .collect()
    }

    /// Third standardised moment per feature, of the population (g1, as scipy.stats.skew); None for a constant feature.
    pub fn skewness(&self) -> Vec<Option<f64>> {
        self.standardised(|n, m2, stats, j| Some(n.sqrt() * stats.m3[j]? / m2.powf(1.5)))
    }

    /// Fourth standardised moment less the normal distribution's 3 per feature, of the population (g2, as scipy.stats.kurtosis);
    /// None for a constant feature.
    pub fn kurtosis(&self) -> Vec<Option<f64>> {
        self.standardised(|n, m2, stats, j| Some(n * stats.m4[j]? / (m2 * m2) - 3.0))
    }

    fn standardised(&self, of: impl Fn(f64, f64, &Self, usize) -> Option<f64>) -> Vec<Option<f64>> {
        let feature = |j: usize| {
            let m2 = self.m2[j].filter(|m2| *m2 > 0.0)?;
            of(self.n[j] as f64, m2, self, j).filter(|moment| moment.is_finite())
        };
        (0..self.n.len()).map(feature).collect()
    }
}

fn is_all_zero(numbers: &[f64]) -> bool {
    numbers.iter().all(|&x| x == 0.0)
}
