//! Applies a fitted value to rows, given as arrays, or as records or JSON objects whose columns are found by name.
//!
//! A call site keeps what it made of the value, so that a constant one is decoded once.

use pgrx::prelude::*;

use crate::pg::error::{Error, Report, report};
use crate::pg::rows::gathered::array_names;
use crate::pg::sys::call_site::CallSite;
use crate::pg::types::record::{Binding, Features, Row};
use crate::pg::types::value::{Kept, SqlType, Stored};

/// A value that answers for rows of the features that it was fitted on.
pub(crate) trait Applied: SqlType {
    type Prepared: 'static;

    /// The names of the features, and what answers for rows.
    fn prepared(self) -> Result<(Vec<String>, Self::Prepared), Report>;
}

/// What a call site keeps between rows.
struct Site<P> {
    kept: Kept<(Vec<String>, P)>,
    binding: Binding,
}

impl<P> Site<P> {
    /// Of a function whose first argument is the value.
    fn of(site: &CallSite) -> Result<Self, Report> {
        Ok(Self { kept: Kept::of(site, 0), binding: Binding::default() })
    }
}

pub(crate) fn to_array<T: Applied, A>(
    value: Stored,
    features: &[f64],
    site: CallSite,
    answer: fn(&T::Prepared, &[f64]) -> A,
) -> Result<A, Report> {
    let site: &mut Site<T::Prepared> = site.remember(Site::of)?;
    let ((names, prepared), _) = site.kept.get(value, T::prepared)?;
    let (expected, found) = (names.len(), features.len());
    if expected != found {
        let column = "the feature array".to_owned();
        return Err(Error::WrongDimension { column, expected, found }.into());
    }
    Ok(answer(prepared, features))
}

/// To an object, or to an array that is written as text.
pub(crate) fn to_text<T: Applied, A>(
    value: Stored,
    features: &str,
    site: CallSite,
    answer: fn(&T::Prepared, &[f64]) -> A,
) -> Result<A, Report> {
    match Features::parse(features)? {
        Features::Array(numbers) => to_array::<T, A>(value, &numbers, site, answer),
        Features::Object(object) => to_row::<T, A>(value, Row::Object(&object), site, answer),
    }
}

pub(crate) fn to_row<T: Applied, A>(
    value: Stored,
    features: Row,
    site: CallSite,
    answer: fn(&T::Prepared, &[f64]) -> A,
) -> Result<A, Report> {
    let site: &mut Site<T::Prepared> = site.remember(Site::of)?;
    let ((names, prepared), is_new) = site.kept.get(value, T::prepared)?;
    if is_new {
        site.binding.forget();
        if *names == array_names(names.len()) {
            return Err(report(
                PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
                "the segments were fitted on arrays, whose features have no names",
            )
            .set_hint("Pass an array with the features in the order of the fit."));
        }
    }
    Ok(answer(prepared, site.binding.numbers(features, names)?))
}

/// SQL functions of a value and a row, each over an array, over a record, and over a text that is a JSON object or an array.
macro_rules! answers {
    ($value:ident: $($array:ident, $record:ident, $text:ident => $answer:ident -> $result:ident;)*) => { $(
        #[pgrx::pg_extern]
        fn $array(
            value: crate::pg::types::value::Stored,
            features: crate::pg::types::value::Floats,
            site: crate::pg::sys::call_site::CallSite,
        ) -> Result<Option<$result>, crate::pg::error::Report> {
            crate::pg::rows::applied::to_array::<$value, _>(value, &features.0, site, $answer)
        }

        #[pgrx::pg_extern]
        fn $record(
            value: crate::pg::types::value::Stored,
            features: crate::pg::types::record::Record,
            site: crate::pg::sys::call_site::CallSite,
        ) -> Result<Option<$result>, crate::pg::error::Report> {
            crate::pg::rows::applied::to_row::<$value, _>(value, features.into(), site, $answer)
        }

        #[pgrx::pg_extern]
        fn $text(
            value: crate::pg::types::value::Stored,
            features: &str,
            site: crate::pg::sys::call_site::CallSite,
        ) -> Result<Option<$result>, crate::pg::error::Report> {
            crate::pg::rows::applied::to_text::<$value, _>(value, features, site, $answer)
        }
    )* };
}
pub(crate) use answers;
