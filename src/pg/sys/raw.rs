//! Varlenas as they lie in memory, and what aggregates need of their caller.
#![allow(unsafe_code, reason = "the memory of PostgreSQL")]

use std::any::TypeId;
use std::marker::PhantomData;

use pgrx::pg_sys::{self, Datum, FunctionCallInfo};
use pgrx::prelude::PgSqlErrorCode as Code;

use crate::algo::memory::{self, Refused};
use crate::pg::error::{Report, report};

/// Whether the function runs as part of an aggregate: what AggCheckCallContext looks at, without the cost of a call into
/// PostgreSQL.
///
/// # Safety
/// `fcinfo` is of the running call.
#[inline]
pub(super) unsafe fn in_aggregate(fcinfo: FunctionCallInfo) -> bool {
    // SAFETY: by the caller's promise; a context is a node, which begins with its tag.
    unsafe {
        let context = (*fcinfo).context;
        !context.is_null()
            && matches!(
                (*context).type_,
                pg_sys::NodeTag::T_AggState | pg_sys::NodeTag::T_WindowAggState
            )
    }
}

/// A varlena with its full header, aligned to 8.
pub(crate) struct Varlena<'a> {
    start: *mut u8,
    /// With the header.
    length: usize,
    of: PhantomData<&'a mut [u8]>,
}

impl Varlena<'_> {
    /// The varlena as it lies, if it has a full header and is aligned.
    ///
    /// # Safety
    /// `datum` is of a varlena, not NULL, that lives as long as this, and is reached through this alone.
    #[inline]
    pub(super) unsafe fn whole(datum: Datum) -> Option<Self> {
        // SAFETY: by the caller's promise.
        let (start, length) = unsafe { whole(datum)? };
        Some(Self { start, length, of: PhantomData })
    }

    /// What is behind the header.
    #[inline]
    pub(crate) fn contents(&mut self) -> &mut [u8] {
        // SAFETY: so many bytes lie there, which nothing else reaches.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(4), self.length.saturating_sub(4)) }
    }

    /// # Safety
    /// It lives so long, and is reached through nothing else.
    #[inline]
    pub(super) unsafe fn outliving<'b>(self) -> Varlena<'b> {
        Varlena { start: self.start, length: self.length, of: PhantomData }
    }

    #[inline]
    pub(super) fn into_datum(self) -> Datum {
        Datum::from(self.start)
    }
}

/// A varlena with its header, as it lies, if that is a full one and aligned to 8.
///
/// # Safety
/// `datum` is of a varlena, not NULL, that outlives the slice.
#[inline]
pub(crate) unsafe fn whole_bytes<'a>(datum: Datum) -> Option<&'a [u8]> {
    // SAFETY: by the caller's promise; a full header says how many bytes lie there.
    unsafe {
        let (value, length) = whole(datum)?;
        Some(std::slice::from_raw_parts(value, length))
    }
}

/// # Safety
/// `datum` is of a varlena, not NULL.
#[inline]
unsafe fn whole(datum: Datum) -> Option<(*mut u8, usize)> {
    let value = datum.cast_mut_ptr::<pg_sys::varlena>();
    // SAFETY: by the caller's promise there is a header, and a full one has the length.
    unsafe {
        let is_whole = pgrx::varatt_is_4b_u(value) && value.cast::<u64>().is_aligned();
        is_whole.then(|| (value.cast(), pgrx::varsize_4b(value)))
    }
}

/// A state of type `internal`, with its type before it: a superuser may declare an aggregate that hands the state of one
/// family of functions to another.
#[repr(C)]
pub(crate) struct Tagged<T> {
    tag: TypeId,
    pub(crate) state: T,
}

impl<T: 'static> Tagged<T> {
    pub(crate) fn new(state: T) -> Self {
        Self { tag: TypeId::of::<T>(), state }
    }

    /// # Safety
    /// The datum is of a state that was made by [`Self::new`], for some type, and lives as long as what this returns.
    #[inline]
    pub(crate) unsafe fn of<'a>(datum: Datum) -> Result<&'a mut Self, Report> {
        // SAFETY: by the caller's promise there is a tag, whatever is behind it.
        let state = datum.cast_mut_ptr::<Self>();
        unsafe {
            if *state.cast::<TypeId>() == TypeId::of::<T>() {
                return Ok(&mut *state);
            }
        }
        Err(report(Code::ERRCODE_DATATYPE_MISMATCH, "the state is that of another aggregate"))
    }
}

/// Drops a box together with a memory context.
///
/// # Safety
/// The pointer is of a box, and the context live.
pub(crate) unsafe fn drop_with<T>(context: pg_sys::MemoryContext, value: *mut T) {
    unsafe extern "C-unwind" fn drop_box<T>(value: *mut std::ffi::c_void) {
        // SAFETY: the pointer is of a box, and PostgreSQL calls this once.
        drop(unsafe { Box::from_raw(value.cast::<T>()) });
    }
    // SAFETY: the callback is allocated in the context whose reset calls it.
    unsafe {
        let callback =
            pg_sys::MemoryContextAllocZero(context, size_of::<pg_sys::MemoryContextCallback>())
                .cast::<pg_sys::MemoryContextCallback>();
        (*callback).func = Some(drop_box::<T>);
        (*callback).arg = value.cast();
        pg_sys::MemoryContextRegisterResetCallback(context, callback);
    }
}

