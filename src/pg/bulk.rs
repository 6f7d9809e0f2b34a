//! Fills a table from memory through COPY's own code: as fast as COPY FROM a file, with its types, defaults and constraints.
#![allow(unsafe_code, reason = "COPY's callback is a C function without an argument of ours")]

use std::cell::Cell;
use std::ffi::c_void;

use pgrx::pg_sys::{self, AsPgCStr, Oid};
use pgrx::prelude::*;

use super::error::Report;

/// Rows in COPY's text format.
#[derive(Default)]
pub(crate) struct CopyText(Vec<u8>);

impl CopyText {
    pub(crate) fn text(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                b'\\' => self.0.extend_from_slice(b"\\\\"),
                b'\t' => self.0.extend_from_slice(b"\\t"),
                b'\n' => self.0.extend_from_slice(b"\\n"),
                b'\r' => self.0.extend_from_slice(b"\\r"),
                byte => self.0.push(byte),
            }
        }
        self.0.push(b'\t');
    }

    pub(crate) fn integer(&mut self, value: i64) {
        // Digits from the right into a local buffer: the formatting machinery costs more than the row does.
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        let mut rest = value.unsigned_abs();
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if value < 0 {
            self.0.push(b'-');
        }
        self.0.extend_from_slice(&digits[at..]);
        self.0.push(b'\t');
    }

    pub(crate) fn float(&mut self, value: f64) {
        self.0.extend_from_slice(value.to_string().as_bytes());
        self.0.push(b'\t');
    }

    pub(crate) fn null(&mut self) {
        self.0.extend_from_slice(b"\\N\t");
    }

    /// Ends a row, whose last field's separator becomes the end of the line.
    fn end_row(&mut self) {
        if let Some(last) = self.0.last_mut() {
            *last = b'\n';
        }
    }
}

/// Fills a table with `n_rows` rows that `write` makes, one field after the other. The caller has checked the rights: this
/// is for tables that the calling function made itself.
pub(crate) fn fill(
    table: Oid,
    columns: &[&str],
    n_rows: usize,
    mut write: impl FnMut(usize, &mut CopyText),
) -> Result<u64, Report> {
    let mut text = CopyText::default();
    let mut sent = 0;
    let mut next_row = 0;
    let mut read = |out: &mut [u8]| {
        if sent == text.0.len() {
            text.0.clear();
            sent = 0;
            while next_row < n_rows && text.0.len() < 1 << 16 {
                write(next_row, &mut text);
                text.end_row();
                next_row += 1;
            }
        }
        let n = out.len().min(text.0.len() - sent);
        out[..n].copy_from_slice(&text.0[sent..sent + n]);
        sent += n;
        n
    };
    let mut reader: &mut dyn FnMut(&mut [u8]) -> usize = &mut read;
    let _in_use = InUse::new((&raw mut reader).cast());
    // SAFETY: the relation is opened and closed here; COPY reads through `persona_copy_read`, which finds the reader above, and
    // that lives until the end of this function.
    unsafe {
        let relation = pg_sys::table_open(table, pg_sys::RowExclusiveLock as i32);
        let state = pg_sys::make_parsestate(std::ptr::null_mut());
        pg_sys::addRangeTableEntryForRelation(
            state,
            relation,
            pg_sys::RowExclusiveLock as i32,
            std::ptr::null_mut(),
            false,
            false,
        );
        let mut names = std::ptr::null_mut();
        for column in columns {
            let name = (*column).as_pg_cstr();
            names = pg_sys::lappend(names, pg_sys::makeString(name).cast());
        }
        let copy = pg_sys::BeginCopyFrom(
            state,
            relation,
            std::ptr::null_mut(),
            std::ptr::null(),
            false,
            Some(persona_copy_read),
            names,
            std::ptr::null_mut(),
        );
        let copied = pg_sys::CopyFrom(copy);
        pg_sys::EndCopyFrom(copy);
        pg_sys::free_parsestate(state);
        pg_sys::table_close(relation, pg_sys::NoLock as i32);
        pg_sys::CommandCounterIncrement();
        Ok(copied)
    }
}

type Reader<'a> = &'a mut dyn FnMut(&mut [u8]) -> usize;

thread_local! {
    /// The reader of the COPY in progress: its callback takes no argument.
    static READER: Cell<*mut c_void> = const { Cell::new(std::ptr::null_mut()) };
}

/// Puts the outer COPY's reader back when this one ends: a trigger may copy too.
struct InUse(*mut c_void);

impl InUse {
    fn new(reader: *mut c_void) -> Self {
        Self(READER.replace(reader))
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        READER.set(self.0);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn persona_copy_read(out: *mut c_void, _min: i32, max: i32) -> i32 {
    // SAFETY: COPY gives room for `max` bytes; READER points to the reader of the running `fill`.
    unsafe {
        let reader = &mut *READER.get().cast::<Reader>();
        reader(std::slice::from_raw_parts_mut(out.cast(), max.max(0) as usize)) as i32
    }
}
