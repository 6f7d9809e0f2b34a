//! PostgreSQL's interface for window functions, which pgrx does not bind: declared by hand, wrapped for the few uses here.
#![allow(unsafe_code, reason = "functions of PostgreSQL, declared by hand from windowapi.h")]

use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo};
use pgrx::prelude::PgSqlErrorCode as Code;

use crate::algo::memory::{self, Refused};

use crate::pg::error::{Report, report};
use crate::pg::sys::raw::{push_whole, varlena_bytes};
use crate::pg::types::record::Record;

/// The partition that a window function is being computed over.
#[derive(Clone, Copy)]
pub(crate) struct Partition(*mut std::ffi::c_void);

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
    /// pgrx's would set up a second guard within that of [`Partition::copy_records`].
    fn pg_detoast_datum(value: *mut pg_sys::varlena) -> *mut pg_sys::varlena;
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

/// What frames are like in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// Every row's frame is the whole partition.
    Partition,
    /// From row to row both ends stay or move forward.
    Moving,
    /// With an EXCLUDE.
    Excluding,
}

impl FrameKind {
    /// # Safety
    /// The state of a node that is running.
    pub(crate) unsafe fn of(state: *const pg_sys::WindowAggState) -> Self {
        // SAFETY: such a state is initialised, and its plan is a WindowAgg.
        let (options, n_order) = unsafe {
            let plan = (*state).ss.ps.plan.cast::<pg_sys::WindowAgg>();
            ((*state).frameOptions as u32, (*plan).ordNumCols)
        };
        let has = |option: u32| options & option != 0;
        // Without an order all rows are peers of the current one.
        let to_current = has(pg_sys::FRAMEOPTION_END_CURRENT_ROW)
            && !has(pg_sys::FRAMEOPTION_ROWS)
            && n_order == 0;
        if has(pg_sys::FRAMEOPTION_EXCLUSION) {
            Self::Excluding
        } else if has(pg_sys::FRAMEOPTION_START_UNBOUNDED_PRECEDING)
            && (has(pg_sys::FRAMEOPTION_END_UNBOUNDED_FOLLOWING) || to_current)
        {
            Self::Partition
        } else {
            Self::Moving
        }
    }
}

/// Refuses a frame that is not the whole partition; `what` is what is done once with all of its rows.
pub(crate) fn changing_frame(function: &str, what: &str) -> Report {
    report(
        Code::ERRCODE_FEATURE_NOT_SUPPORTED,
        format!("persona.{function} cannot be computed over a frame that changes from row to row"),
    )
    .set_hint(format!(
        "Leave ORDER BY and the frame out of OVER (...): {what} then sees the whole partition."
    ))
}

impl Partition {
    /// # Safety
    /// `fcinfo` is of a running call that SQL made to a function declared WINDOW.
    pub(crate) unsafe fn of(fcinfo: FunctionCallInfo) -> Self {
        // SAFETY: for such a call the context is the window object.
        Self(unsafe { (*fcinfo).context.cast() })
    }

    /// The current row, counted from 0.
    pub(crate) fn position(self) -> i64 {
        // SAFETY: the window object is of the running call. It only reads a number, so the guard of 20 ns against errors would
        // guard nothing.
        unsafe { WinGetCurrentPosition(self.0) }
    }

    /// Says that rows before this one are not asked for again, so that they need not be kept.
    pub(crate) fn release_before(self, position: i64) {
        // SAFETY: as above; an error of PostgreSQL's becomes a panic at this boundary.
        unsafe { pg_guard_ffi_boundary(|| WinSetMarkPosition(self.0, position)) }
    }

    /// An argument at a row of the partition: None beyond its end; Some(None) for NULL.
    pub(crate) fn argument_at(self, argument: i32, position: i64) -> Option<Option<Datum>> {
        let (mut is_null, mut is_out) = (false, false);
        // SAFETY: as above, into two locals. The position is taken as an int by PostgreSQL.
        let datum = unsafe {
            pg_guard_ffi_boundary(|| {
                WinGetFuncArgInPartition(
                    self.0,
                    argument,
                    position as i32,
                    WINDOW_SEEK_HEAD,
                    false,
                    &mut is_null,
                    &mut is_out,
                )
            })
        };
        if is_out { None } else { Some((!is_null).then_some(datum)) }
    }

