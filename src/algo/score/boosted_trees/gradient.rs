//! The log-loss, its gradients and curvatures, from the log-odds of the rows.
//!
//! The exponential and the logarithm are our own, as those of the system's library differ in their last bits from processor to
//! processor, and a split may hang on them. Gradients are rounded to whole numbers up or down by chance, so that what is too small for
//! the unit is right on average. The chance hangs on the seed, the tree and the row alone.

use multiversion::multiversion;

use super::histogram::{MAX_CURVE, MAX_GRADIENT, word};

/// What counts of a row.
#[derive(Debug, Clone, Copy)]
pub struct ClassWeights {
    pub negative: f32,
    pub positive: f32,
}

impl ClassWeights {
    fn largest(self) -> f32 {
        self.negative.max(self.positive)
    }

    /// What one unit of a histogram's gradients and one of its curvatures are.
    pub fn units(self) -> (f64, f64) {
        let largest = f64::from(self.largest());
        (largest / f64::from(MAX_GRADIENT - 1), 0.25 * largest / f64::from(MAX_CURVE - 1))
    }
}

/// The words of some rows, the first of which has the number `first`.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub fn words(
    scores: &[f32],
    labels: &[u8],
    weights: ClassWeights,
    (key, first): (u32, u32),
    words: &mut [u64],
) {
    let (gradient_unit, curve_unit) = weights.units();
    let (per_gradient, per_curve) = (1.0 / gradient_unit as f32, 1.0 / curve_unit as f32);
    for (i, ((to, score), label)) in words.iter_mut().zip(scores).zip(labels).enumerate() {
        let is_positive = *label != 0;
        let e = exp(-score.abs());
        let share = 1.0 / (1.0 + e);
        let rest = e * share;
        let probability = if *score >= 0.0 { share } else { rest };
        let weight = if is_positive { weights.positive } else { weights.negative };
        let gradient = if is_positive { probability - 1.0 } else { probability };
        let chance = scattered(key, first.wrapping_add(i as u32));
        // Of the chance the lower half is for one and the upper half for the other.
        let lower = (chance & 0xFFFF) as i32 as f32 * (1.0 / 65536.0);
        let upper = (chance >> 16) as i32 as f32 * (1.0 / 65536.0);
        // Up to 1 is added, and what is cut off is the part behind the point of a number that is not negative.
        let offset = MAX_GRADIENT as f32;
        let gradient = gradient * weight * per_gradient + offset + lower;
        let curve = share * rest * weight * per_curve + upper;
        *to = word(gradient as i32 - MAX_GRADIENT, curve as i32 as u32);
    }
}

/// Two bits that look drawn for each of the result.
#[inline(always)]
fn scattered(key: u32, row: u32) -> u32 {
    // The finaliser of MurmurHash3, of a Weyl sequence.
    let mut z = row.wrapping_mul(0x9E37_79B9) ^ key;
    z = (z ^ (z >> 16)).wrapping_mul(0x85EB_CA6B);
    z = (z ^ (z >> 13)).wrapping_mul(0xC2B2_AE35);
    z ^ (z >> 16)
}

/// e to a power from -80 to 0, to 1e-7; below that as at -80.
#[inline(always)]
fn exp(x: f32) -> f32 {
    let x = x.max(-80.0);
    // x = n ln 2 + r with |r| at most half of ln 2. Adding and taking away the large number rounds.
    const ROUNDING: f32 = 12_582_912.0;
    let n = (x * std::f32::consts::LOG2_E + ROUNDING) - ROUNDING;
    let r = (x - n * 0.693_359_4) + n * 2.121_944_4e-4;
    let series = 1.0
        + r * (1.0
            + r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r / 720.0)))));
    let power = f32::from_bits(((n as i32 + 127) as u32) << 23);
    series * power
}

/// ln(1 + e^-|x|) + what of the log-loss is a line: the loss of one row.
pub fn loss(score: f32, is_positive: bool) -> f64 {
    let wrong = f64::from(if is_positive { -score } else { score });
    // ln v = 2 (z + z³/3 + z⁵/5 + ...) with z = (v - 1) / (v + 1), which is at most a third.
    let e = f64::from(exp(-score.abs()));
    let z = e / (2.0 + e);
    let square = z * z;
    let series = (0..12).rev().fold(0.0, |sum, k| sum * square + 1.0 / f64::from(2 * k + 1));
    wrong.max(0.0) + 2.0 * z * series
}

/// The log-odds of a share of so many rows, right to 2^-20, which is far coarser than what libraries differ in.
pub fn log_odds(positive: f64, negative: f64) -> f64 {
    let steps = f64::from(1 << 20);
    ((positive / negative).ln() * steps).round() / steps
}

#[cfg(test)]
mod tests {
    use super::super::histogram::Totals;
    use super::*;

    #[test]
    fn exponential_and_loss_are_those_of_the_library() {
        for step in 0..=8000 {
            let x = -f64::from(step) / 100.0;
            let found = f64::from(exp(x as f32));
            assert!((found / f64::from(x as f32).exp() - 1.0).abs() < 3e-7, "{x}: {found}");
        }
        for step in -3000..=3000 {
            let score = step as f32 / 100.0;
            let expected = (1.0 + f64::from(-score.abs()).exp()).ln();
            let found = loss(score, true) - f64::from((-score).max(0.0));
            assert!((found - expected).abs() < 2e-7, "{score}: {found} instead of {expected}");
        }
    }

    #[test]
    fn gradients_are_right_on_average_and_within_their_fields() {
        let n = 10_000;
        for (score, label) in [(0.0, 1), (-9.0, 0), (9.0, 0), (3.0, 1), (-80.0, 1), (80.0, 1)] {
            for weights in [
                ClassWeights { negative: 1.0, positive: 1.0 },
                ClassWeights { negative: 0.5, positive: 30.0 },
            ] {
                let mut found = vec![0; n];
                words(&vec![score; n], &vec![label; n], weights, (7, 0), &mut found);
                let totals: Vec<Totals> = found.iter().map(|word| Totals::of(*word)).collect();
                assert!(totals.iter().all(|totals| totals.rows == 1
                    && (0..=i64::from(MAX_CURVE)).contains(&totals.curve)
                    && totals.gradient.abs() <= i64::from(MAX_GRADIENT)));
                let sum = totals.into_iter().fold(Totals::default(), Totals::plus);
                let (gradient_unit, curve_unit) = weights.units();
                let p = 1.0 / (1.0 + f64::from(-score).exp());
                let weight =
                    f64::from(if label == 1 { weights.positive } else { weights.negative });
                let gradient = sum.gradient as f64 * gradient_unit / n as f64;
                let curve = sum.curve as f64 * curve_unit / n as f64;
                let close = |found: f64, expected: f64, unit: f64| {
                    assert!((found - expected).abs() < 0.03 * unit, "{found} {expected} {unit}");
                };
                close(gradient, weight * (p - f64::from(label)), gradient_unit);
                close(curve, weight * p * (1.0 - p), curve_unit);
            }
        }
    }
}
