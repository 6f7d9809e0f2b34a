//! Where a feature is found in a row, and its value there.
#![allow(unsafe_code, reason = "datums are untyped words of PostgreSQL")]

use pgrx::pg_sys::Datum;

use crate::algo::frame::element_of;
use crate::pg::error::{Error, Report};
use crate::pg::types::datum::Kind;

use super::{Attribute, Wanted, wrong_type};

/// Where a feature is found in a row.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) position: usize,
    pub(super) kind: Kind,
    /// A whole number is read as one.
    pub(super) is_whole: bool,
    /// For an array column: its element, counted from 0.
    pub(super) element: Option<usize>,
    pub(super) attribute: String,
}

pub(super) fn find(attributes: &[Attribute], name: &str, wanted: Wanted) -> Result<Slot, Report> {
    let slot = |attribute: &Attribute, element| Slot {
        position: attribute.position,
        kind: attribute.kind,
        is_whole: wanted == Wanted::Whole,
        element,
        attribute: attribute.name.clone(),
    };
    if let Some(attribute) = attributes.iter().find(|attribute| attribute.name == name) {
        let fits = match wanted {
            Wanted::Number | Wanted::Whole => attribute.kind.is_number(),
            Wanted::Category => attribute.kind.is_category(),
        };
        return if fits {
            Ok(slot(attribute, None))
        } else {
            Err(wrong_type(attribute, wanted).into())
        };
    }
    if let Some((array, element)) = element_of(name)
        && let Some(attribute) =
            attributes.iter().find(|attribute| attribute.name == array && attribute.kind.is_array())
    {
        return Ok(slot(attribute, Some(element)));
    }
    let available = attributes.iter().map(|attribute| attribute.name.clone()).collect();
    Err(Error::MissingColumn { column: name.to_owned(), available }.into())
}

#[inline]
pub(super) fn number(slot: &Slot, value: Datum, is_null: bool) -> Result<f64, Report> {
    if is_null {
        return Ok(f64::NAN);
    }
    // SAFETY: the value is of the column's type.
    let number = unsafe { slot.kind.number(value) };
    if number.is_finite() {
        Ok(number)
    } else {
        Err(Error::NotFinite { column: slot.attribute.clone(), value: number }.into())
    }
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
        unsafe { slot.kind.numbers(value, &slot.attribute, elements)? };
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
