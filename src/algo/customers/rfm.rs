//! Recency, frequency and monetary value of customers, their quintile scores, and the customary names of the segments.
//!
//! Scores after Hughes, "Strategic Database Marketing" (1994): 5 is best. Customers with equal values have equal scores.

use serde::{Deserialize, Serialize};

use crate::algo::flat_map::{self, FlatMap, Freezer, Word};
use crate::algo::memory::{self, Refused};

use super::{SECONDS_A_DAY, day_of, total};

/// Words of a day (its amount) and of the head (number of purchases, first and last time) of the flat map that is the state of
/// the aggregate.
pub const WIDTH: usize = 1;
pub const HEAD: usize = 3;

/// A customer's purchases. Times are seconds since 1970 UTC, days are UTC days since then.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rfm {
    pub n: u64,
    pub first: Option<f64>,
    pub last: Option<f64>,
    /// The days with purchases in their order, each with the amount of its purchases.
    pub days: Vec<(i32, f64)>,
}

/// What scoring needs of a customer.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Totals {
    pub n: u64,
    pub first: Option<f64>,
    pub last: Option<f64>,
    pub amount: f64,
}

/// How days between two times are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// With their fraction.
    Exact,
    /// As the difference of calendar days (UTC): 0 within a day.
    Day,
}

impl Unit {
    pub const ALL: [(&'static str, Self); 2] = [("exact", Self::Exact), ("day", Self::Day)];

    fn days(self, from: f64, to: f64) -> f64 {
        match self {
            Self::Exact => (to - from) / SECONDS_A_DAY,
            Self::Day => f64::from(day_of(to)) - f64::from(day_of(from)),
        }
    }
}

/// An empty state.
pub fn empty() -> Vec<u8> {
    flat_map::empty(WIDTH, &[0, f64::NAN.to_bits(), f64::NAN.to_bits()])
}

/// The key of a day in a state, so that keys are in the order of days.
pub fn key(day: i32) -> [u8; 4] {
    ((day as u32) ^ (1 << 31)).to_be_bytes()
}

/// Adds an amount to a day of a state.
#[inline]
pub fn add(words: &mut [Word], amount: f64) {
    if let [sum] = words {
        *sum = total(f64::from_le_bytes(*sum), amount).to_le_bytes();
    }
}

/// Counts purchases in the head of a state, from their first to their last time.
#[inline]
pub fn count(state: &mut [u8], n: u64, first: f64, last: f64) {
    let Some(map) = FlatMap::read(state, WIDTH, HEAD) else { return };
    let head = [map.head(0), map.head(1), map.head(2)];
    // f64's min and max take the other one for NaN.
    flat_map::set_head(state, 0, head[0].saturating_add(n));
    flat_map::set_head(state, 1, f64::from_bits(head[1]).min(first).to_bits());
    flat_map::set_head(state, 2, f64::from_bits(head[2]).max(last).to_bits());
}

/// The days of a state and their amounts.
pub fn days<'a>(map: FlatMap<'a>) -> impl Iterator<Item = (i32, f64)> + use<'a> {
    map.iter().filter_map(|(key, words)| {
        let day = u32::from_be_bytes(key.try_into().ok()?) ^ (1 << 31);
        Some((day as i32, f64::from_le_bytes(*words.first()?)))
    })
}

impl Totals {
    pub fn of(map: FlatMap) -> Self {
        let time = |place| Some(f64::from_bits(map.head(place))).filter(|time| !time.is_nan());
        let amount = days(map).fold(0.0, |sum, day| sum + day.1);
        Self { n: map.head(0), first: time(1), last: time(2), amount }
    }

    /// Days from the last purchase to `as_of`; None without a purchase.
    pub fn recency(&self, as_of: f64, unit: Unit) -> Option<f64> {
        self.last.map(|last| unit.days(last, as_of))
    }

    /// Days from the first purchase to `as_of`: T in the literature of customer lifetime value.
    pub fn age(&self, as_of: f64, unit: Unit) -> Option<f64> {
        self.first.map(|first| unit.days(first, as_of))
    }

    /// Days from the first purchase to the last: the recency of the literature of customer lifetime value.
    pub fn span(&self, unit: Unit) -> Option<f64> {
        self.first.zip(self.last).map(|(first, last)| unit.days(first, last))
    }

    /// Mean amount of a purchase; None without one.
    pub fn mean_amount(&self) -> Option<f64> {
        (self.n > 0).then(|| self.amount / self.n as f64)
    }
}

impl Rfm {
    pub fn from_flat(bytes: &[u8]) -> Option<Self> {
        let map = FlatMap::read(bytes, WIDTH, HEAD)?;
        let Totals { n, first, last, .. } = Totals::of(map);
        let mut days: Vec<(i32, f64)> = days(map).collect();
        days.sort_unstable_by_key(|day| day.0);
        Some(Self { n, first, last, days })
    }

