//! Rows of a composite type as a function's result.
#![allow(unsafe_code, reason = "tuples of PostgreSQL")]

use std::marker::PhantomData;

use pgrx::IntoDatum;
use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::prelude::PgSqlErrorCode as Code;

use crate::pg::error::{Report, report};
use crate::pg::sys::argument::Returned;
use crate::pg::sys::call_site::CallSite;
use crate::pg::sys::scan::attribute_at;

/// A row.
pub(crate) struct Composite<'call>(Datum, PhantomData<&'call ()>);

// SAFETY: the row is of the type that SQL declares as the result.
unsafe impl Returned<Composite<'_>> for Option<Composite<'_>> {
    fn into_datum(self) -> Option<Datum> {
        self.map(|row| row.0)
    }
}

/// A value of a row, as the type of its column.
pub(crate) enum Field<'a> {
    Int4(i32),
    Int8(i64),
    Float8(f64),
    Text(&'a str),
}

impl Field<'_> {
    fn type_oid(&self) -> Oid {
        match self {
            Self::Int4(_) => pg_sys::INT4OID,
            Self::Int8(_) => pg_sys::INT8OID,
            Self::Float8(_) => pg_sys::FLOAT8OID,
            Self::Text(_) => pg_sys::TEXTOID,
        }
    }

    fn into_datum(self) -> Option<Datum> {
        match self {
            Self::Int4(value) => value.into_datum(),
            Self::Int8(value) => value.into_datum(),
            Self::Float8(value) => value.into_datum(),
            Self::Text(value) => value.into_datum(),
        }
    }
}

/// A row of the type that SQL declares as the result of the call, whose columns these are.
pub(crate) fn composite<'call, const N: usize>(
    site: &CallSite<'call>,
    fields: [Field; N],
) -> Result<Composite<'call>, Report> {
    // SAFETY: of the running call; the values are of the types of the columns.
    unsafe {
        let mut descriptor = std::ptr::null_mut();
        pg_sys::get_call_result_type(site.call(), std::ptr::null_mut(), &mut descriptor);
        let is_of = |(column, field): (usize, &Field)| {
            (*attribute_at(descriptor, column)).atttypid == field.type_oid()
        };
        let n_columns = descriptor.as_ref().map_or(0, |descriptor| descriptor.natts as usize);
        if n_columns != N || !fields.iter().enumerate().all(is_of) {
            let why = "the result of the function has other columns";
            return Err(report(Code::ERRCODE_DATATYPE_MISMATCH, why));
        }
        let mut values = fields.map(|field| field.into_datum().unwrap_or(Datum::null()));
        let mut nulls = [false; N];
        let descriptor = pg_sys::BlessTupleDesc(descriptor);
        let tuple = pg_sys::heap_form_tuple(descriptor, values.as_mut_ptr(), nulls.as_mut_ptr());
        Ok(Composite(pg_sys::HeapTupleHeaderGetDatum((*tuple).t_data), PhantomData))
    }
}
