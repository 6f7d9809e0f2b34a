//! The levels of a text column, the most frequent first, and rows encoded by them.
//!
//! As the state of an aggregate it is a flat map from level to count.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::algo::flat_map::{self, FlatMap, Freezer, Word};
use crate::algo::memory::Refused;

/// Words of a level (its count) and of the head (the cap, [`NO_CAP`] without one).
pub const WIDTH: usize = 1;
pub const HEAD: usize = 1;
pub const NO_CAP: u64 = u64::MAX;
pub const MAX_LEVELS: usize = 4096;
/// The name of the bucket of all other levels.
pub const OTHER: &str = "(other)";

/// Levels with their counts, the most frequent first and equal ones by text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Categories {
    pub levels: Vec<(String, u64)>,
    /// As many levels have a place of their own, and all others share one more; without it each has its own, and an unknown one
    /// none.
    pub max_levels: Option<u32>,
}

/// Levels by their text, for encoding many rows.
#[derive(Debug)]
pub struct Encoder {
    places: HashMap<String, usize>,
    /// Of the levels and the bucket of others.
    n_places: usize,
    has_other: bool,
}

/// An empty state.
pub fn empty(cap: u64) -> Vec<u8> {
    flat_map::empty(WIDTH, &[cap])
}

/// Adds to the count of a level.
#[inline]
pub fn add(words: &mut [Word], n: u64) {
    if let [count] = words {
        *count = u64::from_le_bytes(*count).saturating_add(n).to_le_bytes();
    }
}

