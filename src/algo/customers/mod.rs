//! What a customer did, from events: mergeable values with a day as their unit of time.

pub mod behaviour;
pub mod rfm;

/// The UTC day of a time, both counted from 1970.
pub fn day_of(seconds: f64) -> i32 {
    (seconds / SECONDS_A_DAY).floor() as i32
}

/// The sum of two amounts. It stays at the greatest float where it would leave their range: a value holds finite numbers.
#[inline]
fn total(a: f64, b: f64) -> f64 {
    (a + b).clamp(f64::MIN, f64::MAX)
}

pub const SECONDS_A_DAY: f64 = 86_400.0;
