//! Recency, frequency and monetary value of customers, their quintile scores, and the customary names of the segments.
//!
//! Scores after Hughes, "Strategic Database Marketing" (1994): 5 is best. Customers with equal values have equal scores.

use serde::{Deserialize, Serialize};

/// What a customer's purchases come to. Times are seconds since 1970 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rfm {
    pub n: u64,
    pub first: Option<f64>,
    pub last: Option<f64>,
    pub amount: f64,
}

impl Rfm {
    pub const EMPTY: Self = Self { n: 0, first: None, last: None, amount: 0.0 };

    pub fn observe(&mut self, at: f64, amount: f64) {
        self.merge(&Self { n: 1, first: Some(at), last: Some(at), amount });
    }

    pub fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.first = extreme(self.first, other.first, f64::min);
        self.last = extreme(self.last, other.last, f64::max);
        self.amount += other.amount;
    }

    /// Days from the last purchase to `as_of`; None without a purchase.
    pub fn recency(&self, as_of: f64) -> Option<f64> {
        self.last.map(|last| (as_of - last) / 86_400.0)
    }

    /// Mean amount of a purchase; None without one.
    pub fn mean_amount(&self) -> Option<f64> {
        (self.n > 0).then(|| self.amount / self.n as f64)
    }

    pub fn check(&self) -> Result<(), String> {
        let has_times = self.first.is_some() && self.last.is_some();
        let has_no_times = self.first.is_none() && self.last.is_none();
        if self.n > 0 && !has_times || self.n == 0 && !has_no_times || self.first > self.last {
            return Err("its n, first and last do not fit together".into());
        }
        if !self.amount.is_finite() {
            Err("its amount is not a finite number".into())
        } else {
            Ok(())
        }
    }
}

/// A customer among the others: 1 to 5 for each of recency, frequency and monetary value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    pub recency_days: f64,
    pub frequency: u64,
    pub monetary: f64,
    pub r: u8,
    pub f: u8,
    pub m: u8,
    pub segment: &'static str,
}

/// Scores every customer among all of them; None for one without a purchase.
pub fn score(customers: &[Rfm], as_of: f64) -> Vec<Option<Scored>> {
    let active: Vec<&Rfm> = customers.iter().filter(|customer| customer.n > 0).collect();
    // Negated, so that a recent purchase scores high.
    let recency = sorted(active.iter().map(|c| -c.recency(as_of).unwrap_or(0.0)));
    let frequency = sorted(active.iter().map(|c| c.n as f64));
    let monetary = sorted(active.iter().map(|c| c.amount));
    customers
        .iter()
        .map(|customer| {
            let recency_days = customer.recency(as_of)?;
            let r = quintile(&recency, -recency_days);
            let f = quintile(&frequency, customer.n as f64);
            let m = quintile(&monetary, customer.amount);
            let segment = segment_name(r, f, m);
            Some(Scored {
                recency_days,
                frequency: customer.n,
                monetary: customer.amount,
                r,
                f,
                m,
                segment,
            })
        })
        .collect()
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

fn extreme(a: Option<f64>, b: Option<f64>, pick: fn(f64, f64) -> f64) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(pick(a, b)),
        (a, b) => a.or(b),
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// 1 + the number of whole fifths of the values that lie below: equal values share a score.
fn quintile(sorted: &[f64], value: f64) -> u8 {
    let below = sorted.partition_point(|other| *other < value);
    1 + (5 * below / sorted.len().max(1)).min(4) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn customer(last_day: f64, n: u64, amount: f64) -> Rfm {
        Rfm { n, first: Some(0.0), last: Some(last_day * 86_400.0), amount }
    }

    #[test]
    fn merging_equals_observing_all() {
        let (mut a, mut b, mut all) = (Rfm::EMPTY, Rfm::EMPTY, Rfm::EMPTY);
        for i in 0..10 {
            let (at, amount) = (f64::from(i * 31 % 7), f64::from(i));
            if i < 4 {
                a.observe(at, amount)
            } else {
                b.observe(at, amount)
            }
            all.observe(at, amount);
        }
        a.merge(&b);
        assert_eq!(a, all);
        a.merge(&Rfm::EMPTY);
        assert_eq!(a, all);
    }

    #[test]
    fn ten_customers_fall_into_fifths() {
        let customers: Vec<Rfm> = (1..=10).map(|i| customer(i as f64, i, i as f64)).collect();
        let scores: Vec<u8> =
            score(&customers, 11.0 * 86_400.0).iter().map(|s| s.unwrap().r).collect();
        assert_eq!(scores, [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
        assert_eq!(score(&customers, 11.0 * 86_400.0)[9].unwrap().segment, "champions");
        assert_eq!(score(&customers, 11.0 * 86_400.0)[0].unwrap().segment, "lost");
    }

    #[test]
    fn equal_customers_score_equally_and_one_without_purchases_not_at_all() {
        let scored = score(&[customer(1.0, 1, 5.0), customer(1.0, 1, 5.0), Rfm::EMPTY], 86_400.0);
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
