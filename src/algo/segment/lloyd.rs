//! Lloyd's iterations: label every row with its nearest centroid, move every centroid to the mean of its rows.
//!
//! The sums that the means come from are kept from iteration to iteration and only rows that changed their label touch
//! them: after a few iterations that is one row in fifty. Rows are split into the same slots whatever the number of threads,
//! and the slots' sums are added in order, which makes the result the same bits on any pool.

use rayon::prelude::*;

use super::bounds::{self, Bounds};
use super::error::Error;
use super::kernel::{LANES, Packed, Path};
use super::label::{Known, PIECE_BLOCKS, Pass, Slot};
use super::matching::matching;
use super::model::Ended;
use super::params::Metric;
use super::points::Points;
use super::prepared::scaled_centroids;
use super::repair;
use super::space::Space;
use crate::algo::stop::{Stopped, Watch};
use crate::algo::store::Store;

/// The label of a row that has none yet, and of the padding.
pub(super) const UNLABELLED: u16 = u16::MAX;
/// Slots of rows, each with sums of its own: few enough that adding them up costs nothing, enough for 64 threads.
const SLOTS: usize = 64;
/// Bytes that all slots' sums may take; beyond, there are fewer slots.
const SLOT_BYTES: usize = 64 << 20;
/// Fewer blocks than this are not worth a slot.
const SLOT_BLOCKS: usize = 32;
/// Rounds of numbering by size; each later one is needed only when a tie fell the other way.
const ROUNDS: usize = 4;

pub(super) struct Limits<'a> {
    pub(super) max_iterations: u32,
    /// Squared movement of all centroids, in the scaled space, at which to end.
    pub(super) shift: Option<f64>,
    /// Whether the watch shows this run's progress.
    pub(super) reported: bool,
    pub(super) numbering: Numbering<'a>,
}

/// Which segment gets which number.
#[derive(Clone, Copy)]
pub(super) enum Numbering<'a> {
    BySize,
    /// The numbers of these centroids (k x d, original units), so that a segment keeps its number from fit to fit.
    Of(&'a [f64]),
}

pub(super) struct Run {
    /// k x d in original units, in the order of their numbers.
    pub(super) centroids: Vec<f64>,
    /// From 0: one a row, and the padding's.
    pub(super) labels: Store<u16>,
    pub(super) sizes: Vec<u64>,
    /// In the scaled space.
    pub(super) inertia: f64,
    /// Each segment's part of it.
    pub(super) inertias: Vec<f64>,
    pub(super) iterations: u32,
    pub(super) ended: Ended,
}

/// Runs from `centroids` (k x d, original units) until no label changes, or to the limits.
pub(super) fn lloyd(
    points: &Points,
    space: &Space,
    centroids: Vec<f64>,
    limits: &Limits,
    watch: &Watch,
) -> Result<Run, Error> {
    let k = centroids.len() / points.n_features;
    lloyd_by(points, space, centroids, limits, k >= bounds::MIN_SEGMENTS, watch)
}

