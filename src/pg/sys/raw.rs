//! Functions that PostgreSQL calls once a row, without a layer between: a bare C function costs nothing where a wrapper
//! costs 30 ns. Here is also what aggregates and window functions need of their caller.
#![allow(unsafe_code, reason = "the calling convention of PostgreSQL")]

use std::any::TypeId;

use pgrx::pg_sys::{self, Datum, FunctionCallInfo};
use pgrx::prelude::PgSqlErrorCode as Code;

use crate::algo::memory::{self, Refused};
use crate::pg::error::{Report, report};

/// Tells PostgreSQL the calling convention of a function, as PG_FUNCTION_INFO_V1 does in C.
macro_rules! declare {
    ($($name:ident, $info:ident;)*) => {
        $(
            #[allow(unsafe_code, reason = "the name by which PostgreSQL finds it")]
            #[unsafe(no_mangle)]
            extern "C" fn $info() -> &'static pgrx::pg_sys::Pg_finfo_record {
                &pgrx::pg_sys::Pg_finfo_record { api_version: 1 }
            }
        )*
    };
}
pub(crate) use declare;

/// The argument, or None for NULL.
///
/// # Safety
/// `fcinfo` is of the running call, which has this argument.
#[inline]
pub(crate) unsafe fn argument(fcinfo: FunctionCallInfo, index: usize) -> Option<Datum> {
    // SAFETY: by the caller's promise.
    unsafe {
        let argument = *(*fcinfo).args.as_ptr().add(index);
        (!argument.isnull).then_some(argument.value)
    }
}

/// # Safety
/// `fcinfo` is of the running call.
#[inline]
pub(crate) unsafe fn null(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: by the caller's promise.
    unsafe { (*fcinfo).isnull = true };
    Datum::null()
}

/// Whether the function runs as part of an aggregate: what AggCheckCallContext looks at, without the cost of a call into
/// PostgreSQL.
///
/// # Safety
/// `fcinfo` is of the running call.
#[inline]
unsafe fn in_aggregate(fcinfo: FunctionCallInfo) -> bool {
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

/// The memory context of the running aggregate's state, or None when the function is called by itself.
///
/// # Safety
/// `fcinfo` is of the running call.
#[inline]
pub(crate) unsafe fn aggregate_context(fcinfo: FunctionCallInfo) -> Option<pg_sys::MemoryContext> {
    let mut context = std::ptr::null_mut();
    // SAFETY: by the caller's promise.
    let kind = unsafe { pg_sys::AggCheckCallContext(fcinfo, &mut context) };
    (kind != 0).then_some(context)
}

/// The state in the first argument, header included, where it may be changed in place; its first byte is aligned to 8.
///
/// That a function runs in an aggregate proves only that the memory is the aggregate's. PostgreSQL copies there whatever the
/// functions of the aggregate return. In an aggregate of a user's own (with a MINVFUNC, an INITCOND or another transition
/// function) that is any stored value as it is stored: short-headed, compressed, or a pointer to where it is kept. Only a value
/// with a full header has all its bytes here; None means to copy. What the bytes say is compared with their number by the
/// caller.
///
/// # Safety
/// `fcinfo` is of the running call of a function whose first argument is a varlena; nothing else reads it meanwhile.
#[inline]
pub(crate) unsafe fn state_in_place<'a>(fcinfo: FunctionCallInfo) -> Option<&'a mut [u8]> {
    // SAFETY: by the caller's promise; a full header says how many bytes lie there.
    unsafe {
        let (state, length) = whole(argument(fcinfo, 0)?)?;
        in_aggregate(fcinfo).then(|| std::slice::from_raw_parts_mut(state, length))
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
    state: T,
}

impl<T: 'static> Tagged<T> {
    pub(crate) fn new(state: T) -> Self {
        Self { tag: TypeId::of::<T>(), state }
    }

    /// # Safety
    /// The datum is of a state that was made by [`Self::new`], for some type, and lives as long as what this returns.
    #[inline]
    pub(crate) unsafe fn of<'a>(datum: Datum) -> Result<&'a mut T, Report> {
        // SAFETY: by the caller's promise there is a tag, whatever is behind it.
        let state = datum.cast_mut_ptr::<Self>();
        unsafe {
            if *state.cast::<TypeId>() == TypeId::of::<T>() {
                return Ok(&mut (*state).state);
            }
        }
        Err(report(Code::ERRCODE_DATATYPE_MISMATCH, "the state is that of another aggregate"))
    }
}

/// The state of an aggregate whose state type is `internal`: the first argument, made when it is NULL and dropped with the
/// aggregate's memory. The second is the argument for the next call.
///
/// # Safety
/// `fcinfo` is of the running call of a transition function, whose first argument is NULL or what this returned before.
pub(crate) unsafe fn owned_state<T: Default + 'static>(
    fcinfo: FunctionCallInfo,
) -> Result<(&'static mut T, Datum), Report> {
    unsafe extern "C-unwind" fn drop_box<T>(value: *mut std::ffi::c_void) {
        // SAFETY: the pointer is the box made below; PostgreSQL calls this once.
        drop(unsafe { Box::from_raw(value.cast::<Tagged<T>>()) });
    }
    // SAFETY: the box lives until the aggregate's context is reset, whose callback drops it; the callback is allocated there.
    unsafe {
        let Some(context) = aggregate_context(fcinfo) else {
            return Err(report(
                Code::ERRCODE_FEATURE_NOT_SUPPORTED,
                "this function can only be called as part of an aggregate",
            ));
        };
        if let Some(state) = argument(fcinfo, 0) {
            return Ok((Tagged::of(state)?, state));
        }
        let callback =
            pg_sys::MemoryContextAllocZero(context, size_of::<pg_sys::MemoryContextCallback>())
                .cast::<pg_sys::MemoryContextCallback>();
        let state = Box::into_raw(Box::new(Tagged::new(T::default())));
        (*callback).func = Some(drop_box::<T>);
        (*callback).arg = state.cast();
        pg_sys::MemoryContextRegisterResetCallback(context, callback);
        Ok((&mut (*state).state, Datum::from(state)))
    }
}

/// A varlena of `length` bytes, header included, zero behind it, aligned to 8: in the memory of the running call, with which it goes.
pub(crate) fn new_varlena<'a>(length: usize) -> &'a mut [u8] {
    let length = length.max(4);
    // SAFETY: so many bytes are allocated, which nobody else refers to; without the memory it is an error.
    let value = unsafe {
        let value = pg_sys::MemoryContextAllocZero(pg_sys::CurrentMemoryContext, length);
        std::slice::from_raw_parts_mut(value.cast::<u8>(), length)
    };
    set_length(value);
    value
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
    unsafe { varlena_bytes(pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr())) }
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
    let array = new_varlena(data_at + 8 * (n - n_nulls));
    let datum = Datum::from(array.as_mut_ptr());
    let (head, data) = array.split_at_mut(data_at);
    let data_offset = if n_nulls == 0 { 0 } else { data_at as u32 };
    let words = [1, data_offset, u32::from(pg_sys::FLOAT8OID), n as u32, 1];
    head[4..24].copy_from_slice(bytemuck::cast_slice(&words));
    if n_nulls == 0 {
        data.copy_from_slice(bytemuck::cast_slice(values));
        return datum;
    }
    let there = values.iter().enumerate().filter(|(_, value)| !value.is_nan());
    for (place, (index, value)) in data.as_chunks_mut().0.iter_mut().zip(there) {
        head[24 + index / 8] |= 1 << (index % 8);
        *place = value.to_ne_bytes();
    }
    datum
}
