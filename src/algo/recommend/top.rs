//! The best few of many candidates, in one order that leaves nothing to chance.
//!
//! A buffer of twice the limit is cut in half by selection whenever it fills; from then on a candidate below the worst
//! kept costs one comparison. A heap pays a logarithm for each insertion, a full selection reads everything twice.

use std::cmp::Ordering;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub score: f64,
    pub popularity: u32,
    pub item: u32,
}

impl Candidate {
    /// Better first: higher score, then higher popularity, then lower key.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        other
            .score
            .total_cmp(&self.score)
            .then(other.popularity.cmp(&self.popularity))
            .then(self.item.cmp(&other.item))
    }
}

pub(super) struct Best {
    limit: usize,
    floor: f64,
    buffer: Vec<Candidate>,
}

impl Best {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, floor: f64::NEG_INFINITY, buffer: Vec::new() }
    }

    /// A candidate of a lower score than this need not be pushed.
    pub(super) fn floor(&self) -> f64 {
        self.floor
    }

    pub(super) fn push(&mut self, candidate: Candidate) {
        self.buffer.push(candidate);
        if self.buffer.len() >= 2 * self.limit + 32 {
            self.cut();
        }
    }

    /// The best candidates, best first; the collection is empty afterwards and keeps its memory.
    pub(super) fn drain_sorted(&mut self) -> std::vec::Drain<'_, Candidate> {
        self.cut();
        self.buffer.sort_unstable_by(Candidate::order);
        self.floor = f64::NEG_INFINITY;
        self.buffer.drain(..)
    }

    fn cut(&mut self) {
        if self.limit > 0 && self.buffer.len() > self.limit {
            let (_, worst, _) =
                self.buffer.select_nth_unstable_by(self.limit - 1, Candidate::order);
            self.floor = worst.score;
        }
        self.buffer.truncate(self.limit);
    }
}

/// Items in the order in which they were first met. Whether an item is new is a coin toss to a processor's predictor, so
/// each is written and the length alone depends on it.
pub(super) struct Touched {
    items: Vec<u32>,
    len: usize,
}

impl Touched {
    /// Room for `n_items` items, each new once.
    pub(super) fn new(n_items: usize) -> Self {
        Self { items: vec![0; n_items + 1], len: 0 }
    }

    #[inline]
    pub(super) fn note(&mut self, item: u32, is_new: bool) {
        self.items[self.len] = item;
        self.len += usize::from(is_new);
    }

    pub(super) fn noted(&self) -> &[u32] {
        &self.items[..self.len]
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::random::Random;

    #[track_caller]
    fn check_equals_a_sort(n: usize, limit: usize, n_scores: usize) {
        let mut random = Random::new(1, n as u64);
        let candidates: Vec<_> = (0..n as u32)
            .map(|item| Candidate {
                score: random.below(n_scores) as f64,
                popularity: random.below(3) as u32,
                item,
            })
            .collect();
        let mut best = Best::new(limit);
        for candidate in &candidates {
            if candidate.score >= best.floor() {
                best.push(*candidate);
            }
        }
        let mut expected = candidates;
        expected.sort_by(Candidate::order);
        expected.truncate(limit);
        assert_eq!(best.drain_sorted().collect::<Vec<_>>(), expected, "{n} {limit}");
    }

    #[test]
    fn the_best_are_those_of_a_full_sort() {
        for (n, limit) in [(0, 3), (2, 3), (3, 3), (1000, 1), (1000, 10), (5000, 100), (10, 0)] {
            check_equals_a_sort(n, limit, 7);
            check_equals_a_sort(n, limit, 100_000);
        }
    }
}
