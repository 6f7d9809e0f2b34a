//! A customer among the others: scores of recency, frequency and monetary value, and the customary names of the segments.
//!
//! Scores after Hughes, "Strategic Database Marketing" (1994): 5 is best. Customers with equal values share their ranks, and
//! their score is that of the middle of these ranks: where all are equal it is the middle score.

use crate::algo::memory::{self, Refused};

/// What scoring needs of a customer who bought something.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// Microseconds since the last purchase.
    pub since: i64,
    pub n: u64,
    pub amount: f64,
}

/// A score from 1 for each of recency, frequency and monetary value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    pub standing: Standing,
    pub r: u32,
    pub f: u32,
    pub m: u32,
    pub segment: &'static str,
}

/// As many scores as there may be.
pub const BINS: std::ops::RangeInclusive<u32> = 2..=100;

/// Scores every customer among all of them in `n_bins` bins; None for one without a purchase. Segments are named by fifths,
/// whatever the bins are.
pub fn score(customers: &[Option<Standing>], n_bins: u32) -> Result<Vec<Option<Scored>>, Refused> {
    let active = || customers.iter().flatten();
    let n = active().count();
    // Negated, so that a recent purchase scores high.
    let recency = sorted(n, active().map(|one| -one.since), i64::cmp)?;
    let frequency = sorted(n, active().map(|one| one.n), u64::cmp)?;
    // Added to 0, so that there is no -0, which is not less than 0.
    let monetary = sorted(n, active().map(|one| one.amount + 0.0), f64::total_cmp)?;
    memory::collect(customers.iter().map(|customer| {
        let standing = (*customer)?;
        let scores = |n_bins| {
            [
                bin(&recency, &-standing.since, n_bins),
                bin(&frequency, &standing.n, n_bins),
                bin(&monetary, &standing.amount, n_bins),
            ]
        };
        let fifths = scores(5).map(|fifth| fifth as u8);
        let [r, f, m] = scores(n_bins);
        Some(Scored { standing, r, f, m, segment: segment_name(fifths[0], fifths[1], fifths[2]) })
    }))
}

/// The customary segments, by recency and by the mean of frequency and monetary value.
pub fn segment_name(r: u8, f: u8, m: u8) -> &'static str {
    // Rounded up, so that 4 and 5 make 5.
    let value = (f + m).div_ceil(2);
    match (r, value) {
        (5, 4..) | (4, 5) => "champions",
        (3..=4, 4..) => "loyal customers",
        (5, 1) => "new customers",
        (4, 1) => "promising",
        (4..=5, 2..=3) => "potential loyalists",
        (3, 3) => "need attention",
        (3, _) => "about to sleep",
        (1, 5) => "cannot lose them",
        (1..=2, 3..) => "at risk",
        (2, _) => "hibernating",
        _ => "lost",
    }
}

fn sorted<T>(
    n: usize,
    values: impl Iterator<Item = T>,
    order: impl Fn(&T, &T) -> std::cmp::Ordering,
) -> Result<Vec<T>, Refused> {
    let mut sorted = Vec::new();
    memory::exact_room(&mut sorted, n)?;
    sorted.extend(values);
    sorted.sort_unstable_by(order);
    Ok(sorted)
}

/// 1 + the number of whole bins below the middle of the ranks of this value. Of n customers the one of rank i, from 0, lies at
/// i + 1/2; those who share the ranks from `below` to `through` - 1 lie at the middle of `below` and `through`.
fn bin<T: PartialOrd>(sorted: &[T], value: &T, n_bins: u32) -> u32 {
    let below = sorted.partition_point(|other| other < value) as u64;
    let through = sorted.partition_point(|other| other <= value) as u64;
    let bins = u64::from(n_bins);
    let n = sorted.len().max(1) as u64;
    1 + (bins * (below + through) / (2 * n)).min(bins - 1) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn customer(since: i64, n: u64, amount: f64) -> Option<Standing> {
        Some(Standing { since, n, amount })
    }

    fn scores(customers: &[Option<Standing>], n_bins: u32) -> Vec<[u32; 3]> {
        let scored = score(customers, n_bins).unwrap();
        scored.iter().flatten().map(|s| [s.r, s.f, s.m]).collect()
    }

    #[test]
    fn ten_customers_fall_into_fifths_and_into_halves() {
        let customers: Vec<_> = (1..=10).map(|i| customer(11 - i, i as u64, i as f64)).collect();
        let r = |n_bins| scores(&customers, n_bins).iter().map(|s| s[0]).collect::<Vec<_>>();
        assert_eq!(r(5), [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
        assert_eq!(r(2), [1, 1, 1, 1, 1, 2, 2, 2, 2, 2]);
        for n_bins in [2, 5, 10] {
            let scored = score(&customers, n_bins).unwrap();
            assert_eq!(scored[9].unwrap().segment, "champions");
            assert_eq!(scored[0].unwrap().segment, "lost");
        }
    }

    #[test]
    fn one_customer_and_equal_ones_have_the_middle_score() {
        let one = customer(1, 1, 5.0);
        for n in [1, 2, 3, 4, 100] {
            assert!(scores(&vec![one; n], 5).iter().all(|scores| *scores == [3, 3, 3]), "{n}");
        }
        assert_eq!(score(&[one], 5).unwrap()[0].unwrap().segment, "need attention");
    }

    #[test]
    fn ties_take_the_middle_of_their_ranks() {
        // Eight of ten bought once: they share ranks 0 to 7, whose middle lies in the third fifth.
        let mut customers: Vec<_> = (0..8).map(|i| customer(i, 1, 0.0)).collect();
        customers.extend([customer(8, 2, -0.0), customer(9, 3, 0.0)]);
        let f: Vec<u32> = scores(&customers, 5).iter().map(|s| s[1]).collect();
        assert_eq!(f, [3, 3, 3, 3, 3, 3, 3, 3, 5, 5]);
        // 0 and -0 are equal.
        assert!(scores(&customers, 5).iter().all(|s| s[2] == 3));
    }

    #[test]
    fn one_without_purchases_has_no_score() {
        let scored = score(&[None, customer(1, 1, 1.0)], 5).unwrap();
        assert!(scored[0].is_none() && scored[1].is_some());
        assert_eq!(score(&[None], 5).unwrap(), [None]);
    }

    #[test]
    fn every_combination_has_a_name() {
        for r in 1..=5 {
            for f in 1..=5 {
                for m in 1..=5 {
                    assert!(!segment_name(r, f, m).is_empty());
                }
            }
        }
        assert_eq!(segment_name(5, 1, 1), "new customers");
        assert_eq!(segment_name(1, 5, 5), "cannot lose them");
    }
}
