//! Numbers counted in buckets whose bounds follow the data: a bucket is a run of 2^shift neighboring f64.
//!
//! The bits of f64, ordered, without their last `shift` ones name the bucket. `shift` is the least one at which at most
//! [`MOST_COUNTED`] buckets hold something: it can only grow with more rows, and which it is at the end depends on the values and
//! not on their order. At shift 0 a bucket is one value, and all that is read off the buckets is exact. Beyond, a quantile is off by
//! less than the bucket that it falls into: of a million normal values about 0.2 % of the standard deviation.

use super::MOST_COUNTED;
use super::counts::Counts;
use crate::algo::float_order::{order_of, value_of};

#[derive(Debug, Clone, Default)]
pub(super) struct Buckets {
    shift: u32,
    counts: Counts,
}

/// The counted values in their order.
pub(super) struct Sorted {
    pub(super) buckets: Vec<Bucket>,
    n: u64,
}

pub(super) struct Bucket {
    low: f64,
    high: f64,
    pub(super) n: u64,
    /// In this and all lower ones.
    n_up_to: u64,
}

impl Buckets {
    /// Adds a finite value, and says whether there may be too many buckets now.
    #[inline]
    pub(super) fn add(&mut self, value: f64) -> bool {
        self.counts.add(order_of(value) >> self.shift, 1) && self.counts.len() > MOST_COUNTED
    }

    /// The values and their counts, when every bucket is one value.
    pub(super) fn values(&self) -> impl Iterator<Item = (f64, u64)> {
        self.counts.iter().map(|(key, n)| (value_of(key), n))
    }

    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    /// Makes buckets wider until there are few enough.
    #[cold]
    pub(super) fn widen(&mut self) {
        let mut keys: Vec<u64> = self.counts.iter().map(|(key, _)| key).collect();
        keys.sort_unstable();
        // Neighbors fall together once the shift is beyond the highest bit in which they differ.
        let mut n_by_bit = [0_usize; 65];
        for pair in keys.windows(2) {
            n_by_bit[64 - (pair[0] ^ pair[1]).leading_zeros() as usize] += 1;
        }
        let (mut more, mut left) = (0, keys.len());
        while left > MOST_COUNTED {
            more += 1;
            left -= n_by_bit[more];
        }
        self.shift += more as u32;
        let mut wider = Counts::default();
        for (key, n) in self.counts.iter() {
            wider.add(key >> more, n);
        }
        self.counts = wider;
    }

    /// `min` and `max` are those of the values.
    pub(super) fn sorted(&self, min: f64, max: f64) -> Sorted {
        let mut keys: Vec<(u64, u64)> = self.counts.iter().collect();
        keys.sort_unstable();
        let mut n = 0;
        let width = (1_u64 << self.shift) - 1;
        let bound = |key: u64| {
            let value = value_of(key);
            if value.is_nan() { max } else { value.clamp(min, max) }
        };
        let buckets = keys.iter().map(|&(key, count)| {
            n += count;
            let first = key << self.shift;
            Bucket { low: bound(first), high: bound(first | width), n: count, n_up_to: n }
        });
        Sorted { buckets: buckets.collect(), n }
    }
}

impl Sorted {
    /// The quantile at `share` of the values, interpolated between the two that it lies between.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let place = share * (self.n - 1) as f64;
        let (low, high) = (self.value_at(place.floor() as u64), self.value_at(place.ceil() as u64));
        between(low, high, place.fract())
    }

    /// The value of this rank from 0: values of a bucket are taken to lie evenly in it.
    fn value_at(&self, rank: u64) -> f64 {
        let idx = self.buckets.partition_point(|bucket| bucket.n_up_to <= rank);
        let bucket = &self.buckets[idx.min(self.buckets.len() - 1)];
        let within = rank.saturating_sub(bucket.n_up_to - bucket.n) as f64 + 0.5;
        between(bucket.low, bucket.high, (within / bucket.n as f64).min(1.0))
    }

    /// How many values are less than `bound`.
    pub(super) fn n_below(&self, bound: f64) -> f64 {
        let idx = self.buckets.partition_point(|bucket| bucket.high < bound);
        let Some(bucket) = self.buckets.get(idx) else { return self.n as f64 };
        let lower = (bucket.n_up_to - bucket.n) as f64;
        if bound <= bucket.low {
            return lower;
        }
        lower + bucket.n as f64 * ((bound - bucket.low) / (bucket.high - bucket.low)).min(1.0)
    }

    /// How many values are greater than `bound`.
    pub(super) fn n_above(&self, bound: f64) -> f64 {
        let idx = self.buckets.partition_point(|bucket| bucket.high <= bound);
        let Some(bucket) = self.buckets.get(idx) else { return 0.0 };
        let higher = (self.n - bucket.n_up_to) as f64;
        if bound < bucket.low {
            return higher + bucket.n as f64;
        }
        higher + bucket.n as f64 * ((bucket.high - bound) / (bucket.high - bucket.low)).min(1.0)
    }
}

/// Without a difference, which may be beyond the range of f64.
pub(super) fn between(low: f64, high: f64, share: f64) -> f64 {
    if low == high { low } else { low * (1.0 - share) + high * share }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Buckets {
        let mut buckets = Buckets::default();
        for value in values {
            if buckets.add(*value) {
                buckets.widen();
            }
        }
        buckets
    }

    #[test]
    fn buckets_do_not_depend_on_the_order_of_the_values() {
        let mut values: Vec<f64> = (0..50_000).map(|i| f64::from(i * 7919 % 50_021).ln()).collect();
        values[0] = -3.0;
        let one = of(&values);
        values.reverse();
        let other = of(&values);
        assert_eq!(one.shift, other.shift);
        assert!(one.shift > 0 && one.len() <= MOST_COUNTED && one.len() > MOST_COUNTED / 4);
        let sorted = |buckets: &Buckets| {
            let mut keys: Vec<_> = buckets.counts.iter().collect();
            keys.sort_unstable();
            keys
        };
        assert_eq!(sorted(&one), sorted(&other));
    }

    #[test]
    fn few_values_have_exact_quantiles_and_counts() {
        let sorted = of(&[1.0, 2.0, 3.0, 4.0, 10.0]).sorted(1.0, 10.0);
        assert_eq!([0.25, 0.5, 0.75].map(|share| sorted.quantile(share)), [2.0, 3.0, 4.0]);
        assert!((sorted.quantile(0.9) - 7.6).abs() < 1e-12);
        assert_eq!((sorted.n_below(3.0), sorted.n_above(3.0)), (2.0, 2.0));
        assert_eq!((sorted.n_below(3.5), sorted.n_above(3.5)), (3.0, 2.0));
        assert_eq!((sorted.n_below(99.0), sorted.n_above(99.0)), (5.0, 0.0));
    }

    #[test]
    fn quantiles_of_many_values_are_within_a_thousandth() {
        let n = 200_000;
        let values: Vec<f64> = (0..n).map(|i| f64::from(i * 7919 % n) / f64::from(n)).collect();
        let sorted = of(&values).sorted(0.0, 1.0);
        for share in [0.25, 0.5, 0.75, 0.99] {
            assert!((sorted.quantile(share) - share).abs() < 1e-4, "{share}");
            assert!((sorted.n_below(share) / f64::from(n) - share).abs() < 1e-4, "{share}");
        }
    }
}
