//! Recency, frequency and monetary value of a customer at a time: of what was bought until then and nothing after.

use serde::{Deserialize, Serialize};

use crate::algo::memory::{self, Refused};

use super::purchases::{self, Purchases, Zone};
use super::{Sum, check_zone, day_of, days_between, utc};

/// A customer's purchases as text. Their zone is null where they are times of a clock on the wall; an amount that is not known is
/// null.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rfm {
    #[serde(default = "utc")]
    pub zone: Option<String>,
    pub purchases: Vec<(i64, Option<f64>)>,
}

/// Timestamps of PostgreSQL, in microseconds since 2000.
const TIMES: std::ops::Range<i64> = -211_813_488_000_000_000..9_223_371_331_200_000_000;

impl Rfm {
    pub fn from_flat(bytes: &[u8]) -> Option<Self> {
        let frozen = purchases::frozen(bytes).ok()??;
        let state = Purchases::read(&frozen)?;
        let zone = state.zone()?.name().map(str::to_owned);
        let known = |(at, amount): (i64, f64)| (at, (!amount.is_nan()).then_some(amount));
        Some(Self { zone, purchases: state.until(i64::MAX).map(known).collect() })
    }

    pub fn to_flat(&self) -> Result<Vec<u8>, Refused> {
        let known = |(at, amount): &(i64, Option<f64>)| (*at, amount.unwrap_or(f64::NAN));
        let mut purchases = memory::collect(self.purchases.iter().map(known))?;
        purchases::pack(self.zone.as_deref().map_or(Zone::Wall, Zone::of), &mut purchases)
    }

    pub fn check(&self) -> Result<(), String> {
        check_zone(self.zone.as_deref())?;
        let is_fine = |(at, amount): &(i64, Option<f64>)| {
            TIMES.contains(at) && amount.is_none_or(f64::is_finite)
        };
        if self.purchases.iter().all(is_fine) {
            return Ok(());
        }
        Err("a time is beyond PostgreSQL's timestamps, or an amount is not a finite number".into())
    }
}

/// How days between two times are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// With their fraction.
    Exact,
    /// As the difference of calendar days: 0 within a day.
    Day,
}

impl Unit {
    pub const ALL: [(&'static str, Self); 2] = [("exact", Self::Exact), ("day", Self::Day)];

    /// Days between two times; `wall` tells what a clock showed at a time.
    fn days(self, from: i64, to: i64, wall: impl Fn(i64) -> i64) -> f64 {
        match self {
            Self::Exact => days_between(from, to),
            Self::Day => f64::from(day_of(wall(to))) - f64::from(day_of(wall(from))),
        }
    }
}

/// What a negative amount is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refunds {
    /// A purchase as any other.
    Count,
    /// No purchase, but less money.
    Net,
    /// Nothing.
    Ignore,
}

impl Refunds {
    pub const ALL: [(&'static str, Self); 3] =
        [("count", Self::Count), ("net", Self::Net), ("ignore", Self::Ignore)];

    fn is_purchase(self, amount: f64) -> bool {
        // One that is not known is NaN, and no refund.
        self == Self::Count || amount.is_nan() || amount >= 0.0
    }

    fn is_money(self, amount: f64) -> bool {
        !amount.is_nan() && (self != Self::Ignore || amount >= 0.0)
    }
}

/// Figures of a customer until a time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Totals {
    /// Purchases, and those of them whose amount is known.
    pub n: u64,
    pub n_known: u64,
    pub first: Option<i64>,
    pub last: Option<i64>,
    pub amount: f64,
}

impl Totals {
    pub fn until(purchases: &Purchases, as_of: i64, refunds: Refunds) -> Self {
        let mut totals = Self::default();
        let mut amounts = Sum::default();
        for (at, amount) in purchases.until(as_of) {
            if refunds.is_purchase(amount) {
                totals.n += 1;
                totals.n_known += u64::from(!amount.is_nan());
                totals.first = totals.first.or(Some(at));
                totals.last = Some(at);
            }
            if refunds.is_money(amount) {
                amounts.add(amount);
            }
        }
        totals.amount = amounts.value();
        totals
    }

    /// Days from the last purchase to `as_of`; None without a purchase.
    pub fn recency(&self, as_of: i64, unit: Unit, wall: impl Fn(i64) -> i64) -> Option<f64> {
        self.last.map(|last| unit.days(last, as_of, wall))
    }

