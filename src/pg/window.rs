//! PostgreSQL's interface for window functions, which pgrx does not bind: declared by hand, wrapped for the few uses here.
#![allow(unsafe_code, reason = "functions of PostgreSQL, declared by hand from windowapi.h")]

use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo};

use super::record::Record;

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
    fn WinGetFuncArgCurrent(
        window: *mut std::ffi::c_void,
        argument: i32,
        is_null: *mut bool,
    ) -> Datum;
    /// pgrx's would set up a second guard within that of [`Partition::copy_records`].
    fn pg_detoast_datum(value: *mut pg_sys::varlena) -> *mut pg_sys::varlena;
}

/// Counted from the start of the partition.
const WINDOW_SEEK_HEAD: i32 = 1;

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
    ) {
        records.words.clear();
        records.starts.clear();
        // SAFETY: as above. What an error may jump over holds nothing to be dropped.
        unsafe {
            pg_guard_ffi_boundary(|| {
                for position in first..first + n as i64 {
                    let (mut is_null, mut is_out) = (false, false);
                    let datum = WinGetFuncArgInPartition(
                        self.0,
                        argument,
                        position as i32,
                        WINDOW_SEEK_HEAD,
                        false,
                        &mut is_null,
                        &mut is_out,
                    );
                    if is_out {
                        return;
                    }
                    match is_null {
                        true => records.starts.push(None),
                        false => records.push(datum.cast_mut_ptr()),
                    }
                }
            });
        }
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
        // SAFETY: as above.
        unsafe {
            pg_guard_ffi_boundary(|| {
                for taken in 0..n {
                    let (mut is_null, mut is_out) = (false, false);
                    let datum = WinGetFuncArgInPartition(
                        self.0,
                        argument,
                        (first + taken as i64) as i32,
                        WINDOW_SEEK_HEAD,
                        false,
                        &mut is_null,
                        &mut is_out,
                    );
                    if is_out || is_null || !take(Record::from_datum(datum)) {
                        return taken;
                    }
                }
                n
            })
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

/// Records one behind another, each with a full header and aligned, as [`super::record::Binding`] reads them fastest.
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
    unsafe fn push(&mut self, mut value: *mut pg_sys::varlena) {
        // SAFETY: by the caller's promise; what is copied has as many bytes as its header says, and room is made for it.
        unsafe {
            // Compressed, or apart from its row; a short header is none of these.
            if !pgrx::varatt_is_4b_u(value)
                && (!pgrx::varatt_is_1b(value) || pgrx::varatt_is_1b_e(value))
            {
                value = pg_detoast_datum(value);
            }
            let n = pgrx::varsize_any_exhdr(value);
            let start = self.words.len();
            self.words.resize(start + (4 + n).div_ceil(8), 0);
            let full = self.words.as_mut_ptr().add(start).cast::<pg_sys::varlena>();
            let body = full.cast::<u8>().add(4);
            std::ptr::copy_nonoverlapping(pgrx::vardata_any(value).cast::<u8>(), body, n);
            pgrx::set_varsize_4b(full, (4 + n) as i32);
            self.starts.push(Some(start));
        }
    }
}
