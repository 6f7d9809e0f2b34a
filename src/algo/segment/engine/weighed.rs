//! What the segments weigh, and their weighted sums.
//!
//! They are made anew from the labels after each pass instead of following the rows that changed theirs: a heavy row that comes
//! and goes would leave its rounding behind, which may be more than light rows are in all.

use rayon::prelude::*;

use super::pieces::{UNLABELLED, reordered};
use crate::algo::segment::input::points::Points;
use crate::algo::segment::input::rows::LANES;
use crate::algo::stop::{Stopped, Watch};

pub(crate) struct Weighed {
    /// k x d, of the rows times their weights.
    pub(crate) sums: Vec<f64>,
    /// What each segment's rows weigh.
    pub(crate) masses: Vec<f64>,
    /// How many of them weigh more than nothing: a segment without one is empty.
    pub(crate) n_weighing: Vec<i64>,
}

/// Blocks between two looks at the watch.
const BLOCKS: usize = 64;

impl Weighed {
    pub(crate) fn none(k: usize, n_features: usize) -> Self {
        Self { sums: vec![0.0; k * n_features], masses: vec![0.0; k], n_weighing: vec![0; k] }
    }

    /// Of rows that are labelled, in slots of so many blocks, whose sums are added up in order.
    pub(crate) fn new(
        points: &Points,
        weights: &[f64],
        labels: &[u16],
        k: usize,
        slot_blocks: usize,
        watch: &Watch,
    ) -> Result<Self, Stopped> {
        let slots = points.values.par_chunks(slot_blocks * points.block_len());
        let slots = slots.zip(labels.par_chunks(slot_blocks * LANES));
        let slots = slots.zip(weights.par_chunks(slot_blocks * LANES));
        let slots: Vec<Self> = slots
            .map(|((blocks, labels), weights)| {
                let mut slot = Self::none(k, points.n_features);
                let blocks = blocks.chunks(BLOCKS * points.block_len());
                let rows = labels.chunks(BLOCKS * LANES).zip(weights.chunks(BLOCKS * LANES));
                for (blocks, (labels, weights)) in blocks.zip(rows) {
                    watch.check()?;
                    slot.add(blocks, labels, weights, points.n_features);
                }
                Ok(slot)
            })
            .collect::<Result<_, Stopped>>()?;
        let mut all = Self::none(k, points.n_features);
        for slot in slots {
            all.sums.iter_mut().zip(slot.sums).for_each(|(sum, more)| *sum += more);
            all.masses.iter_mut().zip(slot.masses).for_each(|(mass, more)| *mass += more);
            all.n_weighing.iter_mut().zip(slot.n_weighing).for_each(|(n, more)| *n += more);
        }
        Ok(all)
    }

    fn add(&mut self, blocks: &[f32], labels: &[u16], weights: &[f64], n_features: usize) {
        let weighing = labels.iter().zip(weights).enumerate();
        let weighing =
            weighing.filter(|(_, (label, weight))| **label != UNLABELLED && **weight > 0.0);
        for (row, (&label, &weight)) in weighing {
            let segment = usize::from(label);
            let block = &blocks[row / LANES * LANES * n_features..][..LANES * n_features];
            let values = block[row % LANES..].iter().step_by(LANES);
            let sums = &mut self.sums[segment * n_features..][..n_features];
            sums.iter_mut().zip(values).for_each(|(sum, &value)| *sum += weight * f64::from(value));
            self.masses[segment] += weight;
            self.n_weighing[segment] += 1;
        }
    }

    /// Takes the segments in another order: `order[i]` becomes `i`.
    pub(crate) fn renumber(&mut self, order: &[usize], n_features: usize) {
        self.sums = reordered(&self.sums, order, n_features);
        self.masses = reordered(&self.masses, order, 1);
        self.n_weighing = reordered(&self.n_weighing, order, 1);
    }
}
