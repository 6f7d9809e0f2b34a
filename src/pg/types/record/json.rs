//! A JSON object as a row: its keys are the columns, in the words in which a driver sends a row that no table has.

use std::collections::BTreeMap;

use pgrx::IntoDatum;
use pgrx::pg_sys::{self, Datum};
use pgrx::prelude::PgSqlErrorCode as Code;
use serde_json::value::RawValue;

use crate::algo::memory;
use crate::pg::error::{Report, report};
use crate::pg::sys::raw::float_array;
use crate::pg::types::datum::{Element, Kind};

use super::Attribute;
use super::slot::written_array;

/// The columns and values of an object, as those of a row are taken apart.
pub(crate) struct Object {
    pub(super) attributes: Vec<Attribute>,
    pub(super) values: Vec<Datum>,
    pub(super) nulls: Vec<bool>,
}

impl Object {
    /// Numbers and texts are texts, which are read as what the model wants; an array is one of numbers. Values are in the memory of
    /// the running call.
    pub(crate) fn parse(json: &str) -> Result<Self, Report> {
        memory::probe_decoding(json.len())?;
        let entries: BTreeMap<String, &RawValue> =
            serde_json::from_str(json).map_err(|error| not_an_object(&error))?;
        let mut object = Self { attributes: Vec::new(), values: Vec::new(), nulls: Vec::new() };
        for (position, (name, value)) in entries.into_iter().enumerate() {
            if name.contains('\0') {
                return Err(has_nul());
            }
            let (kind, type_oid, value) = cell(value.get())?;
            object.attributes.push(Attribute { name, kind, type_oid, type_modifier: -1, position });
            object.nulls.push(value.is_none());
            object.values.push(value.unwrap_or(Datum::null()));
        }
        Ok(object)
    }
}

/// Features as a driver sends them in a text of no type: by their names, or in their order.
pub(crate) enum Features {
    Object(Object),
    /// NaN for NULL.
    Array(Vec<f64>),
}

impl Features {
    /// A JSON object, or an array as SQL or JSON writes it.
    pub(crate) fn parse(text: &str) -> Result<Self, Report> {
        if is_object(text) {
            return Object::parse(text).map(Self::Object);
        }
        memory::probe_decoding(text.len())?;
        let mut numbers = Vec::new();
        written_array("features", text, &mut numbers)?;
        Ok(Self::Array(numbers))
    }
}

/// Whether a text begins as an object does: an array of SQL is in braces as well, but has no colon behind its first element.
fn is_object(text: &str) -> bool {
    let Some(inner) = text.trim_start().strip_prefix('{') else { return false };
    let Some(key) = inner.trim_start().strip_prefix('"') else { return false };
    let mut is_escaped = false;
    let end = key.find(|character| {
        let ends = character == '"' && !is_escaped;
        is_escaped = character == '\\' && !is_escaped;
        ends
    });
    end.is_some_and(|end| key[end + 1..].trim_start().starts_with(':'))
}

/// The value of a key, as what type of SQL; None for null. What no feature can be is of a type that none is.
fn cell(json: &str) -> Result<(Kind, pg_sys::Oid, Option<Datum>), Report> {
    let text = |value: Option<Datum>| Ok((Kind::Text, pg_sys::TEXTOID, value));
    let no_feature = Ok((Kind::Opaque { output: pg_sys::InvalidOid }, pg_sys::JSONBOID, None));
    match json.as_bytes().first() {
        Some(b'n') => text(None),
        Some(b't' | b'f') => Ok((Kind::Bool, pg_sys::BOOLOID, (json == "true").into_datum())),
        Some(b'"') => match serde_json::from_str::<String>(json) {
            Ok(value) if value.contains('\0') => Err(has_nul()),
            Ok(value) => text(value.into_datum()),
            Err(_) => no_feature,
        },
        Some(b'[') => match serde_json::from_str::<Vec<Option<f64>>>(json) {
            Ok(numbers) => {
                let numbers: Vec<f64> =
                    numbers.into_iter().map(|number| number.unwrap_or(f64::NAN)).collect();
                let kind = Kind::Numbers(Element::Float8);
                Ok((kind, pg_sys::FLOAT8ARRAYOID, Some(float_array(&numbers))))
            }
            Err(_) => no_feature,
        },
        Some(b'{') => no_feature,
        _ => text(json.into_datum()),
    }
}

fn has_nul() -> Report {
    report(
        Code::ERRCODE_UNTRANSLATABLE_CHARACTER,
        "the features have the character \\u0000, which no text can have",
    )
    .set_hint("Leave it out.")
}

fn not_an_object(error: &serde_json::Error) -> Report {
    let message = if error.is_data() {
        "the features are JSON, but no object".to_owned()
    } else {
        format!("the features are no JSON: {error}")
    };
    report(Code::ERRCODE_INVALID_TEXT_REPRESENTATION, message).set_hint(
        "Give a JSON object whose keys are the columns, as in '{\"orders\": 3}', or a row, as in \
         score('model', t) FROM my_table AS t; an alias that is a column's name as well means the column.",
    )
}
