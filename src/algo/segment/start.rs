//! Where a run begins: the best of a few seedings, each refined on a sample (after Bradley and Fayyad 1998).
//!
//! One seeding ends up to some per cent above the best inertia, and no iteration over all rows mends that. Four seedings and
//! ten iterations on 65,536 rows cost about as much as fifteen iterations over a million.

use super::error::Error;
use super::lloyd::{Limits, Numbering, lloyd};
use super::points::Points;
use super::seeding::{sample, seeds};
use super::space::Space;
use crate::algo::random::Random;
use crate::algo::stop::Watch;

const SEEDINGS: usize = 4;
/// Above this many segments a seeding costs more than it gains: there is one.
const SEEDINGS_MAX_K: usize = 256;
const REFINE_ITERATIONS: u32 = 10;

/// k x d centroids in original units to begin from.
pub(super) fn start(
    points: &Points,
    space: &Space,
    k: usize,
    mut random: Random,
    watch: &Watch,
) -> Result<Vec<f64>, Error> {
    let sample = sample(points, k, &mut random, watch)?;
    match best_seeding(sample.as_ref().unwrap_or(points), space, k, &mut random, watch) {
        // A sample can lack rare values: only all rows together tell how many distinct ones there are.
        Err(Error::TooFewDistinctRows { .. }) if sample.is_some() => {
            best_seeding(points, space, k, &mut random, watch)
        }
        result => result,
    }
}

fn best_seeding(
    points: &Points,
    space: &Space,
    k: usize,
    random: &mut Random,
    watch: &Watch,
) -> Result<Vec<f64>, Error> {
    let limits = Limits {
        max_iterations: REFINE_ITERATIONS,
        shift: None,
        squares: None,
        numbering: Numbering::BySize,
    };
    let mut best: Option<(f64, Vec<f64>)> = None;
    for _ in 0..if k > SEEDINGS_MAX_K { 1 } else { SEEDINGS } {
        let seeds = seeds(points, k, random, watch)?;
        let in_units =
            |(idx, &seed): (usize, &f32)| space.original(idx % points.n_features, f64::from(seed));
        let run =
            lloyd(points, space, seeds.iter().enumerate().map(in_units).collect(), &limits, watch)?;
        if best.as_ref().is_none_or(|(inertia, _)| run.inertia < *inertia) {
            best = Some((run.inertia, run.centroids));
        }
    }
    Ok(best.map(|(_, centroids)| centroids).unwrap_or_default())
}
