//! Reads one datum by its type: numbers as f64, texts as &str, arrays of numbers in place.
//!
//! Every path by which data enters (records, ingest, arrays) reads through here, so a type means the same everywhere:
//! booleans are 0 and 1, dates and timestamps are seconds since 1970 UTC, times of day and intervals are seconds, money is in
//! whole units of its currency. Categories are text, varchar, char, citext, name, enum and uuid.
#![allow(unsafe_code, reason = "datums are untyped words of PostgreSQL")]

mod array;
mod asked;
mod typed;
mod types;
mod written;

use std::ffi::CStr;

use pgrx::pg_sys::{self, Datum, Oid};

use crate::pg::error::{Error, Report};
use crate::pg::sys::raw::{detoasted, varlena_bytes};
pub(crate) use array::FloatArray;
use array::{array_elements, vector_elements};
pub(crate) use asked::folded;
pub(crate) use asked::read_and_written;
use asked::{
    extension_type, interval_seconds, interval_text, moment, money, numeric, time_seconds,
};
pub(crate) use typed::Typed;
pub(crate) use types::{
    any_length, base_type, has_order, holds, is_built_in, is_citext, qualified_type, type_name,
};
pub(crate) use written::{written, written_whole};

/// How values of a column are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    Date,
    Timestamp,
    Time,
    TimeWithZone,
    Interval,
    Money,
    /// text, varchar and citext: the bytes are the value.
    Text,
    /// char(n): the spaces at its end are none of it.
    Char,
    /// Of 64 bytes, up to the first that is 0.
    Name,
    /// enum, uuid and "char": categories read through their output function.
    Category {
        output: Oid,
    },
    Numbers(Element),
    Vector,
    /// A date, a time or both, written whatever the session's DateStyle and TimeZone: in UTC.
    Moment {
        base: Oid,
    },
    /// An interval, written the same for all that are equal, whatever the session's IntervalStyle.
    Span,
    /// Anything else: only good as a key, through its output function.
    Opaque {
        output: Oid,
    },
}

/// The elements of an array of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
}

impl Kind {
    pub(crate) fn of(type_oid: Oid) -> Kind {
        // SAFETY: catalogue look-ups by type oid, inside a transaction.
        let base = unsafe { pg_sys::getBaseType(type_oid) };
        match base {
            pg_sys::BOOLOID => Kind::Bool,
            pg_sys::INT2OID => Kind::Int2,
            pg_sys::INT4OID => Kind::Int4,
            pg_sys::INT8OID => Kind::Int8,
            pg_sys::FLOAT4OID => Kind::Float4,
            pg_sys::FLOAT8OID => Kind::Float8,
            pg_sys::NUMERICOID => Kind::Numeric,
            pg_sys::DATEOID => Kind::Date,
            pg_sys::TIMESTAMPOID | pg_sys::TIMESTAMPTZOID => Kind::Timestamp,
            pg_sys::TIMEOID => Kind::Time,
            pg_sys::TIMETZOID => Kind::TimeWithZone,
            pg_sys::INTERVALOID => Kind::Interval,
            pg_sys::MONEYOID => Kind::Money,
            pg_sys::TEXTOID | pg_sys::VARCHAROID => Kind::Text,
            pg_sys::BPCHAROID => Kind::Char,
            pg_sys::INT2ARRAYOID => Kind::Numbers(Element::Int2),
            pg_sys::INT4ARRAYOID => Kind::Numbers(Element::Int4),
            pg_sys::INT8ARRAYOID => Kind::Numbers(Element::Int8),
            pg_sys::FLOAT4ARRAYOID => Kind::Numbers(Element::Float4),
            pg_sys::FLOAT8ARRAYOID => Kind::Numbers(Element::Float8),
            pg_sys::NUMERICARRAYOID => Kind::Numbers(Element::Numeric),
            other => {
                let output = output_function(other);
                // SAFETY: as above.
                let is_enum = || unsafe { pg_sys::type_is_enum(other) };
                match other {
                    pg_sys::NAMEOID => Kind::Name,
                    pg_sys::UUIDOID | pg_sys::CHAROID => Kind::Category { output },
                    _ if is_enum() => Kind::Category { output },
                    _ if extension_type(other, c"vector") => Kind::Vector,
                    // As it is written: a row with the same text, of whichever of the types, is the same category.
                    _ if is_citext(other) => Kind::Text,
                    _ => Kind::Opaque { output },
                }
            }
        }
    }

