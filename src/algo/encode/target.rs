//! A category as the mean of a target, drawn towards the overall mean where there is little of it (Micci-Barreca 2001).
//!
//! Sums are kept by fold of the rows' keys, so that a row of the fit can be encoded from the other folds alone: encoded by its own
//! target it would give that away. As the state of an aggregate it is a flat map from category to n, mean and sum of squared
//! deviations of each fold; moments merge as those of `standardise::stats` do.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::algo::flat_map::{self, FlatMap, Freezer, Word};
use crate::algo::memory::Refused;

pub use super::moments::Moments;

/// Words of a fold of a category.
pub const MOMENTS: usize = 3;
/// Words of the head: number of folds, seed, smoothing (NaN is automatic).
pub const HEAD: usize = 3;
pub const MAX_FOLDS: usize = 20;

/// How much the overall mean counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Smoothing {
    /// As so many rows.
    Rows(f64),
    /// By the variances within the category and overall (empirical Bayes), as scikit-learn's TargetEncoder does by default.
    Auto(Auto),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Auto {
    Auto,
}

impl Smoothing {
    pub const AUTO: Self = Self::Auto(Auto::Auto);

    fn bits(self) -> u64 {
        match self {
            Self::Rows(rows) => rows.to_bits(),
            Self::Auto(_) => f64::NAN.to_bits(),
        }
    }

    fn of_bits(bits: u64) -> Self {
        match f64::from_bits(bits) {
            rows if rows.is_nan() => Self::AUTO,
            rows => Self::Rows(rows),
        }
    }
}

/// What all parts of one encoder have in common.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    pub smoothing: Smoothing,
    /// 1 is no fold at all.
    pub folds: usize,
    pub seed: i64,
}

impl Options {
    pub fn head(&self) -> [u64; HEAD] {
        [self.folds as u64, self.seed as u64, self.smoothing.bits()]
    }

    pub fn of(map: &FlatMap) -> Self {
        Self {
            folds: map.head(0) as usize,
            seed: map.head(1) as i64,
            smoothing: Smoothing::of_bits(map.head(2)),
        }
    }

    pub fn check(&self) -> Result<(), String> {
        if !(1..=MAX_FOLDS).contains(&self.folds) {
            return Err(format!("folds is from 1 to {MAX_FOLDS}"));
        }
        match self.smoothing {
            Smoothing::Rows(rows) if !(rows.is_finite() && rows >= 0.0) => {
                Err("smoothing is auto, or a number of rows from 0".into())
            }
            _ => Ok(()),
        }
    }
}

/// Adds to a fold in the words of a category.
#[inline]
pub fn add(words: &mut [Word], fold: usize, moments: &Moments) {
    if let Some(words) = words.as_chunks_mut().0.get_mut(fold) {
        let mut sum = Moments::of_words(words);
        sum.merge(moments);
        *words = [sum.n.to_le_bytes(), sum.mean.to_le_bytes(), sum.m2.to_le_bytes()];
    }
}

pub fn empty(options: &Options) -> Vec<u8> {
    flat_map::empty(MOMENTS * options.folds, &options.head())
}