    pub fn to_flat(&self) -> Result<Vec<u8>, Refused> {
        let time = |time: Option<f64>| time.unwrap_or(f64::NAN).to_bits();
        let head = [self.n, time(self.first), time(self.last)];
        let mut freezer = Freezer::default();
        for (day, amount) in &self.days {
            freezer.add(&key(*day), [amount.to_bits()].into_iter())?;
        }
        freezer.finish(WIDTH, &head)
    }

    pub fn totals(&self) -> Totals {
        let amount = self.days.iter().fold(0.0, |sum, day| sum + day.1);
        Totals { n: self.n, first: self.first, last: self.last, amount }
    }

    /// Days with purchases after the first one: the frequency of the literature of customer lifetime value.
    pub fn repeat_days(&self) -> u64 {
        self.days.len().saturating_sub(1) as u64
    }

    /// Mean amount of these days; None without one.
    pub fn repeat_amount(&self) -> Option<f64> {
        let repeats = self.days.get(1..).filter(|days| !days.is_empty())?;
        Some(repeats.iter().fold(0.0, |sum, day| sum + day.1) / repeats.len() as f64)
    }

    pub fn check(&self) -> Result<(), String> {
        let ascend = self.days.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let ends = (self.days.first().map(|day| day.0), self.days.last().map(|day| day.0));
        let times = (self.first.map(day_of), self.last.map(day_of));
        let in_order = self.first <= self.last;
        let fits = if self.n == 0 { self.days.is_empty() } else { !self.days.is_empty() };
        if !ascend || ends != times || !in_order || !fits || (self.days.len() as u64) > self.n {
            return Err("its n, first, last and days do not fit together".into());
        }
        let mut times = self.first.iter().chain(&self.last);
        if !self.days.iter().all(|day| day.1.is_finite()) || !times.all(|time| time.is_finite()) {
            return Err("an amount or a time is not a finite number".into());
        }
        Ok(())
    }
}

/// A customer among the others: a score from 1 for each of recency, frequency and monetary value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    pub recency_days: f64,
    pub frequency: u64,
    pub monetary: f64,
    pub r: u32,
    pub f: u32,
    pub m: u32,
    pub segment: &'static str,
}

/// As many scores as there may be.
pub const BINS: std::ops::RangeInclusive<u32> = 2..=100;

