//! A number, and what it is exactly where a float has not digits enough: beyond 2^53 neighboring integers are one float.

use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::algo::float_order::order_of;

/// A number of a column.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Number {
    /// The nearest float.
    pub value: f64,
    /// None where the float is the number.
    pub exact: Option<Exact>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exact {
    /// A bigint, or the microseconds of a time.
    Whole(i64),
    /// Digits with a point and a sign, but without zeros at the end of the fraction.
    Decimal(Box<str>),
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self { value, exact: None }
    }
}

impl Number {
    /// A decimal text, which floats can be told apart by up to 15 digits.
    pub(super) fn decimal(value: f64, text: &str) -> Self {
        let text = if text.contains('.') { text.trim_end_matches('0') } else { text };
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let n_digits = digits.trim_matches('0').len();
        let exact = (n_digits > 15).then(|| Exact::Decimal(text.trim_end_matches('.').into()));
        Self { value, exact }
    }

    /// Two numbers have the same key only when they are equal, but for an accident of hashing.
    pub(super) fn key(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        match &self.exact {
            None => return order_of(self.value),
            Some(Exact::Whole(whole)) => whole.hash(&mut hasher),
            Some(Exact::Decimal(text)) => text.hash(&mut hasher),
        }
        hasher.finish()
    }

    pub(super) fn order(&self, other: &Self) -> Ordering {
        self.value.total_cmp(&other.value).then_with(|| match (&self.exact, &other.exact) {
            (None, None) => Ordering::Equal,
            (Some(Exact::Whole(one)), Some(Exact::Whole(other))) => one.cmp(other),
            _ => decimal_order(&self.text(), &other.text()),
        })
    }

    /// As a decimal, whatever it is.
    fn text(&self) -> String {
        match &self.exact {
            None => self.value.to_string(),
            Some(Exact::Whole(whole)) => whole.to_string(),
            Some(Exact::Decimal(text)) => text.to_string(),
        }
    }
}

fn decimal_order(one: &str, other: &str) -> Ordering {
    match (one.strip_prefix('-'), other.strip_prefix('-')) {
        (Some(one), Some(other)) => size_order(other, one),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => size_order(one, other),
    }
}

/// Of two decimals without a sign.
fn size_order(one: &str, other: &str) -> Ordering {
    let parts = |text: &str| {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        (whole.trim_start_matches('0').to_owned(), fraction.trim_end_matches('0').to_owned())
    };
    let ((whole, fraction), (other_whole, other_fraction)) = (parts(one), parts(other));
    whole
        .len()
        .cmp(&other_whole.len())
        .then_with(|| whole.cmp(&other_whole))
        .then_with(|| fraction.cmp(&other_fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_told_apart_beyond_the_digits_of_a_float() {
        let decimal = |text: &str| Number::decimal(text.parse().unwrap(), text);
        for text in [
            "0",
            "-0.1",
            "100000000000000000000000",
            "0.000000000000123",
            "123456789012345",
            "5.000000000000000000",
        ] {
            assert_eq!(decimal(text).exact, None, "{text}");
        }
        let long = decimal("9007199254740993.50");
        assert_eq!(long.exact, Some(Exact::Decimal("9007199254740993.5".into())));
        assert_eq!(long.key(), decimal("9007199254740993.500").key());
        let in_order = [
            "-0.10000000000000000002",
            "-0.10000000000000000001",
            "-0.1",
            "0.1",
            "0.10000000000000000001",
            "9007199254740992.5",
            "9007199254740993",
            "9007199254740993.25",
            "10000000000000000.25",
        ];
        for pair in in_order.windows(2) {
            assert_eq!(decimal(pair[0]).order(&decimal(pair[1])), Ordering::Less, "{pair:?}");
            assert_ne!(decimal(pair[0]).key(), decimal(pair[1]).key(), "{pair:?}");
        }
    }
}
