//! `categories`: an aggregate whose state is its result; one-hot and ordinal encoding by it.
#![allow(unsafe_code, reason = "functions that PostgreSQL calls once a row")]

use pgrx::AnyElement;
use pgrx::pg_sys::panic::ErrorReportable;
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::prelude::*;

use crate::algo::encode::categories::{self, Categories, Encoder, HEAD, MAX_LEVELS, NO_CAP, WIDTH};
use crate::algo::flat_map::{FlatMap, frozen};
use crate::pg::error::{Error, Report, report};
use crate::pg::rows::flat::{BytesOut, State};
use crate::pg::sys::call_site::CallSite;
use crate::pg::sys::raw::{self, argument, bytes_of};
use crate::pg::types::any_text::AnyText;
use crate::pg::types::options::invalid;
use crate::pg::types::value::{Bytes, FloatsOut, Kept, SqlType, Stored, Value};
use crate::pg::types::value_type::value_type;

raw::declare! {
    categories_add, pg_finfo_categories_add;
    categories_combine, pg_finfo_categories_combine;
}

value_type!(Categories: "category_levels", "levels", flat; categories_in, categories_out, categories_send, categories_recv);

/// Counts a value: (category_levels, value "any" [, max_levels bigint]). NULL is skipped.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn categories_add(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares these arguments.
    unsafe {
        let Some(value) = argument(fcinfo, 1) else {
            return argument(fcinfo, 0).unwrap_or_else(|| raw::null(fcinfo));
        };
        let cap = match (*fcinfo).nargs > 2 {
            true => cap(argument(fcinfo, 2)).unwrap_or_report(),
            false => NO_CAP,
        };
        let text: &mut AnyText =
            CallSite::of(fcinfo).remember(|| AnyText::of(fcinfo, 1, "value")).unwrap_or_report();
        let mut state = State::of(fcinfo, || categories::empty(cap));
        check_cap(state.bytes(), cap).unwrap_or_report();
        text.text(value, "value", |value| {
            state.update(value.as_bytes(), |words| categories::add(words, 1))
        })
        .unwrap_or_report()
        .unwrap_or_report();
        state.into()
    }
}

/// The state of two states; a plain function too, by which `rollup` merges stored ones.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn categories_combine(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares (category_levels, category_levels).
    unsafe {
        let Some(other) = argument(fcinfo, 1) else {
            return argument(fcinfo, 0).unwrap_or_else(|| raw::null(fcinfo));
        };
        let other = map(bytes_of(other)).unwrap_or_report();
        let mut state = State::of(fcinfo, || categories::empty(other.head(0)));
        check_cap(state.bytes(), other.head(0)).unwrap_or_report();
        for (level, n) in categories::levels(other) {
            state.update(level.as_bytes(), |words| categories::add(words, n)).unwrap_or_report();
        }
        state.into()
    }
}

fn cap(max_levels: Option<Datum>) -> Result<u64, Report> {
    let found = max_levels.map(|cap| cap.value() as i64);
    let valid = found.filter(|cap| (1..=MAX_LEVELS as i64).contains(cap));
    valid.map(|cap| cap as u64).ok_or_else(|| {
        let value = found.map_or("NULL".into(), |cap| cap.to_string());
        invalid("max_levels", value, format_args!("a whole number from 1 to {MAX_LEVELS}"))
    })
}

fn check_cap(state: &[u8], cap: u64) -> Result<(), Report> {
    if map(state)?.head(0) == cap {
        return Ok(());
    }
    Err(report(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        "the categories have different max_levels",
    )
    .set_hint(
        "Give the same max_levels for all rows, and for all categories that are to be merged.",
    ))
}

fn map(bytes: &[u8]) -> Result<FlatMap<'_>, Report> {
    FlatMap::read(bytes, WIDTH, HEAD).ok_or_else(|| {
        let why = format!("{} bytes that are not one", bytes.len());
        Error::InvalidValue { type_name: Categories::NAME, why }.into()
    })
}

#[pg_extern]
fn categories_final(state: Bytes) -> Result<BytesOut, Report> {
    Ok(BytesOut(frozen(map(state.0)?)?))
}

#[pg_extern]
fn category_names(categories: Value<Categories>) -> Vec<String> {
    categories.0.names()
}

#[pg_extern]
fn category_counts(categories: Value<Categories>) -> Vec<i64> {
    categories.0.counts().into_iter().map(|n| n as i64).collect()
}

#[pg_extern]
fn most_frequent(categories: Value<Categories>) -> Option<String> {
    categories.0.most_frequent().map(str::to_owned)
}

#[pg_extern]
fn one_hot(
    categories: Option<Stored>,
    value: Option<AnyElement>,
    fcinfo: FunctionCallInfo,
) -> Result<Option<FloatsOut>, Report> {
    let Some(categories) = categories else { return Ok(None) };
    let (encoder, text) = site(categories, fcinfo)?;
    if encoder.n_places() > MAX_LEVELS + 1 {
        return Err(report(
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            format!("{} levels are more than the limit of {MAX_LEVELS}", encoder.n_places()),
        )
        .set_hint("Give categories a cap, as in persona.categories(value, 50)."));
    }
    let Some(value) = value else { return Ok(Some(FloatsOut(encoder.one_hot(None)))) };
    // SAFETY: the datum is of this call's argument.
    let row = unsafe { text.text(value.datum(), "value", |value| encoder.one_hot(Some(value))) }?;
    Ok(Some(FloatsOut(row)))
}

#[pg_extern]
fn ordinal(
    categories: Stored,
    value: AnyElement,
    fcinfo: FunctionCallInfo,
) -> Result<Option<i32>, Report> {
    let (encoder, text) = site(categories, fcinfo)?;
    // SAFETY: the datum is of this call's argument.
    let place = unsafe { text.text(value.datum(), "value", |value| encoder.place(value)) }?;
    Ok(place.map(|place| place as i32 + 1))
}

/// The encoder of a call site, which is mostly given the same categories row by row, and how its second argument is read.
fn site(
    categories: Stored,
    fcinfo: FunctionCallInfo,
) -> Result<(&'static Encoder, AnyText), Report> {
    let (kept, text): &mut (Kept<Encoder>, AnyText) = CallSite::of(fcinfo).remember(|| {
        // SAFETY: the callers' SQL declares a second argument.
        Ok((Kept::of(fcinfo, 0), unsafe { AnyText::of(fcinfo, 1, "value") }?))
    })?;
    let (encoder, _) = kept.get(categories, |categories: Categories| Ok(categories.encoder()))?;
    Ok((encoder, *text))
}
