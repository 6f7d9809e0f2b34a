//! Items that the same users have: for each item its nearest by cosine, with shrinkage.
//!
//! similarity(a, b) = a.b / (|a| |b| + shrinkage m(a) m(b)) over the items' columns of weights, where m is the root of the mean
//! square of an item's weights: cosine x g / (g + shrinkage), g being the geometric mean of the items' numbers of users. That
//! pulls down pairs that rest on few users (Bell and Koren 2007), whatever the unit of the weights. One row of the item-item matrix at a time, into a dense accumulator per
//! thread: the whole matrix would be quadratic in the catalogue. The users of a row are added in their order, so a pair
//! has the same bits from both sides and on any number of threads.

use super::Options;
use crate::algo::recommend::{
    sparse::Sparse,
    top::{Best, Candidate, Touched},
};
use crate::algo::stop::{Stopped, Watch};
use rayon::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// For each item its most similar others and their similarity, columns ascending.
pub(super) fn nearest(
    histories: &Sparse,
    popularity: &[u32],
    options: Options,
    watch: &Watch,
) -> Result<Sparse, Stopped> {
    let n_items = popularity.len();
    let users_of = histories.transposed(n_items);
    watch.check()?;
    let norms: Vec<f64> = (0..n_items)
        .map(|item| {
            users_of.row(item).1.iter().map(|&weight| f64::from(weight).powi(2)).sum::<f64>().sqrt()
        })
        .collect();
    let shrunk: Vec<f64> = norms
        .iter()
        .zip(popularity)
        .map(|(norm, &n_users)| norm * (options.shrinkage / f64::from(n_users.max(1))).sqrt())
        .collect();
    let data = Data { histories, users_of: &users_of, norms: &norms, shrunk: &shrunk, popularity };
    let items: Vec<u32> = (0..n_items as u32).collect();
    let n_done = AtomicU64::new(0);
    let parts: Vec<Sparse> = items
        .par_chunks(CHUNK)
        .map_init(
            || Scratch::new(n_items, options.neighbors),
            |scratch, chunk| {
                let mut part = Sparse::new();
                for &item in chunk {
                    data.append_nearest(item, scratch, &mut part, watch)?;
                }
                let done = n_done.fetch_add(chunk.len() as u64, Relaxed) + chunk.len() as u64;
                watch.report(done, n_items as u64, 0.0);
                Ok(part)
            },
        )
        .collect::<Result<_, Stopped>>()?;
    Ok(joined(&parts))
}

/// Items a task takes at once: few enough that popular items do not bunch up, enough to pay for a task.
const CHUNK: usize = 32;

/// Multiplications between two looks at the watch: about a millisecond.
const WORK_PER_CHECK: usize = 1 << 20;

struct Data<'a> {
    histories: &'a Sparse,
    users_of: &'a Sparse,
    norms: &'a [f64],
    /// For each item the root of its part of the shrinkage in a denominator.
    shrunk: &'a [f64],
    popularity: &'a [u32],
}

struct Scratch {
    dots: Vec<f64>,
    touched: Touched,
    best: Best,
    nearest: Vec<(u32, f32)>,
    work: usize,
}

impl Scratch {
    fn new(n_items: usize, neighbors: usize) -> Self {
        let best = Best::new(neighbors.min(n_items));
        Self {
            dots: vec![0.0; n_items],
            touched: Touched::new(n_items),
            best,
            nearest: Vec::new(),
            work: 0,
        }
    }
}

impl Data<'_> {
    fn append_nearest(
        &self,
        item: u32,
        scratch: &mut Scratch,
        part: &mut Sparse,
        watch: &Watch,
    ) -> Result<(), Stopped> {
        let Scratch { dots, touched, best, nearest, work } = scratch;
        let (users, weights) = self.users_of.row(item as usize);
        for (&user, &weight) in users.iter().zip(weights) {
            let (others, other_weights) = self.histories.row(user as usize);
            let weight = f64::from(weight);
            for (&other, &other_weight) in others.iter().zip(other_weights) {
                let dot = &mut dots[other as usize];
                touched.note(other, *dot == 0.0);
                *dot += weight * f64::from(other_weight);
            }
            *work += others.len();
            if *work >= WORK_PER_CHECK {
                *work = 0;
                watch.check()?;
            }
        }
        let (norm, shrunk) = (self.norms[item as usize], self.shrunk[item as usize]);
        for &other in touched.noted() {
            let dot = std::mem::take(&mut dots[other as usize]);
            let most = norm * self.norms[other as usize] + shrunk * self.shrunk[other as usize];
            // A product for a quotient, with room for the rounding of an f32: most of the touched end here.
            if dot < best.floor() * most * (1.0 - 1e-6) {
                continue;
            }
            let similarity = (dot / most) as f32;
            let score = f64::from(similarity);
            if other != item && similarity > 0.0 && score >= best.floor() {
                best.push(Candidate {
                    score,
                    popularity: self.popularity[other as usize],
                    item: other,
                });
            }
        }
        touched.clear();
        nearest.clear();
        nearest
            .extend(best.drain_sorted().map(|candidate| (candidate.item, candidate.score as f32)));
        nearest.sort_unstable_by_key(|(other, _)| *other);
        nearest.iter().for_each(|&(other, similarity)| part.push(other, similarity));
        part.end_row();
        Ok(())
    }
}

