//! What a kind of models does in its own way: how it is fitted again, by what its versions are compared, and what is published.
//!
//! The rooms of the kinds stand on this one, so which family is which kind's is said to it when the library is loaded.

use std::sync::OnceLock;

use pgrx::prelude::PgSqlErrorCode as Code;
use serde_json::Value;

use crate::pg::error::{Report, report};
use crate::pg::kind::Kind;

use super::publish::Publication;
use super::publish::table::{Column, Stamp, Written};
use super::registry::Version;

pub(crate) trait Family: Sync {
    /// Fits the live version again, from its source and the arguments of its fit; the new version is the active one. The caller holds
    /// the model's lock.
    fn fit_again(&self, live: &Version, source: &str, parameters: &Value) -> Result<Fresh, Report>;

    /// The measure by which versions are compared, more being better.
    fn headline(&self) -> Headline;

    fn published(&self) -> &'static Published;

    /// One row for each customer, or for each rank of his: the key, of this type and quoted, and the columns of [`Published`].
    fn rows(&self, version: &Version, rows: &Wanted) -> Result<String, Report>;

    /// What the version says of the rows of a source that has this key. None where a query has to say it, as [`Self::rows`].
    fn answers(
        &self,
        _version: &Version,
        _source: &str,
        _key: &str,
    ) -> Result<Option<Box<dyn Answers>>, Report> {
        Ok(None)
    }

    /// The type of the customers' keys, where the model knows them itself.
    fn key_type(&self, _version: &Version) -> Result<Option<String>, Report> {
        Ok(None)
    }

    /// What a customer's rows in a published table say in words, if anything. There is at least one; they are in their order.
    fn answer(&self, rows: &[Value]) -> String;

    /// Brings the history of a publication up to date, where one is kept of such models.
    fn keep_history(
        &self,
        _version: &Version,
        _publication: &Publication,
        _history: &str,
        _stamp: &Stamp,
    ) -> Result<(), Report> {
        Ok(())
    }
}

/// A version that was just fitted.
pub(crate) struct Fresh {
    pub(crate) version: Version,
    /// Of the rows of the fit, so that nobody reads them again.
    pub(crate) answers: Option<Box<dyn Answers>>,
}

impl From<Version> for Fresh {
    fn from(version: Version) -> Self {
        Self { version, answers: None }
    }
}

/// What a version says of each row of a source, in memory.
pub(crate) trait Answers {
    /// Makes the table of a publication of that source equal to it. None where a query has to.
    fn publish(
        &self,
        version: &Version,
        publication: &Publication,
        stamp: &Stamp,
    ) -> Result<Option<Written>, Report>;
}

pub(crate) struct Headline {
    pub(crate) name: &'static str,
    /// Where it is among the metrics of a version.
    pub(crate) pointer: &'static str,
}

/// What a published table has.
pub(crate) struct Published {
    /// The columns after the customer's key.
    pub(crate) columns: &'static [Column],
    /// Which of them numbers the rows of a customer, where he has several: a part of the key.
    pub(crate) rank: Option<&'static str>,
    /// Which of them say it in words.
    pub(crate) answer: &'static [&'static str],
    /// The argument of the fit that names the customers' key, and what that is called where the fit does not say.
    pub(crate) key_argument: (&'static str, Option<&'static str>),
    pub(crate) rows_of: Whose,
    pub(crate) keeps_history: bool,
}

/// Whose rows a published table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Those of a source.
    Source,
    /// Those of the customers whom the model knows, so many for each. Its source may be gone.
    Model,
}

/// The rows that are to be published.
pub(crate) struct Wanted<'a> {
    /// Quoted.
    pub(crate) key: &'a str,
    pub(crate) key_type: &'a str,
    /// A query, where they come from one.
    pub(crate) source: &'a str,
    /// How many there are for a customer.
    pub(crate) n: Option<i64>,
}

impl Wanted<'_> {
    /// The keys of the source, and what else is selected of its rows `s`.
    pub(crate) fn of_source(&self, what: &str) -> String {
        let Self { key, key_type, source, .. } = self;
        format!("SELECT s.{key}::{key_type} AS {key}{what} FROM ({source}\n) AS s")
    }
}

static FAMILIES: OnceLock<fn(Kind) -> &'static dyn Family> = OnceLock::new();

/// Says which family is which kind's. The first word counts.
pub(crate) fn register(families: fn(Kind) -> &'static dyn Family) {
    FAMILIES.get_or_init(|| families);
}

pub(crate) fn family(kind: Kind) -> Result<&'static dyn Family, Report> {
    FAMILIES.get().map(|family| family(kind)).ok_or_else(|| {
        report(Code::ERRCODE_INTERNAL_ERROR, format!("nothing is known of models of kind {kind}"))
    })
}
