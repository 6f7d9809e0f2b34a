//! What a customer did, from events: mergeable values. Times are microseconds since 2000-01-01, as PostgreSQL counts them.

pub mod behaviour;
pub mod purchases;
pub mod rfm;
pub mod scores;

/// The calendar day of a time, counted from 1970.
#[inline]
pub fn day_of(at: i64) -> i32 {
    const DAYS_TO_2000: i64 = 10_957;
    (at.div_euclid(MICROSECONDS_A_DAY) + DAYS_TO_2000) as i32
}

/// Days from one time to another, with their fraction.
pub fn days_between(from: i64, to: i64) -> f64 {
    (i128::from(to) - i128::from(from)) as f64 / MICROSECONDS_A_DAY as f64
}

/// The sum of two amounts. It stays at the greatest float where it would leave their range: a value holds finite numbers.
#[inline]
fn total(a: f64, b: f64) -> f64 {
    (a + b).clamp(f64::MIN, f64::MAX)
}

/// The zone of a value whose text does not tell it.
fn utc() -> Option<String> {
    Some(purchases::UTC.to_owned())
}

/// Whether this may be the name of a time zone; the server knows whether it is one.
fn check_zone(zone: Option<&str>) -> Result<(), String> {
    use purchases::MAX_ZONE_BYTES as MOST;
    match zone {
        Some(zone) if !(1..=MOST).contains(&zone.len()) || zone.contains('\0') => {
            Err(format!("the name of a time zone has 1 to {MOST} bytes"))
        }
        _ => Ok(()),
    }
}

pub const MICROSECONDS_A_DAY: i64 = 86_400_000_000;

/// A sum that keeps what each addition rounds off (Neumaier 1974), so that equal amounts in another order are an equal sum.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    #[inline]
    fn add(&mut self, amount: f64) {
        let sum = self.sum + amount;
        if !sum.is_finite() {
            *self = Self { sum: total(self.sum, amount), lost: 0.0 };
            return;
        }
        let (large, small) =
            if self.sum.abs() < amount.abs() { (amount, self.sum) } else { (self.sum, amount) };
        self.lost += (large - sum) + small;
        self.sum = sum;
    }

    fn value(self) -> f64 {
        total(self.sum, self.lost)
    }
}
