//! Fills a table that a function has just made, straight through its access method, a thousand rows at a time: what COPY does
//! after it has parsed its text.
#![allow(unsafe_code, reason = "tuple slots and the table's access method are C structures")]

use std::ffi::CString;

use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::prelude::*;
use pgrx::{IntoDatum, PgMemoryContexts};

use crate::algo::memory::Refused;

use crate::pg::error::{Report, report};
use crate::pg::sys::raw;
use crate::pg::types::record::attributes;

/// As many as COPY collects before it writes.
const BATCH: usize = 1000;

/// Fills a new table, of which nobody else knows and which has no index or trigger, with `n_rows` rows. `write` writes the
/// fields of a row, one after the other, in the order of the table's columns.
pub(crate) fn fill(
    table: Oid,
    n_rows: usize,
    mut write: impl FnMut(usize, &mut RowWriter),
) -> Result<u64, Report> {
    let mut batch_memory = PgMemoryContexts::new("pg_persona batch of rows");
    // SAFETY: the relation is opened and closed here, and slots and state are freed; an error ends the transaction, which
    // does the same.
    unsafe {
        let relation = pg_sys::table_open(table, pg_sys::RowExclusiveLock as i32);
        let mut rows = RowWriter::new((*relation).rd_att)?;
        let slots: Vec<*mut pg_sys::TupleTableSlot> = (0..BATCH.min(n_rows))
            .map(|_| pg_sys::table_slot_create(relation, std::ptr::null_mut()))
            .collect();
        let state = pg_sys::GetBulkInsertState();
        let mut next_row = 0;
        while next_row < n_rows {
            pgrx::check_for_interrupts!();
            let n = BATCH.min(n_rows - next_row);
            batch_memory.switch_to(|_| {
                rows.clear();
                for row in next_row..next_row + n {
                    write(row, &mut rows);
                    rows.end_row();
                }
                if let Some(refused) = rows.refused {
                    return Err(refused.into());
                }
                insert(&rows, relation, &slots[..n], state)
            })?;
            batch_memory.reset();
            next_row += n;
        }
        pg_sys::FreeBulkInsertState(state);
        slots.iter().for_each(|slot| pg_sys::ExecDropSingleTupleTableSlot(*slot));
        if let Some(finish) = (*(*relation).rd_tableam).finish_bulk_insert {
            pg_sys::ffi::pg_guard_ffi_boundary(|| finish(relation, 0));
        }
        pg_sys::table_close(relation, pg_sys::NoLock as i32);
        pg_sys::CommandCounterIncrement();
    }
    Ok(n_rows as u64)
}

/// Rows that are written one by one, for whoever keeps a copy of each.
pub(crate) struct SingleRows {
    row: RowWriter,
    values: Vec<Datum>,
    nulls: Vec<bool>,
    memory: PgMemoryContexts,
}

impl SingleRows {
    /// # Safety
    /// The descriptor is PostgreSQL's, and lives as long as this.
    pub(crate) unsafe fn of(descriptor: pg_sys::TupleDesc) -> Result<Self, Report> {
        // SAFETY: as promised.
        let row = unsafe { RowWriter::new(descriptor)? };
        let memory = PgMemoryContexts::new("pg_persona row");
        Ok(Self { row, values: Vec::new(), nulls: Vec::new(), memory })
    }

    /// `write` writes the fields of a row, which `take` takes.
    pub(crate) fn with_row(
        &mut self,
        write: impl FnOnce(&mut RowWriter),
        take: impl FnOnce(&[Datum], &[bool]),
    ) -> Result<(), Report> {
        let Self { row, values, nulls, memory } = self;
        // SAFETY: what the fields are in lives until they were taken; the row is cleared before it is written again.
        unsafe {
            memory.switch_to(|_| {
                row.clear();
                write(row);
                row.end_row();
                if let Some(refused) = row.refused {
                    return Err(Report::from(refused));
                }
                values.clear();
                nulls.clear();
                for (value, is_null) in (0..row.targets.len()).map(|column| row.field(0, column)) {
                    values.push(value);
                    nulls.push(is_null);
                }
                take(values, nulls);
                Ok(())
            })?;
            memory.reset();
        }
        Ok(())
    }
}

/// # Safety
/// The slots are of the relation, as many as there are rows.
unsafe fn insert(
    rows: &RowWriter,
    relation: pg_sys::Relation,
    slots: &[*mut pg_sys::TupleTableSlot],
    state: pg_sys::BulkInsertState,
) -> Result<(), Report> {
    // SAFETY: a slot has room for the columns of its relation. The closure under the guard has nothing to drop.
    unsafe {
        for (row, slot) in slots.iter().copied().enumerate() {
            pg_sys::ExecClearTuple(slot);
            for column in 0..rows.targets.len() {
                let (value, is_null) = rows.field(row, column);
                (*slot).tts_values.add(column).write(value);
                (*slot).tts_isnull.add(column).write(is_null);
            }
            pg_sys::ExecStoreVirtualTuple(slot);
        }
        let Some(multi_insert) = (*(*relation).rd_tableam).multi_insert else {
            return Err(report(
                PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                "the table's access method cannot insert rows in bulk",
            ));
        };
        let command = pg_sys::GetCurrentCommandId(true);
        let (slots, n) = (slots.as_ptr().cast_mut(), slots.len() as i32);
        let options = pg_sys::TABLE_INSERT_SKIP_FSM as i32;
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            multi_insert(relation, slots, n, command, options, state);
        });
    }
    Ok(())
}

