//! How far two groupings of the same rows agree.

use std::collections::HashMap;

/// The adjusted Rand index of two labellings of the same rows (Hubert and Arabie 1985): 1 for the same grouping whatever the
/// labels are called, about 0 for unrelated ones. None when they differ in length or there is no row.
pub fn adjusted_rand(one: &[u32], other: &[u32]) -> Option<f64> {
    if one.len() != other.len() || one.is_empty() {
        return None;
    }
    let mut both: HashMap<(u32, u32), u64> = HashMap::new();
    let (mut of_one, mut of_other) = (HashMap::<u32, u64>::new(), HashMap::<u32, u64>::new());
    for (&a, &b) in one.iter().zip(other) {
        *both.entry((a, b)).or_default() += 1;
        *of_one.entry(a).or_default() += 1;
        *of_other.entry(b).or_default() += 1;
    }
    // Pairs are counted in whole numbers, so that no order of adding up matters.
    let pairs = |n: u64| u128::from(n) * u128::from(n.saturating_sub(1)) / 2;
    let sum = |counts: &mut dyn Iterator<Item = u64>| counts.map(pairs).sum::<u128>() as f64;
    let together = sum(&mut both.into_values());
    let (in_one, in_other) = (sum(&mut of_one.into_values()), sum(&mut of_other.into_values()));
    let all = pairs(one.len() as u64) as f64;
    let expected = if all > 0.0 { in_one * in_other / all } else { 0.0 };
    let most = (in_one + in_other) / 2.0;
    Some(if most == expected { 1.0 } else { (together - expected) / (most - expected) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(one: &[u32], other: &[u32], expected: f64) {
        let found = adjusted_rand(one, other).unwrap();
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
        assert_eq!(adjusted_rand(other, one), Some(found));
    }

    #[test]
    fn the_same_grouping_agrees_whatever_its_labels() {
        check(&[1, 1, 2, 2], &[7, 7, 3, 3], 1.0);
        check(&[1], &[2], 1.0);
        check(&[1, 1, 1], &[2, 2, 2], 1.0);
    }

    #[test]
    fn partial_agreement_is_scikit_learns() {
        // sklearn.metrics.adjusted_rand_score
        check(&[0, 0, 1, 2], &[0, 0, 1, 1], 0.571_428_571_428_571_4);
        check(&[0, 0, 1, 1], &[0, 1, 0, 1], -0.5);
        check(&[0, 0, 0, 0], &[0, 1, 2, 3], 0.0);
    }

    #[test]
    fn labellings_of_other_rows_are_not_compared() {
        assert_eq!(adjusted_rand(&[1], &[1, 2]), None);
        assert_eq!(adjusted_rand(&[], &[]), None);
    }
}
