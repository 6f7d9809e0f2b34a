//! What a column holds, in one pass and constant memory: moments, quartiles, distinct and frequent values, outliers and shape.
//!
//! Up to 8,192 distinct values everything is exact. Beyond, numbers are counted in buckets that do not depend on the order of the
//! rows, distinct values by HyperLogLog, and frequent values by majority votes.

mod buckets;
mod counts;
mod exact;
mod frequent;
mod identities;
mod numbers;
mod texts;

pub use exact::{Exact, Number};
pub use numbers::Numbers;
pub use texts::Texts;

/// How many distinct values or buckets a column is counted by.
pub const MOST_COUNTED: usize = 8192;

/// What there is to say about a column of numbers, or of texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Description<Value> {
    /// Values that are not NULL.
    pub n: u64,
    pub nulls: u64,
    /// Of n, those that are NaN or infinite, and left out of all that follows.
    pub not_finite: u64,
    pub n_distinct: u64,
    pub min: Option<Value>,
    pub max: Option<Value>,
    /// Whether n_distinct, `top` and all that is counted are exact, and no estimates.
    pub is_exact: bool,
    /// The most frequent values; of equally frequent ones the least first.
    pub top: Vec<(Value, u64)>,
    pub numeric: Option<Numeric>,
}

/// What only numbers have; a moment beyond the range of f64 is None.
#[derive(Debug, Clone, PartialEq)]
pub struct Numeric {
    pub mean: Option<f64>,
    /// Of a sample: the divisor is n - 1.
    pub sd: Option<f64>,
    /// At 25, 50 and 75 %, interpolated as numpy does by default.
    pub quartiles: [f64; 3],
    /// The third standardised moment of the population, as scipy.stats.skew; None for a constant.
    pub skew: Option<f64>,
    /// Further than 3 standard deviations from the mean.
    pub outliers_z: u64,
    /// Further than 1.5 times the distance of the quartiles beyond them.
    pub outliers_iqr: u64,
    /// Counts in equal intervals from the least to the greatest value, as numpy's histogram: a value on an edge belongs to the
    /// interval that begins there, and the last interval has both ends. One interval for a constant.
    pub histogram: Vec<u64>,
}

/// A histogram as a line of digits, which any client can read: 9 for the highest count, 0 for none, and 1 at least for any other.
pub fn sparkline(counts: &[u64]) -> String {
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let height = |count: u64| ((count as f64 / most as f64 * 9.0).ceil() as u32).min(9);
    counts.iter().filter_map(|&count| char::from_digit(height(count), 10)).collect()
}

/// The most frequent first, equal ones by value.
fn most_frequent<V>(
    mut found: Vec<(V, u64)>,
    n: usize,
    order: impl Fn(&V, &V) -> std::cmp::Ordering,
) -> Vec<(V, u64)> {
    found.sort_by(|(a, n_a), (b, n_b)| n_b.cmp(n_a).then_with(|| order(a, b)));
    found.truncate(n);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_shows_every_count_that_is_not_zero() {
        assert_eq!(sparkline(&[0, 1, 50, 100]), "0159");
        assert_eq!(sparkline(&[]), "");
        assert_eq!(sparkline(&[0, 0]), "00");
    }
}
