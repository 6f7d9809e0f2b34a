//! What the iterations carry along: each row's label, and the sums and sizes of the segments.
//!
//! The sums that the means come from are kept from iteration to iteration and only rows that changed their label touch
//! them: after a few iterations that is one row in fifty. Rows are split into the same slots whatever the number of threads,
//! and the slots' sums are added in order, which makes the result the same bits on any pool.

use crate::algo::segment::input::rows::LANES;
use rayon::prelude::*;

use super::bounding::{Bounding, Shares, When};
use super::bounds::Bounds;
use super::distance::own_distances;
use super::kernel::{Packed, Path};
use super::label::{Known, Pass, Slot};
use super::pieces::{PIECE_BLOCKS, UNLABELLED, reordered};
use super::weighed::Weighed;
use crate::algo::segment::error::Error;
use crate::algo::segment::input::points::Points;
use crate::algo::segment::input::space::Space;
use crate::algo::segment::input::space::scaled_centroids;
use crate::algo::segment::params::Metric;
use crate::algo::stop::{Stopped, Watch};
use crate::algo::store::Store;

/// Slots of rows, each with sums of its own: few enough that adding them up costs nothing, enough for 64 threads.
const SLOTS: usize = 64;
/// Bytes that all slots' sums may take; beyond, there are fewer slots.
const SLOT_BYTES: usize = 64 << 20;
/// Fewer blocks than this are not worth a slot.
const SLOT_BLOCKS: usize = 32;

pub(crate) struct State<'a> {
    pub(crate) points: &'a Points,
    pub(crate) space: &'a Space,
    pub(crate) k: usize,
    path: Path,
    /// One a row, and the padding's.
    pub(crate) labels: Store<u16>,
    /// k x d, of the scaled rows of each segment.
    pub(crate) sums: Vec<f64>,
    pub(crate) counts: Vec<i64>,
    /// In place of the sums, where rows have weights; the counts stay those of rows.
    weighed: Option<Weighed>,
    bounding: Bounding,
    bounds: Option<Bounds>,
    shares: Shares,
    slots: Vec<Slot>,
    slot_blocks: usize,
}

impl<'a> State<'a> {
    pub(crate) fn new(
        points: &'a Points,
        space: &'a Space,
        k: usize,
        when: When,
    ) -> Result<Self, Error> {
        let n_sums = k * points.n_features;
        let most = (SLOT_BYTES / (n_sums * size_of::<f64>())).clamp(2, SLOTS);
        let slot_blocks =
            points.n_blocks().div_ceil(most).max(SLOT_BLOCKS).next_multiple_of(PIECE_BLOCKS);
        Ok(Self {
            points,
            space,
            k,
            path: Path::best(),
            labels: Store::filled(&points.place, points.n_blocks() * LANES, UNLABELLED)?,
            sums: vec![0.0; n_sums],
            counts: vec![0; k],
            weighed: points.weights.as_ref().map(|_| Weighed::none(k, points.n_features)),
            bounding: Bounding::new(when, k, points.n_features),
            bounds: None,
            shares: Shares { changed: 1.0, doubtful: None },
            slots: (0..points.n_blocks().div_ceil(slot_blocks))
                .map(|_| Slot::new(k, points.n_features))
                .collect(),
            slot_blocks,
        })
    }

