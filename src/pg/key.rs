//! Keys by their types in SQL: which [`Form`] a type has, and the case that PostgreSQL takes for none.

use std::borrow::Cow;

use pgrx::pg_sys::{self, Oid};

use crate::algo::frame::{Column, Values};
use crate::algo::key::Form;
use crate::algo::memory;

use super::datum::{self, base_type, is_citext};
use super::error::Report;

/// How a type, or the type that a domain is over, writes equal values.
pub(crate) fn form_of(type_oid: Oid) -> Form {
    match base_type(type_oid) {
        pg_sys::NUMERICOID => Form::Decimal,
        pg_sys::FLOAT4OID => Form::Real,
        pg_sys::FLOAT8OID => Form::Double,
        pg_sys::BPCHAROID => Form::Padded,
        pg_sys::UUIDOID => Form::Uuid,
        other if is_citext(other) => Form::Folded,
        _ => Form::Exact,
    }
}

/// The key that an argument asks for; None where the type has no such value.
pub(crate) fn canonical(form: Form, text: &str) -> Result<Option<Cow<'_, str>>, Report> {
    if form == Form::Folded {
        return Ok(Some(datum::folded(text, |folded| folded.to_owned().into())));
    }
    Ok(form.canonical(text))
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
