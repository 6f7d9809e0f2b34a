//! Where a feature is found in a row, and its value there.
#![allow(unsafe_code, reason = "datums are untyped words of PostgreSQL")]

use std::collections::HashMap;

use pgrx::pg_sys::Datum;
use pgrx::prelude::PgSqlErrorCode as Code;

use crate::algo::frame::element_of;
use crate::algo::moment;
use crate::pg::error::{Error, Report, report};
use crate::pg::types::datum::Kind;
use crate::pg::types::options::shown;

use super::{Attribute, Wanted, wrong_type};

/// Where a feature is found in a row.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) position: usize,
    pub(super) kind: Kind,
    /// As what the value is read.
    pub(super) wanted: Wanted,
    /// For an array column: its element, counted from 0.
    pub(super) element: Option<usize>,
    pub(super) attribute: String,
}

/// The columns of a row by their names: a model may have a thousand features.
pub(super) struct ByName<'a> {
    attributes: &'a [Attribute],
    places: HashMap<&'a str, usize>,
}

impl<'a> ByName<'a> {
    pub(super) fn of(attributes: &'a [Attribute]) -> Self {
        let names = attributes.iter().map(|attribute| attribute.name.as_str());
        Self { attributes, places: names.zip(0..).collect() }
    }

    fn get(&self, name: &str) -> Option<&'a Attribute> {
        self.places.get(name).map(|place| &self.attributes[*place])
    }
}

pub(super) fn find(columns: &ByName, name: &str, wanted: Wanted) -> Result<Slot, Report> {
    let slot = |attribute: &Attribute, element| Slot {
        position: attribute.position,
        kind: attribute.kind,
        wanted,
        element,
        attribute: attribute.name.clone(),
    };
    if let Some(attribute) = columns.get(name) {
        let fits = match wanted {
            // An untyped NULL or parameter is a text in a row.
            Wanted::Number | Wanted::Whole => attribute.kind.is_number() || is_text(attribute.kind),
            Wanted::Category => attribute.kind.is_category(),
        };
        return if fits {
            Ok(slot(attribute, None))
        } else {
            Err(wrong_type(attribute, wanted).into())
        };
    }
    if let Some((array, element)) = element_of(name)
        && let Some(attribute) = columns.get(array).filter(|column| holds_array(column.kind))
    {
        return Ok(slot(attribute, Some(element)));
    }
    let available = columns.attributes.iter().map(|column| shown(&column.name)).collect();
    Err(Error::MissingColumn { column: name.to_owned(), available }.into())
}

#[inline]
pub(super) fn number(slot: &Slot, value: Datum, is_null: bool) -> Result<f64, Report> {
    if is_null {
        return Ok(f64::NAN);
    }
    // SAFETY: the value is of the column's type.
    let number = unsafe {
        if is_text(slot.kind) {
            slot.kind.text(value, &slot.attribute, |text| number_of(&slot.attribute, text))??
        } else {
            slot.kind.number(value)
        }
    };
    if number.is_finite() {
        Ok(number)
    } else {
        Err(Error::NotFinite { column: slot.attribute.clone(), value: number }.into())
    }
}

/// The value as a whole number, with all its digits, if it is one.
pub(super) fn whole(slot: &Slot, value: Datum) -> Option<i64> {
    // SAFETY: the value is of the column's type.
    unsafe {
        if is_text(slot.kind) {
            let whole = slot.kind.text(value, &slot.attribute, |text| text.trim().parse().ok());
            return whole.ok().flatten();
        }
        slot.kind.whole(value)
    }
}

/// As an array, or as a text of no type that is one.
fn holds_array(kind: Kind) -> bool {
    kind.is_array() || is_text(kind)
}

/// Appends the numbers of an array as SQL or JSON writes it: `{1,NULL}` or `[1,null]`, NaN for NULL.
pub(super) fn written_array(
    column: &str,
    text: &str,
    elements: &mut Vec<f64>,
) -> Result<(), Report> {
    let text = text.trim();
    let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let inner = inner.or_else(|| text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')));
    let Some(inner) = inner else {
        return Err(report(
            Code::ERRCODE_INVALID_TEXT_REPRESENTATION,
            format!(
                "column \"{column}\" has the text \"{}\", but an array of numbers is needed",
                shown(text)
            ),
        )
        .set_hint("Give an array, as in {1,4}."));
    };
    if inner.trim().is_empty() {
        return Ok(());
    }
    for element in inner.split(',') {
        let element = element.trim();
        if element.eq_ignore_ascii_case("null") {
            elements.push(f64::NAN);
            continue;
        }
        let quoted = element.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let value = number_of(column, quoted.unwrap_or(element))?;
        if !value.is_finite() {
            return Err(Error::NotFinite { column: column.to_owned(), value }.into());
        }
        elements.push(value);
    }
    Ok(())
}

fn is_text(kind: Kind) -> bool {
    matches!(kind, Kind::Text | Kind::Char)
}

/// The number that a text is, where a number is wanted: that of a date or time where it is one.
#[cold]
fn number_of(column: &str, text: &str) -> Result<f64, Report> {
    let number = text.trim().parse().ok().or_else(|| moment::seconds(text));
    number.ok_or_else(|| {
        report(
            Code::ERRCODE_INVALID_TEXT_REPRESENTATION,
            format!("column \"{column}\" has the text \"{}\", but a number is needed", shown(text)),
        )
        .set_hint("Give a number, a date or a time, or NULL where none is known.")
    })
}

/// One element of an array column; consecutive elements of one column take it apart once.
pub(super) fn array_element(
    slot: &Slot,
    element: usize,
    value: Datum,
    is_null: bool,
    elements: &mut Vec<f64>,
    loaded: &mut Option<usize>,
) -> Result<f64, Report> {
    if is_null {
        return Ok(f64::NAN);
    }
    if *loaded != Some(slot.position) {
        elements.clear();
        // SAFETY: the value is of the column's type.
        unsafe {
            if is_text(slot.kind) {
                let read = |text: &str| written_array(&slot.attribute, text, elements);
                slot.kind.text(value, &slot.attribute, read)??;
            } else {
                slot.kind.numbers(value, &slot.attribute, elements)?;
            }
        }
        *loaded = Some(slot.position);
    }
    elements.get(element).copied().ok_or_else(|| {
        let column = format!("column \"{}\"", slot.attribute);
        Error::WrongDimension { column, expected: element + 1, found: elements.len() }.into()
    })
}

pub(super) fn expanded_names(slots: &[Slot], lengths: &[(usize, usize)]) -> Vec<String> {
    let mut names = Vec::new();
    for (slot_idx, slot) in slots.iter().enumerate() {
        match lengths.iter().find(|(idx, _)| *idx == slot_idx) {
            Some((_, length)) => {
                names.extend((1..=*length).map(|i| format!("{}[{i}]", slot.attribute)))
            }
            None => names.push(slot.attribute.clone()),
        }
    }
    names
}