/// As [`lloyd`], with bounds or without: the result is the same.
pub(super) fn lloyd_by(
    points: &Points,
    space: &Space,
    mut centroids: Vec<f64>,
    limits: &Limits,
    is_bounded: bool,
    watch: &Watch,
) -> Result<Run, Error> {
    let mut state = State::new(points, space, centroids.len() / points.n_features, is_bounded)?;
    let mut iterations = 0;
    let mut settled = false;
    let mut ended = Ended::MaxIterations;
    for round in 0..ROUNDS {
        let mut changed = None;
        while !settled && iterations < limits.max_iterations {
            let moved = state.assign(&centroids, watch)?;
            changed = Some(moved);
            let repaired = repair::fill_empty(&mut state, &centroids, watch)?;
            if moved == 0 && repaired == 0 {
                ended = Ended::Converged;
                iterations += u32::from(round == 0);
                break;
            }
            iterations += 1;
            changed = None;
            let (next, shift) = state.means(&centroids);
            centroids = next;
            if limits.reported {
                watch.report(
                    u64::from(iterations),
                    u64::from(limits.max_iterations),
                    state.inertia_of_means(),
                );
            }
            if limits.shift.is_some_and(|limit| shift <= limit) {
                ended = Ended::Converged;
                settled = true;
            }
        }
        if changed.is_none() {
            state.assign(&centroids, watch)?;
        }
        let order = match limits.numbering {
            Numbering::BySize => order_by_size(&state.counts, &centroids, points.n_features),
            Numbering::Of(earlier) => matching(
                &scaled_centroids(space, earlier),
                &scaled_centroids(space, &centroids),
                points.n_features,
                watch,
            )?,
        };
        if order.iter().copied().eq(0..order.len()) {
            break;
        }
        if round + 1 < ROUNDS {
            centroids = state.renumber(&order, &centroids);
        }
    }
    let inertias = state.inertias(&centroids, watch)?;
    let sizes = state.counts.iter().map(|&count| count as u64).collect();
    let inertia = inertias.iter().sum();
    Ok(Run { centroids, labels: state.labels, sizes, inertia, inertias, iterations, ended })
}

pub(super) struct State<'a> {
    pub(super) points: &'a Points,
    pub(super) space: &'a Space,
    pub(super) k: usize,
    path: Path,
    /// One a row, and the padding's.
    pub(super) labels: Store<u16>,
    /// k x d, of the scaled rows of each segment.
    pub(super) sums: Vec<f64>,
    pub(super) counts: Vec<i64>,
    bounds: Option<Bounds>,
    /// Sum of the squares of all values: with the sums it gives the inertia for nothing.
    squares: f64,
    slots: Vec<Slot>,
    slot_blocks: usize,
}

impl<'a> State<'a> {
    fn new(
        points: &'a Points,
        space: &'a Space,
        k: usize,
        is_bounded: bool,
    ) -> Result<Self, Error> {
        let n_sums = k * points.n_features;
        let most = (SLOT_BYTES / (n_sums * size_of::<f64>())).clamp(2, SLOTS);
        let slot_blocks =
            points.n_blocks().div_ceil(most).max(SLOT_BLOCKS).next_multiple_of(PIECE_BLOCKS);
        let slot = || Slot { sums: vec![0.0; n_sums], counts: vec![0; k], changed: 0 };
        let squares =
            points.values.par_chunks(slot_blocks * points.block_len()).map(sum_of_squares);
        let squares = squares.collect::<Vec<f64>>().iter().sum();
        Ok(Self {
            points,
            space,
            k,
            path: Path::best(),
            labels: Store::filled(&points.place, points.n_blocks() * LANES, UNLABELLED)?,
            sums: vec![0.0; n_sums],
            counts: vec![0; k],
            bounds: is_bounded.then(|| Bounds::new(points)).transpose()?,
            squares,
            slots: (0..points.n_blocks().div_ceil(slot_blocks)).map(|_| slot()).collect(),
            slot_blocks,
        })
    }

    /// Labels every row with its nearest centroid and carries the sums along; returns how many labels changed.
    fn assign(&mut self, centroids: &[f64], watch: &Watch) -> Result<u64, Stopped> {
        let points = self.points;
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
        let mut changed = 0;
        for slot in self.slots.iter_mut().filter(|slot| slot.changed > 0) {
            changed += std::mem::take(&mut slot.changed);
            for (sum, slot_sum) in self.sums.iter_mut().zip(&mut slot.sums) {
                *sum += std::mem::take(slot_sum);
            }
            for (count, slot_count) in self.counts.iter_mut().zip(&mut slot.counts) {
                *count += std::mem::take(slot_count);
            }
        }
        Ok(changed)
    }

