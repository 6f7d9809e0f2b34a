//! A column as it grows, value by value, in the form that its type and its role ask for.
#![allow(unsafe_code, reason = "datums are untyped words of PostgreSQL")]

use std::io;

use pgrx::pg_sys;
use pgrx::prelude::PgSqlErrorCode;

use crate::algo::frame::TextBuilder;
use crate::algo::store::{Place, Store};
use crate::pg::error::{Error, Report, report};
use crate::pg::types::datum::{Kind, type_name};
use crate::pg::types::record::Attribute;

use super::{MAX_FEATURES, Role};

pub(super) struct Builder {
    pub(super) attribute: Attribute,
    pub(super) role: Role,
    pub(super) values: Building,
}

pub(super) enum Building {
    Number(Store<f64>),
    Integer(Store<i64>),
    Text(TextBuilder),
    /// An array column: row-major, with the dimension of its first row.
    Array {
        dimension: Option<usize>,
        values: Store<f64>,
        /// The array that is being read.
        one: Vec<f64>,
    },
}

/// An empty column for an attribute in a role; the error says why the type is not good for it.
pub(super) fn builder(attribute: &Attribute, role: Role, place: &Place) -> Result<Builder, Report> {
    let kind = attribute.kind;
    let wrong = |wanted, hint| Error::WrongType {
        column: attribute.name.clone(),
        type_name: type_name(attribute.type_oid),
        wanted,
        hint,
    };
    let number_hint =
        "Numbers, booleans, dates and times can be used; leave other columns out or encode them.";
    let values = match role {
        Role::Key if kind.is_integer() => Building::Integer(Store::new(place)),
        Role::Whole if kind.is_integer() || kind == Kind::Numeric => {
            Building::Integer(Store::new(place))
        }
        Role::Key | Role::Category => Building::Text(TextBuilder::in_place(place)),
        Role::Flag if kind != Kind::Bool => {
            return Err(wrong(
                "boolean",
                "It is true in the rows to hold out, as in (sent_on >= '2024-10-01') AS is_late.",
            )
            .into());
        }
        Role::Number | Role::Whole | Role::Weight | Role::Feature if kind.is_number() => {
            Building::Number(Store::new(place))
        }
        Role::Time | Role::Amount | Role::Flag if kind.is_number() => {
            Building::Number(Store::new(place))
        }
        Role::Target if kind.is_number() => Building::Number(Store::new(place)),
        Role::Target if kind.is_category() => Building::Text(TextBuilder::in_place(place)),
        Role::Target => {
            let hint = "The target has one of two classes in each row.";
            return Err(wrong("a boolean, a number or text", hint).into());
        }
        Role::Time | Role::Flag => {
            let hint = "Name a column of dates, timestamps or numbers, or cast it in the source.";
            return Err(wrong("a time or a number", hint).into());
        }
        Role::Amount => {
            return Err(wrong("a number", "Cast the column of weights to a number.").into());
        }
        Role::Number | Role::Whole | Role::Feature if kind.is_array() => {
            Building::Array { dimension: None, values: Store::new(place), one: Vec::new() }
        }
        Role::Feature if kind.is_category() => Building::Text(TextBuilder::in_place(place)),
        Role::Weight => {
            return Err(wrong("a number", "Cast the column of weights to a number.").into());
        }
        Role::Number | Role::Whole => return Err(wrong("a number", number_hint).into()),
        Role::Feature => {
            return Err(wrong("a number or text", "Leave the column out, or cast it.").into());
        }
    };
    let mut attribute = attribute.clone();
    if matches!(values, Building::Text(_)) {
        attribute.kind = match role {
            Role::Key => kind.as_key(attribute.type_oid),
            _ => kind.as_written(attribute.type_oid),
        };
    }
    Ok(Builder { attribute, role, values })
}

impl Builder {
    /// Appends the column's value of a row, as [`Self::push`].
    ///
    /// # Safety
    /// Both point to the values of a row of the columns that the attribute is one of.
    #[inline]
    pub(super) unsafe fn receive(
        &mut self,
        values: *const pg_sys::Datum,
        nulls: *const bool,
    ) -> Result<usize, Report> {
        let position = self.attribute.position;
        // SAFETY: the position is below the row's number of values, and the value is of the attribute's type.
        unsafe { self.push(*values.add(position), *nulls.add(position)) }
    }

