//! A column of numbers. Values are taken in batches, so that one column's tables are in the cache at a time.

use crate::algo::standardise::stats::{self, PARTS, Part};

use super::buckets::{Buckets, Sorted, between};
use super::exact::{Exact, Number};
use super::identities::Identities;
use super::{Description, Numeric, most_frequent};
use crate::algo::float_order::order_of;

const BATCH: usize = 1024;

#[derive(Debug)]
pub struct Numbers {
    batch: Vec<f64>,
    nulls: u64,
    not_finite: u64,
    /// As of [`stats`], of one feature.
    moments: [f64; PARTS],
    buckets: Buckets,
    /// From when the buckets do not tell all values apart: they are wider than one float, or a float is not the number.
    identities: Option<Box<Identities<Number>>>,
    /// The least and the greatest of the numbers that are no floats.
    range: Option<(Number, Number)>,
    /// Those of the others.
    float_range: (f64, f64),
}

impl Default for Numbers {
    fn default() -> Self {
        let mut moments = [0.0; PARTS];
        stats::clear(&mut moments);
        Self {
            batch: Vec::with_capacity(BATCH),
            nulls: 0,
            not_finite: 0,
            moments,
            buckets: Buckets::default(),
            identities: None,
            range: None,
            float_range: (f64::INFINITY, f64::NEG_INFINITY),
        }
    }
}

impl Numbers {
    pub fn add_null(&mut self) {
        self.nulls += 1;
    }

    /// Adds a value, which may be NaN or infinite.
    #[inline]
    pub fn add(&mut self, value: f64) {
        if !value.is_finite() {
            self.not_finite += 1;
            return;
        }
        self.batch.push(value);
        if self.batch.len() == BATCH {
            self.flush();
        }
    }

    /// Adds a bigint or a time, whose nearest float is not the number.
    pub fn add_whole(&mut self, value: f64, whole: i64) {
        self.add_number(Number { value, exact: Some(Exact::Whole(whole)) });
    }

    /// Adds a decimal, which its nearest float may be, or may not be.
    pub fn add_decimal(&mut self, value: f64, text: &str) {
        let number = Number::decimal(value, text);
        if number.exact.is_some() && value.is_finite() {
            self.add_number(number);
        } else {
            self.add(value);
        }
    }

    #[cold]
    fn add_number(&mut self, number: Number) {
        self.flush();
        stats::observe(&mut self.moments, &[number.value]);
        let identities = self.identities.get_or_insert_with(|| Box::new(identities(&self.buckets)));
        identities.add(number.key(), 1, || number.clone());
        if self.buckets.add(number.value) {
            self.buckets.widen();
        }
        let (min, max) = self.range.get_or_insert_with(|| (number.clone(), number.clone()));
        if number.order(min).is_lt() {
            *min = number;
        } else if number.order(max).is_gt() {
            *max = number;
        }
    }

    fn flush(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        if let Some(moments) = moments_of(&batch) {
            stats::merge(&mut self.moments, &moments);
            let (min, max) = &mut self.float_range;
            *min = min.min(moments[Part::Min as usize]);
            *max = max.max(moments[Part::Max as usize]);
        }
        for &value in &batch {
            let is_too_many = self.buckets.add(value);
            if let Some(identities) = &mut self.identities {
                identities.add(order_of(value), 1, || value.into());
            }
            if is_too_many {
                self.widen();
            }
        }
        self.batch = batch;
        self.batch.clear();
    }

    #[cold]
    fn widen(&mut self) {
        self.identities.get_or_insert_with(|| Box::new(identities(&self.buckets)));
        self.buckets.widen();
    }

    /// The least and the greatest number; those of no number are not asked for.
    fn whole_range(&self) -> (Number, Number) {
        let (min, max) = (Number::from(self.float_range.0), Number::from(self.float_range.1));
        match &self.range {
            None => (min, max),
            Some((least, greatest)) => (
                if least.order(&min).is_lt() { least.clone() } else { min },
                if greatest.order(&max).is_gt() { greatest.clone() } else { max },
            ),
        }
    }