/// The levels of a state and their counts.
pub fn levels<'a>(map: FlatMap<'a>) -> impl Iterator<Item = (&'a str, u64)> + use<'a> {
    map.iter().filter_map(|(key, words)| {
        Some((std::str::from_utf8(key).ok()?, u64::from_le_bytes(*words.first()?)))
    })
}

impl Categories {
    pub fn from_flat(bytes: &[u8]) -> Option<Self> {
        let map = FlatMap::read(bytes, WIDTH, HEAD)?;
        let mut levels: Vec<(String, u64)> =
            levels(map).map(|(level, n)| (level.to_owned(), n)).collect();
        levels.sort_unstable_by(|a, b| order(a).cmp(&order(b)));
        let max_levels = Some(map.head(0)).filter(|cap| *cap != NO_CAP).map(|cap| cap as u32);
        Some(Self { levels, max_levels })
    }

    pub fn to_flat(&self) -> Result<Vec<u8>, Refused> {
        let cap = self.max_levels.map_or(NO_CAP, u64::from);
        let mut freezer = Freezer::default();
        for (level, n) in &self.levels {
            freezer.add(level.as_bytes(), [*n].into_iter())?;
        }
        freezer.finish(WIDTH, &[cap])
    }

    pub fn check(&self) -> Result<(), String> {
        if !self.levels.windows(2).all(|pair| order(&pair[0]) < order(&pair[1])) {
            return Err("its levels are not in the order of their counts and texts".into());
        }
        let mut texts: Vec<&str> = self.levels.iter().map(|(level, _)| level.as_str()).collect();
        texts.sort_unstable();
        if texts.windows(2).any(|pair| pair[0] == pair[1]) || texts.iter().any(|t| t.contains('\0'))
        {
            return Err("a level appears twice, or has a NUL byte".into());
        }
        if self.levels.iter().any(|(_, n)| *n == 0) || self.max_levels == Some(0) {
            return Err("a count and the cap are at least 1".into());
        }
        Ok(())
    }

    /// The levels that have a place of their own.
    pub fn named(&self) -> &[(String, u64)] {
        let n = self.max_levels.map_or(self.levels.len(), |cap| cap as usize);
        &self.levels[..n.min(self.levels.len())]
    }

    /// The levels of these counts; where there are more than `cap`, the most frequent so many, and a place for all others.
    pub fn most_frequent_of(mut levels: Vec<(&str, u64)>, cap: usize) -> Self {
        levels.sort_unstable_by_key(|&(level, n)| (std::cmp::Reverse(n), level));
        let max_levels = (levels.len() > cap).then_some(cap as u32);
        let kept = levels.iter().take(cap).map(|&(level, n)| (level.to_owned(), n));
        Self { levels: kept.collect(), max_levels }
    }

    /// How many places there are.
    pub fn n_names(&self) -> usize {
        self.named().len() + usize::from(self.max_levels.is_some())
    }

    /// The names of the places, in their order.
    pub fn names(&self) -> Vec<String> {
        let named = self.named().iter().map(|(level, _)| level.clone());
        named.chain(self.max_levels.map(|_| OTHER.to_owned())).collect()
    }

    /// How often each place occurred.
    pub fn counts(&self) -> Vec<u64> {
        let named = self.named();
        let count = |levels: &[(String, u64)]| -> u64 {
            levels.iter().fold(0, |sum, level| sum.saturating_add(level.1))
        };
        let others = self.max_levels.map(|_| count(&self.levels[named.len()..]));
        named.iter().map(|level| level.1).chain(others).collect()
    }

    pub fn most_frequent(&self) -> Option<&str> {
        self.levels.first().map(|(level, _)| level.as_str())
    }

    pub fn encoder(&self) -> Encoder {
        let named = self.named().iter().enumerate();
        Encoder {
            places: named.map(|(place, (level, _))| (level.clone(), place)).collect(),
            n_places: self.n_names(),
            has_other: self.max_levels.is_some(),
        }
    }
}

impl Encoder {
    pub fn n_places(&self) -> usize {
        self.n_places
    }

    /// The place of a level, from 0: of the others for an unknown one, or None without such a place.
    pub fn place(&self, level: &str) -> Option<usize> {
        let known = self.places.get(level).copied();
        known.or_else(|| self.has_other.then(|| self.n_places - 1))
    }

    /// 1 at the level's place and 0 elsewhere; all 0 without a place, and for a missing value.
    pub fn one_hot(&self, level: Option<&str>) -> Vec<f64> {
        let mut row = vec![0.0; self.n_places];
        if let Some(place) = level.and_then(|level| self.place(level)) {
            row[place] = 1.0;
        }
        row
    }
}

fn order(level: &(String, u64)) -> (std::cmp::Reverse<u64>, &str) {
    (std::cmp::Reverse(level.1), &level.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::flat_map::{Updated, grown, update};
    use proptest::prelude::*;

    fn observe(state: &mut Vec<u8>, level: &str, n: u64) {
        while update(state, level.as_bytes(), |words| add(words, n)) == Updated::Full {
            *state = grown(state, level.as_bytes()).unwrap();
        }
    }

    fn of(values: &[String], cap: u64) -> Vec<u8> {
        let mut state = empty(cap);
        values.iter().for_each(|value| observe(&mut state, value, 1));
        state
    }

    fn merged(a: &[u8], b: &[u8]) -> Vec<u8> {
        let mut state = a.to_vec();
        levels(FlatMap::read(b, WIDTH, HEAD).unwrap()).for_each(|(level, n)| {
            observe(&mut state, level, n);
        });
        state
    }

    fn read(state: &[u8]) -> Categories {
        Categories::from_flat(state).unwrap()
    }

    fn texts() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec("[a-cé]{0,2}", 0..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn parts_in_any_order_merge_to_the_whole(a in texts(), b in texts(), c in texts()) {
            let whole = read(&of(&[a.clone(), b.clone(), c.clone()].concat(), NO_CAP));
            let (sa, sb, sc) = (of(&a, NO_CAP), of(&b, NO_CAP), of(&c, NO_CAP));
            prop_assert_eq!(&read(&merged(&merged(&sa, &sb), &sc)), &whole);
            prop_assert_eq!(&read(&merged(&sc, &merged(&sb, &sa))), &whole);
            prop_assert_eq!(read(&merged(&empty(NO_CAP), &sa)), read(&sa));
        }

        #[test]
        fn text_and_bytes_give_the_value_back(values in texts(), cap in 1..10_u64) {
            let value = read(&of(&values, cap));
            prop_assert_eq!(value.check(), Ok(()));
            let text = serde_json::to_string(&value).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Categories>(&text).unwrap(), &value);
            prop_assert_eq!(&read(&value.to_flat().unwrap()), &value);
        }
    }

    fn of_texts(values: &[&str], cap: u64) -> Categories {
        read(&of(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>(), cap))
    }

    #[test]
    fn levels_are_in_the_order_of_their_frequency_and_then_of_their_text() {
        let categories = of_texts(&["b", "a", "c", "c", "b"], NO_CAP);
        assert_eq!(categories.names(), ["b", "c", "a"]);
        assert_eq!(categories.counts(), [2, 2, 1]);
        assert_eq!(categories.most_frequent(), Some("b"));
        let encoder = categories.encoder();
        assert_eq!(encoder.one_hot(Some("c")), [0.0, 1.0, 0.0]);
        assert_eq!(encoder.one_hot(Some("unknown")), [0.0; 3]);
        assert_eq!(encoder.one_hot(None), [0.0; 3]);
        assert_eq!((encoder.place("a"), encoder.place("unknown")), (Some(2), None));
    }

    #[test]
    fn levels_beyond_the_cap_and_unknown_ones_share_the_last_place() {
        let categories = of_texts(&["b", "a", "c", "c", "b"], 1);
        assert_eq!(categories.names(), ["b", OTHER]);
        assert_eq!(categories.counts(), [2, 3]);
        let encoder = categories.encoder();
        assert_eq!(encoder.one_hot(Some("c")), [0.0, 1.0]);
        assert_eq!(encoder.one_hot(Some("unknown")), [0.0, 1.0]);
        assert_eq!(encoder.one_hot(None), [0.0, 0.0]);
        assert_eq!(of_texts(&["b"], 5).names(), ["b", OTHER]);
    }
}
