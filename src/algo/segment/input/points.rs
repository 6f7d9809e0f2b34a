//! The points of a fit: scaled to f32 and transposed in blocks of [`LANES`] rows.
//!
//! Inside a block the values of one feature lie side by side, so the kernel loads one feature of 16 rows at once and no row
//! is ever gathered. The last block is padded with zeros, which every reader but the kernel skips.

use rayon::prelude::*;

use super::rows::LANES;
use super::rows::TOGETHER;
use super::space::to_unit_length;
use crate::algo::segment::error::Error;
use crate::algo::stop::Watch;
use crate::algo::store::{Place, Store};

#[derive(Debug)]
pub(crate) struct Points {
    pub(crate) n_rows: usize,
    pub(crate) n_features: usize,
    /// Block, then feature, then lane.
    pub(crate) values: Store<f32>,
    /// What each row weighs, and 0 for the padding; None where all weigh 1.
    pub(crate) weights: Option<Store<f64>>,
    /// Where these values lie, and where other arrays of so many rows are to lie.
    pub(crate) place: Place,
}

impl Points {
    /// Fills `n_rows` rows: `fill(feature, first, values)` gives a feature of the rows from `first` on, at most [`TOGETHER`].
    pub(crate) fn collect(
        place: &Place,
        n_rows: usize,
        n_features: usize,
        watch: &Watch,
        fill: impl Fn(usize, usize, &mut [f32]) + Sync,
    ) -> Result<Self, Error> {
        let block_len = n_features * LANES;
        let mut values = Store::zeroed(place, n_rows.div_ceil(LANES) * block_len)?;
        let chunks = values.par_chunks_mut(n_features * TOGETHER).enumerate();
        chunks.try_for_each(|(chunk_idx, chunk)| -> Result<(), Error> {
            watch.check()?;
            let first = chunk_idx * TOGETHER;
            let n_here = TOGETHER.min(n_rows - first);
            let mut column = [0f32; TOGETHER];
            for feature in 0..n_features {
                fill(feature, first, &mut column[..n_here]);
                column[n_here..].fill(0.0);
                let blocks = chunk.chunks_exact_mut(block_len);
                for (block, values) in blocks.zip(column.chunks_exact(LANES)) {
                    block[feature * LANES..][..LANES].copy_from_slice(values);
                }
            }
            Ok(())
        })?;
        Ok(Self { n_rows, n_features, values, weights: None, place: place.clone() })
    }

    /// Some of the rows, without what they weigh.
    pub(crate) fn picked(
        points: &Self,
        rows: &[usize],
        place: &Place,
        watch: &Watch,
    ) -> Result<Self, Error> {
        Self::collect(place, rows.len(), points.n_features, watch, |feature, first, values| {
            for (&row, value) in rows[first..].iter().zip(values) {
                *value = points.value(row, feature);
            }
        })
    }

    /// Divides every row by its length, as a space does with a single one; refuses one whose length is 0.
    pub(crate) fn put_on_unit_sphere(&mut self, watch: &Watch) -> Result<(), Error> {
        let (block_len, n_rows) = (self.block_len(), self.n_rows);
        let blocks = self.values.par_chunks_mut(block_len).enumerate().with_min_len(64);
        blocks.try_for_each(|(block_idx, block)| {
            watch.check()?;
            let has_direction = to_unit_length::<LANES>(block);
            let mut rows = (block_idx * LANES..n_rows).zip(has_direction);
            match rows.find(|(_, has_direction)| !has_direction) {
                Some((row, _)) => Err(Error::NoDirection { row }),
                None => Ok(()),
            }
        })
    }

    pub(crate) fn block_len(&self) -> usize {
        self.n_features * LANES
    }

    pub(crate) fn n_blocks(&self) -> usize {
        self.n_rows.div_ceil(LANES)
    }

    pub(crate) fn value(&self, row: usize, feature: usize) -> f32 {
        self.values[(row / LANES) * self.block_len() + feature * LANES + row % LANES]
    }

    #[inline]
    pub(crate) fn weight(&self, row: usize) -> f64 {
        self.weights.as_ref().map_or(1.0, |weights| weights[row])
    }

    /// What all rows weigh.
    pub(crate) fn mass(&self) -> f64 {
        self.weights.as_ref().map_or(self.n_rows as f64, |weights| weights.iter().sum())
    }

    /// What the rows of a block weigh.
    #[inline]
    pub(crate) fn block_weights(&self, block_idx: usize) -> [f64; LANES] {
        let of_block = |weights: &Store<f64>| weights.as_chunks().0[block_idx];
        self.weights.as_ref().map_or([1.0; LANES], of_block)
    }

    pub(crate) fn row(&self, row: usize) -> Vec<f32> {
        (0..self.n_features).map(|feature| self.value(row, feature)).collect()
    }
}