    /// The mean of each segment in original units, and by how much they moved in all, squared, in the scaled space. An
    /// empty segment, which only a repair that ran out of rows leaves, keeps its centroid.
    fn means(&self, centroids: &[f64]) -> (Vec<f64>, f64) {
        let n_features = self.points.n_features;
        let mut shift = 0.0;
        let mut means = centroids.to_vec();
        let segments = means.chunks_exact_mut(n_features).zip(self.sums.chunks_exact(n_features));
        for ((mean, sums), &count) in segments.zip(&self.counts).filter(|(_, count)| **count > 0) {
            let mut scaled: Vec<f64> = sums.iter().map(|sum| sum / count as f64).collect();
            self.space.project(&mut scaled);
            for (feature, (mean, scaled)) in mean.iter_mut().zip(scaled).enumerate() {
                shift += (scaled - self.space.scaled_wide(feature, *mean)).powi(2);
                *mean = self.space.original(feature, scaled);
            }
        }
        (means, shift)
    }

    /// Sum of squared distances to the means: the squares of all rows less those that the means explain. On the unit sphere
    /// a row's is 2 - 2 x.c, and the sum of a segment's x.c is the length of their sum.
    fn inertia_of_means(&self) -> f64 {
        let segments = self.sums.chunks_exact(self.points.n_features).zip(&self.counts);
        let explained = segments.map(|(sums, &count)| {
            let square = sums.iter().map(|sum| sum * sum).sum::<f64>();
            match self.space.metric {
                Metric::Euclidean => square / count.max(1) as f64,
                Metric::Cosine => 2.0 * square.sqrt() - count as f64,
            }
        });
        (self.squares - explained.sum::<f64>()).max(0.0) * self.space.unit * self.space.unit
    }

