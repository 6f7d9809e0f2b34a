//! States of aggregates that are flat blocks of bytes: SQL types, changed in place, which grow by doubling.
//!
//! A state may be any bytes: it is read and changed as a slice of its length. It has room behind its entries, and the
//! aggregate's final function takes it off. PostgreSQL copies what a transition function returns into the aggregate's memory
//! when it is another value than the one it passed, and frees that one: so a larger state is made in the memory of the row.
#![allow(unsafe_code, reason = "the state is changed in place, in memory of the aggregate")]

use pgrx::IntoDatum;
use pgrx::callconv::{BoxRet, FcInfo};
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::prelude::PgSqlErrorCode as Code;

use crate::algo::flat_map::{Updated, Word, grown, update};

use crate::pg::error::{Report, report};
use crate::pg::sys::raw::{self, bytes_of};

/// A state grows no further.
const MOST_BYTES: usize = 1 << 28;

/// The state of a running call.
pub(crate) struct State {
    /// With its full header, in the memory of the call or of its aggregate. A state is not kept beyond its call.
    value: &'static mut [u8],
}

impl State {
    /// The state in the first argument: as it is where it may be changed, else a copy; `empty` when it is NULL.
    ///
    /// # Safety
    /// `fcinfo` is of the running call of a function whose first argument is such a state.
    #[inline]
    pub(crate) unsafe fn of(fcinfo: FunctionCallInfo, empty: impl FnOnce() -> Vec<u8>) -> Self {
        // SAFETY: by the caller's promise. What is in place has a full header.
        unsafe {
            match (raw::argument(fcinfo, 0), raw::state_in_place(fcinfo)) {
                (Some(_), Some(value)) => Self { value },
                (Some(state), None) => Self::new(bytes_of(state), 0),
                (None, _) => Self::new(&empty(), 0),
            }
        }
    }

    /// With room behind the bytes where they are fewer than `least`.
    fn new(bytes: &[u8], least: usize) -> Self {
        let value = raw::new_varlena(4 + bytes.len().max(least));
        value[4..][..bytes.len()].copy_from_slice(bytes);
        Self { value }
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.value[4..]
    }

    /// Changes the words of a key, and says whether the key is new.
    #[inline]
    pub(crate) fn update(
        &mut self,
        key: &[u8],
        change: impl Fn(&mut [Word]),
    ) -> Result<bool, Report> {
        loop {
            match update(self.bytes(), key, &change) {
                Updated::Found => return Ok(false),
                Updated::Added => return Ok(true),
                Updated::Full => self.grow(key)?,
            }
        }
    }

    #[cold]
    fn grow(&mut self, key: &[u8]) -> Result<(), Report> {
        let larger = grown(self.bytes(), key)?;
        if larger.is_empty() {
            return Err(no_state());
        }
        check_length(larger.len())?;
        self.replace(&larger);
        Ok(())
    }

    /// Takes other bytes as this state.
    #[cold]
    pub(crate) fn replace(&mut self, bytes: &[u8]) {
        *self = Self::new(bytes, 0);
    }

    /// Makes room behind the bytes, so that they are `n` with it.
    #[cold]
    pub(crate) fn widen(&mut self, n: usize) -> Result<(), Report> {
        check_length(n)?;
        *self = Self::new(self.bytes(), n);
        Ok(())
    }
}

/// Bytes that no function of the type made.
#[cold]
pub(crate) fn no_state() -> Report {
    report(Code::ERRCODE_DATA_CORRUPTED, "the bytes are no state of this type")
}

fn check_length(n_bytes: usize) -> Result<(), Report> {
    if n_bytes <= MOST_BYTES {
        return Ok(());
    }
    Err(report(
        Code::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
        format!("the state needs {} MB, more than the limit of 256 MB", n_bytes >> 20),
    )
    .set_hint("Group the rows, or leave out values that are nearly as many as the rows."))
}

impl From<State> for Datum {
    fn from(state: State) -> Datum {
        Datum::from(state.value.as_mut_ptr())
    }
}

/// A state as the result of a final function.
pub(crate) struct BytesOut(pub(crate) Vec<u8>);

// SAFETY: the datum is a varlena, as all value types are.
unsafe impl BoxRet for BytesOut {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> pgrx::datum::Datum<'fcx> {
        match self.0.into_datum() {
            // SAFETY: the datum is of the function's declared type.
            Some(datum) => unsafe { fcinfo.return_raw_datum(datum) },
            None => fcinfo.return_null(),
        }
    }
}