fn joined(parts: &[Sparse]) -> Sparse {
    let mut whole = Sparse::new();
    for part in parts {
        let before = whole.n_cells();
        whole.offsets.extend(part.offsets[1..].iter().map(|offset| before + offset));
        whole.columns.extend_from_slice(&part.columns);
        whole.values.extend_from_slice(&part.values);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::random::Random;

    fn random_histories(n_users: usize, n_items: usize, share: f64) -> Sparse {
        let mut random = Random::new(11, 0);
        let mut histories = Sparse::new();
        for _ in 0..n_users {
            for item in 0..n_items {
                if random.uniform() < share {
                    histories.push(item as u32, 0.5 + random.below(5) as f32);
                }
            }
            histories.end_row();
        }
        histories
    }

    #[track_caller]
    fn check_against_dense_arithmetic(neighbors: usize, shrinkage: f64) {
        let (n_users, n_items) = (40, 25);
        let histories = random_histories(n_users, n_items, 0.2);
        let popularity = histories.column_counts(n_items);
        let found =
            nearest(&histories, &popularity, Options { neighbors, shrinkage }, &Watch::new())
                .unwrap();
        assert!(found.is_sound(n_items, n_items));
        let weight = |user: usize, item: usize| f64::from(histories.get(user, item as u32));
        let dot = |a: usize, b: usize| {
            (0..n_users).map(|user| weight(user, a) * weight(user, b)).sum::<f64>()
        };
        for item in 0..n_items {
            let mut expected: Vec<Candidate> = (0..n_items)
                .filter(|&other| other != item)
                .map(|other| {
                    let cosine =
                        dot(item, other) / (dot(item, item).sqrt() * dot(other, other).sqrt());
                    let users = (f64::from(popularity[item]) * f64::from(popularity[other])).sqrt();
                    let similarity = cosine * users / (users + shrinkage);
                    Candidate {
                        score: f64::from(similarity as f32),
                        popularity: popularity[other],
                        item: other as u32,
                    }
                })
                .filter(|candidate| candidate.score > 0.0)
                .collect();
            expected.sort_by(Candidate::order);
            expected.truncate(neighbors);
            let (others, similarities) = found.row(item);
            assert_eq!(others.len(), expected.len());
            for candidate in expected {
                let position = others.binary_search(&candidate.item).unwrap();
                assert!((f64::from(similarities[position]) - candidate.score).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn nearest_are_those_of_dense_arithmetic() {
        check_against_dense_arithmetic(100, 0.0);
        check_against_dense_arithmetic(5, 0.0);
        check_against_dense_arithmetic(5, 10.0);
    }

    #[test]
    fn the_unit_of_the_weights_does_not_matter_to_shrinkage() {
        let histories = random_histories(40, 25, 0.2);
        let popularity = histories.column_counts(25);
        let options = Options { neighbors: 5, shrinkage: 10.0 };
        let mut larger = histories.clone();
        larger.values.iter_mut().for_each(|weight| *weight *= 1024.0);
        let found = |histories| nearest(histories, &popularity, options, &Watch::new()).unwrap();
        assert_eq!(found(&larger), found(&histories));
    }

    #[test]
    fn one_item_has_no_neighbor() {
        let mut histories = Sparse::new();
        histories.push(0, 1.0);
        histories.end_row();
        let options = Options { neighbors: 100, shrinkage: 0.0 };
        assert_eq!(nearest(&histories, &[1], options, &Watch::new()).unwrap(), Sparse::empty(1));
    }

    #[test]
    fn a_stop_is_heard() {
        let watch = Watch::new();
        watch.stop();
        let options = Options { neighbors: 100, shrinkage: 0.0 };
        assert_eq!(nearest(&random_histories(5, 5, 0.5), &[1; 5], options, &watch), Err(Stopped));
    }
}
