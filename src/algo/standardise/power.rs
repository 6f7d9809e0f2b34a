//! Yeo and Johnson's power transformation (2000), and the lambda that makes values most like a normal distribution.

/// Lambdas that are looked among; values as skewed as to want others are better cut off.
pub const LAMBDAS: std::ops::RangeInclusive<f64> = -5.0..=5.0;
/// Steps of the search, each of which leaves 0.618 of the interval: 1e-9 of ten.
const STEPS: usize = 50;

/// The transformation of one value. Finite for a finite one, unless the power leaves the range of floats.
pub fn transformed(x: f64, lambda: f64) -> f64 {
    if x >= 0.0 {
        if lambda.abs() < f64::EPSILON {
            x.ln_1p()
        } else {
            ((x.ln_1p() * lambda).exp_m1()) / lambda
        }
    } else if (lambda - 2.0).abs() < f64::EPSILON {
        -(-x).ln_1p()
    } else {
        -((-x).ln_1p() * (2.0 - lambda)).exp_m1() / (2.0 - lambda)
    }
}

/// The inverse of [`transformed`]; NaN where no value has this transformation.
pub fn original(y: f64, lambda: f64) -> f64 {
    if y >= 0.0 {
        if lambda.abs() < f64::EPSILON {
            y.exp_m1()
        } else {
            ((y * lambda).ln_1p() / lambda).exp_m1()
        }
    } else if (lambda - 2.0).abs() < f64::EPSILON {
        -(-y).exp_m1()
    } else {
        -((-y * (2.0 - lambda)).ln_1p() / (2.0 - lambda)).exp_m1()
    }
}

/// The lambda of the greatest likelihood, as scikit-learn's PowerTransformer looks for, of values and how often each is there; 1,
/// which changes nothing, for values that are all equal.
pub fn most_likely(values: &[(f64, f64)]) -> f64 {
    if values.iter().all(|&(value, _)| value == values[0].0) {
        return 1.0;
    }
    // A golden-section search: the likelihood has one maximum in practice.
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (*LAMBDAS.start(), *LAMBDAS.end());
    let inner = |low: f64, high: f64| (high - golden * (high - low), low + golden * (high - low));
    let (mut a, mut b) = inner(low, high);
    let (mut at_a, mut at_b) = (log_likelihood(values, a), log_likelihood(values, b));
    for _ in 0..STEPS {
        if at_a >= at_b {
            high = b;
            (b, at_b) = (a, at_a);
            a = inner(low, high).0;
            at_a = log_likelihood(values, a);
        } else {
            low = a;
            (a, at_a) = (b, at_b);
            b = inner(low, high).1;
            at_b = log_likelihood(values, b);
        }
    }
    (low + high) / 2.0
}

/// But for a constant: -n/2 ln(variance of the transformed) + (lambda - 1) sum of sign(x) ln(|x| + 1).
fn log_likelihood(values: &[(f64, f64)], lambda: f64) -> f64 {
    let sum = |of: &dyn Fn(f64) -> f64| values.iter().map(|&(x, n)| n * of(x)).sum::<f64>();
    let n = sum(&|_| 1.0);
    let mean = sum(&|x| transformed(x, lambda)) / n;
    let variance = sum(&|x| (transformed(x, lambda) - mean).powi(2)) / n;
    let jacobian = sum(&|x| x.signum() * x.abs().ln_1p());
    let likelihood = -0.5 * n * variance.ln() + (lambda - 1.0) * jacobian;
    // A variance of 0 or beyond the floats is no good lambda.
    if likelihood.is_finite() { likelihood } else { f64::NEG_INFINITY }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transformation_and_its_inverse_agree() {
        for lambda in [-1.5, 0.0, 0.5, 1.0, 2.0, 3.0] {
            for x in [-20.0, -1.0, -1e-9, 0.0, 1e-9, 0.3, 7.0, 1e4] {
                let back = original(transformed(x, lambda), lambda);
                assert!((back - x).abs() <= 1e-7 * x.abs().max(1e-9), "{x} at {lambda}: {back}");
            }
        }
        assert!((transformed(3.5, 1.0) - 3.5).abs() < 1e-14);
    }

    #[test]
    fn the_most_likely_lambda_is_scikit_learns() {
        // sklearn.preprocessing.PowerTransformer().fit([[1], [2], [3], [5], [9], [20], [-4]]).lambdas_
        let values = [1.0, 2.0, 3.0, 5.0, 9.0, 20.0, -4.0];
        let lambda = most_likely(&values.map(|value| (value, 1.0)));
        assert!((lambda - 0.76479591).abs() < 1e-6, "{lambda}");
        assert_eq!(most_likely(&[(3.0, 2.0)]), 1.0);
        // Of [1, 1, 1, 2, 9], where a value is there three times.
        let [each, counted] = [
            vec![(1.0, 1.0), (1.0, 1.0), (1.0, 1.0), (2.0, 1.0), (9.0, 1.0)],
            vec![(1.0, 3.0), (2.0, 1.0), (9.0, 1.0)],
        ]
        .map(|values| most_likely(&values));
        assert!((each - counted).abs() < 1e-9);
    }
}
