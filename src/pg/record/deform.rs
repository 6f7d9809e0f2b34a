//! Takes a row apart within its own length.
//!
//! PostgreSQL's own function believes the descriptor. But a composite type that is altered while a query runs, as a volatile
//! function can, keeps its oid: rows from before and after come to one call site, and are not what the descriptor says.
#![allow(unsafe_code, reason = "tuples of PostgreSQL, read in place")]

use pgrx::pg_sys::{self, Datum};

use super::attribute_at;

/// Where a column's values lie.
pub(super) struct Column {
    /// In bytes; -1 for a varlena, -2 for a C string.
    length: i16,
    alignment: usize,
    by_value: bool,
}

/// # Safety
/// `descriptor` is a valid row descriptor.
pub(super) unsafe fn columns(descriptor: pg_sys::TupleDesc) -> Vec<Column> {
    // SAFETY: by the caller's promise it has so many columns.
    unsafe {
        let column = |position| {
            let attribute = &*attribute_at(descriptor, position);
            let alignment = alignment(attribute.attalign as u8);
            Column { length: attribute.attlen, alignment, by_value: attribute.attbyval }
        };
        (0..(*descriptor).natts as usize).map(column).collect()
    }
}

/// The bytes that a type's alignment stands for.
pub(super) fn alignment(letter: u8) -> usize {
    match letter {
        b'c' => 1,
        b's' => 2,
        b'i' => 4,
        _ => 8,
    }
}

/// Writes the values of the columns that the row has, and says how many these are; None where they do not fit into it.
///
/// # Safety
/// `row` is a composite value with a full header, aligned to 8, that outlives the values. Those are as long as the columns.
#[inline]
pub(super) unsafe fn deform(
    row: *const pg_sys::varlena,
    columns: &[Column],
    values: &mut [Datum],
    nulls: &mut [bool],
) -> Option<usize> {
    // SAFETY: by the caller's promise a tuple's header begins there, and says how long the row is.
    let (header, bytes) = unsafe {
        let header = &*row.cast::<pg_sys::HeapTupleHeaderData>();
        (header, std::slice::from_raw_parts(row.cast::<u8>(), pgrx::varsize_4b(row)))
    };
    let n_stored = usize::from(header.t_infomask2 & pg_sys::HEAP_NATTS_MASK as u16);
    let n = n_stored.min(columns.len());
    let bitmap_at = std::mem::offset_of!(pg_sys::HeapTupleHeaderData, t_bits);
    let bitmap = bytes.get(bitmap_at..usize::from(header.t_hoff))?;
    let data = &bytes[usize::from(header.t_hoff)..];
    let bitmap = (header.t_infomask & pg_sys::HEAP_HASNULL as u16 != 0).then_some(bitmap);
    if bitmap.is_some_and(|bits| n > 8 * bits.len()) {
        return None;
    }
    let mut at = 0;
    let places = columns.iter().zip(values).zip(nulls).take(n).enumerate();
    for (idx, ((column, value), is_null)) in places {
        *is_null = bitmap.is_some_and(|bits| bits[idx / 8] & (1 << (idx % 8)) == 0);
        if *is_null {
            *value = Datum::null();
            continue;
        }
        let (start, length) = column.place(data, at)?;
        at = start + length;
        let stored = data.get(start..at)?;
        *value = match (column.by_value, length) {
            (true, 1) => Datum::from(u64::from(stored[0])),
            (true, 2) => Datum::from(u64::from(u16::from_ne_bytes(stored.try_into().ok()?))),
            (true, 4) => Datum::from(u64::from(u32::from_ne_bytes(stored.try_into().ok()?))),
            (true, _) => Datum::from(u64::from_ne_bytes(stored.try_into().ok()?)),
            (false, _) => Datum::from(stored.as_ptr()),
        };
    }
    Some(n)
}

impl Column {
    /// Where the value behind `at` begins, and its length.
    #[inline]
    fn place(&self, data: &[u8], at: usize) -> Option<(usize, usize)> {
        let aligned = at.next_multiple_of(self.alignment);
        match self.length {
            -1 => {
                // A short header is not aligned; padding is zero, which no header begins with.
                let start = if *data.get(at)? == 0 { aligned } else { at };
                Some((start, varlena_length(data.get(start..)?)?))
            }
            -2 => {
                let length = data.get(aligned..)?.iter().position(|byte| *byte == 0)?;
                Some((aligned, length + 1))
            }
            length => Some((aligned, usize::try_from(length).ok()?)),
        }
    }
}

/// The length of a varlena that begins here. None for one that is kept elsewhere: PostgreSQL puts none into a composite value, so
/// these bytes are something else.
#[inline]
fn varlena_length(bytes: &[u8]) -> Option<usize> {
    let first = *bytes.first()?;
    #[cfg(target_endian = "little")]
    let (is_short, short) = (first & 1 == 1, usize::from(first >> 1));
    #[cfg(target_endian = "big")]
    let (is_short, short) = (first & 0x80 != 0, usize::from(first & 0x7f));
    if is_short {
        return (short > 0).then_some(short);
    }
    let header = bytes.get(..4)?.as_ptr();
    if !header.cast::<u32>().is_aligned() {
        return None;
    }
    // SAFETY: there are four bytes, aligned as a header's.
    let length = unsafe { pgrx::varsize_4b(header.cast()) };
    Some(length).filter(|length| *length >= 4)
}
