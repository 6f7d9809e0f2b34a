//! The points of a fit: scaled to f32 and transposed in blocks of [`LANES`] rows.
//!
//! Inside a block the values of one feature lie side by side, so the kernel loads one feature of 16 rows at once and no row
//! is ever gathered. The last block is padded with zeros, which every reader but the kernel skips.

use rayon::prelude::*;

use super::kernel::LANES;
use crate::algo::stop::{Stopped, Watch};

#[derive(Debug)]
pub(super) struct Points {
    pub(super) n_rows: usize,
    pub(super) n_features: usize,
    /// Block, then feature, then lane.
    pub(super) values: Vec<f32>,
}

/// Blocks that are converted between two looks at the watch, by one thread.
const BLOCKS: usize = 64;

impl Points {
    /// Fills each row of `n_rows` by `fill(row, feature)`.
    pub(super) fn collect(
        n_rows: usize,
        n_features: usize,
        watch: &Watch,
        fill: impl Fn(usize, usize) -> f32 + Sync,
    ) -> Result<Self, Stopped> {
        let block_len = n_features * LANES;
        let mut values = vec![0f32; n_rows.div_ceil(LANES) * block_len];
        values.par_chunks_mut(block_len * BLOCKS).enumerate().try_for_each(
            |(chunk_idx, chunk)| {
                watch.check()?;
                for (block_idx, block) in chunk.chunks_exact_mut(block_len).enumerate() {
                    let first = (chunk_idx * BLOCKS + block_idx) * LANES;
                    for lane in 0..LANES.min(n_rows - first) {
                        for feature in 0..n_features {
                            block[feature * LANES + lane] = fill(first + lane, feature);
                        }
                    }
                }
                Ok(())
            },
        )?;
        Ok(Self { n_rows, n_features, values })
    }

    pub(super) fn block_len(&self) -> usize {
        self.n_features * LANES
    }

    pub(super) fn n_blocks(&self) -> usize {
        self.n_rows.div_ceil(LANES)
    }

    pub(super) fn value(&self, row: usize, feature: usize) -> f32 {
        self.values[(row / LANES) * self.block_len() + feature * LANES + row % LANES]
    }

    pub(super) fn row(&self, row: usize) -> Vec<f32> {
        (0..self.n_features).map(|feature| self.value(row, feature)).collect()
    }
}
