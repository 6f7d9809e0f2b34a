//! Lloyd's iterations: label every row with its nearest centroid, move every centroid to the mean of its rows.

use serde::{Deserialize, Serialize};

use super::bounding::When;
use super::matching::matching;
use super::repair;
use super::state::State;
use crate::algo::segment::error::Error;
use crate::algo::segment::input::points::Points;
use crate::algo::segment::input::space::Space;
use crate::algo::segment::input::space::scaled_centroids;
use crate::algo::stop::Watch;
use crate::algo::store::Store;

/// Rounds of numbering by size; each later one is needed only when a tie fell the other way.
const ROUNDS: usize = 4;

pub(crate) struct Limits<'a> {
    pub(crate) max_iterations: u32,
    /// Squared movement of all centroids, in the scaled space, at which to end.
    pub(crate) shift: Option<f64>,
    /// For the inertia of each iteration, which the watch shows: the sum of the squares of all scaled values. None shows nothing.
    pub(crate) squares: Option<f64>,
    pub(crate) numbering: Numbering<'a>,
}

/// Which segment gets which number.
#[derive(Clone, Copy)]
pub(crate) enum Numbering<'a> {
    BySize,
    /// The numbers of these centroids (k x d, original units), so that a segment keeps its number from fit to fit.
    Of(&'a [f64]),
}

/// Why the iterations ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// No label changed any more, or the centroids moved by no more than the tolerance.
    Converged,
    MaxIterations,
}

pub(crate) struct Run {
    /// k x d in original units, in the order of their numbers.
    pub(crate) centroids: Vec<f64>,
    /// From 0: one a row, and the padding's.
    pub(crate) labels: Store<u16>,
    pub(crate) sizes: Vec<u64>,
    /// What each segment's rows weigh: their number, where they have no weights.
    pub(crate) masses: Vec<f64>,
    /// In the scaled space.
    pub(crate) inertia: f64,
    /// Each segment's part of it.
    pub(crate) inertias: Vec<f64>,
    pub(crate) iterations: u32,
    pub(crate) ended: Ended,
}

/// Runs from `centroids` (k x d, original units) until no label changes, or to the limits.
pub(crate) fn lloyd(
    points: &Points,
    space: &Space,
    centroids: Vec<f64>,
    limits: &Limits,
    watch: &Watch,
) -> Result<Run, Error> {
    lloyd_by(points, space, centroids, limits, When::WorthIt, watch)
}

/// As [`lloyd`], with bounds when it is said: the result is the same.
pub(crate) fn lloyd_by(
    points: &Points,
    space: &Space,
    mut centroids: Vec<f64>,
    limits: &Limits,
    when: When,
    watch: &Watch,
) -> Result<Run, Error> {
    let mut state = State::new(points, space, centroids.len() / points.n_features, when)?;
    let mut iterations = 0;
    let mut settled = false;
    let mut ended = Ended::MaxIterations;
    for round in 0..ROUNDS {
        let mut is_labelled = false;
        while !settled && iterations < limits.max_iterations {
            let moved = state.assign(&centroids, watch)?;
            is_labelled = true;
            let repaired = repair::fill_empty(&mut state, &centroids, watch)?;
            if moved == 0 && repaired == 0 {
                ended = Ended::Converged;
                iterations += u32::from(round == 0);
                break;
            }
            iterations += 1;
            is_labelled = false;
            let (next, shift) = state.means(&centroids);
            centroids = next;
            if let Some(squares) = limits.squares {
                let inertia = state.inertia_of_means(squares);
                watch.report(u64::from(iterations), u64::from(limits.max_iterations), inertia);
            }
            if limits.shift.is_some_and(|limit| shift <= limit) {
                ended = Ended::Converged;
                settled = true;
            }
        }
        if !is_labelled {
            state.assign(&centroids, watch)?;
        }
        centroids = without_empty(&mut state, centroids, watch)?;
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
    let (inertia, masses) = (inertias.iter().sum(), state.masses());
    Ok(Run { centroids, labels: state.labels, sizes, masses, inertia, inertias, iterations, ended })
}

/// Fills segments that the last means left without rows. Some may stay so: where k asks to part rows that lie closer than the
/// kernel tells apart, some ten-thousandths of a deviation.
fn without_empty(
    state: &mut State,
    mut centroids: Vec<f64>,
    watch: &Watch,
) -> Result<Vec<f64>, Error> {
    for _ in 0..ROUNDS {
        if repair::fill_empty(state, &centroids, watch)? == 0 {
            return Ok(centroids);
        }
        centroids = state.means(&centroids).0;
        state.assign(&centroids, watch)?;
    }
    Ok(centroids)
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
        let limits =
            Limits { max_iterations: 60, shift: None, squares: None, numbering: Numbering::BySize };
        let run =
            |when| lloyd_by(points, &space, start.clone(), &limits, when, &Watch::new()).unwrap();
        let plain = run(When::Never);
        for bounded in [run(When::Always), run(When::WorthIt)] {
            assert_eq!(plain.labels, bounded.labels);
            assert_eq!(plain.iterations, bounded.iterations);
            let bits = |run: &Run| run.centroids.iter().map(|c| c.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&plain), bits(&bounded));
            assert_eq!(plain.inertia.to_bits(), bounded.inertia.to_bits());
        }
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
