//! Rows read in place: where every column up to the last wanted one has a fixed width and the row has no NULL, each wanted
//! number lies at an offset that is the same for all rows of the type. Taking such a row apart would cost 15 ns.
#![allow(unsafe_code, reason = "tuples of PostgreSQL, read in place")]

use std::ptr::addr_of;

use pgrx::pg_sys::{self, Datum, Oid};

use crate::pg::sys::scan::attribute_at;
use crate::pg::types::datum::Kind;

use super::deform::{Width, alignment};

pub(super) struct Layout {
    row_type: (Oid, i32),
    n_columns: u16,
    places: Vec<Place>,
    /// Where the last of them ends.
    end: usize,
    /// Where they begin, if all are float8 and lie one behind the other.
    floats_from: Option<usize>,
}

struct Place {
    /// From the first byte of the first column.
    offset: usize,
    width: Width,
    kind: Kind,
}

/// A row that has the layout.
pub(super) struct Fixed(*const u8);

impl Layout {
    /// The layout of the columns at these positions; None if one of them is no number of a fixed width, or behind one that is
    /// not.
    ///
    /// # Safety
    /// `descriptor` describes the rows of this type.
    pub(super) unsafe fn of(
        descriptor: pg_sys::TupleDesc,
        row_type: (Oid, i32),
        wanted: impl Iterator<Item = (usize, Kind)>,
    ) -> Option<Self> {
        // SAFETY: by the caller's promise.
        let n_columns = unsafe { (*descriptor).natts };
        let (mut offsets, mut end_of_columns) = (Vec::new(), 0_usize);
        for position in 0..n_columns as usize {
            // SAFETY: as above, within the number of columns.
            let attribute = unsafe { &*attribute_at(descriptor, position) };
            let Ok(length) = usize::try_from(attribute.attlen) else { break };
            let alignment = alignment(attribute.attalign as u8);
            let offset = end_of_columns.next_multiple_of(alignment);
            offsets.push((offset, length, attribute.attbyval));
            end_of_columns = offset + length;
        }
        let mut end = 0;
        let places = wanted.map(|(position, kind)| {
            let (offset, length, by_value) = *offsets.get(position)?;
            end = end.max(offset + length);
            let width = Width::of(length)?;
            (by_value && kind.is_number()).then_some(Place { offset, width, kind })
        });
        let places = places.collect::<Option<Vec<Place>>>()?;
        let are_float8 = places.iter().all(|place| place.kind == Kind::Float8);
        let are_together = places.windows(2).all(|pair| pair[0].offset + 8 == pair[1].offset);
        let floats_from =
            places.first().map(|place| place.offset).filter(|_| are_float8 && are_together);
        Some(Self { row_type, n_columns: n_columns as u16, places, end, floats_from })
    }

    /// The row, if it is one of those that have this layout. A type that is altered while the query runs keeps its oid: only the
    /// row's own length says whether the columns are there.
    ///
    /// # Safety
    /// `record` is a composite value, not NULL, that outlives what this returns.
    #[inline]
    pub(super) unsafe fn row(&self, record: Datum) -> Option<Fixed> {
        // SAFETY: by the caller's promise a tuple begins there, or with a short header three bytes before: all but the length is
        // where it is with a full one. Fields are read unaligned.
        unsafe {
            let value: *mut pg_sys::varlena = record.cast_mut_ptr();
            let (tuple, length) = if pgrx::varatt_is_4b_u(value) {
                (value.cast::<u8>(), pgrx::varsize_4b(value))
            } else if pgrx::varatt_is_1b(value) && !pgrx::varatt_is_1b_e(value) {
                (value.cast::<u8>().wrapping_sub(3), pgrx::varsize_1b(value) + 3)
            } else {
                return None;
            };
            let header = tuple.cast::<pg_sys::HeapTupleHeaderData>();
            let row_type = (
                addr_of!((*header).t_choice.t_datum.datum_typeid).read_unaligned(),
                addr_of!((*header).t_choice.t_datum.datum_typmod).read_unaligned(),
            );
            let n_stored =
                addr_of!((*header).t_infomask2).read_unaligned() & pg_sys::HEAP_NATTS_MASK as u16;
            let has_null =
                addr_of!((*header).t_infomask).read_unaligned() & pg_sys::HEAP_HASNULL as u16 != 0;
            let first = addr_of!((*header).t_hoff).read_unaligned();
            let has_layout = row_type == self.row_type
                && n_stored >= self.n_columns
                && !has_null
                && usize::from(first) + self.end <= length;
            has_layout.then(|| Fixed(tuple.add(usize::from(first))))
        }
    }

    /// Appends the wanted numbers of a record as 32-bit floats. False, and nothing appended, of a record without this layout or
    /// with a number that is no finite float.
    ///
    /// # Safety
    /// As [`Self::row`].
    #[inline]
    pub(super) unsafe fn floats(&self, record: Datum, out: &mut Vec<f32>) -> bool {
        // SAFETY: by the caller's promise.
        let Some(row) = (unsafe { self.row(record) }) else { return false };
        let (start, n) = (out.len(), self.places.len());
        out.reserve(n);
        // SAFETY: there is room for n floats, which are all written before they count; the columns are as in `numbers`.
        unsafe {
            let to = out.as_mut_ptr().add(start);
            // Magnitudes as integers, whose largest tells without a branch for each whether all are finite.
            let mut largest = 0_u32;
            let mut write = |idx: usize, number: f64| {
                let float = number as f32;
                to.add(idx).write(float);
                largest = largest.max(float.to_bits() & 0x7fff_ffff);
            };
            match self.floats_from {
                Some(offset) => {
                    let from = row.0.add(offset).cast::<f64>();
                    (0..n).for_each(|idx| write(idx, from.add(idx).read_unaligned()));
                }
                None => self.numbers(&row).enumerate().for_each(|(idx, number)| write(idx, number)),
            }
            let is_finite = largest < f32::INFINITY.to_bits();
            out.set_len(start + if is_finite { n } else { 0 });
            is_finite
        }
    }

    /// The wanted numbers of a row, in the order wanted. They may be NaN or infinite.
    #[inline]
    pub(super) fn numbers(&self, row: &Fixed) -> impl Iterator<Item = f64> {
        self.places.iter().map(|place| {
            // SAFETY: `row` found that the row is long enough for this layout, and any bits are a value of these kinds.
            unsafe {
                let datum = place.width.read(row.0.add(place.offset));
                place.kind.number(datum)
            }
        })
    }
}
