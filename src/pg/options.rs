//! Arguments that are one of some words, and options that come as a JSON object.

use super::error::{Error, Report};

/// An option as it was given.
pub(crate) struct Given<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: &'a serde_json::Value,
}

impl Given<'_> {
    pub(crate) fn invalid(&self, valid: &str) -> Report {
        let (option, value) = (self.name.to_owned(), self.value.to_string());
        Error::InvalidOption { option, value, valid: valid.to_owned() }.into()
    }

    pub(crate) fn whole(&self) -> Result<i64, Report> {
        self.value.as_i64().ok_or_else(|| self.invalid("a whole number"))
    }

    pub(crate) fn count(&self) -> Result<i64, Report> {
        let count = self.whole()?;
        if (1..=i64::from(i32::MAX)).contains(&count) {
            Ok(count)
        } else {
            Err(self.invalid("a whole number from 1 to 2147483647"))
        }
    }

    pub(crate) fn number(&self) -> Result<f64, Report> {
        self.value.as_f64().ok_or_else(|| self.invalid("a number"))
    }

    pub(crate) fn one_of<T: Copy>(&self, valid: &[(&str, T)]) -> Result<T, Report> {
        meaning(self.value.as_str(), valid).ok_or_else(|| self.invalid(&words(valid)))
    }
}

/// What an argument stands for that is one of some words; another one is told with those there are.
pub(crate) fn one_of<T: Copy>(option: &str, value: &str, valid: &[(&str, T)]) -> Result<T, Report> {
    meaning(Some(value), valid).ok_or_else(|| {
        let (option, value) = (option.to_owned(), value.to_owned());
        Error::InvalidOption { option, value, valid: words(valid) }.into()
    })
}

fn meaning<T: Copy>(word: Option<&str>, valid: &[(&str, T)]) -> Option<T> {
    valid.iter().find(|(name, _)| word == Some(name)).map(|(_, meaning)| *meaning)
}

fn words<T>(valid: &[(&str, T)]) -> String {
    valid.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}
