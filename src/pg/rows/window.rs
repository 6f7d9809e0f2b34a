//! PostgreSQL's interface for window functions, which pgrx does not bind: declared by hand, wrapped for the few uses here.
#![allow(unsafe_code, reason = "functions of PostgreSQL, declared by hand from windowapi.h")]

use std::marker::PhantomData;

use pgrx::PgMemoryContexts;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo};
use pgrx::prelude::*;

use crate::algo::memory::{self, Refused};

use crate::pg::error::Report;
use crate::pg::rows::frame::FrameKind;
use crate::pg::sys::argument::{Any, AnyType, Argument, Nth, Place};
use crate::pg::sys::call_site::CallSite;
use crate::pg::sys::raw::{Tagged, drop_with};

/// Declares window functions, as `functions!` does others: `window fn symbol(types) -> type = what answers`.
macro_rules! window_functions {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ty),*) -> $result:ty = $answer:expr;)*) => { $(
        crate::pg::sys::call::exported! {
            $(#[$doc])* $name(crate::pg::rows::window::Window<($($argument,)*)>) -> $result = $answer
        }
    )* };
}
pub(crate) use window_functions;

/// A running call of a window function with arguments of the types `A`.
pub(crate) struct Window<'call, A> {
    pub(crate) rows: Partition<'call, A>,
    pub(crate) site: CallSite<'call>,
}

impl<A> Window<'_, A> {
    /// # Safety
    /// `fcinfo` is of the running call of a function that SQL declares WINDOW, with these arguments.
    #[inline]
    pub(crate) unsafe fn of(fcinfo: FunctionCallInfo) -> Self {
        // SAFETY: by the caller's promise; for such a call the context is the window object.
        unsafe {
            let window = (*fcinfo).context.cast();
            let rows = Partition { window, fcinfo, of: PhantomData };
            Self { rows, site: CallSite::of(fcinfo) }
        }
    }
}

/// The partition that a window function is being computed over. What is read of one row is gone when another one is read.
pub(crate) struct Partition<'call, A> {
    window: *mut std::ffi::c_void,
    fcinfo: FunctionCallInfo,
    of: PhantomData<(&'call mut (), A)>,
}

unsafe extern "C-unwind" {
    fn WinGetPartitionLocalMemory(
        window: *mut std::ffi::c_void,
        size: usize,
    ) -> *mut std::ffi::c_void;
    fn WinGetCurrentPosition(window: *mut std::ffi::c_void) -> i64;
    fn WinSetMarkPosition(window: *mut std::ffi::c_void, position: i64);
    fn WinGetFuncArgInPartition(
        window: *mut std::ffi::c_void,
        argument: i32,
        position: i32,
        seek_type: i32,
        set_mark: bool,
        is_null: *mut bool,
        is_out: *mut bool,
    ) -> Datum;
    fn WinGetFuncArgInFrame(
        window: *mut std::ffi::c_void,
        argument: i32,
        position: i32,
        seek_type: i32,
        set_mark: bool,
        is_null: *mut bool,
        is_out: *mut bool,
    ) -> Datum;
    fn WinGetFuncArgCurrent(
        window: *mut std::ffi::c_void,
        argument: i32,
        is_null: *mut bool,
    ) -> Datum;
}

/// Counted from the start of the partition, or of the frame.
const WINDOW_SEEK_HEAD: i32 = 1;
const WINDOW_SEEK_TAIL: i32 = 2;

type WinGet = unsafe extern "C-unwind" fn(
    *mut std::ffi::c_void,
    i32,
    i32,
    i32,
    bool,
    *mut bool,
    *mut bool,
) -> Datum;

/// Rows from one on, counted from the start of the partition or of the current row's frame.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rows {
    OfPartition(i64),
    /// Without those that an EXCLUDE leaves out.
    OfFrame(i64),
}

/// Rows between two looks at interrupts.
const TOGETHER: i64 = 256;

impl<'call, A> Partition<'call, A> {
    /// The current row, counted from 0.
    #[inline]
    pub(crate) fn position(&self) -> i64 {
        // SAFETY: the window object is of the running call. It only reads a number, so the guard of 20 ns against errors would
        // guard nothing.
        unsafe { WinGetCurrentPosition(self.window) }
    }

