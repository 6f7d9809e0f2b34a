//! How good segments are by themselves: the figures that scikit-learn computes under the same names, in the space of the
//! fit, where every distance is a comparable one. Rows count by their weights, but in the silhouette, where each counts once.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::algo::random::Random;
use crate::algo::segment::engine::distance::own_distances;
use crate::algo::segment::engine::lloyd::Run;
use crate::algo::segment::engine::pieces::UNLABELLED;
use crate::algo::segment::error::Error;
use crate::algo::segment::input::points::Points;
use crate::algo::segment::input::rows::LANES;
use crate::algo::segment::input::space::Space;
use crate::algo::segment::input::space::scaled_centroids;
use crate::algo::segment::params::Metric;
use crate::algo::segment::seeding::closest::squared_distances;
use crate::algo::segment::seeding::plus_plus::even_sample_rows;
use crate::algo::stop::{Stopped, Watch};
use crate::algo::store::Place;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Mean silhouette width of `silhouette_rows` rows among themselves (Rousseeuw 1987), from -1 to 1: how much nearer a row
    /// is to its own segment than to the next one. None with one segment.
    pub silhouette: Option<f64>,
    /// Its standard error: the standard deviation of these rows' widths over the square root of their number.
    #[serde(default)]
    pub silhouette_error: Option<f64>,
    /// All rows, or an even sample of so many.
    pub silhouette_rows: usize,
    /// Davies and Bouldin 1979, from 0: how wide segments are against the distance to the one most like it; less is better.
    pub davies_bouldin: Option<f64>,
    /// Caliński and Harabasz 1974, from 0: variance between segments over that within them; more is better.
    pub calinski_harabasz: Option<f64>,
}

/// Rows of a silhouette: 2,000 make four million distances, a hundredth of a second at 8 features.
pub const SILHOUETTE_ROWS: usize = 2_000;
/// Products that the distances of a silhouette may take: wide rows are fewer.
const SILHOUETTE_PRODUCTS: usize = 400_000_000;
/// Above so many segments no pair of them is compared: it would take longer than the fit.
const MAX_COMPARED: usize = 4_096;
const PIECES: usize = 64;

/// The figures of a run; the sample of rows depends on the seed alone.
pub(crate) fn quality(
    points: &Points,
    space: &Space,
    run: &Run,
    seed: i64,
    most_rows: usize,
    watch: &Watch,
) -> Result<Quality, Error> {
    let centroids = scaled_centroids(space, &run.centroids);
    let (silhouette, silhouette_rows) = silhouette(points, run, seed, most_rows, watch)?;
    Ok(Quality {
        silhouette: silhouette.map(|(mean, _)| mean),
        silhouette_error: silhouette.map(|(_, error)| error),
        silhouette_rows,
        davies_bouldin: davies_bouldin(points, &centroids, run, watch)?,
        calinski_harabasz: calinski_harabasz(points, space, &centroids, run),
    })
}

/// The mean width and its standard error, and of how many rows.
fn silhouette(
    points: &Points,
    run: &Run,
    seed: i64,
    most_rows: usize,
    watch: &Watch,
) -> Result<(Option<(f64, f64)>, usize), Error> {
    let n_sample = points.n_rows.min(silhouette_rows(most_rows, points.n_features));
    let rows = even_sample_rows(points.n_rows, n_sample, &mut Random::new(seed, u64::MAX));
    let sample = Points::picked(points, &rows, &Place::Memory, watch)?;
    let labels: Vec<usize> = rows.iter().map(|&row| usize::from(run.labels[row])).collect();
    let widths = silhouette_widths(&sample, &labels, run.sizes.len(), watch)?;
    let judged = |widths: Vec<f64>| {
        let n = n_sample as f64;
        let mean = widths.iter().sum::<f64>() / n;
        let variance = widths.iter().map(|width| (width - mean).powi(2)).sum::<f64>() / (n - 1.0);
        (mean, (variance / n).sqrt())
    };
    Ok((widths.map(judged), n_sample))
}

/// How many rows a silhouette of so many features takes, where it may take so many.
pub(crate) fn silhouette_rows(most_rows: usize, n_features: usize) -> usize {
    let affordable = (SILHOUETTE_PRODUCTS / n_features.max(1)).isqrt();
    most_rows.min(affordable.max(2))
}