    pub fn describe(mut self, n_bins: usize, n_top: usize) -> Description<Number> {
        self.flush();
        let n = self.moments[Part::Count as usize];
        let (min, max) = self.whole_range();
        let numeric = (n > 0.0).then(|| {
            let sorted = self.buckets.sorted(min.value, max.value);
            self.numeric(&sorted, min.value, max.value, n_bins)
        });
        let identities = self.identities.take();
        let is_exact = identities.as_ref().is_none_or(|identities| identities.is_exact());
        let (n_distinct, top) = match identities {
            None => {
                let values = self.buckets.values().map(|(value, n)| (value.into(), n));
                (self.buckets.len() as u64, values.collect())
            }
            Some(identities) => (identities.n_distinct().min(n as u64), identities.found()),
        };
        Description {
            n: n as u64 + self.not_finite,
            nulls: self.nulls,
            not_finite: self.not_finite,
            n_distinct,
            is_exact,
            min: (n > 0.0).then_some(min),
            max: (n > 0.0).then_some(max),
            top: most_frequent(top, n_top, Number::order),
            numeric,
        }
    }

    fn numeric(&self, sorted: &Sorted, min: f64, max: f64, n_bins: usize) -> Numeric {
        let of = |part: Part| self.moments[part as usize];
        let (n, m2) = (of(Part::Count), of(Part::M2));
        let finite = |x: f64| Some(x).filter(|x| x.is_finite());
        let mean = finite(of(Part::Mean));
        let sd = if n > 1.0 { finite((m2 / (n - 1.0)).sqrt()) } else { None };
        let skew = of(Part::M3) / n / (m2 / n).powf(1.5);
        let quartiles = [0.25, 0.5, 0.75].map(|share| sorted.quantile(share));
        let reach = 1.5 * (quartiles[2] - quartiles[0]);
        let outside =
            |low: f64, high: f64| (sorted.n_below(low) + sorted.n_above(high)).round() as u64;
        let outliers_z = match (mean, sd) {
            (Some(mean), Some(sd)) if sd > 0.0 => outside(mean - 3.0 * sd, mean + 3.0 * sd),
            _ => 0,
        };
        Numeric {
            mean,
            sd,
            quartiles,
            skew: if m2 > 0.0 { finite(skew) } else { None },
            outliers_z,
            outliers_iqr: outside(quartiles[0] - reach, quartiles[2] + reach),
            histogram: histogram(sorted, min, max, n_bins),
        }
    }
}

/// The values of buckets that hold one each.
fn identities(buckets: &Buckets) -> Identities<Number> {
    let mut identities = Identities::default();
    for (value, n) in buckets.values() {
        identities.add(order_of(value), n, || value.into());
    }
    identities
}

fn histogram(sorted: &Sorted, min: f64, max: f64, n_bins: usize) -> Vec<u64> {
    let n_bins = if min == max { 1 } else { n_bins };
    let step = (max - min) / n_bins as f64;
    let edge = |bin: usize| match step.is_normal() {
        // The very edges of numpy.linspace, to the last digit.
        true => min + bin as f64 * step,
        false => between(min, max, bin as f64 / n_bins as f64),
    };
    let mut counted = 0;
    // Counts up to each edge are rounded, so that the bins add up to n.
    let up_to = |bin: usize| if bin == n_bins { f64::INFINITY } else { edge(bin) };
    (1..=n_bins)
        .map(|bin| {
            let n = sorted.n_below(up_to(bin)).round() as u64;
            n - std::mem::replace(&mut counted, n)
        })
        .collect()
}