/// Scores every customer among all of them in `n_bins` bins; None for one without a purchase. Segments are named by fifths,
/// whatever the bins are.
pub fn score(
    customers: &[Totals],
    as_of: f64,
    n_bins: u32,
) -> Result<Vec<Option<Scored>>, Refused> {
    let active = || customers.iter().filter(|customer| customer.n > 0);
    // Negated, so that a recent purchase scores high.
    let days = |c: &Totals| -c.recency(as_of, Unit::Exact).unwrap_or(0.0);
    let n = active().count();
    let recency = sorted(n, active().map(days))?;
    let frequency = sorted(n, active().map(|c| c.n as f64))?;
    let monetary = sorted(n, active().map(|c| c.amount))?;
    memory::collect(customers.iter().map(|customer| {
        let recency_days = customer.recency(as_of, Unit::Exact)?;
        let scores = |n_bins| {
            [
                bin(&recency, -recency_days, n_bins),
                bin(&frequency, customer.n as f64, n_bins),
                bin(&monetary, customer.amount, n_bins),
            ]
        };
        let fifths = scores(5).map(|fifth| fifth as u8);
        let [r, f, m] = scores(n_bins);
        Some(Scored {
            recency_days,
            frequency: customer.n,
            monetary: customer.amount,
            r,
            f,
            m,
            segment: segment_name(fifths[0], fifths[1], fifths[2]),
        })
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

fn sorted(n: usize, values: impl Iterator<Item = f64>) -> Result<Vec<f64>, Refused> {
    let mut sorted = Vec::new();
    memory::exact_room(&mut sorted, n)?;
    sorted.extend(values);
    sorted.sort_unstable_by(f64::total_cmp);
    Ok(sorted)
}

/// 1 + the number of whole bins of the values that lie below: equal values share a score.
fn bin(sorted: &[f64], value: f64, n_bins: u32) -> u32 {
    let below = sorted.partition_point(|other| *other < value) as u64;
    let bins = u64::from(n_bins);
    1 + (bins * below / sorted.len().max(1) as u64).min(bins - 1) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::flat_map::{Updated, grown, update};
    use proptest::prelude::*;

    fn observe(state: &mut Vec<u8>, day: i32, amount: f64) {
        while update(state, &key(day), |words| add(words, amount)) == Updated::Full {
            *state = grown(state, &key(day)).unwrap();
        }
    }

    fn of(purchases: &[(i32, i32)]) -> Vec<u8> {
        let mut state = empty();
        for (at, amount) in purchases {
            let at = f64::from(*at);
            observe(&mut state, day_of(at), f64::from(*amount));
            count(&mut state, 1, at, at);
        }
        state
    }

    fn merged(a: &[u8], b: &[u8]) -> Vec<u8> {
        let (mut state, other) = (a.to_vec(), FlatMap::read(b, WIDTH, HEAD).unwrap());
        for (day, amount) in days(other) {
            observe(&mut state, day, amount);
        }
        let [first, last] = [other.head(1), other.head(2)].map(f64::from_bits);
        count(&mut state, other.head(0), first, last);
        state
    }

    fn read(state: &[u8]) -> Rfm {
        Rfm::from_flat(state).unwrap()
    }

    fn purchases() -> impl Strategy<Value = Vec<(i32, i32)>> {
        prop::collection::vec((-2_000_000..2_000_000_i32, -50..50_i32), 0..30)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn parts_in_any_order_merge_to_the_whole(a in purchases(), b in purchases(), c in purchases()) {
            let whole = read(&of(&[a.clone(), b.clone(), c.clone()].concat()));
            let (sa, sb, sc) = (of(&a), of(&b), of(&c));
            prop_assert_eq!(&read(&merged(&merged(&sa, &sb), &sc)), &whole);
            prop_assert_eq!(&read(&merged(&sc, &merged(&sb, &sa))), &whole);
            prop_assert_eq!(read(&merged(&empty(), &sa)), read(&sa));
            prop_assert_eq!(read(&merged(&sa, &empty())), read(&sa));
        }

        #[test]
        fn text_and_bytes_give_the_value_back(purchases in purchases()) {
            let value = read(&of(&purchases));
            prop_assert_eq!(value.check(), Ok(()));
            let text = serde_json::to_string(&value).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Rfm>(&text).unwrap(), &value);
            prop_assert_eq!(&read(&value.to_flat().unwrap()), &value);
        }
    }

    #[test]
    fn figures_of_customer_lifetime_value_are_per_day() {
        // Two purchases on the first day, one three and one ten days later, at 18:00.
        let hour = 3600;
        let at = |day: i32, hours: i32| 24 * hour * day + hours * hour;
        let value = read(&of(&[(at(0, 9), 5), (at(0, 20), 7), (at(3, 1), 10), (at(10, 18), 20)]));
        assert_eq!((value.repeat_days(), value.repeat_amount()), (2, Some(15.0)));
        let totals = value.totals();
        assert_eq!((totals.n, totals.amount), (4, 42.0));
        assert_eq!(totals.span(Unit::Day), Some(10.0));
        assert_eq!(totals.span(Unit::Exact), Some(10.375));
        let as_of = f64::from(at(12, 6));
        assert_eq!(totals.recency(as_of, Unit::Day), Some(2.0));
        assert_eq!(totals.recency(as_of, Unit::Exact), Some(1.5));
        assert_eq!(totals.age(as_of, Unit::Day), Some(12.0));
        let one = read(&of(&[(0, 5)]));
        assert_eq!((one.repeat_days(), one.repeat_amount()), (0, None));
    }

    fn customer(last_day: f64, n: u64, amount: f64) -> Totals {
        Totals { n, first: Some(0.0), last: Some(last_day * 86_400.0), amount }
    }

    #[test]
    fn ten_customers_fall_into_fifths_and_into_halves() {
        let customers: Vec<Totals> = (1..=10).map(|i| customer(i as f64, i, i as f64)).collect();
        let scores = |n_bins| -> Vec<u32> {
            let scored = score(&customers, 11.0 * 86_400.0, n_bins).unwrap();
            scored.iter().map(|s| s.unwrap().r).collect()
        };
        assert_eq!(scores(5), [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
        assert_eq!(scores(2), [1, 1, 1, 1, 1, 2, 2, 2, 2, 2]);
        for n_bins in [2, 5, 10] {
            let scored = score(&customers, 11.0 * 86_400.0, n_bins).unwrap();
            assert_eq!(scored[9].unwrap().segment, "champions");
            assert_eq!(scored[0].unwrap().segment, "lost");
        }
    }

    #[test]
    fn equal_customers_score_equally_and_one_without_purchases_not_at_all() {
        let customers = [customer(1.0, 1, 5.0), customer(1.0, 1, 5.0), Totals::default()];
        let scored = score(&customers, 86_400.0, 5).unwrap();
        assert_eq!(scored[0], scored[1]);
        assert_eq!(scored[2], None);
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