    /// The kind by which a value becomes the text that SQL writes for it: a numeric keeps all its digits, a date is a date.
    pub(crate) fn as_written(self, type_oid: Oid) -> Kind {
        use Kind::*;
        match self {
            Date | Timestamp | Time | TimeWithZone => Moment { base: base_type(type_oid) },
            Interval => Span,
            Float4 | Float8 | Numeric | Money | Numbers(_) | Vector => {
                Opaque { output: output_function(base_type(type_oid)) }
            }
            other => other,
        }
    }

    /// As [`Self::as_written`], but a float is not written: how many digits that has is a setting of the session.
    pub(crate) fn as_key(self, type_oid: Oid) -> Kind {
        match self {
            Kind::Float4 | Kind::Float8 => self,
            other => other.as_written(type_oid),
        }
    }

    pub(crate) fn is_number(self) -> bool {
        use Kind::*;
        matches!(self, Bool | Int2 | Int4 | Int8 | Float4 | Float8 | Numeric)
            || matches!(self, Date | Timestamp | Time | TimeWithZone | Interval | Money)
    }

    pub(crate) fn is_integer(self) -> bool {
        matches!(self, Kind::Int2 | Kind::Int4 | Kind::Int8)
    }

    pub(crate) fn is_category(self) -> bool {
        matches!(self, Kind::Text | Kind::Char | Kind::Name | Kind::Category { .. })
    }

    pub(crate) fn is_array(self) -> bool {
        matches!(self, Kind::Numbers(_) | Kind::Vector)
    }

    /// The value as a number. It may be NaN or infinite: the caller, who knows the column's name, refuses these.
    ///
    /// # Safety
    /// `datum` is a value, not NULL, of a type of this kind, and the kind is a number.
    #[inline]
    pub(crate) unsafe fn number(self, datum: Datum) -> f64 {
        match self {
            Kind::Float8 => f64::from_bits(datum.value() as u64),
            Kind::Int4 => f64::from(datum.value() as i32),
            Kind::Int8 => datum.value() as i64 as f64,
            Kind::Bool => f64::from(u8::from(datum.value() as u8 != 0)),
            Kind::Int2 => f64::from(datum.value() as i16),
            Kind::Float4 => f64::from(f32::from_bits(datum.value() as u32)),
            // SAFETY: the datum is a numeric, as the caller promises.
            Kind::Numeric => unsafe { numeric(datum) },
            Kind::Date => match datum.value() as i32 {
                i32::MAX => f64::INFINITY,
                i32::MIN => f64::NEG_INFINITY,
                days => (f64::from(days) + DAYS_1970_TO_2000) * 86_400.0,
            },
            Kind::Timestamp => match datum.value() as i64 {
                i64::MAX => f64::INFINITY,
                i64::MIN => f64::NEG_INFINITY,
                microseconds => microseconds as f64 / 1e6 + DAYS_1970_TO_2000 * 86_400.0,
            },
            Kind::Time => datum.value() as i64 as f64 / 1e6,
            // SAFETY: the datum is of that type, as the caller promises.
            Kind::TimeWithZone => unsafe { time_seconds(datum) },
            // SAFETY: as above.
            Kind::Interval => unsafe { interval_seconds(datum) },
            // SAFETY: as above.
            Kind::Money => unsafe { money(datum) },
            _ => f64::NAN,
        }
    }

    /// # Safety
    /// `datum` is a value, not NULL, of a type of this kind, and the kind is an integer.
    #[inline]
    pub(crate) unsafe fn integer(self, datum: Datum) -> i64 {
        match self {
            Kind::Int2 => i64::from(datum.value() as i16),
            Kind::Int4 => i64::from(datum.value() as i32),
            _ => datum.value() as i64,
        }
    }

