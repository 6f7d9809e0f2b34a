//! Types whose values PostgreSQL has to be asked for: numeric, money, interval, dates and times, citext.
#![allow(unsafe_code, reason = "datums are untyped words of PostgreSQL")]

use std::ffi::{CStr, CString, c_char};

use pgrx::pg_sys::{self, Datum, Oid};

use crate::algo::key::span;
use crate::pg::sys::security::{attempt, is_superuser, owner_of_type};

use super::{Kind, type_name};

/// Whether the type came with the extension of its own name, and is none that is only called so.
pub(super) fn extension_type(type_id: Oid, name: &CStr) -> bool {
    let is_called_so = || type_name(type_id).rsplit('.').next() == name.to_str().ok();
    // SAFETY: look-ups in the catalogue; the extension's name is a C string of PostgreSQL's.
    is_called_so()
        && unsafe {
            let extension = pg_sys::getExtensionOfObject(pg_sys::TypeRelationId, type_id);
            let found = if extension == pg_sys::InvalidOid {
                std::ptr::null_mut()
            } else {
                pg_sys::get_extension_name(extension)
            };
            // Whoever made the extension may add a type of his own to it.
            !found.is_null()
                && CStr::from_ptr(found) == name
                && is_superuser(owner_of_type(type_id))
        }
}

/// # Safety
/// `datum` is a numeric.
pub(super) unsafe fn numeric(datum: Datum) -> f64 {
    // SAFETY: numeric_float8_no_overflow takes a numeric and gives a float8; beyond its range it gives infinity.
    unsafe { f64::from_bits(call(numeric_float8_no_overflow, datum).value() as u64) }
}

/// In units of the currency: how many digits behind the point a money has hangs on lc_monetary.
///
/// # Safety
/// `datum` is a money.
pub(super) unsafe fn money(datum: Datum) -> f64 {
    // SAFETY: cash_numeric takes a money and gives a numeric of its own, freed here.
    unsafe {
        let value = call(cash_numeric, datum);
        let number = numeric(value);
        pg_sys::pfree(value.cast_mut_ptr());
        number
    }
}

/// As extract(epoch …): a year has 365.25 days, a month that is left has 30.
///
/// # Safety
/// `datum` is an interval.
pub(super) unsafe fn interval_seconds(datum: Datum) -> f64 {
    const DAY: f64 = 86_400.0;
    // SAFETY: by the caller's promise; in a row it is aligned, elsewhere as PostgreSQL allocated it.
    let interval = unsafe { datum.cast_mut_ptr::<pg_sys::Interval>().read_unaligned() };
    // Since PostgreSQL 17 the ends of all three are the infinities.
    match (interval.month, interval.day, interval.time) {
        (i32::MAX, i32::MAX, i64::MAX) => f64::INFINITY,
        (i32::MIN, i32::MIN, i64::MIN) => f64::NEG_INFINITY,
        (months, days, microseconds) => {
            let days =
                f64::from(months / 12) * 365.25 + f64::from(months % 12) * 30.0 + f64::from(days);
            days * DAY + microseconds as f64 / 1e6
        }
    }
}

/// # Safety
/// `datum` is an interval.
pub(super) unsafe fn interval_text(datum: Datum) -> String {
    // SAFETY: as above.
    let interval = unsafe { datum.cast_mut_ptr::<pg_sys::Interval>().read_unaligned() };
    match (interval.month, interval.day, interval.time) {
        (i32::MAX, i32::MAX, i64::MAX) => "infinity".to_owned(),
        (i32::MIN, i32::MIN, i64::MIN) => "-infinity".to_owned(),
        (months, days, microseconds) => span(months, days, microseconds),
    }
}

/// A date or a time in the style ISO, with a zone in UTC.
///
/// # Safety
/// `datum` is of the type, which is one of PostgreSQL's five of dates and times.
pub(super) unsafe fn moment(base: Oid, datum: Datum) -> String {
    // SAFETY: by the caller's promise; the text is PostgreSQL's own, copied and freed.
    let written = unsafe {
        let written = pg_sys::JsonEncodeDateTime(std::ptr::null_mut(), datum, base, &0);
        let copy = CStr::from_ptr(written).to_string_lossy().into_owned();
        pg_sys::pfree(written.cast());
        copy
    };
    match base {
        pg_sys::TIMESTAMPTZOID => written.replacen('T', " ", 1).replacen("+00:00", "+00", 1),
        pg_sys::TIMESTAMPOID => written.replacen('T', " ", 1),
        _ => written,
    }
}

/// What a text says as a value of this type of PostgreSQL's own, as [`Kind::as_written`] writes it; None where it says none.
pub(crate) fn read_and_written(type_oid: Oid, text: &str) -> Option<String> {
    let c_text = CString::new(text).ok()?;
    let (mut input, mut parameter) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
    let read = || {
        // SAFETY: the type's own input function on a C string, and the value that it makes.
        unsafe {
            pg_sys::getTypeInputInfo(type_oid, &mut input, &mut parameter);
            let value =
                pg_sys::OidInputFunctionCall(input, c_text.as_ptr().cast_mut(), parameter, -1);
            Kind::of(type_oid).as_written(type_oid).text(value, "", str::to_owned)
        }
    };
    attempt(read).ok()
}

/// Since midnight in UTC.
///
/// # Safety
/// `datum` is a time with time zone.
pub(super) unsafe fn time_seconds(datum: Datum) -> f64 {
    // SAFETY: by the caller's promise.
    let time = unsafe { datum.cast_mut_ptr::<pg_sys::TimeTzADT>().read_unaligned() };
    time.time as f64 / 1e6 + f64::from(time.zone)
}

/// Calls `f` with the text as citext compares it.
pub(crate) fn folded<T>(text: &str, f: impl FnOnce(&str) -> T) -> T {
    // SAFETY: PostgreSQL reads as many bytes as it is told, and makes a C string in the database's encoding, freed here.
    unsafe {
        let lower = str_tolower(text.as_ptr().cast(), text.len(), pg_sys::DEFAULT_COLLATION_OID);
        let answer = f(&CStr::from_ptr(lower).to_string_lossy());
        pg_sys::pfree(lower.cast());
        answer
    }
}

/// # Safety
/// `function` takes a value as the datum is.
pub(super) unsafe fn call(
    function: unsafe extern "C-unwind" fn(pg_sys::FunctionCallInfo) -> Datum,
    datum: Datum,
) -> Datum {
    // SAFETY: by the caller's promise.
    unsafe { pg_sys::DirectFunctionCall1Coll(Some(function), pg_sys::InvalidOid, datum) }
}

unsafe extern "C-unwind" {
    /// PostgreSQL's own, without pgrx's guard: an error is to reach the guard of the call, past the C function between them.
    fn numeric_float8_no_overflow(fcinfo: pg_sys::FunctionCallInfo) -> Datum;
    /// As above.
    fn str_tolower(text: *const c_char, n_bytes: usize, collation: Oid) -> *mut c_char;
    /// As above.
    fn cash_numeric(fcinfo: pg_sys::FunctionCallInfo) -> Datum;
    /// As above.
    pub(super) fn numeric_cash(fcinfo: pg_sys::FunctionCallInfo) -> Datum;
    /// As above.
    pub(super) fn float8_numeric(fcinfo: pg_sys::FunctionCallInfo) -> Datum;
}
