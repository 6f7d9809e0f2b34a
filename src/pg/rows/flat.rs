//! States of aggregates that are flat blocks of bytes: SQL types, changed in place, which grow by doubling.
//!
//! A state may be any bytes: it is read and changed as a slice of its length. It has room behind its entries, and the
//! aggregate's final function takes it off. PostgreSQL copies what a transition function returns into the aggregate's memory
//! when it is another value than the one it passed, and frees that one: so a larger state is made in the memory of the row.
#![allow(unsafe_code, reason = "a result's datum is untyped")]

use pgrx::IntoDatum;
use pgrx::callconv::{BoxRet, FcInfo};
use pgrx::prelude::PgSqlErrorCode as Code;

use crate::algo::flat_map::{Updated, Word, grown, update};

use crate::pg::error::{Report, report};
use crate::pg::sys::argument::Nth;
use crate::pg::sys::call::{self, Arguments, Given, Memory, NextState};
use crate::pg::sys::raw::Varlena;

/// A state grows no further.
const MOST_BYTES: usize = 1 << 28;

/// The state of a running call.
pub(crate) struct State<'call> {
    value: Varlena<'call>,
    memory: Memory<'call>,
}

impl<'call> State<'call> {
    /// The state in the first argument: as it is where it may be changed, else a copy; `empty` when it is NULL.
    #[inline]
    pub(crate) fn of<T, A: Nth<0, Type = call::State<T>>>(
        args: Arguments<'call, A>,
        empty: impl FnOnce() -> Vec<u8>,
    ) -> Self {
        let memory = args.memory();
        let value = match args.into_state() {
            Given::Own(value) => value,
            Given::Stored(state) => memory.varlena_of(state),
            Given::Null => memory.varlena_of(&empty()),
        };
        Self { value, memory }
    }

    #[inline]
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        self.value.contents()
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
        self.value = self.memory.varlena_of(bytes);
    }

    /// Makes room behind the bytes, so that they are `n` with it.
    #[cold]
    pub(crate) fn widen(&mut self, n: usize) -> Result<(), Report> {
        check_length(n)?;
        let mut wider = self.memory.varlena(4 + n.max(self.bytes().len()));
        wider.contents()[..self.bytes().len()].copy_from_slice(self.bytes());
        self.value = wider;
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

impl<'call> From<State<'call>> for NextState<'call> {
    #[inline]
    fn from(state: State<'call>) -> Self {
        state.value.into()
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