    /// Labels every row with its nearest centroid and carries the sums along; returns how many labels changed.
    pub(crate) fn assign(&mut self, centroids: &[f64], watch: &Watch) -> Result<u64, Error> {
        let points = self.points;
        if !self.bounding.goes_on(self.shares) {
            self.bounds = None;
        } else if self.bounds.is_none() {
            self.bounds = Some(Bounds::new(points)?);
        }
        let scaled = scaled_centroids(self.space, centroids);
        let pass = Pass {
            path: self.path,
            packed: Packed::for_blocks(&scaled, points.n_features),
            n_features: points.n_features,
        };
        let rows = self.slot_blocks * LANES;
        let slots = self.slots.par_iter_mut().zip(self.labels.par_chunks_mut(rows));
        let slots = slots.zip(points.values.par_chunks(self.slot_blocks * points.block_len()));
        match &mut self.bounds {
            None => slots.enumerate().try_for_each(|(slot_idx, ((slot, labels), blocks))| {
                slot.label_all(&pass, labels, blocks, points.n_rows - slot_idx * rows, watch)
            })?,
            Some(bounds) => {
                let (rounding, moves) = bounds.moved(&scaled, points.n_features, watch)?;
                let slots = slots.zip(bounds.parts(rows)).enumerate();
                slots.try_for_each(|(slot_idx, (((slot, labels), blocks), bounds))| {
                    let n_rows = points.n_rows - slot_idx * rows;
                    let known = Known { rounding, moves: moves.as_ref(), bounds };
                    slot.label_doubtful(&pass, labels, blocks, n_rows, known, watch)
                })?;
            }
        }
        let (mut changed, mut doubtful) = (0, 0);
        for slot in &mut self.slots {
            doubtful += std::mem::take(&mut slot.doubtful);
            if slot.changed == 0 {
                continue;
            }
            changed += std::mem::take(&mut slot.changed);
            for (sum, slot_sum) in self.sums.iter_mut().zip(&mut slot.sums) {
                *sum += std::mem::take(slot_sum);
            }
            for (count, slot_count) in self.counts.iter_mut().zip(&mut slot.counts) {
                *count += std::mem::take(slot_count);
            }
        }
        let share = |rows: u64| rows as f64 / points.n_rows as f64;
        let doubtful = self.bounds.as_ref().map(|_| share(doubtful));
        self.shares = Shares { changed: share(changed), doubtful };
        if let Some(weights) = points.weights.as_ref().filter(|_| changed > 0) {
            let (labels, blocks) = (&self.labels, self.slot_blocks);
            self.weighed = Some(Weighed::new(points, weights, labels, self.k, blocks, watch)?);
        }
        Ok(changed)
    }

    /// The sums that the means come from.
    fn sums(&self) -> &[f64] {
        self.weighed.as_ref().map_or(&self.sums, |weighed| &weighed.sums)
    }

    /// How many rows each segment is made of, those that weigh nothing left out.
    pub(crate) fn n_weighing(&self) -> &[i64] {
        self.weighed.as_ref().map_or(&self.counts, |weighed| &weighed.n_weighing)
    }

    /// What each segment's rows weigh.
    pub(crate) fn masses(&self) -> Vec<f64> {
        match &self.weighed {
            Some(weighed) => weighed.masses.clone(),
            None => self.counts.iter().map(|&count| count as f64).collect(),
        }
    }

    /// The mean of each segment in original units, and by how much they moved in all, squared, in the scaled space. An
    /// empty segment, which only a repair that ran out of rows leaves, keeps its centroid.
    pub(crate) fn means(&self, centroids: &[f64]) -> (Vec<f64>, f64) {
        let n_features = self.points.n_features;
        let mut shift = 0.0;
        let mut means = centroids.to_vec();
        let segments = means.chunks_exact_mut(n_features).zip(self.sums().chunks_exact(n_features));
        for ((mean, sums), mass) in segments.zip(self.masses()).filter(|(_, mass)| *mass > 0.0) {
            let mut scaled: Vec<f64> = sums.iter().map(|sum| sum / mass).collect();
            self.space.project(&mut scaled);
            for (feature, (mean, scaled)) in mean.iter_mut().zip(scaled).enumerate() {
                shift += (scaled - self.space.scaled_wide(feature, *mean)).powi(2);
                *mean = self.space.unscaled(feature, scaled);
            }
        }
        (means, shift)
    }