/// Takes the fields of rows.
pub(crate) struct RowWriter {
    targets: Vec<Target>,
    values: Vec<Datum>,
    nulls: Vec<bool>,
    /// The texts of the batch, each a varlena; their datums are offsets into it until they are inserted.
    texts: Vec<u64>,
    /// The column of the next field.
    column: usize,
    /// There was no room for a text: the batch is not to be inserted.
    refused: Option<Refused>,
}

struct Target {
    how: How,
    input: pg_sys::FmgrInfo,
    io_param: Oid,
    type_modifier: i32,
}

/// How a column's values are made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Int2,
    Int4,
    Int8,
    Float8,
    Bool,
    Time,
    Text,
    /// By the type's input function.
    Input,
}

impl RowWriter {
    /// # Safety
    /// The descriptor is PostgreSQL's, and lives.
    unsafe fn new(descriptor: pg_sys::TupleDesc) -> Result<Self, Report> {
        // SAFETY: each type of it is in the catalogue.
        let targets: Vec<Target> = unsafe {
            let columns = attributes(descriptor);
            if columns.len() != (*descriptor).natts as usize {
                return Err(report(
                    PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                    "a table that is to be filled has dropped columns",
                ));
            }
            let target = |(type_oid, type_modifier): (Oid, i32)| {
                let how = match type_oid {
                    pg_sys::INT2OID => How::Int2,
                    pg_sys::INT4OID => How::Int4,
                    pg_sys::INT8OID => How::Int8,
                    pg_sys::FLOAT8OID => How::Float8,
                    pg_sys::BOOLOID => How::Bool,
                    pg_sys::TIMESTAMPTZOID => How::Time,
                    pg_sys::TEXTOID => How::Text,
                    _ => How::Input,
                };
                let (mut input, mut io_param) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
                pg_sys::getTypeInputInfo(type_oid, &mut input, &mut io_param);
                let mut target =
                    Target { how, input: pg_sys::FmgrInfo::default(), io_param, type_modifier };
                pg_sys::fmgr_info(input, &mut target.input);
                target
            };
            columns
                .iter()
                .map(|column| (column.type_oid, column.type_modifier))
                .map(target)
                .collect()
        };
        Ok(Self {
            targets,
            values: Vec::new(),
            nulls: Vec::new(),
            texts: Vec::new(),
            column: 0,
            refused: None,
        })
    }

    pub(crate) fn text(&mut self, text: &str) {
        if self.how() != How::Text {
            return self.by_input(text);
        }
        match raw::push_whole(&mut self.texts, text.as_bytes()) {
            Ok(start) => self.push(Datum::from(8 * start)),
            Err(refused) => {
                self.refused = Some(refused);
                self.null();
            }
        }
    }

    pub(crate) fn integer(&mut self, value: i64) {
        let datum = match self.how() {
            How::Int8 => value.into_datum(),
            How::Int4 => i32::try_from(value).ok().and_then(IntoDatum::into_datum),
            How::Int2 => i16::try_from(value).ok().and_then(IntoDatum::into_datum),
            _ => None,
        };
        match datum {
            Some(datum) => self.push(datum),
            // Also where it is too large, which the input function reports.
            None => self.written(&value.to_string()),
        }
    }

    pub(crate) fn float(&mut self, value: f64) {
        match self.how() {
            How::Float8 => self.push(Datum::from(value.to_bits())),
            _ => self.written(&value.to_string()),
        }
    }

    pub(crate) fn boolean(&mut self, value: bool) {
        match self.how() {
            How::Bool => self.push(Datum::from(value)),
            _ => self.written(if value { "t" } else { "f" }),
        }
    }

    /// Microseconds as PostgreSQL counts them, in a column of times with a zone; NULL in another.
    pub(crate) fn time(&mut self, time: i64) {
        match self.how() {
            How::Time => self.push(Datum::from(time)),
            _ => self.null(),
        }
    }

    pub(crate) fn null(&mut self) {
        self.values.push(Datum::null());
        self.nulls.push(true);
        self.column += 1;
    }

    fn how(&self) -> How {
        self.targets.get(self.column).map_or(How::Input, |target| target.how)
    }

    fn written(&mut self, text: &str) {
        match self.how() {
            How::Text => self.text(text),
            _ => self.by_input(text),
        }
    }

    fn by_input(&mut self, text: &str) {
        let (Some(target), Ok(text)) = (self.targets.get_mut(self.column), CString::new(text))
        else {
            return self.null();
        };
        // SAFETY: the input function takes a C string; what it makes lives as long as the batch.
        let datum = unsafe {
            pg_sys::InputFunctionCall(
                &mut target.input,
                text.as_ptr().cast_mut(),
                target.io_param,
                target.type_modifier,
            )
        };
        self.push(datum);
    }

    fn push(&mut self, datum: Datum) {
        self.values.push(datum);
        self.nulls.push(false);
        self.column += 1;
    }

    /// Fields that were not written are NULL, and there are no more than columns.
    fn end_row(&mut self) {
        let row = self.nulls.len() - self.column;
        self.values.resize(row + self.targets.len(), Datum::null());
        self.nulls.resize(row + self.targets.len(), true);
        self.column = 0;
    }

    fn clear(&mut self) {
        self.values.clear();
        self.nulls.clear();
        self.texts.clear();
    }

    /// Its value, and whether it is NULL.
    fn field(&self, row: usize, column: usize) -> (Datum, bool) {
        let n_columns = self.targets.len();
        let (value, is_null) =
            (self.values[row * n_columns + column], self.nulls[row * n_columns + column]);
        match self.targets[column].how {
            // An offset, as the texts move while there come more.
            How::Text if !is_null => {
                (Datum::from(self.texts.as_ptr().cast::<u8>().wrapping_add(value.value())), false)
            }
            _ => (value, is_null),
        }
    }
}