/// The moments of a batch by two passes over it, which takes no division a value.
fn moments_of(batch: &[f64]) -> Option<[f64; PARTS]> {
    let first = *batch.first()?;
    let n = batch.len() as f64;
    // From the first value, so that a constant is its own mean, to the bit.
    let mean = first + batch.iter().map(|x| x - first).sum::<f64>() / n;
    let (mut m2, mut m3, mut m4, mut left) = (0.0, 0.0, 0.0, 0.0);
    let (mut min, mut max) = (first, first);
    for x in batch {
        let delta = x - mean;
        let square = delta * delta;
        left += delta;
        m2 += square;
        m3 += square * delta;
        m4 += square * square;
        min = if *x < min { *x } else { min };
        max = if *x > max { *x } else { max };
    }
    // By this much the mean is off, as a float has no more digits: the moments are moved to the right one.
    let off = left / n;
    if off.is_finite() {
        m4 += -4.0 * off * m3 + 6.0 * off * off * m2 - 3.0 * n * off.powi(4);
        m3 += -3.0 * off * m2 + 2.0 * n * off.powi(3);
        m2 = (m2 - n * off * off).max(0.0);
    }
    let low = if off.is_finite() { off } else { 0.0 };
    Some([n, 0.0, mean, m2, m3, m4, min, max, low])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(values: impl IntoIterator<Item = f64>) -> Description<Number> {
        let mut numbers = Numbers::default();
        values.into_iter().for_each(|value| numbers.add(value));
        numbers.describe(4, 2)
    }

    #[test]
    fn few_values_are_described_exactly() {
        let d = described([1.0, 2.0, 2.0, 3.0, 100.0, f64::NAN]);
        assert_eq!((d.n, d.not_finite, d.n_distinct), (6, 1, 4));
        assert_eq!(d.top, [(2.0.into(), 2), (1.0.into(), 1)]);
        assert!(d.is_exact);
        let numeric = d.numeric.unwrap();
        assert_eq!(numeric.mean, Some(21.6));
        assert_eq!(numeric.quartiles, [2.0, 2.0, 3.0]);
        assert_eq!((numeric.outliers_z, numeric.outliers_iqr), (0, 1));
        assert_eq!(numeric.histogram, [4, 0, 0, 1]);
        // scipy.stats.skew([1, 2, 2, 3, 100])
        assert!((numeric.skew.unwrap() - 1.499_024_187).abs() < 1e-6, "{:?}", numeric.skew);
    }

    #[test]
    fn a_constant_has_no_spread_no_skew_and_no_outliers() {
        let numeric = described(std::iter::repeat_n(0.1, 3000)).numeric.unwrap();
        assert_eq!((numeric.mean, numeric.sd, numeric.skew), (Some(0.1), Some(0.0), None));
        assert_eq!((numeric.outliers_z, numeric.outliers_iqr), (0, 0));
        assert_eq!(numeric.histogram, [3000]);
    }

    #[test]
    fn deviations_keep_their_digits_far_from_zero_and_beyond_one_batch() {
        // statistics.stdev of the offsets alone, each 1000 times; a first value far from the others is no base for them.
        let values = (0..4000).map(|i| 1.7e12 + [0.0, 1.0, 3.0, 4.3][i % 4]);
        let sd = described(values).numeric.unwrap().sd.unwrap();
        assert!((sd - 1.678_580_867_9).abs() < 1e-6, "{sd}");
        let values = (0..1000).map(|i| 1.7e12 + f64::from(i % 3)).chain([0.0]);
        let numeric = described(values).numeric.unwrap();
        // By the definition over exact fractions.
        assert!((numeric.sd.unwrap() / 53_731_861_005.517_76 - 1.0).abs() < 1e-13, "{numeric:?}");
    }

    #[test]
    fn no_value_and_one_value_are_described() {
        assert_eq!(described([]).numeric, None);
        let d = described([5.0]);
        assert_eq!((d.min, d.max), (Some(5.0.into()), Some(5.0.into())));
        assert_eq!(d.numeric.unwrap().sd, None);
        let greatest = described([f64::MAX, f64::MIN, 0.0]);
        assert_eq!(greatest.numeric.unwrap().histogram, [1, 0, 1, 1]);
    }

    #[test]
    fn many_values_are_described_within_a_thousandth_and_in_any_order() {
        let n = 100_000;
        let mut values: Vec<f64> =
            (0..n).map(|i| (f64::from(i * 7919 % n) + 0.5) / f64::from(n)).collect();
        values.extend(std::iter::repeat_n(0.25, 2_000));
        let d = described(values.iter().copied());
        assert!(d.n_distinct.abs_diff(100_000) < 2_500, "{}", d.n_distinct);
        assert!(!d.is_exact);
        assert_eq!(d.top[0].0, 0.25.into());
        assert!(d.top[0].1.abs_diff(2_000) < 150, "{:?}", d.top);
        let numeric = d.numeric.clone().unwrap();
        assert!((numeric.quartiles[1] - 0.49).abs() < 1e-3, "{:?}", numeric.quartiles);
        assert_eq!(numeric.histogram.iter().sum::<u64>(), 102_000);
        values.reverse();
        let again = described(values).numeric.unwrap();
        assert_eq!(again.quartiles, numeric.quartiles);
        assert_eq!(again.histogram, numeric.histogram);
    }

    #[test]
    fn a_value_on_an_edge_belongs_to_the_bin_that_begins_there() {
        // numpy.histogram(values, bins)
        let histogram = |values: &[f64], bins: usize| {
            let mut numbers = Numbers::default();
            values.iter().for_each(|&value| numbers.add(value));
            numbers.describe(bins, 0).numeric.unwrap().histogram
        };
        let to_six = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(histogram(&to_six, 10), [1, 0, 1, 0, 1, 0, 1, 0, 1, 1]);
        assert_eq!(histogram(&to_six, 5), [1, 1, 1, 1, 2]);
        let tenths: Vec<f64> = (0..=10).map(|i| f64::from(i) / 10.0).collect();
        assert_eq!(histogram(&tenths, 10), [1, 1, 2, 0, 1, 2, 1, 0, 1, 2]);
    }

    #[test]
    fn numbers_that_are_no_floats_keep_their_identity() {
        let first = (1_i64 << 53) - 3;
        let mut numbers = Numbers::default();
        for i in 0..3000 {
            let whole = first + i % 1000;
            if whole < 1 << 53 {
                numbers.add(whole as f64)
            } else {
                numbers.add_whole(whole as f64, whole)
            }
        }
        let d = numbers.describe(4, 1000);
        assert_eq!((d.n, d.n_distinct, d.is_exact), (3000, 1000, true));
        assert!(d.top.iter().all(|(_, n)| *n == 3) && d.top.len() == 1000);
        assert_eq!(d.min, Some((first as f64).into()));
        assert_eq!(d.max.unwrap().exact, Some(Exact::Whole(first + 999)));
        // Too many to count each: the ids are told apart even so.
        let mut numbers = Numbers::default();
        for i in 0..20_000_i64 {
            let whole = if i % 10 == 0 { i64::MAX - 7 } else { i64::MAX - 1_000_000 + i };
            numbers.add_whole(whole as f64, whole);
        }
        let d = numbers.describe(4, 1);
        assert!(d.n_distinct.abs_diff(18_001) < 500 && !d.is_exact, "{}", d.n_distinct);
        assert_eq!(d.top[0].0.exact, Some(Exact::Whole(i64::MAX - 7)));
        assert_eq!(d.min.unwrap().exact, Some(Exact::Whole(i64::MAX - 999_999)));
    }

    #[test]
    fn outliers_of_many_values_are_counted_to_a_bucket() {
        let mut values: Vec<f64> = (0..50_000).map(|i| f64::from(i % 20_011) / 20_011.0).collect();
        values.extend((0..500).map(|i| 50.0 + f64::from(i)));
        let numeric = described(values).numeric.unwrap();
        assert_eq!(numeric.outliers_iqr, 500);
    }
}