    /// Sum of squared distances to the means: the squares of all values less those that the means explain. On the unit sphere
    /// a row's is 2 - 2 x.c, and the sum of a segment's x.c is the length of their sum.
    pub(crate) fn inertia_of_means(&self, squares: f64) -> f64 {
        let segments = self.sums().chunks_exact(self.points.n_features).zip(self.masses());
        let explained = segments.filter(|(_, mass)| *mass > 0.0).map(|(sums, mass)| {
            let square = sums.iter().map(|sum| sum * sum).sum::<f64>();
            match self.space.metric {
                Metric::Euclidean => square / mass,
                Metric::Cosine => 2.0 * square.sqrt() - mass,
            }
        });
        (squares - explained.sum::<f64>()).max(0.0) * self.space.unit * self.space.unit
    }

    /// Sum of squared distances of each segment's rows to its centroid, computed term by term.
    pub(crate) fn inertias(&self, centroids: &[f64], watch: &Watch) -> Result<Vec<f64>, Stopped> {
        let points = self.points;
        let centroids = scaled_centroids(self.space, centroids);
        let rows = self.slot_blocks * LANES;
        let slots = self
            .labels
            .par_chunks(rows)
            .zip(points.values.par_chunks(self.slot_blocks * points.block_len()));
        let parts: Vec<Vec<f64>> = slots
            .enumerate()
            .map(|(slot_idx, (labels, blocks))| {
                let mut sums = vec![0.0; self.k];
                for (block_idx, (labels, block)) in labels
                    .chunks_exact(LANES)
                    .zip(blocks.chunks_exact(points.block_len()))
                    .enumerate()
                {
                    let weights = points.block_weights(slot_idx * self.slot_blocks + block_idx);
                    let distances = own_distances(block, labels, &centroids);
                    for ((&label, distance), weight) in labels.iter().zip(distances).zip(weights) {
                        if label != UNLABELLED {
                            sums[usize::from(label)] += weight * f64::from(distance);
                        }
                    }
                }
                watch.check()?;
                Ok(sums)
            })
            .collect::<Result<_, Stopped>>()?;
        let mut inertias = vec![0.0; self.k];
        for part in parts {
            inertias.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        Ok(inertias)
    }

    /// Gives a row that weighs something, by itself, another label.
    pub(crate) fn relabel_row(&mut self, row: usize, label: u16) {
        let old = self.labels[row];
        self.labels[row] = label;
        self.bounds.iter_mut().for_each(|bounds| bounds.forget(row));
        self.counts[usize::from(old)] -= 1;
        self.counts[usize::from(label)] += 1;
        let n_features = self.points.n_features;
        let weight = self.points.weight(row);
        let sums = match &mut self.weighed {
            None => &mut self.sums,
            Some(weighed) => {
                for (segment, sign) in [(old, -1), (label, 1)] {
                    weighed.masses[usize::from(segment)] += f64::from(sign) * weight;
                    weighed.n_weighing[usize::from(segment)] += i64::from(sign);
                }
                &mut weighed.sums
            }
        };
        for feature in 0..n_features {
            let value = weight * f64::from(self.points.value(row, feature));
            sums[usize::from(old) * n_features + feature] -= value;
            sums[usize::from(label) * n_features + feature] += value;
        }
    }

    /// Numbers the segments anew: segment `order[i]` becomes `i`. Returns the centroids in the new order.
    pub(crate) fn renumber(&mut self, order: &[usize], centroids: &[f64]) -> Vec<f64> {
        let n_features = self.points.n_features;
        let mut numbers = vec![0u16; self.k];
        for (new, &old) in order.iter().enumerate() {
            numbers[old] = new as u16;
        }
        for label in self.labels.iter_mut().filter(|label| **label != UNLABELLED) {
            *label = numbers[usize::from(*label)];
        }
        self.bounds.iter_mut().for_each(|bounds| bounds.renumber(order, n_features));
        self.weighed.iter_mut().for_each(|weighed| weighed.renumber(order, n_features));
        self.sums = reordered(&self.sums, order, n_features);
        self.counts = reordered(&self.counts, order, 1);
        reordered(centroids, order, n_features)
    }
}
