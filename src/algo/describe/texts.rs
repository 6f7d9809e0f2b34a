//! A column of texts: its least and greatest by their bytes, its distinct and its frequent ones.
//!
//! A text counts by a hash of 64 bits, and its first 200 characters are kept to be shown.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::identities::Identities;
use super::{Description, most_frequent};

const SHOWN: usize = 200;

#[derive(Debug, Default)]
pub struct Texts {
    n: u64,
    nulls: u64,
    min: Option<String>,
    max: Option<String>,
    identities: Identities<Box<str>>,
}

impl Texts {
    pub fn add_null(&mut self) {
        self.nulls += 1;
    }

    pub fn add(&mut self, text: &str) {
        self.n += 1;
        if self.min.as_deref().is_none_or(|min| text < min) {
            self.min = Some(shown(text).into());
        }
        if self.max.as_deref().is_none_or(|max| text > max) {
            self.max = Some(shown(text).into());
        }
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        self.identities.add(hasher.finish(), 1, || shown(text));
    }

    pub fn describe(self, n_top: usize) -> Description<String> {
        let (n_distinct, is_exact) = (self.identities.n_distinct(), self.identities.is_exact());
        let top = most_frequent(self.identities.found(), n_top, Ord::cmp);
        Description {
            n: self.n,
            nulls: self.nulls,
            not_finite: 0,
            n_distinct: n_distinct.min(self.n),
            is_exact,
            min: self.min,
            max: self.max,
            top: top.into_iter().map(|(text, n)| (text.into(), n)).collect(),
            numeric: None,
        }
    }
}

fn shown(text: &str) -> Box<str> {
    let end = text.char_indices().nth(SHOWN).map_or(text.len(), |(at, _)| at);
    text[..end].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_texts_are_counted_exactly() {
        let mut texts = Texts::default();
        for text in ["b", "a", "b", "", "é", "a", "b"] {
            texts.add(text);
        }
        texts.add_null();
        let d = texts.describe(2);
        assert_eq!((d.n, d.nulls, d.n_distinct), (7, 1, 4));
        assert_eq!((d.min.as_deref(), d.max.as_deref()), (Some(""), Some("é")));
        assert_eq!(d.top, [("b".to_owned(), 3), ("a".to_owned(), 2)]);
    }

    #[test]
    fn of_many_texts_the_frequent_ones_are_found() {
        let mut texts = Texts::default();
        for i in 0..60_000 {
            texts.add(&if i % 50 == 0 { "often".to_owned() } else { format!("text {i}") });
        }
        let d = texts.describe(3);
        assert!(d.n_distinct.abs_diff(58_801) < 1_500, "{}", d.n_distinct);
        assert_eq!(d.top[0].0, "often");
        assert!(d.top[0].1.abs_diff(1_200) < 60, "{:?}", d.top);
    }

    #[test]
    fn long_texts_differ_beyond_what_is_shown() {
        let mut texts = Texts::default();
        let long = "é".repeat(300);
        texts.add(&long);
        texts.add(&(long.clone() + "x"));
        let d = texts.describe(5);
        assert_eq!(d.n_distinct, 2);
        assert_eq!(d.min.unwrap().chars().count(), SHOWN);
    }
}
