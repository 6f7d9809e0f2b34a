//! Quantiles of each feature, mergeable: the distinct values with their counts while they are few, beyond them a t-digest
//! (Dunning and Ertl 2019).
//!
//! Up to 1,280 distinct values quantiles are exact: linear interpolation between order statistics, as numpy's default and
//! percentile_cont. Beyond, neighbors are taken together as centroids, and the rank of an answer is off by at most 0.2 % of the
//! rows, by far less towards the ends. Frequent values, the least and the greatest stay apart with their counts even then, so
//! nothing is invented between the rows that share one.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::digest::compressed;
use crate::algo::float_order::{order_of, value_of};

/// Distinct values and centroids that are kept of a feature.
pub const MOST_KEPT: usize = 1280;
/// Counts stay below it.
const MAX_COUNT: u64 = 1 << 53;

/// The quantiles of some features, taken out of their stored form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureQuantiles {
    /// None when the features were an array without names.
    pub features: Option<Vec<String>>,
    pub of: Vec<Quantiles>,
}

/// One feature.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantiles {
    pub nulls: u64,
    /// Distinct values in their order, and how many there are of each.
    pub values: Vec<(f64, u64)>,
    /// Middles of values that are not told apart any more, in order, and how many there are; none while all is exact.
    pub centroids: Vec<(f64, u64)>,
}

/// A feature made ready to answer.
#[derive(Debug)]
pub struct Ready {
    n: u64,
    /// Ranks, counted from 0, and the values there; linear between them.
    known: Vec<(f64, f64)>,
}

impl FeatureQuantiles {
    pub fn new(features: Option<Vec<String>>, n_features: usize) -> Self {
        Self { features, of: vec![Quantiles::default(); n_features] }
    }

    /// Adds the rows of another one of the same features.
    pub fn merge(&mut self, other: &Self) -> Result<(), String> {
        for (own, other) in self.of.iter_mut().zip(&other.of) {
            own.merge(other)?;
        }
        Ok(())
    }

    /// Why the parts do not fit together, for one that came as text or bytes.
    pub fn check(&self) -> Result<(), String> {
        let d = self.of.len();
        let named = self.features.as_ref().map_or(d, Vec::len);
        if d == 0 || named != d {
            return Err(format!("it has {named} names and {d} features"));
        }
        self.of.iter().try_for_each(Quantiles::check)
    }

    /// The name of a feature, or its place from 1.
    pub fn name(&self, feature: usize) -> String {
        let names = self.features.as_ref();
        names.map_or_else(|| (feature + 1).to_string(), |names| names[feature].clone())
    }
}

impl Quantiles {
    /// Adds finite values; their places in `batch` change.
    pub fn add(&mut self, batch: &mut [u64]) -> Result<(), String> {
        // As whole numbers in the same order, which are sorted in half the time.
        batch.sort_unstable();
        let runs = batch.chunk_by(|a, b| a == b);
        let runs = runs.map(|run| (value_of(run[0]), run.len() as u64)).collect();
        self.add_counted(runs, &[])
    }

    /// As [`Self::add`], of values that count several times each.
    pub fn add_weighted(&mut self, batch: &mut [(u64, u64)]) -> Result<(), String> {
        batch.sort_unstable();
        let runs = batch.chunk_by(|a, b| a.0 == b.0);
        let runs = runs.map(|run| (value_of(run[0].0), run.iter().map(|one| one.1).sum()));
        self.add_counted(runs.collect(), &[])
    }

    /// What [`Self::add`] takes for a value.
    #[inline]
    pub fn key(value: f64) -> u64 {
        order_of(value)
    }

    fn merge(&mut self, other: &Self) -> Result<(), String> {
        self.nulls += other.nulls;
        self.add_counted(other.values.clone(), &other.centroids)
    }

    fn add_counted(
        &mut self,
        values: Vec<(f64, u64)>,
        centroids: &[(f64, u64)],
    ) -> Result<(), String> {
        self.values = if self.values.is_empty() { values } else { united(&self.values, &values) };
        if !centroids.is_empty() {
            self.centroids = united(&self.centroids, centroids);
        }
        if self.values.len() + self.centroids.len() > MOST_KEPT {
            (self.values, self.centroids) = compressed(&self.values, &self.centroids, MOST_KEPT);
        }
        self.check_counts()
    }

    fn check(&self) -> Result<(), String> {
        if self.values.len() + self.centroids.len() > MOST_KEPT {
            return Err("a feature has more values than are kept".into());
        }
        if !self.all().all(|(value, n)| value.is_finite() && n > 0) {
            return Err("a value is not a finite number, or has no count".into());
        }
        if !self.values.is_sorted_by(|a, b| a.0 < b.0)
            || !self.centroids.is_sorted_by(|a, b| a.0 < b.0)
        {
            return Err("the values of a feature are not in order".into());
        }
        self.check_counts()
    }

