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
            let (kind, type_oid, value) = cell(&name, value.get())?;
            object.attributes.push(Attribute { name, kind, type_oid, type_modifier: -1, position });
            object.nulls.push(value.is_none());
            object.values.push(value.unwrap_or(Datum::null()));
        }
        Ok(object)
    }
}

/// The value of a key, as what type of SQL; None for null.
fn cell(name: &str, json: &str) -> Result<(Kind, pg_sys::Oid, Option<Datum>), Report> {
    let text = |value: Option<Datum>| (Kind::Text, pg_sys::TEXTOID, value);
    let refused = |what: &str| {
        report(
            Code::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("key \"{name}\" of the JSON object holds {what}"),
        )
        .set_hint("A value is a number, a string, a boolean, null, or an array of numbers.")
    };
    match json.as_bytes().first() {
        Some(b'n') => Ok(text(None)),
        Some(b't' | b'f') => Ok((Kind::Bool, pg_sys::BOOLOID, (json == "true").into_datum())),
        Some(b'"') => {
            let value: String = serde_json::from_str(json).map_err(|_| refused("no text"))?;
            Ok(text(value.into_datum()))
        }
        Some(b'[') => {
            let numbers: Vec<Option<f64>> = serde_json::from_str(json)
                .map_err(|_| refused("an array that is not of numbers"))?;
            let numbers: Vec<f64> =
                numbers.into_iter().map(|number| number.unwrap_or(f64::NAN)).collect();
            let kind = Kind::Numbers(Element::Float8);
            Ok((kind, pg_sys::FLOAT8ARRAYOID, Some(float_array(&numbers))))
        }
        Some(b'{') => Err(refused("an object")),
        _ => Ok(text(json.into_datum())),
    }
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