    /// Days from the first purchase to `as_of`: T in the literature of customer lifetime value.
    pub fn age(&self, as_of: i64, unit: Unit, wall: impl Fn(i64) -> i64) -> Option<f64> {
        self.first.map(|first| unit.days(first, as_of, wall))
    }

    /// Days from the first purchase to the last: the recency of the literature of customer lifetime value.
    pub fn span(&self, unit: Unit, wall: impl Fn(i64) -> i64) -> Option<f64> {
        self.first.zip(self.last).map(|(first, last)| unit.days(first, last, wall))
    }

    /// Mean amount of a purchase whose amount is known; None without one.
    pub fn mean_amount(&self) -> Option<f64> {
        (self.n_known > 0).then(|| self.amount / self.n_known as f64)
    }
}

/// Days with purchases after the first such day.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Repeats {
    /// The frequency of the literature of customer lifetime value.
    pub days: u64,
    /// What was bought, and given back, after the first day.
    pub amount: f64,
}

impl Repeats {
    /// `wall` tells what a clock showed at a time.
    pub fn until(
        purchases: &Purchases,
        as_of: i64,
        refunds: Refunds,
        wall: impl Fn(i64) -> i64,
    ) -> Result<Self, Refused> {
        let all = purchases.until(as_of);
        let mut days = Vec::new();
        for (at, amount) in all.clone() {
            let day = day_of(wall(at));
            if refunds.is_purchase(amount) && days.last() != Some(&day) {
                memory::push(&mut days, day)?;
            }
        }
        // Where clocks are put back over midnight, a day comes again.
        days.sort_unstable();
        days.dedup();
        let Some(first) = days.first() else { return Ok(Self::default()) };
        let mut amounts = Sum::default();
        for (at, amount) in all {
            if refunds.is_money(amount) && day_of(wall(at)) > *first {
                amounts.add(amount);
            }
        }
        Ok(Self { days: days.len() as u64 - 1, amount: amounts.value() })
    }

