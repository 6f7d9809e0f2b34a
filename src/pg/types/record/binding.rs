//! Reads the rows of one call site: takes each apart and hands out the wanted columns in the wanted order.
#![allow(unsafe_code, reason = "records are tuples of PostgreSQL, read without a copy")]

use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::prelude::PgSqlErrorCode as Code;

use crate::pg::error::{Error, Report, report};
use crate::pg::types::datum::Kind;

use super::deform::{Columns, unpacked};
use super::layout::Layout;
use super::slot::{ByName, Slot, array_element, expanded_names, find, number, whole};
use super::{Attribute, Object, Record, Row, Wanted, attributes, check_names, require_numbers};

/// One bound value of a row.
pub(crate) enum Cell<'a> {
    /// NaN for NULL.
    Number(f64),
    /// An exact one, where it was wanted and is one.
    Whole(i64),
    Category(Option<&'a str>),
}

/// The oid of a row's type, and for a record its number in this backend.
type RowType = (Oid, i32);

/// That of a JSON object, which is no row of PostgreSQL's.
const OBJECT: RowType = (pg_sys::InvalidOid, -1);

/// Reads rows of one call site. Lives in the call site's memory.
#[derive(Default)]
pub(crate) struct Binding {
    row_type: Option<RowType>,
    descriptor: Option<Descriptor>,
    columns: Columns,
    /// So many columns, from the first, hold all that is wanted.
    n_read: usize,
    attributes: Vec<Attribute>,
    slots: Vec<Slot>,
    /// Where the slots are in rows that can be read in place.
    layout: Option<Layout>,
    names: Vec<String>,
    values: Vec<Datum>,
    nulls: Vec<bool>,
    /// The row, when it came with a short header.
    copy: Vec<u64>,
    numbers: Vec<f64>,
    elements: Vec<f64>,
}

/// A row descriptor of our own, in memory that outlives a query; freed with the binding.
struct Descriptor(pg_sys::TupleDesc);

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: made by CreateTupleDescCopy in TopMemoryContext and freed once.
        unsafe { pg_sys::FreeTupleDesc(self.0) }
    }
}

impl Binding {
    /// Binds names again at the next row: they are other ones.
    pub(crate) fn forget(&mut self) {
        self.row_type = None;
        self.layout = None;
    }

    /// The row that was read last, with its names.
    pub(crate) fn row(&self) -> (&[f64], &[String]) {
        (&self.numbers, &self.names)
    }

    /// All columns of the row as numbers, NaN for NULL: for a fit, which takes its features' names from the rows.
    pub(crate) fn all_numbers(&mut self, record: Record) -> Result<&[f64], Report> {
        match self.read_all(record)? {
            None => Ok(&self.numbers),
            Some(slot) => {
                let column = self.slots[slot].attribute.clone();
                Err(Error::MissingValue { column }.into())
            }
        }
    }

    /// All columns of the row as numbers; None where one is NULL or has a NULL element.
    pub(crate) fn whole_row(&mut self, record: Record) -> Result<Option<&[f64]>, Report> {
        let is_whole = self.read_all(record)?.is_none() && !self.numbers.iter().any(|x| x.is_nan());
        Ok(is_whole.then_some(&self.numbers))
    }

    /// Reads all columns of the row as numbers, NaN for NULL, up to the slot of an array that is NULL, which it returns: how
    /// many numbers that stands for is not known.
    fn read_all(&mut self, record: Record) -> Result<Option<usize>, Report> {
        if self.read_in_place(record)? {
            return Ok(None);
        }
        if let Some(row_type) = self.load(record)? {
            self.slots.clear();
            self.names.clear();
            for attribute in &self.attributes {
                self.slots.push(Slot {
                    position: attribute.position,
                    kind: attribute.kind,
                    wanted: Wanted::Number,
                    element: None,
                    attribute: attribute.name.clone(),
                });
                require_numbers(attribute)?;
            }
            if self.slots.is_empty() {
                return Err(Error::NoFeatures.into());
            }
            self.names = self.slots.iter().map(|slot| slot.attribute.clone()).collect();
            self.bound(row_type);
        }
        self.numbers.clear();
        let mut expanded = None;
        for slot_idx in 0..self.slots.len() {
            let slot = &self.slots[slot_idx];
            let (value, is_null) = (self.values[slot.position], self.nulls[slot.position]);
            if slot.kind.is_array() {
                if is_null {
                    return Ok(Some(slot_idx));
                }
                let before = self.numbers.len();
                // SAFETY: the value is of the column's type.
                unsafe { slot.kind.numbers(value, &slot.attribute, &mut self.numbers)? };
                expanded.get_or_insert_with(Vec::new).push((slot_idx, self.numbers.len() - before));
            } else {
                self.numbers.push(number(slot, value, is_null)?);
            }
        }
        if let Some(expanded) = expanded
            && self.names.len() != self.numbers.len()
        {
            self.names = expanded_names(&self.slots, &expanded);
        }
        Ok(None)
    }