    /// Appends a value and returns by how many bytes it grew beyond its share of a row.
    ///
    /// # Safety
    /// `value` is of the attribute's type, and to be ignored if `is_null`.
    #[inline]
    unsafe fn push(&mut self, value: pg_sys::Datum, is_null: bool) -> Result<usize, Report> {
        let kind = self.attribute.kind;
        let is_whole = self.role == Role::Whole && matches!(self.values, Building::Integer(_));
        // A weight says in words of its own that it is missing.
        let is_needed = self.role.is_needed() && self.role != Role::Weight;
        if is_null && (is_needed || is_whole) {
            return Err(Error::MissingValue { column: self.attribute.name.clone() }.into());
        }
        // SAFETY: by the caller's promise; the builder was chosen for the kind.
        unsafe {
            match &mut self.values {
                Building::Number(values) => {
                    let number = if is_null { f64::NAN } else { kind.number(value) };
                    if self.role == Role::Weight && !number.is_finite() {
                        let column = self.attribute.name.clone();
                        let value = (!is_null).then_some(number);
                        return Err(Error::InvalidRowWeight { column, value }.into());
                    }
                    if !is_null && !number.is_finite() {
                        return Err(not_finite(self.role, &self.attribute.name, number).into());
                    }
                    values.push(number);
                }
                Building::Integer(values) if is_whole => match kind.whole(value) {
                    Some(whole) => values.push(whole),
                    None => return Err(not_whole(&self.attribute.name, kind.number(value))),
                },
                Building::Integer(values) => values.push(kind.integer(value)),
                Building::Text(builder) if is_null => return Ok(builder.push(None)?),
                Building::Text(builder) => {
                    let grown =
                        kind.text(value, &self.attribute.name, |text| builder.push(Some(text)))?;
                    return Ok(grown?);
                }
                Building::Array { dimension, values, one } => {
                    let name = &self.attribute.name;
                    read_array(kind, value, is_null, name, dimension, one)?;
                    // The first array tells how much room a row takes: there is some for one.
                    one.iter().for_each(|number| values.push(*number));
                }
            }
        }
        Ok(0)
    }

    pub(super) fn numbers(&self) -> usize {
        match &self.values {
            Building::Number(_) => 1,
            Building::Array { dimension, .. } => dimension.unwrap_or(1),
            Building::Integer(_) | Building::Text(_) => 0,
        }
    }

    pub(super) fn row_bytes(&self) -> usize {
        match &self.values {
            Building::Number(_) | Building::Integer(_) => 8,
            Building::Text(_) => 4,
            Building::Array { dimension, .. } => 8 * dimension.unwrap_or(1),
        }
    }

    pub(super) fn reserve(&mut self, rows: usize) -> io::Result<()> {
        match &mut self.values {
            Building::Number(values) => values.reserve_exact(rows - values.len()),
            Building::Integer(values) => values.reserve_exact(rows - values.len()),
            Building::Text(builder) => builder.reserve(rows),
            Building::Array { dimension, values, .. } => {
                let wanted = rows.saturating_mul(dimension.unwrap_or(MAX_FEATURES));
                values.reserve_exact(wanted - values.len())
            }
        }
    }
}

fn not_finite(role: Role, column: &str, value: f64) -> Error {
    let column = column.to_owned();
    match role {
        Role::Time => Error::NotFiniteTime { column, value },
        Role::Amount => Error::NotFiniteWeight { column, value },
        Role::Target => Error::NotFiniteTarget { column, value },
        _ => Error::NotFinite { column, value },
    }
}

fn not_whole(column: &str, value: f64) -> Report {
    report(
        PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
        format!("column \"{column}\" has the value {value:?}, but the model takes a whole number"),
    )
}

/// Reads an array into `one`.
///
/// # Safety
/// `value` is of this kind, an array, unless `is_null`.
unsafe fn read_array(
    kind: Kind,
    value: pg_sys::Datum,
    is_null: bool,
    name: &str,
    dimension: &mut Option<usize>,
    one: &mut Vec<f64>,
) -> Result<(), Report> {
    one.clear();
    if is_null {
        // All features of the row are missing; before the first array their number is not known.
        let Some(n) = *dimension else {
            return Err(Error::MissingValue { column: name.to_owned() }.into());
        };
        one.resize(n, f64::NAN);
        return Ok(());
    }
    // SAFETY: by the caller's promise.
    unsafe { kind.numbers(value, name, one)? };
    let found = one.len();
    match *dimension {
        None if found > MAX_FEATURES => {
            Err(Error::TooManyFeatures { found, limit: MAX_FEATURES }.into())
        }
        None => {
            *dimension = Some(found);
            Ok(())
        }
        Some(expected) if expected != found => {
            Err(Error::WrongDimension { column: format!("array \"{name}\""), expected, found }
                .into())
        }
        Some(_) => Ok(()),
    }
}
