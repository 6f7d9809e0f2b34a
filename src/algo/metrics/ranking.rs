//! How good a ranked list is when it is known what the user went on to take.
//!
//! All with binary relevance and all over the first `k` places. An item ranked twice counts at its first place. `None`
//! where nothing was relevant or `k` is 0: such a user says nothing about the list. Järvelin and Kekäläinen 2002 (nDCG).

use serde::{Deserialize, Serialize};

/// The measures of one user's list, or their means.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct AtK {
    /// Hits among the first k, over k.
    pub precision: f64,
    /// Hits among the first k, over all that was relevant.
    pub recall: f64,
    /// Hits discounted by the logarithm of their place, over the best that could be.
    pub ndcg: f64,
    /// Mean of the precision at each hit's place; over the lesser of k and the relevant.
    pub average_precision: f64,
}

pub fn precision_at<T: Ord>(ranked: &[T], relevant: &[T], k: usize) -> Option<f64> {
    at_k(ranked, relevant, k).map(|measures| measures.precision)
}

pub fn recall_at<T: Ord>(ranked: &[T], relevant: &[T], k: usize) -> Option<f64> {
    at_k(ranked, relevant, k).map(|measures| measures.recall)
}

pub fn ndcg_at<T: Ord>(ranked: &[T], relevant: &[T], k: usize) -> Option<f64> {
    at_k(ranked, relevant, k).map(|measures| measures.ndcg)
}

/// Average precision of one list; its mean over users is MAP.
pub fn average_precision_at<T: Ord>(ranked: &[T], relevant: &[T], k: usize) -> Option<f64> {
    at_k(ranked, relevant, k).map(|measures| measures.average_precision)
}

/// All measures of one list. Neither side need be sorted or distinct.
pub fn at_k<T: Ord>(ranked: &[T], relevant: &[T], k: usize) -> Option<AtK> {
    let mut relevant: Vec<&T> = relevant.iter().collect();
    relevant.sort_unstable();
    relevant.dedup();
    if k == 0 || relevant.is_empty() {
        return None;
    }
    let mut taken = vec![false; relevant.len()];
    let (mut n_hits, mut gain, mut precisions) = (0usize, 0.0, 0.0);
    for (place, item) in ranked.iter().take(k).enumerate() {
        let Ok(position) = relevant.binary_search(&item) else { continue };
        if std::mem::replace(&mut taken[position], true) {
            continue;
        }
        n_hits += 1;
        gain += discount(place);
        precisions += n_hits as f64 / (place + 1) as f64;
    }
    let n_possible = relevant.len().min(k);
    let ideal: f64 = (0..n_possible).map(discount).sum();
    Some(AtK {
        precision: n_hits as f64 / k as f64,
        recall: n_hits as f64 / relevant.len() as f64,
        ndcg: gain / ideal,
        average_precision: precisions / n_possible as f64,
    })
}

fn discount(place: usize) -> f64 {
    1.0 / ((place + 2) as f64).log2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ranked: &[u32], relevant: &[u32], k: usize, expected: [f64; 4]) {
        let found = at_k(ranked, relevant, k).unwrap();
        let found = [found.precision, found.recall, found.ndcg, found.average_precision];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    #[test]
    fn measures_are_those_worked_by_hand() {
        // Hits at places 1 and 3: gain 1 + 1/2; ideal for three relevant 1 + 1/log2(3) + 1/2.
        let ideal = 1.5 + 1.0 / 3f64.log2();
        check(&[7, 1, 8, 2], &[9, 8, 7], 4, [0.5, 2.0 / 3.0, 1.5 / ideal, (1.0 + 2.0 / 3.0) / 3.0]);
    }

    #[test]
    fn a_perfect_list_has_every_measure_at_its_best() {
        check(&[1, 2], &[2, 1], 2, [1.0; 4]);
        check(&[1, 2], &[2, 1, 3], 2, [1.0, 2.0 / 3.0, 1.0, 1.0]);
    }

    #[test]
    fn a_list_without_a_hit_and_an_empty_one_measure_zero() {
        check(&[4, 5], &[1], 2, [0.0; 4]);
        check(&[], &[1], 10, [0.0; 4]);
    }

    #[test]
    fn an_item_ranked_or_relevant_twice_counts_once() {
        check(&[1, 1, 2], &[1, 1], 3, [1.0 / 3.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn nothing_relevant_and_no_places_give_nothing() {
        assert_eq!(at_k(&[1], &[], 10), None);
        assert_eq!(ndcg_at(&[1], &[1], 0), None);
        assert_eq!(precision_at(&["a"], &["a"], 1), Some(1.0));
        assert_eq!(recall_at(&["a"], &["a", "b"], 1), Some(0.5));
        assert_eq!(average_precision_at(&["b", "a"], &["a"], 2), Some(0.5));
    }
}