    /// An argument at the current row.
    pub(crate) fn argument(self, argument: i32) -> Option<Datum> {
        let mut is_null = false;
        // SAFETY: as above.
        let datum = unsafe {
            pg_guard_ffi_boundary(|| WinGetFuncArgCurrent(self.0, argument, &mut is_null))
        };
        (!is_null).then_some(datum)
    }

    /// Copies an argument that is a record at some rows of the partition, from `first` on; fewer where it ends. One guard
    /// against errors for all of them: it costs 20 ns, a sixth of what such a row costs in all.
    ///
    /// # Safety
    /// SQL declares the argument as a record.
    pub(crate) unsafe fn copy_records(
        self,
        argument: i32,
        first: i64,
        n: usize,
        records: &mut Records,
    ) -> Result<(), Refused> {
        records.words.clear();
        records.starts.clear();
        memory::room(&mut records.starts, n)?;
        let mut pushed = Ok(());
        // SAFETY: a copy of a record has nothing to be dropped when an error jumps over it.
        unsafe {
            self.visit(argument, Rows::OfPartition(first), n, |datum| {
                match datum {
                    None => records.starts.push(None),
                    Some(datum) => pushed = records.push(datum.cast_mut_ptr()),
                }
                pushed.is_ok()
            });
        }
        pushed
    }

    /// Hands out an argument that is a record at some rows of the partition, from `first` on, as it lies in the window's
    /// memory, under one guard. Ends before a NULL and before the first row that `take` refuses; returns how many it took.
    ///
    /// # Safety
    /// SQL declares the argument as a record. `take` neither panics nor calls PostgreSQL: nothing may unwind through the guard.
    #[inline]
    pub(crate) unsafe fn take_records(
        self,
        argument: i32,
        first: i64,
        n: usize,
        mut take: impl FnMut(Record) -> bool,
    ) -> usize {
        // SAFETY: by the caller's promise.
        unsafe {
            self.visit(argument, Rows::OfPartition(first), n, |datum| {
                datum.is_some_and(|datum| take(Record::from_datum(datum)))
            })
        }
    }

