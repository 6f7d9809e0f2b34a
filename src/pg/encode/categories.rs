//! `categories`: an aggregate whose state is its result; one-hot and ordinal encoding by it.

use pgrx::prelude::*;

use crate::algo::encode::categories::{self, Categories, Encoder, HEAD, MAX_LEVELS, NO_CAP, WIDTH};
use crate::algo::flat_map::{FlatMap, frozen};
use crate::pg::error::{Error, Report, report};
use crate::pg::rows::flat::{self, BytesOut};
use crate::pg::sys::call::{Any, Call, Maybe, Next, Of, State, functions};
use crate::pg::sys::call_site::CallSite;
use crate::pg::types::any_text::AnyText;
use crate::pg::types::options::invalid;
use crate::pg::types::value::{Bytes, FloatsOut, Kept, SqlType, Stored, Value};
use crate::pg::types::value_type::value_type;

value_type!(Categories: "category_levels", "levels", flat; categories_in, categories_out, categories_send, categories_recv);

functions! {
    /// Counts a value, of at most so many levels. NULL is skipped.
    fn categories_add(State<Categories>, Any, Maybe<i64>) -> State<Categories> = add;
    /// The state of two states; a plain function too, by which `rollup` merges stored ones.
    fn categories_combine(State<Categories>, Of<Categories>) -> State<Categories> = combine;
    fn one_hot_wrapper(Stored, Any) -> FloatsOut = one_hot;
    fn ordinal_wrapper(Stored, Any) -> i32 = ordinal;
}

#[inline]
fn add<'call>(
    Call { args, site }: Call<'call, (State<Categories>, Any, Maybe<i64>)>,
) -> Next<'call> {
    let Some(value) = args.any::<1>() else { return Ok(args.unchanged()) };
    let cap = if args.has::<2>() { cap(args.get::<2>())? } else { NO_CAP };
    let text: &mut AnyText = site.remember(|site| AnyText::of(site, 1, "value"))?;
    let mut state = flat::State::of(args, || categories::empty(cap));
    check_cap(state.bytes(), cap)?;
    // A result in a result would be moved for each row: it is wide.
    let mut outcome = Ok(false);
    text.text(value, "value", |value| {
        outcome = state.update(value.as_bytes(), |words| categories::add(words, 1));
    })?;
    outcome?;
    Ok(state.into())
}

fn combine<'call>(
    Call { args, .. }: Call<'call, (State<Categories>, Of<Categories>)>,
) -> Next<'call> {
    let Some(other) = args.get::<1>() else { return Ok(args.unchanged()) };
    let other = map(other)?;
    let mut state = flat::State::of(args, || categories::empty(other.head(0)));
    check_cap(state.bytes(), other.head(0))?;
    for (level, n) in categories::levels(other) {
        state.update(level.as_bytes(), |words| categories::add(words, n))?;
    }
    Ok(state.into())
}

fn cap(max_levels: Option<i64>) -> Result<u64, Report> {
    let valid = max_levels.filter(|cap| (1..=MAX_LEVELS as i64).contains(cap));
    valid.map(|cap| cap as u64).ok_or_else(|| {
        let value = max_levels.map_or("NULL".into(), |cap| cap.to_string());
        invalid("max_levels", value, format_args!("a whole number from 1 to {MAX_LEVELS}"))
    })
}

#[inline]
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

#[inline]
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

fn one_hot(Call { args, site }: Call<(Stored, Any)>) -> Result<Option<FloatsOut>, Report> {
    let Some(categories) = args.get::<0>() else { return Ok(None) };
    let (encoder, text) = encoder(categories, site)?;
    if encoder.n_places() > MAX_LEVELS + 1 {
        return Err(report(
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            format!("{} levels are more than the limit of {MAX_LEVELS}", encoder.n_places()),
        )
        .set_hint("Give categories a cap, as in persona.categories(value, 50)."));
    }
    let Some(value) = args.any::<1>() else { return Ok(Some(FloatsOut(encoder.one_hot(None)))) };
    let row = text.text(value, "value", |value| encoder.one_hot(Some(value)))?;
    Ok(Some(FloatsOut(row)))
}

fn ordinal(Call { args, site }: Call<(Stored, Any)>) -> Result<Option<i32>, Report> {
    let (Some(categories), Some(value)) = (args.get::<0>(), args.any::<1>()) else {
        return Ok(None);
    };
    let (encoder, text) = encoder(categories, site)?;
    let place = text.text(value, "value", |value| encoder.place(value))?;
    Ok(place.map(|place| place as i32 + 1))
}

/// The encoder of a call site, which is mostly given the same categories row by row, and how its second argument is read.
fn encoder<'call>(
    categories: Stored,
    site: CallSite<'call>,
) -> Result<(&'call Encoder, AnyText), Report> {
    let (kept, text): &mut (Kept<Encoder>, AnyText) =
        site.remember(|site| Ok((Kept::of(site, 0), AnyText::of(site, 1, "value")?)))?;
    let (encoder, _) = kept.get(categories, |categories: Categories| Ok(categories.encoder()))?;
    Ok((encoder, *text))
}