/// The silhouette width of each row among the others; None unless they lie in two segments at least. Labels count from 0.
pub(crate) fn silhouette_widths(
    sample: &Points,
    labels: &[usize],
    k: usize,
    watch: &Watch,
) -> Result<Option<Vec<f64>>, Stopped> {
    let mut sizes = vec![0usize; k];
    labels.iter().for_each(|&label| sizes[label] += 1);
    if sizes.iter().filter(|&&size| size > 0).count() < 2 {
        return Ok(None);
    }
    let widths = (0..sample.n_rows)
        .into_par_iter()
        .with_min_len(16)
        .map(|row| {
            watch.check()?;
            let point = sample.row(row);
            let mut sums = vec![0f64; sizes.len()];
            for (block, labels) in
                sample.values.chunks_exact(sample.block_len()).zip(labels.chunks(LANES))
            {
                let distances = squared_distances(block, &point);
                for (&label, distance) in labels.iter().zip(distances) {
                    sums[label] += f64::from(distance).sqrt();
                }
            }
            Ok(width(&sums, &sizes, labels[row]))
        })
        .collect::<Result<_, Stopped>>()?;
    Ok(Some(widths))
}

/// One row's width, from its summed distances to the rows of each segment; 0 for a segment of one row.
fn width(sums: &[f64], sizes: &[usize], own: usize) -> f64 {
    if sizes[own] < 2 {
        return 0.0;
    }
    let within = sums[own] / (sizes[own] - 1) as f64;
    let others = (0..sums.len()).filter(|&other| other != own && sizes[other] > 0);
    let next = others.map(|other| sums[other] / sizes[other] as f64).fold(f64::INFINITY, f64::min);
    let larger = within.max(next);
    if larger > 0.0 { (next - within) / larger } else { 0.0 }
}

fn davies_bouldin(
    points: &Points,
    centroids: &[f32],
    run: &Run,
    watch: &Watch,
) -> Result<Option<f64>, Stopped> {
    let (k, n_features) = (run.sizes.len(), points.n_features);
    if !(2..=MAX_COMPARED).contains(&k) {
        return Ok(None);
    }
    // As many pieces on any number of threads, added up in order: the same bits on all.
    let piece_blocks = points.n_blocks().div_ceil(PIECES);
    let pieces = points
        .values
        .par_chunks(points.block_len() * piece_blocks)
        .zip(run.labels.par_chunks(LANES * piece_blocks));
    let pieces: Vec<Vec<f64>> = pieces
        .enumerate()
        .map(|(piece_idx, (blocks, labels))| {
            let mut spreads = vec![0f64; k];
            let by_block = blocks.chunks_exact(points.block_len()).zip(labels.chunks_exact(LANES));
            for (block_idx, (block, labels)) in by_block.enumerate() {
                watch.check()?;
                let weights = points.block_weights(piece_idx * piece_blocks + block_idx);
                let distances = own_distances(block, labels, centroids);
                for ((&label, squared), weight) in labels.iter().zip(distances).zip(weights) {
                    if label != UNLABELLED {
                        spreads[usize::from(label)] += weight * f64::from(squared).sqrt();
                    }
                }
            }
            Ok(spreads)
        })
        .collect::<Result<_, Stopped>>()?;
    let mut spreads = vec![0f64; k];
    for piece in pieces {
        spreads.iter_mut().zip(piece).for_each(|(spread, more)| *spread += more);
    }
    for (spread, &mass) in spreads.iter_mut().zip(&run.masses).filter(|(_, mass)| **mass > 0.0) {
        *spread /= mass;
    }
    let centroid = |idx: usize| &centroids[idx * n_features..][..n_features];
    let apart = |one: usize, other: usize| {
        let differences = centroid(one).iter().zip(centroid(other));
        differences.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt()
    };
    let mut sum = 0.0;
    for one in 0..k {
        watch.check()?;
        let likeness = (0..k).filter(|&other| other != one).map(|other| {
            let apart = apart(one, other);
            if apart > 0.0 { (spreads[one] + spreads[other]) / apart } else { 0.0 }
        });
        sum += likeness.fold(0.0, f64::max);
    }
    Ok(Some(sum / k as f64))
}

/// From the centroids and their masses alone: the rows are within, which the inertia says.
fn calinski_harabasz(points: &Points, space: &Space, centroids: &[f32], run: &Run) -> Option<f64> {
    let (k, n_features) = (run.sizes.len(), points.n_features);
    let n: f64 = run.masses.iter().sum();
    // It is made of means, which a centroid on the unit sphere is not.
    if k < 2 || n <= k as f64 || run.inertia <= 0.0 || space.metric == Metric::Cosine {
        return None;
    }
    let mut mean = vec![0f64; n_features];
    for (centroid, mass) in centroids.chunks_exact(n_features).zip(&run.masses) {
        for (mean, &c) in mean.iter_mut().zip(centroid) {
            *mean += f64::from(c) * mass / n;
        }
    }
    let between = centroids.chunks_exact(n_features).zip(&run.masses).map(|(centroid, mass)| {
        let squares = centroid.iter().zip(&mean).map(|(&c, mean)| (f64::from(c) - mean).powi(2));
        mass * squares.sum::<f64>()
    });
    Some(between.sum::<f64>() / (k - 1) as f64 / (run.inertia / (n - k as f64)))
}
