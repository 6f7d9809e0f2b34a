//! Folds and samples by a key's own hash, which neither other rows nor their order change, and copies that balance classes.
//!
//! A key's draw for a seed is number `stable_hash(key)` of a stream of the seed: draws of different seeds are independent, and those
//! of folds and samples are of different streams.

use super::hash::stable_hash;
use super::random::{Random, unit};

const FOLDS: u64 = 0x464F_4C44;
const SAMPLE: u64 = 0x4B45_4550;

/// The fold of a key, 1..=k, each as probable. `k` is at least 1.
pub fn fold(key: &[u8], k: u32, seed: i64) -> u32 {
    let draw = Random::new(seed, FOLDS).at(stable_hash(key));
    1 + ((u128::from(draw) * u128::from(k)) >> 64) as u32
}

/// Whether a key is in the sample of this fraction. It is then in the sample of every larger one.
pub fn keep(key: &[u8], fraction: f64, seed: i64) -> bool {
    unit(Random::new(seed, SAMPLE).at(stable_hash(key))) < fraction
}

/// How often to take row `index` of the `n` rows of a class, so that all of them together make `most`: evenly spread.
pub fn copies(index: u64, n: u64, most: u64) -> u64 {
    let up_to = |rows: u64| (u128::from(rows) * u128::from(most) / u128::from(n.max(1))) as u64;
    up_to(index + 1) - up_to(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> impl Iterator<Item = String> {
        (0..50_000).map(|i| format!("customer {i}"))
    }

    #[test]
    fn folds_are_even_and_never_change() {
        let mut counts = [0_u32; 5];
        keys().for_each(|key| counts[fold(key.as_bytes(), 5, 0) as usize - 1] += 1);
        assert!(counts.iter().all(|n| n.abs_diff(10_000) < 400), "{counts:?}");
        assert_eq!(fold(b"customer 42", 5, 0), fold(b"customer 42", 5, 0));
        assert!(keys().all(|key| fold(key.as_bytes(), 1, 3) == 1));
    }

    #[test]
    fn folds_and_samples_of_two_seeds_are_independent() {
        let both = |f: &dyn Fn(&[u8]) -> bool, g: &dyn Fn(&[u8]) -> bool| {
            keys().filter(|key| f(key.as_bytes()) && g(key.as_bytes())).count()
        };
        let folds = both(&|key| fold(key, 2, 0) == 1, &|key| fold(key, 2, 1) == 1);
        let samples = both(&|key| keep(key, 0.5, 0), &|key| keep(key, 0.5, 1));
        let mixed = both(&|key| keep(key, 0.5, 0), &|key| fold(key, 2, 0) == 1);
        for n in [folds, samples, mixed] {
            assert!(n.abs_diff(12_500) < 500, "{n}");
        }
    }

    #[test]
    fn a_sample_is_part_of_every_larger_one() {
        for key in keys().take(2_000) {
            let kept = [0.0, 0.1, 0.3, 0.31, 1.0].map(|share| keep(key.as_bytes(), share, 9));
            assert!(kept.windows(2).all(|pair| pair[0] <= pair[1]));
            assert!(!kept[0] && kept[4]);
        }
    }

    #[test]
    fn copies_of_a_class_make_the_largest_one() {
        for n in 1..40_u64 {
            let copies: Vec<u64> = (0..n).map(|index| copies(index, n, 39)).collect();
            assert_eq!(copies.iter().sum::<u64>(), 39);
            assert!(copies.iter().all(|one| one.abs_diff(39 / n) <= 1));
        }
    }
}