    /// Says that rows before this one are not asked for again, so that they need not be kept.
    pub(crate) fn release_before(&self, position: i64) {
        // SAFETY: as above; an error of PostgreSQL's becomes a panic at this boundary.
        unsafe { pg_guard_ffi_boundary(|| WinSetMarkPosition(self.window, position)) }
    }

    /// As [`Self::release_before`], at every `every`th row: a mark at each would cost more than it gains.
    #[inline]
    pub(crate) fn release(&self, position: i64, every: i64) {
        if position % every == 0 {
            self.release_before(position);
        }
    }

    /// An argument at the current row; None for NULL.
    pub(crate) fn get<const N: usize>(&self) -> Option<<<A as Nth<N>>::Type as Argument>::Value<'_>>
    where
        A: Nth<N, Type: Argument>,
    {
        let mut is_null = false;
        // SAFETY: as above; SQL declares the argument, which is of this type.
        unsafe {
            let datum =
                pg_guard_ffi_boundary(|| WinGetFuncArgCurrent(self.window, N as i32, &mut is_null));
            (!is_null).then(|| A::Type::value(datum))
        }
    }

    /// An argument at a row of the partition: None beyond its end; Some(None) for NULL.
    fn at(&mut self, argument: usize, position: i64) -> Option<Option<Datum>> {
        let mut found = None;
        // SAFETY: nothing panics, and nothing has to be dropped.
        let n = unsafe {
            self.visit(argument, Rows::OfPartition(position), 1, |datum| {
                found = datum;
                true
            })
        };
        (n > 0).then_some(found)
    }

    /// As [`Self::each_from`], from the first row on.
    pub(crate) fn each(
        &mut self,
        row: impl FnMut(&mut RowAt<'_, 'call, A>) -> Result<bool, Report>,
    ) -> Result<(), Report> {
        self.each_from(0, row)
    }

    /// Hands out the rows of the partition, from one on, until `row` says that it has no more. What the arguments' expressions
    /// make of many rows would otherwise stay until the function has answered.
    pub(crate) fn each_from(
        &mut self,
        first: i64,
        mut row: impl FnMut(&mut RowAt<'_, 'call, A>) -> Result<bool, Report>,
    ) -> Result<(), Report> {
        let mut scratch = PgMemoryContexts::new("pg_persona rows of a window");
        for position in first.. {
            if position % TOGETHER == 0 {
                check_for_interrupts!();
                // SAFETY: what was made of the rows before is bound to them.
                unsafe { scratch.reset() };
            }
            // SAFETY: as above.
            let goes_on = unsafe { scratch.switch_to(|_| row(&mut RowAt(self, position)))? };
            if !goes_on {
                break;
            }
        }
        Ok(())
    }

    /// Hands an argument at some rows to `take`, None for NULL, under one guard against errors. Ends where the rows do and before
    /// the first row that `take` refuses; returns how many it took.
    ///
    /// # Safety
    /// `take` does not panic, for nothing may unwind through the guard; and what it holds while it calls PostgreSQL needs no drop.
    #[inline]
    pub(super) unsafe fn visit(
        &mut self,
        argument: usize,
        rows: Rows,
        n: usize,
        mut take: impl FnMut(Option<Datum>) -> bool,
    ) -> usize {
        let (get, first): (WinGet, i64) = match rows {
            Rows::OfPartition(first) => (WinGetFuncArgInPartition, first),
            Rows::OfFrame(first) => (WinGetFuncArgInFrame, first),
        };
        // SAFETY: the window object is of the running call, which has the argument. The position is taken as an int by PostgreSQL.
        unsafe {
            pg_guard_ffi_boundary(|| {
                for taken in 0..n {
                    let (mut is_null, mut is_out) = (false, false);
                    let datum = get(
                        self.window,
                        argument as i32,
                        (first + taken as i64) as i32,
                        WINDOW_SEEK_HEAD,
                        false,
                        &mut is_null,
                        &mut is_out,
                    );
                    if is_out || !take((!is_null).then_some(datum)) {
                        return taken;
                    }
                }
                n
            })
        }
    }