/// The categories of a state, each with the moments of its folds.
pub fn categories<'a>(
    map: FlatMap<'a>,
) -> impl Iterator<Item = (&'a [u8], Vec<Moments>)> + use<'a> {
    map.iter()
        .map(|(key, words)| (key, words.as_chunks().0.iter().map(Moments::of_words).collect()))
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetEncoder {
    pub smoothing: Smoothing,
    pub folds: usize,
    pub seed: i64,
    /// Per category the n, mean and sum of squared deviations of each fold.
    pub categories: BTreeMap<String, Vec<Moments>>,
}

/// An encoder worked out: what each category becomes, by fold and from all rows.
#[derive(Debug)]
pub struct Encodings {
    /// From all rows, and from those outside of each fold.
    by_category: HashMap<String, Vec<f64>>,
    /// What an unknown category becomes.
    unknown: Vec<f64>,
    pub folds: usize,
    pub seed: i64,
}

impl TargetEncoder {
    pub fn from_flat(bytes: &[u8]) -> Option<Self> {
        let map = FlatMap::read_any(bytes, HEAD)?;
        let Options { smoothing, folds, seed } = Options::of(&map);
        if !(1..=MAX_FOLDS).contains(&folds) || map.width() != MOMENTS * folds {
            return None;
        }
        let categories = categories(map)
            .map(|(key, folds)| Some((std::str::from_utf8(key).ok()?.to_owned(), folds)))
            .collect::<Option<_>>()?;
        Some(Self { smoothing, folds, seed, categories })
    }

    pub fn to_flat(&self) -> Result<Vec<u8>, Refused> {
        let mut freezer = Freezer::default();
        for (category, folds) in &self.categories {
            let words = folds.iter().flat_map(|m| [m.n, m.mean.to_bits(), m.m2.to_bits()]);
            freezer.add(category.as_bytes(), words)?;
        }
        freezer.finish(MOMENTS * self.folds, &self.options().head())
    }

    fn options(&self) -> Options {
        Options { smoothing: self.smoothing, folds: self.folds, seed: self.seed }
    }

    pub fn check(&self) -> Result<(), String> {
        self.options().check()?;
        for (category, folds) in &self.categories {
            let is_fine = |m: &Moments| {
                m.mean.is_finite() && m.m2.is_finite() && m.m2 >= 0.0 && (m.n > 1 || m.m2 == 0.0)
            };
            let is_there = folds.iter().any(|m| m.n > 0) && !category.contains('\0');
            if folds.len() != self.folds || !folds.iter().all(is_fine) || !is_there {
                return Err(format!("the moments of \"{category}\" do not fit together"));
            }
        }
        Ok(())
    }

    pub fn encodings(&self) -> Encodings {
        // First no fold is left out, then each one; a single fold is not.
        let left_out: Vec<Option<usize>> = [None]
            .into_iter()
            .chain((0..self.folds).map(Some).filter(|_| self.folds > 1))
            .collect();
        let without = |folds: &[Moments], left_out: Option<usize>| {
            let mut sum = Moments::default();
            let kept = folds.iter().enumerate().filter(|(fold, _)| Some(*fold) != left_out);
            kept.for_each(|(_, moments)| sum.merge(moments));
            sum
        };
        let overall: Vec<Moments> = left_out
            .iter()
            .map(|left_out| {
                let mut sum = Moments::default();
                self.categories.values().for_each(|folds| sum.merge(&without(folds, *left_out)));
                sum
            })
            .collect();
        let encoded = |folds: &[Moments]| -> Vec<f64> {
            let each = left_out.iter().zip(&overall);
            each.map(|(left_out, all)| encode(&without(folds, *left_out), all, self.smoothing))
                .collect()
        };
        Encodings {
            by_category: (self.categories.iter())
                .map(|(category, folds)| (category.clone(), encoded(folds)))
                .collect(),
            unknown: overall.iter().map(mean_of).collect(),
            folds: self.folds,
            seed: self.seed,
        }
    }
}

impl Encodings {
    /// What a category becomes: from all rows, or from those outside of a fold (from 0). None from no row at all.
    pub fn encode(&self, category: Option<&str>, fold: Option<usize>) -> Option<f64> {
        let known = category.and_then(|category| self.by_category.get(category));
        let encodings = known.unwrap_or(&self.unknown);
        let place = fold.filter(|_| self.folds > 1).map_or(0, |fold| fold + 1);
        encodings.get(place).copied().filter(|value| value.is_finite())
    }
}

fn mean_of(moments: &Moments) -> f64 {
    if moments.n == 0 { f64::NAN } else { moments.mean }
}

fn encode(category: &Moments, overall: &Moments, smoothing: Smoothing) -> f64 {
    let Moments { n, mean, m2 } = *category;
    if n == 0 {
        return mean_of(overall);
    }
    let n = n as f64;
    match smoothing {
        Smoothing::Rows(rows) => (n * mean + rows * overall.mean) / (n + rows),
        Smoothing::Auto(_) => {
            let variance = overall.m2 / overall.n as f64;
            let weight = variance * n / (variance * n + m2 / n);
            // 0 / 0 where the target does not vary at all.
            if weight.is_nan() {
                overall.mean
            } else {
                weight * mean + (1.0 - weight) * overall.mean
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::flat_map::{Updated, grown, update};
    use proptest::prelude::*;

    const OPTIONS: Options = Options { smoothing: Smoothing::AUTO, folds: 3, seed: 7 };

    fn observe(state: &mut Vec<u8>, category: &[u8], fold: usize, moments: &Moments) {
        while update(state, category, |words| add(words, fold, moments)) == Updated::Full {
            *state = grown(state, category).unwrap();
        }
    }

    fn of(rows: &[(String, usize, i32)], options: &Options) -> Vec<u8> {
        let mut state = empty(options);
        for (category, fold, target) in rows {
            observe(&mut state, category.as_bytes(), *fold, &Moments::one(f64::from(*target)));
        }
        state
    }

    fn merged(a: &[u8], b: &[u8]) -> Vec<u8> {
        let mut state = a.to_vec();
        for (category, folds) in categories(FlatMap::read_any(b, HEAD).unwrap()) {
            for (fold, moments) in folds.iter().enumerate() {
                observe(&mut state, category, fold, moments);
            }
        }
        state
    }

    fn read(state: &[u8]) -> TargetEncoder {
        TargetEncoder::from_flat(state).unwrap()
    }

    fn rows() -> impl Strategy<Value = Vec<(String, usize, i32)>> {
        prop::collection::vec(("[a-d]", 0..3_usize, -9..9_i32), 0..40)
    }

    fn is_near(a: &TargetEncoder, b: &TargetEncoder) -> bool {
        let near = |x: f64, y: f64| (x - y).abs() <= 1e-12 * (1.0 + x.abs().max(y.abs()));
        a.categories.len() == b.categories.len()
            && a.categories.iter().zip(&b.categories).all(|((k, x), (l, y))| {
                let same = |(x, y): (&Moments, &Moments)| {
                    x.n == y.n && near(x.mean, y.mean) && near(x.m2, y.m2)
                };
                k == l && x.iter().zip(y).all(same)
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn parts_in_any_order_merge_to_the_whole(a in rows(), b in rows(), c in rows()) {
            let whole = read(&of(&[a.clone(), b.clone(), c.clone()].concat(), &OPTIONS));
            let (sa, sb, sc) = (of(&a, &OPTIONS), of(&b, &OPTIONS), of(&c, &OPTIONS));
            prop_assert!(is_near(&read(&merged(&merged(&sa, &sb), &sc)), &whole));
            prop_assert!(is_near(&read(&merged(&sc, &merged(&sb, &sa))), &whole));
            prop_assert_eq!(read(&merged(&empty(&OPTIONS), &sa)), read(&sa));
        }

        #[test]
        fn text_and_bytes_give_the_value_back(rows in rows(), smoothing in prop::option::of(0..5_u8)) {
            let smoothing = smoothing.map_or(Smoothing::AUTO, |rows| Smoothing::Rows(rows.into()));
            let value = read(&of(&rows, &Options { smoothing, ..OPTIONS }));
            prop_assert_eq!(value.check(), Ok(()));
            let text = serde_json::to_string(&value).unwrap();
            prop_assert_eq!(&serde_json::from_str::<TargetEncoder>(&text).unwrap(), &value);
            prop_assert_eq!(&read(&value.to_flat().unwrap()), &value);
        }

        #[test]
        fn a_row_is_encoded_without_its_own_fold(rows in rows(), fold in 0..3_usize) {
            let outside: Vec<_> = rows.iter().filter(|row| row.1 != fold).cloned().collect();
            let all = read(&of(&rows, &OPTIONS)).encodings();
            let others = read(&of(&outside, &OPTIONS)).encodings();
            for category in ["a", "b", "unknown"] {
                let (a, b) = (all.encode(Some(category), Some(fold)), others.encode(Some(category), None));
                prop_assert!(a == b || (a.unwrap() - b.unwrap()).abs() < 1e-9, "{:?} {:?}", a, b);
            }
        }
    }

    #[test]
    fn smoothing_draws_a_rare_category_towards_the_mean() {
        let rows: Vec<(String, usize, i32)> =
            [("a", 1), ("a", 1), ("a", 0), ("b", 1)].map(|(c, y)| (c.to_owned(), 0, y)).into();
        let by = |smoothing| {
            let encodings = read(&of(&rows, &Options { smoothing, ..OPTIONS })).encodings();
            ["a", "b", "c"].map(|category| encodings.encode(Some(category), None).unwrap())
        };
        assert_eq!(by(Smoothing::Rows(0.0))[1..], [1.0, 0.75]);
        assert_eq!(by(Smoothing::Rows(1.0))[1], 0.875);
        // scikit-learn 1.9: TargetEncoder().fit([["a"], ["a"], ["a"], ["b"]], [1, 1, 0, 1]).encodings_
        let auto = by(Smoothing::AUTO);
        assert!((auto[0] - 0.690_265_486_7).abs() < 1e-9, "{auto:?}");
        assert_eq!(auto[1], 1.0);
    }

    #[test]
    fn a_target_that_does_not_vary_encodes_as_itself_and_no_row_as_nothing() {
        let rows: Vec<_> = ["a", "b"].map(|category| (category.to_owned(), 0, 5)).into();
        let encodings = read(&of(&rows, &OPTIONS)).encodings();
        assert_eq!(encodings.encode(Some("a"), None), Some(5.0));
        assert_eq!(encodings.encode(None, None), Some(5.0));
        assert_eq!(read(&empty(&OPTIONS)).encodings().encode(Some("a"), None), None);
    }
}
