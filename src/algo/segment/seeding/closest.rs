//! How far every row is from the nearest of the points chosen so far, which the next ones are drawn by: with probability
//! proportional to the squared distance (Arthur and Vassilvitskii 2007), times what the row weighs.

use crate::algo::segment::input::rows::LANES;
use multiversion::multiversion;
use rayon::prelude::*;

use crate::algo::random::{Random, unit};
use crate::algo::segment::engine::distance::own_distances;
use crate::algo::segment::engine::kernel::{Blocks, Packed, Path, nearest_of_blocks};
use crate::algo::segment::error::Error;
use crate::algo::segment::input::points::Points;
use crate::algo::stop::{Stopped, Watch};
use crate::algo::store::Store;

/// Blocks summed in one piece.
const BLOCKS: usize = 32;
const ROWS: usize = BLOCKS * LANES;
/// Multiply-adds of one piece between two looks at the watch, and the most candidates that the kernel's labels can tell apart.
const PRODUCTS: usize = 1 << 26;
const TOGETHER: usize = 1 << 15;

pub(crate) struct Closest<'a> {
    points: &'a Points,
    /// One a row, relative to the greatest, and the padding's; None where all are equal.
    weights: Option<Store<f32>>,
    /// Squared distance of every row to its nearest chosen point, times its weight; 0 in the padding, which is so never drawn.
    distances: Store<f32>,
    /// Their sums, piece by piece.
    sums: Vec<f64>,
}

impl<'a> Closest<'a> {
    /// Every row is infinitely far: no point is chosen yet.
    pub(crate) fn new(points: &'a Points) -> Result<Self, Error> {
        let n_lanes = points.n_blocks() * LANES;
        let mut distances = Store::filled(&points.place, n_lanes, f32::INFINITY)?;
        distances[points.n_rows..].fill(0.0);
        let weights = points.weights.as_ref().map(|weights| -> Result<_, Error> {
            let greatest = weights.iter().copied().fold(0.0, f64::max);
            let mut relative = Store::filled(&points.place, n_lanes, 0f32)?;
            for (relative, weight) in relative.iter_mut().zip(weights) {
                *relative = (weight / greatest) as f32;
            }
            Ok(relative)
        });
        Ok(Self { points, weights: weights.transpose()?, distances, sums: Vec::new() })
    }

    /// What the distances come to in all; 0 when every row that weighs something equals a chosen point.
    pub(crate) fn potential(&self) -> f64 {
        self.sums.iter().sum()
    }

    /// A row to begin with: one that weighs twice as much is twice as probable.
    pub(crate) fn first(&self, random: &mut Random) -> usize {
        match &self.weights {
            None => random.below(self.points.n_rows),
            Some(weights) => {
                let sums: Vec<f64> = weights.chunks(ROWS).map(sum_of).collect();
                draw(&sums, weights, random.uniform() * sums.iter().sum::<f64>())
            }
        }
    }

    /// A row by its distance; always one that is not chosen yet.
    pub(crate) fn draw(&self, random: &mut Random) -> usize {
        draw(&self.sums, &self.distances, random.uniform() * self.potential())
    }

    /// Rows by their distances, each drawn or not by itself, so many of them to be expected; in their order.
    pub(crate) fn draw_each(
        &self,
        expected: f64,
        random: &Random,
        watch: &Watch,
    ) -> Result<Vec<usize>, Stopped> {
        let share = expected / self.potential();
        let pieces = self.distances.par_chunks(ROWS).enumerate().with_min_len(8);
        let drawn = pieces.map(|(piece_idx, distances)| {
            watch.check()?;
            let rows = (piece_idx * ROWS..).zip(distances).filter(|(row, distance)| {
                **distance > 0.0 && unit(random.at(*row as u64)) < share * f64::from(**distance)
            });
            Ok(rows.map(|(row, _)| row).collect())
        });
        Ok(drawn.collect::<Result<Vec<Vec<usize>>, Stopped>>()?.concat())
    }

    /// Chooses a point.
    pub(crate) fn approach(&mut self, point: &[f32], watch: &Watch) -> Result<(), Stopped> {
        let (points, weights) = (self.points, self.weights.as_deref());
        let pieces = points.values.par_chunks(points.block_len() * BLOCKS);
        let pieces = pieces.zip(self.distances.par_chunks_mut(ROWS)).enumerate().with_min_len(8);
        let sums = pieces.map(|(piece_idx, (blocks, closest))| {
            watch.check()?;
            Ok(come_closer(blocks, point, weights.map(|all| &all[piece_idx * ROWS..]), closest))
        });
        self.sums = pieces_in_order(sums)?;
        Ok(())
    }

