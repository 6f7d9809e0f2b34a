//! A value together with its kind, which is read without a thought of what it is.
#![allow(unsafe_code, reason = "datums are untyped words of PostgreSQL")]

use std::marker::PhantomData;

use pgrx::pg_sys::{self, Datum};

use crate::pg::error::Report;
use crate::pg::sys::raw::varlena_bytes;

use super::Kind;

/// A value, not NULL.
#[derive(Clone, Copy)]
pub(crate) struct Typed<'a> {
    kind: Kind,
    datum: Datum,
    of: PhantomData<&'a ()>,
}

impl Typed<'_> {
    /// # Safety
    /// `datum` is a value, not NULL, of a type of this kind, and lives as long as this.
    #[inline]
    pub(crate) unsafe fn new(kind: Kind, datum: Datum) -> Self {
        Self { kind, datum, of: PhantomData }
    }

    /// As of [`Kind::number`]; NaN where it is none.
    #[inline]
    pub(crate) fn number(self) -> f64 {
        // SAFETY: the value is of the kind.
        unsafe { self.kind.number(self.datum) }
    }

    /// An integer, or the microseconds or units that a time or a money is counted in.
    #[inline]
    pub(crate) fn whole(self) -> i64 {
        // SAFETY: as above.
        unsafe { self.kind.integer(self.datum) }
    }

    /// As of [`Kind::text`].
    pub(crate) fn text<T>(self, column: &str, f: impl FnOnce(&str) -> T) -> Result<T, Report> {
        // SAFETY: as above.
        unsafe { self.kind.text(self.datum, column, f) }
    }

    /// A numeric with all its digits, as SQL writes it.
    pub(crate) fn digits<T>(self, column: &str, f: impl FnOnce(&str) -> T) -> Result<T, Report> {
        Self { kind: self.kind.as_written(pg_sys::NUMERICOID), ..self }.text(column, f)
    }

    /// Whether it is a numeric of at most twelve digits, so that its nearest float is that of no other such numeric.
    #[inline]
    pub(crate) fn is_short_numeric(self) -> bool {
        /// A header of two bytes, and three digits of base 10,000.
        const SHORT: usize = 8;
        if self.kind != Kind::Numeric {
            return false;
        }
        let value = self.datum.cast_mut_ptr::<pg_sys::varlena>();
        // SAFETY: a numeric is a varlena; one that is compressed or kept elsewhere is not looked into.
        unsafe {
            let is_here = pgrx::varatt_is_4b_u(value)
                || pgrx::varatt_is_1b(value) && !pgrx::varatt_is_1b_e(value);
            is_here && varlena_bytes(value).len() <= SHORT
        }
    }
}
