//! Greedy k-means++ (Arthur and Vassilvitskii 2007), with 2 + ln k candidates a step as scikit-learn: of the candidates the one
//! that lowers the sum of the squared distances to the nearest seed most becomes a seed.

use super::closest::Closest;
use crate::algo::random::Random;
use crate::algo::segment::error::Error;
use crate::algo::segment::input::points::Points;
use crate::algo::segment::input::row_weights::even_sample_by_weight;
use crate::algo::stop::Watch;
use crate::algo::store::Place;

/// Rows that seeds are drawn from: this many, or so many for each segment.
const SAMPLE: usize = 65_536;
const SAMPLE_PER_SEGMENT: usize = 16;

/// The sample that seeds are drawn from, unless all rows are hardly more: all its rows weigh the same.
pub(crate) fn sample(
    points: &Points,
    k: usize,
    random: &mut Random,
    watch: &Watch,
) -> Result<Option<Points>, Error> {
    let n_sample = SAMPLE.max(SAMPLE_PER_SEGMENT * k);
    if points.n_rows <= n_sample {
        return Ok(None);
    }
    let rows = match &points.weights {
        None => even_sample_rows(points.n_rows, n_sample, random),
        Some(weights) => even_sample_by_weight(weights, n_sample, random, watch)?,
    };
    Points::picked(points, &rows, &Place::Memory, watch).map(Some)
}

/// k x d seeds, all distinct; refuses when there are not as many distinct points.
pub(crate) fn seeds(
    points: &Points,
    k: usize,
    random: &mut Random,
    watch: &Watch,
) -> Result<Vec<f32>, Error> {
    all_distinct(plus_plus(points, k, random, watch)?, k, points.n_features)
}

pub(crate) fn all_distinct(
    seeds: Vec<f32>,
    k: usize,
    n_features: usize,
) -> Result<Vec<f32>, Error> {
    let distinct = seeds.len() / n_features;
    if distinct < k {
        return Err(Error::TooFewDistinctRows { k, distinct });
    }
    Ok(seeds)
}

/// Up to k seeds: fewer when every point is one already.
pub(crate) fn plus_plus(
    points: &Points,
    k: usize,
    random: &mut Random,
    watch: &Watch,
) -> Result<Vec<f32>, Error> {
    let mut closest = Closest::new(points)?;
    let first = points.row(closest.first(random));
    closest.approach(&first, watch)?;
    complete(points, closest, first, k, random, watch)
}

/// Adds to the seeds that `closest` knows of until there are k; fewer when every point is one already.
pub(crate) fn complete(
    points: &Points,
    mut closest: Closest,
    mut seeds: Vec<f32>,
    k: usize,
    random: &mut Random,
    watch: &Watch,
) -> Result<Vec<f32>, Error> {
    let n_trials = 2 + (k as f64).ln() as usize;
    while seeds.len() < k * points.n_features && closest.potential() > 0.0 {
        let trials: Vec<Vec<f32>> =
            (0..n_trials).map(|_| points.row(closest.draw(random))).collect();
        let potentials = closest.potentials(&trials, watch)?;
        let mut best = 0;
        for trial in 1..n_trials {
            if potentials[trial] < potentials[best] {
                best = trial;
            }
        }
        closest.approach(&trials[best], watch)?;
        seeds.extend_from_slice(&trials[best]);
    }
    Ok(seeds)
}

/// One row from each of `n_sample` equal stretches; all rows where there are no more.
pub(crate) fn even_sample_rows(n_rows: usize, n_sample: usize, random: &mut Random) -> Vec<usize> {
    if n_rows <= n_sample {
        return (0..n_rows).collect();
    }
    let stretch = n_rows as f64 / n_sample as f64;
    (0..n_sample)
        .map(|idx| (((idx as f64 + random.uniform()) * stretch) as usize).min(n_rows - 1))
        .collect()
}
