//! Applies a fitted value to rows, given as arrays or as records whose columns are found by name.
//!
//! A call site keeps what it made of the value, so that a constant one is decoded once.

use pgrx::prelude::*;

use crate::pg::error::{Error, Report, report};
use crate::pg::rows::gathered::array_names;
use crate::pg::sys::call_site::CallSite;
use crate::pg::types::record::{Binding, Record};
use crate::pg::types::value::{Floats, Kept, SqlType, Stored};

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
    features: &Floats,
    site: CallSite,
    answer: fn(&T::Prepared, &[f64]) -> A,
) -> Result<A, Report> {
    let site: &mut Site<T::Prepared> = site.remember(Site::of)?;
    let ((names, prepared), _) = site.kept.get(value, T::prepared)?;
    let (expected, found) = (names.len(), features.0.len());
    if expected != found {
        let column = "the feature array".to_owned();
        return Err(Error::WrongDimension { column, expected, found }.into());
    }
    Ok(answer(prepared, &features.0))
}

pub(crate) fn to_record<T: Applied, A>(
    value: Stored,
    features: Record,
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
    Ok(answer(prepared, site.binding.numbers(features.into(), names)?))
}

/// SQL functions of a value and a row, each over an array and over a record.
macro_rules! answers {
    ($value:ident: $($array:ident, $record:ident => $answer:ident -> $result:ident;)*) => { $(
        #[pgrx::pg_extern]
        fn $array(
            value: crate::pg::types::value::Stored,
            features: crate::pg::types::value::Floats,
            site: crate::pg::sys::call_site::CallSite,
        ) -> Result<Option<$result>, crate::pg::error::Report> {
            crate::pg::rows::applied::to_array::<$value, _>(value, &features, site, $answer)
        }

        #[pgrx::pg_extern]
        fn $record(
            value: crate::pg::types::value::Stored,
            features: crate::pg::types::record::Record,
            site: crate::pg::sys::call_site::CallSite,
        ) -> Result<Option<$result>, crate::pg::error::Report> {
            crate::pg::rows::applied::to_record::<$value, _>(value, features, site, $answer)
        }
    )* };
}
pub(crate) use answers;
