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

use pgrx::callconv::{Arg, ArgAbi};
use pgrx::pg_sys::{self, Datum, FunctionCallInfo, Oid};

use crate::pg::error::{Error, Report};
use crate::pg::sys::call_site::CallSite;
use crate::pg::sys::raw::argument;
use crate::pg::types::datum::{Kind, type_name};

pub(crate) use binding::{Binding, Cell};
pub(crate) use json::Object;

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

/// The numbers of a record argument, NaN for NULL, and their names; None for NULL. They last until the call site's next row.
///
/// # Safety
/// `fcinfo` is of the running call of a function that SQL declares with a record as this argument.
#[inline]
pub(crate) unsafe fn numbers(
    fcinfo: FunctionCallInfo,
    index: usize,
) -> Result<Option<(&'static [f64], &'static [String])>, Report> {
    let binding: &mut Binding = CallSite::of(fcinfo).remember(|| Ok(Binding::default()))?;
    // SAFETY: by the caller's promise.
    unsafe {
        let Some(record) = argument(fcinfo, index) else { return Ok(None) };
        binding.all_numbers(Record::from_datum(record))?;
    }
    Ok(Some(binding.row()))
}

// SAFETY: the argument's type is a pseudo-type `record`, so its datum is a composite value.
unsafe impl<'fcx> ArgAbi<'fcx> for Record<'fcx> {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: the datum is read as a word; pgrx calls this only for an argument that is not NULL.
        let datum = unsafe { arg.unbox_arg_using_from_datum::<RawDatum>() };
        Self { datum: datum.map_or(Datum::null(), |raw| raw.0), _call: std::marker::PhantomData }
    }
}

/// A datum taken as it is.
struct RawDatum(Datum);

impl pgrx::FromDatum for RawDatum {
    // SAFETY: the trait asks that the datum be of the type that this is declared for.
    unsafe fn from_polymorphic_datum(datum: Datum, is_null: bool, _: Oid) -> Option<Self> {
        (!is_null).then_some(RawDatum(datum))
    }
}

/// One column of a row type.
#[derive(Debug, Clone)]
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

/// # Safety
/// `descriptor` is a valid row descriptor with a column at this position.
unsafe fn attribute_at(
    descriptor: pg_sys::TupleDesc,
    position: usize,
) -> *const pg_sys::FormData_pg_attribute {
    // SAFETY: by the caller's promise. Up to PostgreSQL 17 the function is a macro, and the attributes lie in the descriptor.
    unsafe {
        #[cfg(feature = "pg18")]
        let attribute = pg_sys::TupleDescAttr(descriptor, position as i32);
        #[cfg(not(feature = "pg18"))]
        let attribute = (*descriptor).attrs.as_ptr().add(position);
        attribute
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