    /// Hands an argument at some rows to `take`, None for NULL, under one guard against errors. Ends where the rows do and before
    /// the first row that `take` refuses; returns how many it took.
    ///
    /// # Safety
    /// `take` does not panic, for nothing may unwind through the guard; and what it holds while it calls PostgreSQL needs no drop.
    #[inline]
    unsafe fn visit(
        self,
        argument: i32,
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
                    let position = (first + taken as i64) as i32;
                    let datum = get(
                        self.0,
                        argument,
                        position,
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

    /// What [`Self::floats`] gives for NULL.
    pub(crate) const NULL: f64 = f64::from_bits(0x7ff8_6e75_6c6c_0000);

    /// The state of the plan's node: the second word of the window object, behind its tag, in PostgreSQL 15 to 18.
    fn state(self) -> *const pg_sys::WindowAggState {
        // SAFETY: the window object is of the running call.
        unsafe { self.0.cast::<*const pg_sys::WindowAggState>().add(1).read() }
    }

    pub(crate) fn frame_kind(self) -> FrameKind {
        // SAFETY: the state is that of the running node.
        unsafe { FrameKind::of(self.state()) }
    }

    /// The positions of the first row of the current row's frame, exclusions apart, and of the one behind its last.
    pub(crate) fn frame(self) -> (i64, i64) {
        let (mut is_null, mut is_out) = (false, false);
        // SAFETY: as above; asking for the first and the last row makes PostgreSQL find both ends.
        unsafe {
            pg_guard_ffi_boundary(|| {
                for seek_type in [WINDOW_SEEK_HEAD, WINDOW_SEEK_TAIL] {
                    WinGetFuncArgInFrame(self.0, 0, 0, seek_type, false, &mut is_null, &mut is_out);
                }
            });
            let state = self.state();
            ((*state).frameheadpos, (*state).frametailpos)
        }
    }

    /// An argument that is a float8 at some rows, at most `n`; fewer where they end.
    pub(crate) fn floats(
        self,
        argument: i32,
        rows: Rows,
        n: usize,
        out: &mut Vec<f64>,
    ) -> Result<(), Refused> {
        memory::room(out, n)?;
        // SAFETY: there is room for n numbers.
        unsafe {
            self.visit(argument, rows, n, |datum| {
                out.push(datum.map_or(Self::NULL, |datum| f64::from_bits(datum.value() as u64)));
                true
            });
        }
        Ok(())
    }

    /// As [`Self::release_before`], at every `every`th row: a mark at each would cost more than it gains.
    #[inline]
    pub(crate) fn release(self, position: i64, every: i64) {
        if position % every == 0 {
            self.release_before(position);
        }
    }

    /// What the function remembers of this partition; None until [`Self::keep`] was called in it. A function always keeps
    /// the same type.
    pub(crate) fn kept<T: 'static>(self) -> Option<&'static mut T> {
        // SAFETY: the memory is zeroed when the partition begins, and holds null or a box that `keep` made; the box lives
        // until the partition's memory is reset, after its last row.
        unsafe {
            let slot =
                pg_guard_ffi_boundary(|| WinGetPartitionLocalMemory(self.0, size_of::<*mut T>()));
            slot.cast::<*mut T>().read().as_mut()
        }
    }

    /// Keeps a value until the end of the partition, when it is dropped.
    pub(crate) fn keep<T: 'static>(self, value: T) -> &'static mut T {
        unsafe extern "C-unwind" fn drop_box<T>(value: *mut std::ffi::c_void) {
            // SAFETY: the pointer is the box made below; PostgreSQL calls this once.
            drop(unsafe { Box::from_raw(value.cast::<T>()) });
        }
        // SAFETY: the callback is allocated in the context whose reset calls it: the partition's own.
        unsafe {
            let slot =
                pg_guard_ffi_boundary(|| WinGetPartitionLocalMemory(self.0, size_of::<*mut T>()));
            let context = pg_sys::GetMemoryChunkContext(slot);
            let callback =
                pg_sys::MemoryContextAllocZero(context, size_of::<pg_sys::MemoryContextCallback>())
                    .cast::<pg_sys::MemoryContextCallback>();
            let value = Box::into_raw(Box::new(value));
            (*callback).func = Some(drop_box::<T>);
            (*callback).arg = value.cast();
            pg_sys::MemoryContextRegisterResetCallback(context, callback);
            slot.cast::<*mut T>().write(value);
            &mut *value
        }
    }
}

/// Records one behind another, each with a full header and aligned, as [`crate::pg::types::record::Binding`] reads them fastest.
#[derive(Default)]
pub(crate) struct Records {
    words: Vec<u64>,
    /// Where each begins among the words; None for NULL.
    starts: Vec<Option<usize>>,
}

impl Records {
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = Option<Record<'_>>> {
        self.starts.iter().map(|start| {
            // SAFETY: a whole record was written there, and nothing is written while these live.
            start.map(|start| unsafe {
                Record::from_datum(Datum::from(self.words.as_ptr().add(start)))
            })
        })
    }

    pub(crate) fn n_bytes(&self) -> usize {
        8 * self.words.len()
    }

    /// # Safety
    /// `value` points to a composite value.
    unsafe fn push(&mut self, mut value: *mut pg_sys::varlena) -> Result<(), Refused> {
        // SAFETY: by the caller's promise; what is copied has as many bytes as its header says, and room is made for it.
        unsafe {
            // Compressed, or apart from its row; a short header is none of these.
            if !pgrx::varatt_is_4b_u(value)
                && (!pgrx::varatt_is_1b(value) || pgrx::varatt_is_1b_e(value))
            {
                value = pg_detoast_datum(value);
            }
            self.starts.push(Some(push_whole(&mut self.words, varlena_bytes(value))?));
        }
        Ok(())
    }
}
