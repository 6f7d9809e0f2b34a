//! Numbers that were read of a column, as SQL writes the values that they stand for.
#![allow(unsafe_code, reason = "datums are untyped words of PostgreSQL")]

use std::ffi::CStr;

use pgrx::pg_sys::{self, Datum, Oid};

use super::asked::{call, float8_numeric, numeric_cash};
use super::{DAYS_1970_TO_2000, Kind, output_function};

/// A number of a column of this kind and type as SQL writes it: a date is a date again, an interval an interval of days and hours.
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
        Kind::TimeWithZone => return time_with_zone(type_oid, number),
        Kind::Interval => return interval(type_oid, number),
        // SAFETY: a float8 becomes a numeric, and that a money, of the currency's digits.
        Kind::Money => unsafe {
            let number = call(float8_numeric, Datum::from(number.to_bits()));
            call(numeric_cash, number)
        },
        _ => Datum::from(number.to_bits()),
    };
    // What is no number of a machine was read as a float8, and is written as one.
    let is_itself = ![Kind::Numeric, Kind::Float8].contains(&kind);
    let type_oid = if is_itself { type_oid } else { pg_sys::FLOAT8OID };
    printed(type_oid, datum)
}

/// Seconds since midnight in UTC. Where that is before or after the day, so much east or west of it.
fn time_with_zone(type_oid: Oid, seconds: f64) -> String {
    const HOUR: f64 = 3600.0;
    let hours = if seconds < 0.0 {
        (-seconds / HOUR).ceil()
    } else {
        -((seconds - 24.0 * HOUR) / HOUR).ceil().max(0.0)
    };
    let time = pg_sys::TimeTzADT {
        time: ((seconds + hours * HOUR) * 1e6).round() as i64,
        // PostgreSQL counts west of Greenwich.
        zone: -(hours * HOUR) as i32,
    };
    printed(type_oid, Datum::from(&raw const time))
}

/// Days of 24 hours, and what is left of one; of more days than an interval has room for, years of 365.25 days before them.
fn interval(type_oid: Oid, seconds: f64) -> String {
    const DAY: f64 = 86_400.0;
    const YEAR: f64 = 365.25 * DAY;
    let years =
        if seconds.abs() < f64::from(i32::MAX) * DAY { 0.0 } else { (seconds / YEAR).trunc() };
    let days = ((seconds - years * YEAR) / DAY).trunc();
    let interval = pg_sys::Interval {
        time: ((seconds - years * YEAR - days * DAY) * 1e6).round() as i64,
        day: days as i32,
        month: (years * 12.0) as i32,
    };
    printed(type_oid, Datum::from(&raw const interval))
}

/// A bigint, or the microseconds of a time, of this type as SQL writes it.
pub(crate) fn written_whole(type_oid: Oid, kind: Kind, whole: i64) -> String {
    match kind {
        Kind::Timestamp | Kind::Money => printed(type_oid, Datum::from(whole)),
        _ => whole.to_string(),
    }
}

/// The datum is of the type, and what it points to outlives the call.
fn printed(type_oid: Oid, datum: Datum) -> String {
    // SAFETY: the datum is of the base type; the output function's string is copied and freed.
    unsafe {
        let output = output_function(pg_sys::getBaseType(type_oid));
        let printed = pg_sys::OidOutputFunctionCall(output, datum);
        let text = CStr::from_ptr(printed).to_string_lossy().into_owned();
        pg_sys::pfree(printed.cast());
        text
    }
}