    /// Chooses many points, numbered from `first`, and keeps each row's nearest in `owners`.
    pub(crate) fn approach_all(
        &mut self,
        chosen: &[f32],
        first: usize,
        owners: &mut [u32],
        watch: &Watch,
    ) -> Result<(), Stopped> {
        let (points, weights, path) = (self.points, self.weights.as_deref(), Path::best());
        let together = (PRODUCTS / (ROWS * points.n_features)).clamp(1, TOGETHER);
        let parts = chosen.chunks(together * points.n_features);
        let parts: Vec<(&[f32], Packed)> =
            parts.map(|part| (part, Packed::for_blocks(part, points.n_features))).collect();
        let pieces = points.values.par_chunks(points.block_len() * BLOCKS);
        let pieces = pieces.zip(self.distances.par_chunks_mut(ROWS));
        let pieces = pieces.zip(owners.par_chunks_mut(ROWS)).enumerate();
        let sums = pieces.map(|(piece_idx, ((blocks, closest), owners))| {
            let mut nearest = [0u16; ROWS];
            let nearest = &mut nearest[..closest.len()];
            for (part_idx, (part, packed)) in parts.iter().enumerate() {
                watch.check()?;
                let in_blocks = Blocks::contiguous(blocks, points.n_features);
                nearest_of_blocks(path, in_blocks, packed, nearest);
                let by_block = blocks.chunks_exact(points.block_len());
                for (block_idx, (block, nearest)) in
                    by_block.zip(nearest.chunks_exact(LANES)).enumerate()
                {
                    let at = block_idx * LANES;
                    let distances = own_distances(block, nearest, part);
                    let distances = weighted(distances, weights, piece_idx * ROWS + at);
                    for (lane, distance) in distances.into_iter().enumerate() {
                        if distance < closest[at + lane] {
                            closest[at + lane] = distance;
                            let number = first + part_idx * together + usize::from(nearest[lane]);
                            owners[at + lane] = number as u32;
                        }
                    }
                }
            }
            Ok(sum_of(closest))
        });
        self.sums = pieces_in_order(sums)?;
        Ok(())
    }

    /// What the potential would be with each of some points as the next one.
    pub(crate) fn potentials(
        &self,
        trials: &[Vec<f32>],
        watch: &Watch,
    ) -> Result<Vec<f64>, Stopped> {
        let (points, weights) = (self.points, self.weights.as_deref());
        let pieces = points.values.par_chunks(points.block_len() * BLOCKS);
        let pieces = pieces.zip(self.distances.par_chunks(ROWS)).enumerate().with_min_len(8);
        let by_piece = pieces.map(|(piece_idx, (blocks, closest))| {
            watch.check()?;
            let weights = weights.map(|all| &all[piece_idx * ROWS..]);
            let sums = trials.iter().map(|trial| sum_if_closer(blocks, trial, weights, closest));
            Ok(sums.collect())
        });
        let by_piece: Vec<Vec<f64>> = pieces_in_order(by_piece)?;
        let sum_of = |trial: usize| by_piece.iter().map(|sums| sums[trial]).sum();
        Ok((0..trials.len()).map(sum_of).collect())
    }
}

/// The row at which the running sum of `distances`, whose sums by piece are given, passes `target`; never one of 0.
fn draw(piece_sums: &[f64], distances: &[f32], mut target: f64) -> usize {
    let mut piece_idx = 0;
    for (idx, &sum) in piece_sums.iter().enumerate() {
        if sum > 0.0 {
            piece_idx = idx;
            if target < sum {
                break;
            }
            target -= sum;
        }
    }
    let first = piece_idx * ROWS;
    let mut row = first;
    for (idx, &distance) in distances[first..].iter().take(ROWS).enumerate() {
        if distance > 0.0 {
            row = first + idx;
            target -= f64::from(distance);
            if target < 0.0 {
                break;
            }
        }
    }
    row
}

/// What pieces come to, in their order on any number of threads.
fn pieces_in_order<T: Send>(
    pieces: impl IndexedParallelIterator<Item = Result<T, Stopped>>,
) -> Result<Vec<T>, Stopped> {
    pieces.collect()
}

fn sum_of(values: &[f32]) -> f64 {
    let mut sums = [0f32; LANES];
    for values in values.chunks_exact(LANES) {
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    }
    sums.iter().copied().map(f64::from).sum()
}

/// Times what the rows from `row` on weigh.
#[inline(always)]
fn weighted(mut distances: [f32; LANES], weights: Option<&[f32]>, row: usize) -> [f32; LANES] {
    if let Some(weights) = weights {
        distances
            .iter_mut()
            .zip(&weights[row..])
            .for_each(|(distance, weight)| *distance *= weight);
    }
    distances
}

/// Lowers distances to those from another point; the sum of what they are then.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
fn come_closer(blocks: &[f32], point: &[f32], weights: Option<&[f32]>, closest: &mut [f32]) -> f64 {
    let mut sums = [0f32; LANES];
    let blocks = blocks.chunks_exact(point.len() * LANES);
    for (block_idx, (block, closest)) in blocks.zip(closest.as_chunks_mut::<LANES>().0).enumerate()
    {
        let distances = weighted(squared_distances(block, point), weights, block_idx * LANES);
        for lane in 0..LANES {
            closest[lane] = lesser(distances[lane], closest[lane]);
            sums[lane] += closest[lane];
        }
    }
    sums.iter().copied().map(f64::from).sum()
}

/// The sum of what [`come_closer`] would make of the distances.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
fn sum_if_closer(blocks: &[f32], point: &[f32], weights: Option<&[f32]>, closest: &[f32]) -> f64 {
    let mut sums = [0f32; LANES];
    let blocks = blocks.chunks_exact(point.len() * LANES);
    for (block_idx, (block, closest)) in blocks.zip(closest.as_chunks::<LANES>().0).enumerate() {
        let distances = weighted(squared_distances(block, point), weights, block_idx * LANES);
        for lane in 0..LANES {
            sums[lane] += lesser(distances[lane], closest[lane]);
        }
    }
    sums.iter().copied().map(f64::from).sum()
}

/// Not by f32::min, which looks at NaN too: the loops are to become vector instructions.
#[inline(always)]
fn lesser(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// Squared distances of a block's rows to one point; 0 for equal rows alone.
#[inline(always)]
pub(crate) fn squared_distances(block: &[f32], point: &[f32]) -> [f32; LANES] {
    let mut sums = [0f32; LANES];
    for (values, &coordinate) in block.chunks_exact(LANES).zip(point) {
        for lane in 0..LANES {
            let difference = values[lane] - coordinate;
            sums[lane] += difference * difference;
        }
    }
    sums
}