    /// The state of the plan's node: the second word of the window object, behind its tag, in PostgreSQL 15 to 18.
    fn state(&self) -> *const pg_sys::WindowAggState {
        // SAFETY: the window object is of the running call.
        unsafe { self.window.cast::<*const pg_sys::WindowAggState>().add(1).read() }
    }

    pub(crate) fn frame_kind(&self) -> FrameKind {
        // SAFETY: the state is that of the running node.
        unsafe { FrameKind::of(self.state()) }
    }

    /// The positions of the first row of the current row's frame, exclusions apart, and of the one behind its last.
    pub(crate) fn frame(&mut self) -> (i64, i64) {
        let (mut is_null, mut is_out) = (false, false);
        // SAFETY: as above; asking for the first and the last row makes PostgreSQL find both ends.
        unsafe {
            pg_guard_ffi_boundary(|| {
                for seek_type in [WINDOW_SEEK_HEAD, WINDOW_SEEK_TAIL] {
                    let (is_null, is_out) = (&mut is_null, &mut is_out);
                    WinGetFuncArgInFrame(self.window, 0, 0, seek_type, false, is_null, is_out);
                }
            });
            let state = self.state();
            ((*state).frameheadpos, (*state).frametailpos)
        }
    }

    /// An argument that is a float8 at some rows, at most `n`, [`NULL`] for NULL; fewer where they end.
    pub(crate) fn floats<const N: usize>(
        &mut self,
        rows: Rows,
        n: usize,
        out: &mut Vec<f64>,
    ) -> Result<(), Refused>
    where
        A: Nth<N, Type = f64>,
    {
        memory::room(out, n)?;
        // SAFETY: there is room for n numbers.
        unsafe {
            self.visit(N, rows, n, |datum| {
                out.push(datum.map_or(NULL, |datum| f64::from_bits(datum.value() as u64)));
                true
            });
        }
        Ok(())
    }

    /// What the function remembers of this partition, until its end; made when it is first asked for.
    pub(crate) fn remember<T: 'static>(
        &mut self,
        make: impl FnOnce(&mut Self) -> Result<T, Report>,
    ) -> Result<&'call T, Report> {
        // SAFETY: the memory is zeroed when the partition begins, and holds null or a box that was made here; the box lives
        // until the partition's memory is reset, after its last row.
        unsafe {
            let slot = pg_guard_ffi_boundary(|| {
                WinGetPartitionLocalMemory(self.window, size_of::<*mut Tagged<T>>())
            })
            .cast::<*mut Tagged<T>>();
            if slot.read().is_null() {
                let value = Box::into_raw(Box::new(Tagged::new(make(self)?)));
                drop_with(pg_sys::GetMemoryChunkContext(slot.cast()), value);
                slot.write(value);
            }
            Ok(&Tagged::of(Datum::from(slot.read()))?.state)
        }
    }
}

/// What [`Partition::floats`] gives for NULL.
pub(crate) const NULL: f64 = f64::from_bits(0x7ff8_6e75_6c6c_0000);

/// A row that [`Partition::each`] hands out.
pub(crate) struct RowAt<'rows, 'call, A>(&'rows mut Partition<'call, A>, i64);

impl<A> RowAt<'_, '_, A> {
    /// An argument: None where there is no such row, Some(None) for NULL.
    pub(crate) fn get<const N: usize>(
        &mut self,
    ) -> Option<Option<<<A as Nth<N>>::Type as Argument>::Value<'_>>>
    where
        A: Nth<N, Type: Argument>,
    {
        // SAFETY: SQL declares the argument, and it is of this type.
        self.0.at(N, self.1).map(|datum| datum.map(|datum| unsafe { A::Type::value(datum) }))
    }

    /// As [`Self::get`], of an argument of any type.
    pub(crate) fn any<const N: usize>(&mut self) -> Option<Option<Any<'_>>>
    where
        A: Nth<N, Type: AnyType>,
    {
        let fcinfo = self.0.fcinfo;
        // SAFETY: as above.
        let any = |datum| unsafe { Any::new(datum, Place::of(fcinfo, N)) };
        self.0.at(N, self.1).map(|datum| datum.map(any))
    }
}
