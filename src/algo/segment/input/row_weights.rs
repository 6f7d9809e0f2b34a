//! Rows that stand for several equal ones, or for a part of one.
//!
//! A row of weight w counts as w equal rows in all that a fit averages: means and deviations, centroids, inertia, the chance
//! to become a seed. One of weight 0 gets a label and counts for nothing.

use std::ops::RangeInclusive;

use ndarray::ArrayView1;

use super::rows::LANES;
use super::rows::Rows;
use crate::algo::random::Random;
use crate::algo::segment::error::Error;
use crate::algo::stop::{Stopped, Watch};
use crate::algo::store::{Place, Store};

/// What a row may weigh beside 0: sums of squares then stay within f64.
pub(crate) const WEIGHTS: RangeInclusive<f64> = 1e-15..=1e15;
/// Rows between two looks at the watch.
const ROWS: usize = 1 << 16;

/// A weight a row, none below 0 and one at least above it; none at all where every row weighs 1.
#[derive(Debug, Clone, Copy)]
pub struct RowWeights<'a>(Option<ArrayView1<'a, f64>>);

impl<'a> RowWeights<'a> {
    pub const NONE: Self = Self(None);

    /// `column` is the weights' name, for the error.
    pub fn new(column: &str, weights: ArrayView1<'a, f64>) -> Result<Self, Error> {
        let is_fine = |weight: f64| weight == 0.0 || WEIGHTS.contains(&weight);
        if let Some(&weight) = weights.iter().find(|weight| !is_fine(**weight)) {
            return Err(Error::InvalidRowWeight { column: column.to_owned(), weight });
        }
        if !weights.is_empty() && weights.iter().all(|&weight| weight == 0.0) {
            return Err(Error::NoRowWeight { column: column.to_owned() });
        }
        Ok(Self((!weights.iter().all(|&weight| weight == 1.0)).then_some(weights)))
    }
}

/// Rows with what they weigh.
#[derive(Debug, Clone, Copy)]
pub struct Weighted<'a, R> {
    pub rows: R,
    pub weights: RowWeights<'a>,
}

impl<R: Rows> Rows for Weighted<'_, R> {
    fn n_rows(&self) -> usize {
        self.rows.n_rows()
    }

    fn n_features(&self) -> usize {
        self.rows.n_features()
    }

    #[inline]
    fn value(&self, row: usize, feature: usize) -> f64 {
        self.rows.value(row, feature)
    }

    fn copy(&self, feature: usize, first: usize, out: &mut [f64]) {
        self.rows.copy(feature, first, out);
    }

    fn is_weighted(&self) -> bool {
        self.weights.0.is_some()
    }

    fn weight(&self, row: usize) -> f64 {
        self.weights.0.map_or(1.0, |weights| weights[row])
    }
}

/// Rows without one of their columns.
#[derive(Debug, Clone, Copy)]
pub struct Without<R> {
    pub rows: R,
    pub column: Option<usize>,
}

impl<R: Rows> Rows for Without<R> {
    fn n_rows(&self) -> usize {
        self.rows.n_rows()
    }

    fn n_features(&self) -> usize {
        self.rows.n_features() - usize::from(self.column.is_some())
    }

    #[inline]
    fn value(&self, row: usize, feature: usize) -> f64 {
        self.rows.value(row, self.place(feature))
    }

    fn copy(&self, feature: usize, first: usize, out: &mut [f64]) {
        self.rows.copy(self.place(feature), first, out);
    }
}

impl<R> Without<R> {
    fn place(&self, feature: usize) -> usize {
        feature + usize::from(self.column.is_some_and(|column| feature >= column))
    }
}

/// The weights in the order of the rows, and 0 for the padding; None where every row weighs 1.
pub(crate) fn in_order(
    rows: &impl Rows,
    place: &Place,
    watch: &Watch,
) -> Result<Option<Store<f64>>, Error> {
    if !rows.is_weighted() {
        return Ok(None);
    }
    let n_rows = rows.n_rows();
    let mut weights = Store::filled(place, n_rows.next_multiple_of(LANES), 0f64)?;
    for (piece_idx, weights) in weights[..n_rows].chunks_mut(ROWS).enumerate() {
        watch.check()?;
        for (row, weight) in (piece_idx * ROWS..).zip(weights) {
            *weight = rows.weight(row);
        }
    }
    Ok(Some(weights))
}

/// A row from each of `n_sample` equal stretches of the weight: one that weighs much is there as often as it would be if it were
/// so many rows.
pub(crate) fn even_sample_by_weight(
    weights: &[f64],
    n_sample: usize,
    random: &mut Random,
    watch: &Watch,
) -> Result<Vec<usize>, Stopped> {
    let total: f64 = weights.iter().sum();
    let stretch = total / n_sample as f64;
    let mut sample = Vec::with_capacity(n_sample);
    let mut target = random.uniform() * stretch;
    let (mut passed, mut last) = (0.0, 0);
    for (piece_idx, weights) in weights.chunks(ROWS).enumerate() {
        watch.check()?;
        for (row, &weight) in (piece_idx * ROWS..).zip(weights).filter(|(_, weight)| **weight > 0.0)
        {
            (passed, last) = (passed + weight, row);
            while sample.len() < n_sample && target < passed {
                sample.push(row);
                target = (sample.len() as f64 + random.uniform()) * stretch;
            }
        }
    }
    // Rounding may leave the end of the last stretch beyond the sum.
    sample.resize(n_sample, last);
    Ok(sample)
}