/// A varlena of `length` bytes, header included, zero behind it: in the memory of the running call, with which it goes.
pub(super) fn new_varlena<'a>(length: usize) -> Varlena<'a> {
    let length = length.max(4);
    // SAFETY: so many bytes are allocated, aligned to 8, which nobody else refers to; without the memory it is an error.
    unsafe {
        let start = pg_sys::MemoryContextAllocZero(pg_sys::CurrentMemoryContext, length).cast();
        set_length(std::slice::from_raw_parts_mut(start, length));
        Varlena { start, length, of: PhantomData }
    }
}

/// Writes the full header of a varlena that is all of these bytes, as SET_VARSIZE does in C.
#[inline]
pub(crate) fn set_length(value: &mut [u8]) {
    let length = value.len() as u32;
    let header = if cfg!(target_endian = "big") { length } else { length << 2 };
    if let Some(start) = value.first_chunk_mut() {
        *start = header.to_ne_bytes();
    }
}

/// Appends a varlena with these contents, a full header and aligned to 8. Returns at which word it begins.
#[inline]
pub(crate) fn push_whole(words: &mut Vec<u64>, contents: &[u8]) -> Result<usize, Refused> {
    let (start, length) = (words.len(), 4 + contents.len());
    let n_words = length.div_ceil(8);
    memory::room(words, n_words)?;
    words.resize(start + n_words, 0);
    let value = &mut bytemuck::cast_slice_mut(&mut words[start..])[..length];
    set_length(value);
    value[4..].copy_from_slice(contents);
    Ok(start)
}

/// The contents of a varlena whose header is short or long, and not toasted.
///
/// # Safety
/// `value` points to such a varlena, which outlives the slice.
#[inline]
pub(crate) unsafe fn varlena_bytes<'a>(value: *const pg_sys::varlena) -> &'a [u8] {
    // SAFETY: by the caller's promise.
    unsafe {
        std::slice::from_raw_parts(pgrx::vardata_any(value).cast(), pgrx::varsize_any_exhdr(value))
    }
}

/// The contents of a varlena in whatever form it is stored.
///
/// # Safety
/// `datum` is of a varlena, not NULL, that outlives the slice.
#[inline]
pub(crate) unsafe fn bytes_of<'a>(datum: Datum) -> &'a [u8] {
    // SAFETY: by the caller's promise.
    unsafe { varlena_bytes(detoasted(datum.cast_mut_ptr())) }
}

/// The value itself unless it is toasted: the call into PostgreSQL costs 20 ns.
///
/// # Safety
/// `value` points to a varlena.
#[inline]
pub(crate) unsafe fn detoasted(value: *mut pg_sys::varlena) -> *mut pg_sys::varlena {
    // SAFETY: by the caller's promise.
    unsafe {
        if pgrx::varatt_is_4b_u(value)
            || (pgrx::varatt_is_1b(value) && !pgrx::varatt_is_1b_e(value))
        {
            return value;
        }
        pg_sys::pg_detoast_datum_packed(value)
    }
}

/// A float8[] of these numbers; NaN becomes NULL. Made here, a membership of three takes 0.51 µs a row, of eight 0.75; through
/// pgrx's `Vec`, which gives PostgreSQL one element after the other, 0.77 and 1.06.
pub(crate) fn float_array(values: &[f64]) -> Datum {
    let n = values.len();
    let n_nulls = values.iter().filter(|value| value.is_nan()).count();
    // Header, one dimension and its lower bound: 24 bytes; then the bitmap if there is a NULL, padded to 8.
    let data_at = if n_nulls == 0 { 24 } else { (24 + n.div_ceil(8)).next_multiple_of(8) };
    if n == 0 {
        // SAFETY: a function is running.
        return Datum::from(unsafe { pg_sys::construct_empty_array(pg_sys::FLOAT8OID) });
    }
    let mut array = new_varlena(data_at + 8 * (n - n_nulls));
    let (head, data) = array.contents().split_at_mut(data_at - 4);
    let data_offset = if n_nulls == 0 { 0 } else { data_at as u32 };
    let words = [1, data_offset, u32::from(pg_sys::FLOAT8OID), n as u32, 1];
    head[..20].copy_from_slice(bytemuck::cast_slice(&words));
    if n_nulls == 0 {
        data.copy_from_slice(bytemuck::cast_slice(values));
        return array.into_datum();
    }
    let there = values.iter().enumerate().filter(|(_, value)| !value.is_nan());
    for (place, (index, value)) in data.as_chunks_mut().0.iter_mut().zip(there) {
        head[20 + index / 8] |= 1 << (index % 8);
        *place = value.to_ne_bytes();
    }
    array.into_datum()
}