    /// Mean amount of a day; None without one.
    pub fn mean_amount(&self) -> Option<f64> {
        (self.days > 0).then(|| self.amount / self.days as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::customers::MICROSECONDS_A_DAY;
    use crate::algo::customers::purchases::pack;
    use proptest::prelude::*;

    const HOUR: i64 = MICROSECONDS_A_DAY / 24;

    fn at(day: i64, hours: i64) -> i64 {
        (24 * day + hours) * HOUR
    }

    fn of(purchases: &[(i64, f64)]) -> Vec<u8> {
        pack(Zone::Utc, &mut purchases.to_vec()).unwrap()
    }

    fn totals(state: &[u8], as_of: i64, refunds: Refunds) -> Totals {
        Totals::until(&Purchases::read(state).unwrap(), as_of, refunds)
    }

    fn repeats(state: &[u8], as_of: i64, refunds: Refunds) -> (u64, Option<f64>) {
        let state = Purchases::read(state).unwrap();
        let repeats = Repeats::until(&state, as_of, refunds, |at| at).unwrap();
        (repeats.days, repeats.mean_amount())
    }

    #[test]
    fn figures_of_customer_lifetime_value_are_per_day() {
        // Two purchases on the first day, one three and one ten days later, at 18:00.
        let state = of(&[(at(0, 9), 5.0), (at(0, 20), 7.0), (at(3, 1), 10.0), (at(10, 18), 20.0)]);
        assert_eq!(repeats(&state, i64::MAX, Refunds::Count), (2, Some(15.0)));
        let as_of = at(12, 6);
        let totals = totals(&state, as_of, Refunds::Count);
        let wall = |at| at;
        assert_eq!((totals.n, totals.amount), (4, 42.0));
        assert_eq!(totals.span(Unit::Day, wall), Some(10.0));
        assert_eq!(totals.span(Unit::Exact, wall), Some(10.375));
        assert_eq!(totals.recency(as_of, Unit::Day, wall), Some(2.0));
        assert_eq!(totals.recency(as_of, Unit::Exact, wall), Some(1.5));
        assert_eq!(totals.age(as_of, Unit::Day, wall), Some(12.0));
        assert_eq!(repeats(&of(&[(0, 5.0)]), i64::MAX, Refunds::Count), (0, None));
    }

    #[test]
    fn what_is_after_a_time_does_not_count_and_what_is_at_it_does() {
        let state = of(&[(at(0, 9), 5.0), (at(0, 20), 7.0), (at(3, 1), 10.0)]);
        let before = totals(&state, at(0, 20) - 1, Refunds::Count);
        assert_eq!((before.n, before.last, before.amount), (1, Some(at(0, 9)), 5.0));
        let then = totals(&state, at(0, 20), Refunds::Count);
        assert_eq!((then.n, then.last, then.amount), (2, Some(at(0, 20)), 12.0));
        assert_eq!(repeats(&state, at(3, 0), Refunds::Count), (0, None));
        let none = totals(&state, at(0, 0), Refunds::Count);
        assert_eq!(none, Totals::default());
        assert_eq!(none.recency(at(0, 0), Unit::Exact, |at| at), None);
    }

    #[test]
    fn refunds_are_purchases_or_less_money_or_nothing() {
        let state = of(&[(at(0, 0), 50.0), (at(2, 0), 20.0), (at(5, 0), -20.0)]);
        let figures = |refunds| {
            let totals = totals(&state, i64::MAX, refunds);
            (totals.n, totals.last, totals.amount, repeats(&state, i64::MAX, refunds))
        };
        assert_eq!(figures(Refunds::Count), (3, Some(at(5, 0)), 50.0, (2, Some(0.0))));
        assert_eq!(figures(Refunds::Net), (2, Some(at(2, 0)), 50.0, (1, Some(0.0))));
        assert_eq!(figures(Refunds::Ignore), (2, Some(at(2, 0)), 70.0, (1, Some(20.0))));
    }

    #[test]
    fn a_purchase_of_an_unknown_amount_is_one() {
        let state = of(&[(at(0, 0), 50.0), (at(2, 0), f64::NAN)]);
        for refunds in [Refunds::Count, Refunds::Net, Refunds::Ignore] {
            let totals = totals(&state, i64::MAX, refunds);
            assert_eq!((totals.n, totals.last, totals.amount), (2, Some(at(2, 0)), 50.0));
            assert_eq!(totals.mean_amount(), Some(50.0));
        }
        assert_eq!(totals(&of(&[(0, f64::NAN)]), 0, Refunds::Count).mean_amount(), None);
    }

    #[test]
    fn equal_amounts_in_another_order_are_an_equal_sum() {
        let sum = |amounts: [f64; 4]| {
            let purchases: Vec<_> = (0..).zip(amounts).collect();
            totals(&of(&purchases), i64::MAX, Refunds::Count).amount
        };
        assert_eq!(sum([0.1, 0.2, 0.3, 1e16]), sum([1e16, 0.3, 0.2, 0.1]));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn figures_see_nothing_after_their_time(
            purchases in prop::collection::vec((-99..99_i64, -9..9_i32), 0..30), as_of in -99..99_i64,
        ) {
            let all: Vec<_> = purchases.iter().map(|(day, x)| (at(*day, 5), f64::from(*x))).collect();
            let before: Vec<_> = all.iter().copied().filter(|one| one.0 <= at(as_of, 5)).collect();
            for (_, refunds) in Refunds::ALL {
                let (all, before) = (of(&all), of(&before));
                prop_assert_eq!(totals(&all, at(as_of, 5), refunds), totals(&before, i64::MAX, refunds));
                prop_assert_eq!(repeats(&all, at(as_of, 5), refunds), repeats(&before, i64::MAX, refunds));
            }
        }

        #[test]
        fn text_and_bytes_give_the_value_back(
            purchases in prop::collection::vec((-99..99_i64, prop::option::of(-9..9_i32)), 0..30),
        ) {
            let purchases = purchases.iter().map(|(at, x)| (*at, x.map(f64::from))).collect();
            let value = Rfm { zone: Some("Asia/Tokyo".into()), purchases };
            prop_assert_eq!(value.check(), Ok(()));
            let bytes = value.to_flat().unwrap();
            let sorted = Rfm::from_flat(&bytes).unwrap();
            let text = serde_json::to_string(&sorted).unwrap();
            let again = serde_json::from_str::<Rfm>(&text).unwrap();
            prop_assert_eq!(&again, &sorted);
            prop_assert_eq!(again.to_flat().unwrap(), bytes);
        }
    }
}
