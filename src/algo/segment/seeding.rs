//! Greedy k-means++ (Arthur and Vassilvitskii 2007), with 2 + ln k candidates a step as scikit-learn.
//!
//! A candidate is drawn with probability proportional to its squared distance from the seeds so far; of the candidates the
//! one that lowers the sum of those distances most becomes a seed. Large inputs are seeded on an even sample: at 1 M rows
//! and k = 64 seeding on all rows would cost as much as seven iterations.

use rayon::prelude::*;

use super::error::Error;
use super::kernel::LANES;
use super::points::Points;
use crate::algo::random::Random;
use crate::algo::stop::{Stopped, Watch};
use crate::algo::store::Place;

/// Rows that seeds are drawn from: this many, or so many for each segment.
const SAMPLE: usize = 65_536;
const SAMPLE_PER_SEGMENT: usize = 16;
/// Blocks summed in one piece.
const BLOCKS: usize = 32;

/// The sample that seeds are drawn from, unless all rows are hardly more.
pub(super) fn sample(
    points: &Points,
    k: usize,
    random: &mut Random,
    watch: &Watch,
) -> Result<Option<Points>, Error> {
    let n_sample = SAMPLE.max(SAMPLE_PER_SEGMENT * k);
    (points.n_rows > n_sample).then(|| even_sample(points, n_sample, random, watch)).transpose()
}

/// k x d seeds, all distinct; refuses when there are not as many distinct points.
pub(super) fn seeds(
    points: &Points,
    k: usize,
    random: &mut Random,
    watch: &Watch,
) -> Result<Vec<f32>, Error> {
    let seeds = plus_plus(points, k, random, watch)?;
    let distinct = seeds.len() / points.n_features;
    if distinct < k {
        return Err(Error::TooFewDistinctRows { k, distinct });
    }
    Ok(seeds)
}

/// One row from each of `n_sample` equal stretches; all rows where there are no more.
pub(super) fn even_sample_rows(n_rows: usize, n_sample: usize, random: &mut Random) -> Vec<usize> {
    if n_rows <= n_sample {
        return (0..n_rows).collect();
    }
    let stretch = n_rows as f64 / n_sample as f64;
    (0..n_sample)
        .map(|idx| (((idx as f64 + random.uniform()) * stretch) as usize).min(n_rows - 1))
        .collect()
}

fn even_sample(
    points: &Points,
    n_sample: usize,
    random: &mut Random,
    watch: &Watch,
) -> Result<Points, Error> {
    let rows = even_sample_rows(points.n_rows, n_sample, random);
    Points::collect(&Place::Memory, n_sample, points.n_features, watch, |feature, first, values| {
        for (&row, value) in rows[first..].iter().zip(values) {
            *value = points.value(row, feature);
        }
    })
}

/// Up to k seeds: fewer when every point is one already.
fn plus_plus(
    points: &Points,
    k: usize,
    random: &mut Random,
    watch: &Watch,
) -> Result<Vec<f32>, Stopped> {
    let n_trials = 2 + (k as f64).ln() as usize;
    let mut seeds = points.row(random.below(points.n_rows));
    // Squared distance of every row to its nearest seed; 0 in the padding, which is so never drawn.
    let mut closest = vec![f32::INFINITY; points.n_blocks() * LANES];
    closest[points.n_rows..].fill(0.0);
    let mut piece_sums = approach(points, &seeds, &mut closest, watch)?;
    for _ in 1..k {
        let potential: f64 = piece_sums.iter().sum();
        if potential <= 0.0 {
            break;
        }
        let trials: Vec<Vec<f32>> = (0..n_trials)
            .map(|_| points.row(draw(&piece_sums, &closest, random.uniform() * potential)))
            .collect();
        let potentials = potentials(points, &trials, &closest, watch)?;
        let mut best = 0;
        for trial in 1..n_trials {
            if potentials[trial] < potentials[best] {
                best = trial;
            }
        }
        piece_sums = approach(points, &trials[best], &mut closest, watch)?;
        seeds.extend_from_slice(&trials[best]);
    }
    Ok(seeds)
}

/// The row at which the running sum of `closest` passes `target`; always one that is not a seed yet.
fn draw(piece_sums: &[f64], closest: &[f32], mut target: f64) -> usize {
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
    let first = piece_idx * BLOCKS * LANES;
    let mut row = first;
    for (idx, &distance) in closest[first..].iter().take(BLOCKS * LANES).enumerate() {
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

/// Lowers `closest` to the distances from a new seed; returns its sums, piece by piece.
fn approach(
    points: &Points,
    seed: &[f32],
    closest: &mut [f32],
    watch: &Watch,
) -> Result<Vec<f64>, Stopped> {
    let pieces = points
        .values
        .par_chunks(points.block_len() * BLOCKS)
        .zip(closest.par_chunks_mut(LANES * BLOCKS));
    pieces
        .with_min_len(8)
        .map(|(blocks, closest)| {
            watch.check()?;
            let mut sums = [0f32; LANES];
            for (block, closest) in
                blocks.chunks_exact(points.block_len()).zip(closest.chunks_exact_mut(LANES))
            {
                let distances = squared_distances(block, seed);
                for lane in 0..LANES {
                    closest[lane] = if distances[lane] < closest[lane] {
                        distances[lane]
                    } else {
                        closest[lane]
                    };
                    sums[lane] += closest[lane];
                }
            }
            Ok(sums.iter().copied().map(f64::from).sum())
        })
        .collect()
}

/// What the sum of `closest` would be with each of the trials as the next seed.
fn potentials(
    points: &Points,
    trials: &[Vec<f32>],
    closest: &[f32],
    watch: &Watch,
) -> Result<Vec<f64>, Stopped> {
    let pieces = points
        .values
        .par_chunks(points.block_len() * BLOCKS)
        .zip(closest.par_chunks(LANES * BLOCKS));
    let by_piece: Vec<Vec<f64>> = pieces
        .with_min_len(8)
        .map(|(blocks, closest)| {
            watch.check()?;
            let sums = trials.iter().map(|trial| {
                let mut sums = [0f32; LANES];
                for (block, closest) in
                    blocks.chunks_exact(points.block_len()).zip(closest.chunks_exact(LANES))
                {
                    let distances = squared_distances(block, trial);
                    for lane in 0..LANES {
                        sums[lane] += if distances[lane] < closest[lane] {
                            distances[lane]
                        } else {
                            closest[lane]
                        };
                    }
                }
                sums.iter().copied().map(f64::from).sum()
            });
            Ok(sums.collect())
        })
        .collect::<Result<_, Stopped>>()?;
    let sum_of = |trial: usize| by_piece.iter().map(|sums| sums[trial]).sum();
    Ok((0..trials.len()).map(sum_of).collect())
}

/// Squared distances of a block's rows to one point; 0 for equal rows alone.
pub(super) fn squared_distances(block: &[f32], point: &[f32]) -> [f32; LANES] {
    let mut sums = [0f32; LANES];
    for (values, &coordinate) in block.chunks_exact(LANES).zip(point) {
        for lane in 0..LANES {
            let difference = values[lane] - coordinate;
            sums[lane] += difference * difference;
        }
    }
    sums
}