    /// Sum of squared distances of each segment's rows to its centroid, computed term by term.
    fn inertias(&self, centroids: &[f64], watch: &Watch) -> Result<Vec<f64>, Stopped> {
        let points = self.points;
        let centroids = scaled_centroids(self.space, centroids);
        let rows = self.slot_blocks * LANES;
        let slots = self
            .labels
            .par_chunks(rows)
            .zip(points.values.par_chunks(self.slot_blocks * points.block_len()));
        let parts: Vec<Vec<f64>> = slots
            .map(|(labels, blocks)| {
                let mut sums = vec![0.0; self.k];
                for (labels, block) in
                    labels.chunks_exact(LANES).zip(blocks.chunks_exact(points.block_len()))
                {
                    let distances = repair::own_distances(block, labels, &centroids);
                    for (&label, distance) in labels.iter().zip(distances) {
                        if label != UNLABELLED {
                            sums[usize::from(label)] += f64::from(distance);
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

    /// Gives a row, by itself, another label.
    pub(super) fn relabel_row(&mut self, row: usize, label: u16) {
        let old = self.labels[row];
        self.labels[row] = label;
        self.bounds.iter_mut().for_each(|bounds| bounds.forget(row));
        self.counts[usize::from(old)] -= 1;
        self.counts[usize::from(label)] += 1;
        let n_features = self.points.n_features;
        for feature in 0..n_features {
            let value = f64::from(self.points.value(row, feature));
            self.sums[usize::from(old) * n_features + feature] -= value;
            self.sums[usize::from(label) * n_features + feature] += value;
        }
    }

    /// Numbers the segments anew: segment `order[i]` becomes `i`. Returns the centroids in the new order.
    fn renumber(&mut self, order: &[usize], centroids: &[f64]) -> Vec<f64> {
        let n_features = self.points.n_features;
        let mut numbers = vec![0u16; self.k];
        for (new, &old) in order.iter().enumerate() {
            numbers[old] = new as u16;
        }
        for label in self.labels.iter_mut().filter(|label| **label != UNLABELLED) {
            *label = numbers[usize::from(*label)];
        }
        let reorder = |rows: &[f64]| -> Vec<f64> {
            order.iter().flat_map(|&old| &rows[old * n_features..][..n_features]).copied().collect()
        };
        self.bounds.iter_mut().for_each(|bounds| bounds.renumber(order, n_features));
        self.sums = reorder(&self.sums);
        self.counts = order.iter().map(|&old| self.counts[old]).collect();
        reorder(centroids)
    }
}

fn sum_of_squares(values: &[f32]) -> f64 {
    let mut sums = [0f64; LANES];
    for values in values.chunks_exact(LANES) {
        for lane in 0..LANES {
            sums[lane] += f64::from(values[lane]) * f64::from(values[lane]);
        }
    }
    sums.iter().sum()
}

/// The segments from the largest to the smallest, equal ones by their centroids.
fn order_by_size(counts: &[i64], centroids: &[f64], n_features: usize) -> Vec<usize> {
    let centroid = |idx: usize| centroids[idx * n_features..][..n_features].iter();
    let mut order: Vec<usize> = (0..counts.len()).collect();
    order.sort_by(|&a, &b| {
        counts[b].cmp(&counts[a]).then_with(|| {
            let mut differing =
                centroid(a).zip(centroid(b)).map(|(a, b)| a.total_cmp(b)).filter(|o| o.is_ne());
            differing.next().unwrap_or(std::cmp::Ordering::Equal)
        })
    });
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::random::Random;
    use crate::algo::store::Place;

    /// Rows on a grid coarse enough for ties, or far from the origin, where f32 rounds most.
    fn rows(n_rows: usize, n_features: usize, steps: usize, offset: f32) -> Points {
        let random = Random::new(3, (n_rows * n_features * steps) as u64);
        Points::collect(
            &Place::Memory,
            n_rows,
            n_features,
            &Watch::new(),
            |feature, first, values| {
                for (row, value) in (first..).zip(values) {
                    let draw = random.at((row * n_features + feature) as u64) % steps as u64;
                    let cluster = if row % 3 == 0 { 2.0 } else { 0.0 };
                    *value = offset + cluster + draw as f32 * 4.0 / steps as f32;
                }
            },
        )
        .unwrap()
    }

    #[track_caller]
    fn check_bounds_change_nothing(points: &Points, k: usize) {
        let space = Space::identity(points.n_features);
        let spread = points.n_rows / k;
        let start: Vec<f64> =
            (0..k).flat_map(|segment| points.row(segment * spread)).map(f64::from).collect();
        let limits = Limits {
            max_iterations: 60,
            shift: None,
            reported: false,
            numbering: Numbering::BySize,
        };
        let [plain, bounded] = [false, true].map(|is_bounded| {
            lloyd_by(points, &space, start.clone(), &limits, is_bounded, &Watch::new()).unwrap()
        });
        assert_eq!(plain.labels, bounded.labels);
        assert_eq!(plain.iterations, bounded.iterations);
        let bits = |run: &Run| run.centroids.iter().map(|c| c.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&plain), bits(&bounded));
        assert_eq!(plain.inertia.to_bits(), bounded.inertia.to_bits());
    }

    #[test]
    fn bounds_change_nothing() {
        for (n_features, k) in [(1, 24), (2, 5), (8, 40), (33, 70)] {
            check_bounds_change_nothing(&rows(5003, n_features, 1000, 0.0), k);
        }
    }

    #[test]
    fn bounds_change_nothing_among_ties_and_repairs() {
        for k in [9, 30, 64] {
            check_bounds_change_nothing(&rows(4000, 2, 6, 0.0), k);
            check_bounds_change_nothing(&rows(4000, 3, 4, 0.0), k);
        }
    }

    #[test]
    fn bounds_change_nothing_where_numbers_are_large_beside_their_differences() {
        for offset in [1e3, 1e5] {
            check_bounds_change_nothing(&rows(4000, 4, 1000, offset), 32);
        }
    }
}