    /// The features of these names as numbers, NaN for NULL, in the order of the names.
    pub(crate) fn numbers(&mut self, row: Row, names: &[String]) -> Result<&[f64], Report> {
        if self.row_in_place(row)? {
            return Ok(&self.numbers);
        }
        if let Some(row_type) = self.load_row(row)? {
            self.bind(row_type, names.iter().map(|name| (name.as_str(), Wanted::Number)))?;
        }
        self.numbers.clear();
        let mut loaded_array = None;
        for slot in &self.slots {
            let (value, is_null) = (self.values[slot.position], self.nulls[slot.position]);
            let number = match slot.element {
                Some(element) => array_element(
                    slot,
                    element,
                    value,
                    is_null,
                    &mut self.elements,
                    &mut loaded_array,
                )?,
                None => number(slot, value, is_null)?,
            };
            self.numbers.push(number);
        }
        Ok(&self.numbers)
    }

    /// Calls `each` with the index and value of every wanted feature, in the order wanted.
    pub(crate) fn cells<'w>(
        &mut self,
        row: Row,
        wanted: impl Iterator<Item = (&'w str, Wanted)>,
        mut each: impl FnMut(usize, Cell<'_>) -> Result<(), Report>,
    ) -> Result<(), Report> {
        if self.row_in_place(row)? {
            let mut numbers = self.numbers.iter().enumerate();
            return numbers.try_for_each(|(index, &number)| each(index, Cell::Number(number)));
        }
        if let Some(row_type) = self.load_row(row)? {
            self.bind(row_type, wanted)?;
        }
        let mut loaded_array = None;
        for (index, slot) in self.slots.iter().enumerate() {
            let (value, is_null) = (self.values[slot.position], self.nulls[slot.position]);
            if let Some(element) = slot.element {
                let number = array_element(
                    slot,
                    element,
                    value,
                    is_null,
                    &mut self.elements,
                    &mut loaded_array,
                )?;
                each(index, Cell::Number(number))?;
            } else if slot.wanted == Wanted::Category {
                if is_null {
                    each(index, Cell::Category(None))?;
                } else {
                    // A result in a result would be moved for each row: it is wide.
                    let mut outcome = Ok(());
                    // SAFETY: the value is of the column's type.
                    unsafe {
                        slot.kind.text(value, &slot.attribute, |text| {
                            outcome = each(index, Cell::Category(Some(text)));
                        })
                    }?;
                    outcome?;
                }
            } else {
                let whole = if slot.wanted == Wanted::Whole && !is_null {
                    whole(slot, value)
                } else {
                    None
                };
                each(
                    index,
                    match whole {
                        Some(whole) => Cell::Whole(whole),
                        None => Cell::Number(number(slot, value, is_null)?),
                    },
                )?;
            }
        }
        Ok(())
    }

    /// Appends the features bound last as 32-bit floats. False, and nothing appended, where they cannot be read in place or one is
    /// no finite float. Calls nothing of PostgreSQL.
    #[inline]
    pub(crate) fn floats_in_place(&self, record: Record, out: &mut Vec<f32>) -> bool {
        // SAFETY: the record's datum is a composite value.
        self.layout.as_ref().is_some_and(|layout| unsafe { layout.floats(record.datum, out) })
    }

    /// Reads all slots of a row that can be read in place; false, and nothing read, of another one.
    #[inline]
    fn read_in_place(&mut self, record: Record) -> Result<bool, Report> {
        let Some(layout) = &self.layout else { return Ok(false) };
        // SAFETY: the record's datum is a composite value.
        let Some(row) = (unsafe { layout.row(record.datum) }) else { return Ok(false) };
        self.numbers.clear();
        self.numbers.extend(layout.numbers(&row));
        if let Some(index) = self.numbers.iter().position(|number| !number.is_finite()) {
            let column = self.slots[index].attribute.clone();
            return Err(Error::NotFinite { column, value: self.numbers[index] }.into());
        }
        Ok(true)
    }

    /// The slots are those of rows of this type. Works out where they are in rows that can be read in place; an array column is none
    /// of them.
    fn bound(&mut self, row_type: RowType) {
        self.row_type = Some(row_type);
        self.n_read = self.slots.iter().map(|slot| slot.position + 1).max().unwrap_or(0);
        let wanted = self.slots.iter().map(|slot| (slot.position, slot.kind));
        let loses_digits =
            self.slots.iter().any(|slot| slot.wanted == Wanted::Whole && slot.kind == Kind::Int8);
        self.layout = match &self.descriptor {
            // In place all numbers are doubles.
            _ if loses_digits => None,
            // SAFETY: the descriptor is that of the row type.
            Some(Descriptor(descriptor)) => unsafe { Layout::of(*descriptor, row_type, wanted) },
            None => None,
        };
    }

    #[inline]
    fn row_in_place(&mut self, row: Row) -> Result<bool, Report> {
        match row {
            Row::Record(record) => self.read_in_place(record),
            Row::Object(_) => Ok(false),
        }
    }

    fn load_row(&mut self, row: Row) -> Result<Option<RowType>, Report> {
        match row {
            Row::Record(record) => self.load(record),
            Row::Object(object) => Ok(self.load_object(object)),
        }
    }

    /// Names are bound again to an object of other keys, or of other types of values, than the one before.
    fn load_object(&mut self, object: &Object) -> Option<RowType> {
        self.values.clone_from(&object.values);
        self.nulls.clone_from(&object.nulls);
        if self.row_type == Some(OBJECT) && self.attributes == object.attributes {
            return None;
        }
        self.forget();
        self.descriptor = None;
        self.attributes.clone_from(&object.attributes);
        Some(OBJECT)
    }

    /// Takes the row apart; returns its type if it is new here, so that names must be bound again.
    fn load(&mut self, record: Record) -> Result<Option<RowType>, Report> {
        // SAFETY: the record's datum is a composite value, whose header names its row type.
        unsafe {
            let row = unpacked(record.datum.cast_mut_ptr(), &mut self.copy);
            let choice = (*row.cast::<pg_sys::HeapTupleHeaderData>()).t_choice.t_datum;
            let row_type = (choice.datum_typeid, choice.datum_typmod);
            if self.row_type == Some(row_type) && self.take_apart(row) {
                return Ok(None);
            }
            // Another type, or the type was altered since.
            self.describe(row_type)?;
            if self.take_apart(row) {
                return Ok(Some(row_type));
            }
            Err(report(
                Code::ERRCODE_DATATYPE_MISMATCH,
                "a row does not have the columns of its type",
            )
            .set_hint("The type was altered while the query ran: run it again."))
        }
    }

    /// Reads the columns of a row type. Its names are to be bound after that.
    fn describe(&mut self, row_type: RowType) -> Result<(), Report> {
        self.forget();
        // SAFETY: the type is a row's; the descriptor that is kept is a copy.
        unsafe {
            let shared = pg_sys::lookup_rowtype_tupdesc(row_type.0, row_type.1);
            let kept = pgrx::PgMemoryContexts::TopMemoryContext
                .switch_to(|_| pg_sys::CreateTupleDescCopy(shared));
            if (*shared).tdrefcount >= 0 {
                pg_sys::DecrTupleDescRefCount(shared);
            }
            self.descriptor = Some(Descriptor(kept));
            self.columns = Columns::of(kept);
            self.n_read = self.columns.len();
            self.attributes = attributes(kept);
        }
        check_names(&self.attributes, row_type.0 == pg_sys::RECORDOID)?;
        self.values = vec![Datum::null(); self.columns.len()];
        self.nulls = vec![true; self.columns.len()];
        Ok(())
    }

    /// Takes the row apart by the columns of its type, as far as they are read; false where it does not have them.
    ///
    /// # Safety
    /// `row` is a composite value with a full header, aligned.
    unsafe fn take_apart(&mut self, row: *mut pg_sys::varlena) -> bool {
        // SAFETY: by the caller's promise; there is a value for each column.
        unsafe {
            let (values, nulls) = (&mut self.values[..self.n_read], &mut self.nulls[..self.n_read]);
            let Some(n_stored) = self.columns.deform(row, values, nulls) else { return false };
            if let Some(Descriptor(descriptor)) = &self.descriptor
                && n_stored < self.n_read
            {
                // The columns that were added since have the values that the descriptor knows.
                let mut tuple = pg_sys::HeapTupleData {
                    t_len: pgrx::varsize_4b(row) as u32,
                    t_data: row.cast(),
                    ..Default::default()
                };
                let (values, nulls) = (self.values.as_mut_ptr(), self.nulls.as_mut_ptr());
                pg_sys::heap_deform_tuple(&mut tuple, *descriptor, values, nulls);
            }
            true
        }
    }

    /// Finds each wanted name among the columns. On failure the next row binds again.
    fn bind<'w>(
        &mut self,
        row_type: RowType,
        wanted: impl Iterator<Item = (&'w str, Wanted)>,
    ) -> Result<(), Report> {
        let columns = ByName::of(&self.attributes);
        self.slots.clear();
        for (name, wanted) in wanted {
            self.slots.push(find(&columns, name, wanted)?);
        }
        self.bound(row_type);
        Ok(())
    }
}
