//! Keys by their types in SQL: which [`Form`] a type has, and the case that PostgreSQL takes for none.

use std::borrow::Cow;

use pgrx::pg_sys::{self, Oid};

use crate::algo::frame::{Column, Values};
use crate::algo::key::{Form, decimals};
use crate::algo::memory;

use crate::pg::error::Report;
use crate::pg::types::datum::{self, base_type, is_citext};

/// How a type, or the type that a domain is over, writes equal values.
pub(crate) fn form_of(type_oid: Oid) -> Form {
    match base_type(type_oid) {
        pg_sys::NUMERICOID => Form::Decimal,
        pg_sys::FLOAT4OID => Form::Real,
        pg_sys::FLOAT8OID => Form::Double,
        pg_sys::BPCHAROID => Form::Padded,
        pg_sys::UUIDOID => Form::Uuid,
        other if READ.contains(&other) || HOLD_DECIMALS.contains(&other) => {
            Form::Read(other.to_u32())
        }
        other if is_citext(other) => Form::Folded,
        _ => Form::Exact,
    }
}

/// Types of which a value may be written in many ways, and is written in one.
const READ: [Oid; 12] = [
    pg_sys::BOOLOID,
    pg_sys::DATEOID,
    pg_sys::TIMEOID,
    pg_sys::TIMETZOID,
    pg_sys::TIMESTAMPOID,
    pg_sys::TIMESTAMPTZOID,
    pg_sys::INTERVALOID,
    pg_sys::MONEYOID,
    pg_sys::INETOID,
    pg_sys::CIDROID,
    pg_sys::MACADDROID,
    pg_sys::OIDOID,
];

/// Types whose values hold decimals, which are equal whatever zeros are at their ends.
const HOLD_DECIMALS: [Oid; 6] = [
    pg_sys::JSONBOID,
    pg_sys::NUMERICARRAYOID,
    pg_sys::FLOAT4ARRAYOID,
    pg_sys::FLOAT8ARRAYOID,
    pg_sys::NUMRANGEOID,
    pg_sys::NUMMULTIRANGEOID,
];

/// Gives all words of a column of this form that are equal one text, but for their case. Words of another type are read as of this
/// one.
pub(crate) fn unite(column: &mut Column, form: Form, is_of_the_type: bool) -> Result<(), Report> {
    let one = |word: &str| match form {
        Form::Folded => None,
        _ if is_of_the_type => Some(one_text(form, word).into_owned()),
        _ => canonical(form, word).map(Cow::into_owned),
    };
    if form == Form::Exact {
        return Ok(());
    }
    Ok(column.unite_words(one)?)
}

/// The one text of all values that are equal to one that is written like this, as [`datum::Kind::as_written`] does.
pub(crate) fn one_text(form: Form, written: &str) -> Cow<'_, str> {
    match form {
        Form::Read(type_oid) if HOLD_DECIMALS.contains(&type_oid.into()) => {
            decimals(written).into()
        }
        Form::Read(_) => written.into(),
        _ => canonical(form, written).unwrap_or(written.into()),
    }
}

/// The key that an argument asks for; None where the type has no such value.
pub(crate) fn canonical(form: Form, text: &str) -> Option<Cow<'_, str>> {
    match form {
        Form::Folded => Some(datum::folded(text, |folded| folded.to_owned().into())),
        Form::Read(type_oid) => {
            let type_oid = Oid::from(type_oid);
            let holds_decimals = HOLD_DECIMALS.contains(&type_oid);
            // A stored model only claims to be of one of these types.
            if !holds_decimals && !READ.contains(&type_oid) {
                return Some(text.into());
            }
            let written = datum::read_and_written(type_oid, text)?;
            Some(if holds_decimals { decimals(&written) } else { written }.into())
        }
        _ => form.canonical(text),
    }
}

/// The texts without their case, as the type citext compares them.
fn folded_all(words: &[String]) -> Result<Vec<String>, Report> {
    let mut folded = Vec::new();
    memory::exact_room(&mut folded, words.len())?;
    folded.extend(words.iter().map(|word| datum::folded(word, str::to_owned)));
    Ok(folded)
}

/// The words of a column of text without their case; None for a column of integers.
pub(crate) fn folded_words(column: &Column) -> Result<Option<Vec<String>>, Report> {
    match &column.values {
        Values::Text { dictionary, .. } => folded_all(dictionary).map(Some),
        Values::Integer(_) | Values::Number(_) => Ok(None),
    }
}
