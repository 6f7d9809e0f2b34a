//! Items by how many users have them: the baseline, and what fills a page that a history cannot.

use super::{sparse::Sparse, top::Candidate};

/// For each item the number of users that have it.
pub(super) fn counts(histories: &Sparse, n_items: usize) -> Vec<u32> {
    histories.column_counts(n_items)
}

/// The items, most popular first; of equals, the lower key.
pub(super) fn order(counts: &[u32]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..counts.len() as u32).collect();
    order.sort_by(|&a, &b| candidate(counts, a).order(&candidate(counts, b)));
    order
}

/// Whether `order` is what [`order`] gives: strictly ordered, so that no item is in it twice, and complete.
pub(super) fn is_order(order: &[u32], counts: &[u32]) -> bool {
    order.len() == counts.len()
        && order.iter().all(|&item| (item as usize) < counts.len())
        && order.is_sorted_by(|&a, &b| candidate(counts, a).order(&candidate(counts, b)).is_lt())
}

fn candidate(counts: &[u32], item: u32) -> Candidate {
    Candidate { score: 0.0, popularity: counts[item as usize], item }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_by_count_then_key_and_complete() {
        assert_eq!(order(&[1, 3, 3, 0]), [1, 2, 0, 3]);
        assert!(is_order(&[1, 2, 0, 3], &[1, 3, 3, 0]));
        assert!(!is_order(&[2, 1, 0, 3], &[1, 3, 3, 0]));
        assert!(!is_order(&[1, 1, 0, 3], &[1, 3, 3, 0]));
        assert!(!is_order(&[1, 2, 0, 9], &[1, 3, 3, 0]));
        assert!(is_order(&[], &[]));
    }
}
