//! Numbers that were read of a column, as SQL writes the values that they stand for.
#![allow(unsafe_code, reason = "datums are untyped words of PostgreSQL")]

use std::ffi::CStr;

use pgrx::pg_sys::{self, Datum, Oid};

use super::{DAYS_1970_TO_2000, Kind, output_function};

/// A number of a column of this kind and type as SQL writes it: a date is a date again.
pub(crate) fn written(kind: Kind, type_oid: Oid, number: f64) -> String {
    let microseconds =
        |seconds: f64| ((seconds - DAYS_1970_TO_2000 * 86_400.0) * 1e6).round() as i64;
    let datum = match kind {
        Kind::Bool => Datum::from(number != 0.0),
        Kind::Int2 => Datum::from(number as i16),
        Kind::Int4 => Datum::from(number as i32),
        Kind::Int8 => Datum::from(number as i64),
        Kind::Float4 => Datum::from((number as f32).to_bits()),
        Kind::Date => Datum::from((number / 86_400.0 - DAYS_1970_TO_2000).round() as i32),
        Kind::Timestamp => Datum::from(microseconds(number)),
        Kind::Time => Datum::from((number * 1e6).round() as i64),
        _ => Datum::from(number.to_bits()),
    };
    // What is no number of a machine was read as a float8, and is written as one.
    let is_read = [Kind::Numeric, Kind::Float8, Kind::TimeWithZone, Kind::Interval, Kind::Money];
    let is_itself = !is_read.contains(&kind);
    let type_oid = if is_itself { type_oid } else { pg_sys::FLOAT8OID };
    printed(type_oid, datum)
}

/// A bigint, or the microseconds of a time, of this type as SQL writes it.
pub(crate) fn written_whole(type_oid: Oid, kind: Kind, whole: i64) -> String {
    match kind {
        Kind::Timestamp => printed(type_oid, Datum::from(whole)),
        _ => whole.to_string(),
    }
}

/// The datum is of the type, by value.
fn printed(type_oid: Oid, datum: Datum) -> String {
    // SAFETY: the datum is of the base type, by value; the output function's string is copied and freed.
    unsafe {
        let output = output_function(pg_sys::getBaseType(type_oid));
        let printed = pg_sys::OidOutputFunctionCall(output, datum);
        let text = CStr::from_ptr(printed).to_string_lossy().into_owned();
        pg_sys::pfree(printed.cast());
        text
    }
}
