//! Arguments that are one of some words, and options that come as a JSON object.
//!
//! jsonb holds numbers that no Rust number does (1e400) and nests without a limit. So each option keeps the text that it was
//! written in, and is read as what it is to be.

use std::collections::BTreeMap;
use std::ops::RangeBounds;

use pgrx::prelude::PgSqlErrorCode;
use serde_json::value::RawValue;

use crate::algo::declared::{self, Algorithm, Settings};
use crate::pg::error::{Error, Report, report};

/// A jsonb argument, as text.
pub(crate) struct Json(pub(crate) String);

/// The longest value that a message repeats.
const SHOWN_BYTES: usize = 80;

impl Json {
    /// The entries of an object, in the order of their names. `argument` and `valid` are for the error that it is none.
    pub(crate) fn entries(&self, argument: &str, valid: &str) -> Result<Vec<Given<'_>>, Report> {
        let entries: BTreeMap<String, &RawValue> =
            serde_json::from_str(&self.0).map_err(|_| invalid(argument, shown(&self.0), valid))?;
        let entries = entries.into_iter();
        Ok(entries.map(|(name, value)| Given { name, text: value.get() }).collect())
    }

    /// Values for the parameters of this algorithm; those that are not given have their defaults.
    pub(crate) fn settings(
        &self,
        argument: &str,
        algorithm: &'static Algorithm,
    ) -> Result<Settings, Report> {
        let valid = match algorithm.parameters {
            [] => "an empty JSON object".to_owned(),
            _ => format!("a JSON object with any of {}", algorithm.names()),
        };
        let mut settings = algorithm.defaults();
        for given in self.entries(argument, &valid)? {
            settings.set(&given.name, given.text).map_err(|error| match error {
                declared::Error::Invalid { valid, .. } => given.invalid(&valid),
                declared::Error::Unknown { name, algorithm } => {
                    declared::Error::Unknown { name: shown(&name), algorithm }.into()
                }
                error => error.into(),
            })?;
        }
        Ok(settings)
    }

    /// Values for the options of an aggregate: the parameters of what it fits by, and some that are its own, as they were given.
    pub(crate) fn options(
        &self,
        argument: &str,
        algorithm: &'static Algorithm,
        own: &[&str],
    ) -> Result<(Settings, Vec<Given<'_>>), Report> {
        let valid =
            algorithm.names() + &own.iter().map(|name| format!(", {name}")).collect::<String>();
        let entries = self.entries(argument, &format!("a JSON object with any of {valid}"))?;
        let is_own = |given: &Given| own.contains(&given.name.as_str());
        let (own, parameters): (Vec<_>, Vec<_>) = entries.into_iter().partition(is_own);
        let mut settings = algorithm.defaults();
        for given in parameters {
            settings.set(&given.name, given.text).map_err(|error| match error {
                declared::Error::Invalid { valid, .. } => given.invalid(&valid),
                declared::Error::Unknown { name, .. } => {
                    Error::UnknownOption { option: shown(&name), valid: valid.clone() }.into()
                }
                error => error.into(),
            })?;
        }
        Ok((settings, own))
    }
}

/// An option as it was given.
pub(crate) struct Given<'a> {
    pub(crate) name: String,
    /// JSON.
    text: &'a str,
}

impl Given<'_> {
    pub(crate) fn invalid(&self, valid: &str) -> Report {
        invalid(&self.name, shown(self.text), valid)
    }

    /// None where it is no value of this type, as a text for a number or a number beyond its range.
    pub(crate) fn read<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(self.text).ok()
    }

    pub(crate) fn whole(&self) -> Result<i64, Report> {
        self.read().ok_or_else(|| self.invalid("a whole number"))
    }
}

/// As it was given, unless it is long.
pub(crate) fn shown(json: &str) -> String {
    if json.len() <= SHOWN_BYTES {
        return json.to_owned();
    }
    format!("{}...", &json[..json.floor_char_boundary(SHOWN_BYTES)])
}

/// An argument that has no default; NULL is none.
pub(crate) fn required<T>(value: Option<T>, argument: &'static str) -> Result<T, Report> {
    value.ok_or_else(|| Error::NullArgument { argument }.into())
}

/// That an argument has a value which it cannot have.
pub(crate) fn invalid(option: &str, value: impl ToString, valid: impl ToString) -> Report {
    let (value, valid) = (value.to_string(), valid.to_string());
    Error::InvalidOption { option: option.to_owned(), value, valid }.into()
}

/// A number that is in a range; `valid` says which, where it is written only for one that is not.
pub(crate) fn within<T: PartialOrd + ToString>(
    option: &str,
    value: T,
    range: impl RangeBounds<T>,
    valid: impl ToString,
) -> Result<T, Report> {
    if range.contains(&value) { Ok(value) } else { Err(invalid(option, value, valid)) }
}

/// What an argument stands for that is one of some words; another one is told with those there are.
pub(crate) fn one_of<T: Copy>(option: &str, value: &str, valid: &[(&str, T)]) -> Result<T, Report> {
    meaning(Some(value), valid).ok_or_else(|| invalid(option, value, words(valid)))
}

/// The algorithm of this name among those of a kind.
pub(crate) fn algorithm(
    name: &str,
    all: &[&'static Algorithm],
) -> Result<&'static Algorithm, Report> {
    declared::named(name, all).map_err(|valid| invalid("algorithm", name, &valid))
}

/// Of values whose text is not at hand; that of a value is told by who has it.
impl From<declared::Error> for Report {
    fn from(error: declared::Error) -> Self {
        let report = report(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, error.to_string());
        match error {
            declared::Error::Unknown {
                algorithm: Algorithm { name, parameters: [], .. }, ..
            } => report.set_hint(format!("Algorithm \"{name}\" has no parameters.")),
            declared::Error::Unknown { algorithm, .. } => report.set_hint(format!(
                "Parameters of \"{}\": {}.",
                algorithm.name,
                algorithm.names()
            )),
            declared::Error::Invalid { valid, .. } => report.set_hint(format!("Valid: {valid}.")),
            declared::Error::Missing { .. } => report,
        }
    }
}

fn meaning<T: Copy>(word: Option<&str>, valid: &[(&str, T)]) -> Option<T> {
    valid.iter().find(|(name, _)| word == Some(name)).map(|(_, meaning)| *meaning)
}

fn words<T>(valid: &[(&str, T)]) -> String {
    valid.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}
