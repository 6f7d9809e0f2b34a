//! Binds the columns of a record to names: the mapping is made at a call site's first row and checked at each next one.
//!
//! Columns match by name, whatever their order; more are ignored; a missing one is an error that names it. An array
//! column `v` holds the features `v[1]`, `v[2]`, ….
#![allow(unsafe_code, reason = "records are tuples of PostgreSQL, read without a copy")]

mod binding;
mod deform;
mod json;
mod layout;
mod slot;

use std::ffi::CStr;

use pgrx::pg_sys::{self, Datum, Oid};

use crate::pg::error::{Error, Report};
use crate::pg::sys::argument::{arguments, ordinary_arguments};
use crate::pg::sys::call_site::CallSite;
use crate::pg::sys::scan::attribute_at;
use crate::pg::types::datum::{Kind, type_name};

pub(crate) use binding::{Binding, Cell};
pub(crate) use json::{Features, Object};

/// A record argument of a SQL function.
#[derive(Clone, Copy)]
pub(crate) struct Record<'fcx> {
    datum: Datum,
    _call: std::marker::PhantomData<&'fcx ()>,
}

/// A row to be read by the names of its columns.
#[derive(Clone, Copy)]
pub(crate) enum Row<'a> {
    Record(Record<'a>),
    Object(&'a Object),
}

impl<'a> From<Record<'a>> for Row<'a> {
    fn from(record: Record<'a>) -> Self {
        Self::Record(record)
    }
}

impl Record<'_> {
    /// # Safety
    /// `datum` is a composite value, not NULL, that outlives the record.
    pub(crate) unsafe fn from_datum(datum: Datum) -> Self {
        Self { datum, _call: std::marker::PhantomData }
    }

    /// The bytes that the row takes.
    #[inline]
    pub(crate) fn n_bytes(self) -> usize {
        // SAFETY: a composite value is a varlena.
        unsafe { pgrx::varsize_any(self.datum.cast_mut_ptr()) }
    }
}

/// The numbers of a record argument, NaN for NULL, and their names.
#[inline]
pub(crate) fn numbers<'call>(
    site: CallSite<'call>,
    record: Record,
) -> Result<(&'call [f64], &'call [String]), Report> {
    let binding: &mut Binding = site.remember(|_| Ok(Binding::default()))?;
    binding.all_numbers(record)?;
    Ok(binding.row())
}

arguments! {
    // A value of the pseudo-type `record` is a composite value.
    [] Record<'_> as Record<'call> = |datum| Record::from_datum(datum);
}
ordinary_arguments! {
    [] Record<'fcx>;
}

/// One column of a row type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attribute {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) type_oid: Oid,
    /// The n of varchar(n) and the like, as PostgreSQL codes it; -1 for none.
    pub(crate) type_modifier: i32,
    /// Counted from 0, dropped columns included.
    pub(crate) position: usize,
}

/// The columns of a row descriptor that are there, in order.
///
/// # Safety
/// `descriptor` is a valid row descriptor.
pub(crate) unsafe fn attributes(descriptor: pg_sys::TupleDesc) -> Vec<Attribute> {
    // SAFETY: the descriptor holds natts attributes.
    unsafe {
        (0..(*descriptor).natts as usize)
            .filter_map(|position| {
                let attribute = attribute_at(descriptor, position);
                if (*attribute).attisdropped {
                    return None;
                }
                let name = CStr::from_ptr((*attribute).attname.data.as_ptr())
                    .to_string_lossy()
                    .into_owned();
                let (type_oid, type_modifier) = ((*attribute).atttypid, (*attribute).atttypmod);
                let kind = Kind::of(type_oid);
                Some(Attribute { name, kind, type_oid, type_modifier, position })
            })
            .collect()
    }
}

/// Refuses two columns of one name, and rows whose columns have only the names that a row constructor invents.
pub(crate) fn check_names(attributes: &[Attribute], is_anonymous: bool) -> Result<(), Report> {
    let invented =
        |(index, attribute): (usize, &Attribute)| attribute.name == format!("f{}", index + 1);
    if is_anonymous && !attributes.is_empty() && attributes.iter().enumerate().all(invented) {
        return Err(Error::UnnamedColumns.into());
    }
    for (index, attribute) in attributes.iter().enumerate() {
        if attributes[..index].iter().any(|earlier| earlier.name == attribute.name) {
            return Err(Error::DuplicateColumn { column: attribute.name.clone() }.into());
        }
    }
    Ok(())
}

/// What a model wants under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Number,
    /// A number of which no digit may be lost.
    Whole,
    Category,
}

/// Refuses a column that holds neither numbers nor an array of numbers.
pub(crate) fn require_numbers(attribute: &Attribute) -> Result<(), Report> {
    if attribute.kind.is_number() || attribute.kind.is_array() {
        Ok(())
    } else {
        Err(wrong_type(attribute, Wanted::Number).into())
    }
}

fn wrong_type(attribute: &Attribute, wanted: Wanted) -> Error {
    Error::WrongType {
        column: attribute.name.clone(),
        type_name: type_name(attribute.type_oid),
        wanted: match wanted {
            Wanted::Number | Wanted::Whole => "a number",
            Wanted::Category => "text",
        },
        hint: match wanted {
            Wanted::Number | Wanted::Whole => {
                "Numbers, booleans, dates and times can be used; leave other columns out or encode them."
            }
            Wanted::Category => "Cast the column to text: the model was fitted on text.",
        },
    }
}