    /// Refuses more rows than are counted exactly: sums of counts up to here do not overflow.
    fn check_counts(&self) -> Result<(), String> {
        let n = self.all().try_fold(0_u64, |sum, (_, n)| sum.checked_add(n));
        if self.nulls >= MAX_COUNT || n.is_none_or(|n| n >= MAX_COUNT) {
            return Err("a feature has more rows than can be counted".into());
        }
        Ok(())
    }

    fn all(&self) -> impl Iterator<Item = (f64, u64)> {
        self.values.iter().chain(&self.centroids).copied()
    }

    /// How many values there are that are not missing.
    pub fn n(&self) -> u64 {
        self.all().map(|(_, n)| n).sum()
    }

    pub fn ready(&self) -> Ready {
        let mut known = Vec::with_capacity(2 * self.values.len() + self.centroids.len());
        let mut below = 0;
        for item in in_order(&self.values, &self.centroids) {
            if item.is_mixed {
                // It lies in the middle of the ranks of what it stands for.
                known.push((below as f64 + (item.n - 1) as f64 / 2.0, item.value));
            } else {
                known.push((below as f64, item.value));
                if item.n > 1 {
                    known.push(((below + item.n - 1) as f64, item.value));
                }
            }
            below += item.n;
        }
        Ready { n: below, known }
    }

    /// Values and their weights that stand for all: each distinct one, or if they are too many the quantiles at equal steps.
    pub fn representatives(&self) -> Vec<(f64, f64)> {
        const OF_DIGEST: usize = 10_001;
        if self.centroids.is_empty() {
            return self.values.iter().map(|&(value, n)| (value, n as f64)).collect();
        }
        let grid = self.ready().grid(OF_DIGEST).unwrap_or_default();
        grid.into_iter().map(|value| (value, 1.0)).collect()
    }
}

impl Ready {
    /// The quantile at `q` in 0 … 1; None without a value.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let place = q.clamp(0.0, 1.0) * self.n.checked_sub(1)? as f64;
        let above = self.known.partition_point(|(rank, _)| *rank < place);
        let &(high_rank, high) = self.known.get(above).or(self.known.last())?;
        let &(low_rank, low) = self.known.get(above.saturating_sub(1))?;
        if low == high || place >= high_rank {
            return Some(high);
        }
        let part = (place - low_rank) / (high_rank - low_rank);
        // Weighted on both sides, so that the difference of huge values does not overflow.
        Some((low * (1.0 - part) + high * part).clamp(low, high))
    }

    /// The least and the greatest value.
    pub fn range(&self) -> Option<(f64, f64)> {
        Some((self.known.first()?.1, self.known.last()?.1))
    }

    /// So many quantiles at equal steps of q, from the least value to the greatest.
    pub fn grid(&self, n: usize) -> Option<Vec<f64>> {
        let steps = n.max(2) - 1;
        let mut grid: Vec<f64> = (0..=steps)
            .map(|step| self.quantile(step as f64 / steps as f64))
            .collect::<Option<_>>()?;
        // Rounding could let one step back.
        for place in 1..grid.len() {
            grid[place] = grid[place].max(grid[place - 1]);
        }
        Some(grid)
    }
}

/// Between the order statistics next to it, linearly; the values are sorted.
pub fn interpolated(sorted: &[f64], q: f64) -> Option<f64> {
    let place = q.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    let part = place - place.floor();
    // Weighted on both sides, so that the difference of huge values does not overflow.
    Some(if low == high { low } else { low * (1.0 - part) + high * part })
}

/// A distinct value, or the middle of several, and how many rows have it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Item {
    pub(super) value: f64,
    pub(super) n: u64,
    pub(super) is_mixed: bool,
}

/// Values and centroids in one order.
pub(super) fn in_order(
    values: &[(f64, u64)],
    centroids: &[(f64, u64)],
) -> impl Iterator<Item = Item> {
    let (mut values, mut centroids) = (values.iter().peekable(), centroids.iter().peekable());
    std::iter::from_fn(move || {
        let value = values.peek().map(|item| item.0);
        let centroid = centroids.peek().map(|item| item.0);
        let is_mixed = match (value, centroid) {
            (Some(value), Some(centroid)) => centroid < value,
            (value, _) => value.is_none(),
        };
        let next = if is_mixed { centroids.next() } else { values.next() };
        next.map(|&(value, n)| Item { value, n, is_mixed })
    })
}

/// Two ordered lists as one; the counts of equal values are added.
fn united(one: &[(f64, u64)], other: &[(f64, u64)]) -> Vec<(f64, u64)> {
    let mut all = Vec::with_capacity(one.len() + other.len());
    let (mut one, mut other) = (one, other);
    while let ([(a, n_a), rest_a @ ..], [(b, n_b), rest_b @ ..]) = (one, other) {
        if a < b {
            all.push((*a, *n_a));
            one = rest_a;
        } else if b < a {
            all.push((*b, *n_b));
            other = rest_b;
        } else {
            all.push((*a, n_a + n_b));
            (one, other) = (rest_a, rest_b);
        }
    }
    all.extend_from_slice(one);
    all.extend_from_slice(other);
    all
}