    /// The value if it is a whole number of 64 bits, with all its digits. None of a type that has fractions, but for numeric.
    ///
    /// # Safety
    /// `datum` is a value, not NULL, of a type of this kind.
    pub(crate) unsafe fn whole(self, datum: Datum) -> Option<i64> {
        match self {
            Kind::Bool => Some(i64::from(datum.value() as u8 != 0)),
            // SAFETY: by the caller's promise.
            Kind::Int2 | Kind::Int4 | Kind::Int8 => Some(unsafe { self.integer(datum) }),
            // SAFETY: a numeric, whose output function's string is freed.
            Kind::Numeric => unsafe {
                let printed = pg_sys::OidOutputFunctionCall(pg_sys::F_NUMERIC_OUT.into(), datum);
                let whole = CStr::from_ptr(printed).to_str().ok().and_then(whole_of);
                pg_sys::pfree(printed.cast());
                whole
            },
            _ => None,
        }
    }

    /// Calls `f` with the value's text, which lives as long as the call.
    ///
    /// # Safety
    /// `datum` is a value, not NULL, of a type of this kind.
    pub(crate) unsafe fn text<T>(
        self,
        datum: Datum,
        column: &str,
        f: impl FnOnce(&str) -> T,
    ) -> Result<T, Report> {
        let invalid = || Report::from(Error::InvalidText { column: column.to_owned() });
        // SAFETY: the datum is of this type by the caller's promise; what is detoasted or printed here is freed here.
        unsafe {
            match self {
                Kind::Text | Kind::Char => {
                    let original = datum.cast_mut_ptr::<pg_sys::varlena>();
                    let packed = detoasted(original);
                    let read = std::str::from_utf8(varlena_bytes(packed));
                    let result = read.map_err(|_| invalid()).map(|text| match self {
                        Kind::Char => f(text.trim_end_matches(' ')),
                        _ => f(text),
                    });
                    if packed != original {
                        pg_sys::pfree(packed.cast());
                    }
                    result
                }
                Kind::Name => {
                    // Of a row whose type was altered since they may be anything, without an end.
                    let bytes = std::slice::from_raw_parts(datum.cast_mut_ptr::<u8>(), NAME_BYTES);
                    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(NAME_BYTES);
                    std::str::from_utf8(&bytes[..end]).map(f).map_err(|_| invalid())
                }
                Kind::Category { output } | Kind::Opaque { output } => {
                    let printed = pg_sys::OidOutputFunctionCall(output, datum);
                    let result = CStr::from_ptr(printed).to_str().map(f).map_err(|_| invalid());
                    pg_sys::pfree(printed.cast());
                    result
                }
                Kind::Moment { base } => Ok(f(&moment(base, datum))),
                Kind::Span => Ok(f(&interval_text(datum))),
                Kind::Bool => Ok(f(if datum.value() as u8 != 0 { "true" } else { "false" })),
                Kind::Int2 | Kind::Int4 | Kind::Int8 => Ok(f(&self.integer(datum).to_string())),
                other => Ok(f(&other.number(datum).to_string())),
            }
        }
    }

    /// Appends the elements of an array of numbers; NaN for a NULL element.
    ///
    /// # Safety
    /// `datum` is a value, not NULL, of a type of this kind, and the kind is an array.
    #[inline]
    pub(crate) unsafe fn numbers(
        self,
        datum: Datum,
        name: &str,
        out: &mut Vec<f64>,
    ) -> Result<(), Report> {
        // SAFETY: the datum is an array or a vector by the caller's promise; its bytes are read within its own length.
        unsafe {
            let original = datum.cast_mut_ptr::<pg_sys::varlena>();
            let packed = detoasted(original);
            let result = match self {
                Kind::Vector => vector_elements(varlena_bytes(packed), name, out),
                Kind::Numbers(element) => array_elements(varlena_bytes(packed), element, name, out),
                _ => Ok(()),
            };
            if packed != original {
                pg_sys::pfree(packed.cast());
            }
            result
        }
    }
}

/// The whole number that a numeric is written as: 5, and 5.00 too.
fn whole_of(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    fraction.bytes().all(|digit| digit == b'0').then(|| whole.parse().ok()).flatten()
}

/// What a name takes, its end included.
const NAME_BYTES: usize = pg_sys::NAMEDATALEN as usize;

/// Days from 1970-01-01 to PostgreSQL's epoch, 2000-01-01.
const DAYS_1970_TO_2000: f64 = 10_957.0;

fn output_function(type_oid: Oid) -> Oid {
    let (mut output, mut is_varlena) = (pg_sys::InvalidOid, false);
    // SAFETY: a catalogue look-up into two locals.
    unsafe { pg_sys::getTypeOutputInfo(type_oid, &mut output, &mut is_varlena) };
    output
}
