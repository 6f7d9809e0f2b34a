//! Which new segment is which old one: the assignment that moves centroids least in all.
//!
//! The Hungarian method by shortest augmenting paths (Jonker and Volgenant 1987), on squared distances; above `EXACT`
//! segments, where its cube of k would take longer than the fit, the closest pairs are taken greedily.

use super::distance::squared_distance;
use crate::algo::segment::error::Error;
use crate::algo::stop::{Stopped, Watch};

const EXACT: usize = 1024;

/// For each old centroid the new one that takes its number. Both are k x d in one space.
pub(crate) fn matching(
    old: &[f32],
    new: &[f32],
    n_features: usize,
    watch: &Watch,
) -> Result<Vec<usize>, Error> {
    if old.len() != new.len() {
        return Err(Error::DimensionMismatch { expected: old.len(), found: new.len() });
    }
    let k = old.len() / n_features.max(1);
    let cost = |from: usize, to: usize| -> f64 {
        squared_distance(
            &old[from * n_features..][..n_features],
            &new[to * n_features..][..n_features],
        )
    };
    Ok(if k <= EXACT { exact(k, cost, watch)? } else { greedy(k, cost, watch)? })
}

fn exact(
    k: usize,
    cost: impl Fn(usize, usize) -> f64,
    watch: &Watch,
) -> Result<Vec<usize>, Stopped> {
    let costs: Vec<f64> = (0..k * k).map(|cell| cost(cell / k, cell % k)).collect();
    // Place k is the root that each augmenting path starts from.
    let mut row_of = vec![usize::MAX; k + 1];
    let (mut row_price, mut column_price) = (vec![0.0; k], vec![0.0; k + 1]);
    for row in 0..k {
        watch.check()?;
        row_of[k] = row;
        let mut slack = vec![f64::INFINITY; k];
        let mut came_from = vec![k; k];
        let mut visited = vec![false; k + 1];
        let mut column = k;
        while row_of[column] != usize::MAX {
            visited[column] = true;
            let current = row_of[column];
            let (mut least, mut next) = (f64::INFINITY, k);
            for other in (0..k).filter(|&other| !visited[other]) {
                let reduced = costs[current * k + other] - row_price[current] - column_price[other];
                if reduced < slack[other] {
                    slack[other] = reduced;
                    came_from[other] = column;
                }
                if slack[other] < least {
                    (least, next) = (slack[other], other);
                }
            }
            if next == k {
                break;
            }
            for other in 0..=k {
                if visited[other] {
                    row_price[row_of[other]] += least;
                    column_price[other] -= least;
                } else if other < k {
                    slack[other] -= least;
                }
            }
            column = next;
        }
        while column != k {
            let previous = came_from[column];
            row_of[column] = row_of[previous];
            column = previous;
        }
    }
    let mut matched = vec![0; k];
    for (column, &row) in row_of[..k].iter().enumerate() {
        if let Some(place) = matched.get_mut(row) {
            *place = column;
        }
    }
    Ok(matched)
}

/// Each old centroid in turn takes the nearest new one that is left.
fn greedy(
    k: usize,
    cost: impl Fn(usize, usize) -> f64,
    watch: &Watch,
) -> Result<Vec<usize>, Stopped> {
    let mut free = vec![true; k];
    let mut matched = Vec::with_capacity(k);
    for from in 0..k {
        watch.check()?;
        let mut best = (f64::INFINITY, usize::MAX);
        for to in (0..k).filter(|&to| free[to]) {
            let distance = cost(from, to);
            if distance < best.0 || best.1 == usize::MAX {
                best = (distance, to);
            }
        }
        free[best.1] = false;
        matched.push(best.1);
    }
    Ok(matched)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::random::Random;

    /// The least total over all permutations.
    fn least(k: usize, cost: &dyn Fn(usize, usize) -> f64, taken: &mut Vec<usize>) -> f64 {
        if taken.len() == k {
            return 0.0;
        }
        let mut best = f64::INFINITY;
        for to in 0..k {
            if !taken.contains(&to) {
                let here = cost(taken.len(), to);
                taken.push(to);
                best = best.min(here + least(k, cost, taken));
                taken.pop();
            }
        }
        best
    }

    #[test]
    fn the_exact_matching_is_the_least_of_all_permutations() {
        for seed in 0..50 {
            let mut random = Random::new(seed, 1);
            let k = 1 + random.below(6);
            let costs: Vec<f64> = (0..k * k).map(|_| random.uniform()).collect();
            let cost = |from: usize, to: usize| costs[from * k + to];
            let matched = exact(k, cost, &Watch::new()).unwrap();
            let mut columns = matched.clone();
            columns.sort_unstable();
            assert_eq!(columns, (0..k).collect::<Vec<_>>());
            let total: f64 = matched.iter().enumerate().map(|(from, &to)| cost(from, to)).sum();
            assert!((total - least(k, &cost, &mut Vec::new())).abs() < 1e-12);
        }
    }

    #[test]
    fn shuffled_centroids_are_found_again() {
        for k in [1, 7, 300, 1500] {
            let mut random = Random::new(3, k as u64);
            let old: Vec<f32> = (0..2 * k).map(|_| random.uniform() as f32).collect();
            let mut order: Vec<usize> = (0..k).collect();
            random.shuffle(&mut order);
            let mut new = vec![0f32; 2 * k];
            for (from, &to) in order.iter().enumerate() {
                new[2 * to..][..2].copy_from_slice(&old[2 * from..][..2]);
            }
            assert_eq!(matching(&old, &new, 2, &Watch::new()).unwrap(), order);
        }
    }
}
