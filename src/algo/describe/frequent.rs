//! Distinct and frequent values when there are too many to count each: HyperLogLog, and a vote in each of 1,024 places.
//!
//! Values fall into places by a hash, and in each place the values vote for one (Boyer and Moore 1981; as a sketch: Tang, Huang and
//! Lee 2019). One that is more than half of the values of its place wins whatever the order, and its place has about n / 1,024
//! others: so a value of over 0.3 % of the rows is found. How many of it there are is known to n / 2,048 on average.

use datasketches::hll::{Coupon, HllSketch, HllType};

const PLACES: usize = 1024;
/// 2^14 registers: a standard error of 0.8 %.
const LG_REGISTERS: u8 = 14;

#[derive(Debug)]
pub(super) struct Frequent<V> {
    distinct: Option<HllSketch>,
    places: Vec<Place<V>>,
}

#[derive(Debug, Clone, Default)]
struct Place<V> {
    key: u64,
    winner: V,
    votes: u64,
    n: u64,
}

impl<V: Clone + Default> Frequent<V> {
    pub(super) fn new() -> Self {
        Self {
            distinct: HllSketch::new(LG_REGISTERS, HllType::Hll8).ok(),
            places: vec![Place::default(); PLACES],
        }
    }

    /// Adds `n` of a value, which its key stands for.
    #[inline]
    pub(super) fn add(&mut self, key: u64, n: u64, value: impl FnOnce() -> V) {
        if let Some(distinct) = &mut self.distinct {
            distinct.update_with_coupon(Coupon::from_value(key));
        }
        let place = (key.wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 54) as usize;
        let place = &mut self.places[place];
        place.n += n;
        if place.key == key {
            place.votes += n;
        } else if place.votes >= n {
            place.votes -= n;
        } else {
            place.votes = n - place.votes;
            place.key = key;
            place.winner = value();
        }
    }

    /// Does not depend on the order of the values.
    pub(super) fn n_distinct(&self) -> u64 {
        self.distinct.as_ref().map_or(0, |sketch| sketch.composite_estimate().round() as u64)
    }

    /// The values that are surely more than half of their place, and about how many there are.
    pub(super) fn winners(&self) -> Vec<(V, u64)> {
        let sure = self.places.iter().filter(|place| 2 * place.votes > place.n && place.votes > 1);
        sure.map(|place| (place.winner.clone(), (place.n + place.votes) / 2)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_half_a_percent_is_found_and_counted_among_distinct_ones() {
        let mut frequent = Frequent::new();
        for i in 0..200_000_u64 {
            let key = if i % 200 == 0 { 7 } else { 1_000 + i.wrapping_mul(0x2545_F491_4F6C_DD1D) };
            frequent.add(key, 1, || key);
        }
        let winners = frequent.winners();
        let count = winners.iter().find(|(value, _)| *value == 7).map(|(_, n)| *n).unwrap();
        assert!(count.abs_diff(1_000) < 100, "{count}");
        assert!(winners.len() < 5, "{winners:?}");
        let distinct = frequent.n_distinct();
        assert!(distinct.abs_diff(199_001) < 5_000, "{distinct}");
    }
}
