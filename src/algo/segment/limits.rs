//! How much of everything a fit takes.

/// Labels are 16 bits wide inside the fit, and the last value marks a row without one.
pub const MAX_K: usize = 65_535;
pub const MAX_FEATURES: usize = 4_096;
/// Levels of a text column that get an indicator of their own, the most frequent; all others share one more.
pub const MAX_LEVELS: usize = 64;
/// Of a number: above this the sum of the squares of some 1e9 rows would not fit f64.
pub const MAX_MAGNITUDE: f64 = 1e149;
