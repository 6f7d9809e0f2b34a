//! Where in a query of the user's an error is: pgrx hands on an error's message, DETAIL and HINT, but neither position nor context.
#![allow(unsafe_code, reason = "an error context callback is C")]

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_char, c_void};
use std::panic::AssertUnwindSafe;

use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::PgSqlErrorCode as Code;
use pgrx::{PgLogLevel, PgTryBuilder, pg_sys};

use crate::pg::error::{Report, report};

/// As much of a query as a message repeats.
const SHOWN_BYTES: usize = 100;

thread_local! {
    /// Of the error that is on its way; None for one of the extension's own.
    static PLACE: RefCell<Option<Place>> = const { RefCell::new(None) };
    static IS_OURS: Cell<bool> = const { Cell::new(false) };
    /// How many of these run within each other: an error is the innermost one's.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Marks an error that the extension is about to raise while a query runs: it is none of the query's.
pub(crate) fn ours(report: Report) -> Report {
    IS_OURS.set(true);
    report
}

#[derive(Default)]
struct Place {
    /// The query that the position is in; None for the one that is run.
    query: Option<String>,
    /// In characters, from 1; 0 where there is none.
    position: usize,
    /// What was running inside the query.
    context: String,
    /// The SQLSTATE, where it is one that somebody made up: pgrx takes those for internal errors.
    own_code: Option<String>,
}

/// Runs `work` on a query of the user's. An error of PostgreSQL's says in its DETAIL where in the query it is; `what` is what the
/// user calls that.
pub(crate) fn of_errors_in<T>(
    what: &str,
    query: &str,
    work: impl FnOnce() -> Result<T, Report>,
) -> Result<T, Report> {
    let depth = DEPTH.get() + 1;
    let mut callback = pg_sys::ErrorContextCallback {
        // SAFETY: a pointer that PostgreSQL keeps, read.
        previous: unsafe { pg_sys::error_context_stack },
        callback: Some(remember),
        arg: std::ptr::without_provenance_mut(depth),
    };
    PLACE.take();
    DEPTH.set(depth);
    // SAFETY: the callback outlives the work, and is taken off when that is done; an error takes it off as well.
    unsafe { pg_sys::error_context_stack = &raw mut callback };
    let before = callback.previous;
    let done = PgTryBuilder::new(AssertUnwindSafe(|| Ok(work())))
        .catch_others(Err)
        .catch_rust_panic(Err)
        .execute();
    // SAFETY: as it was.
    unsafe { pg_sys::error_context_stack = before };
    DEPTH.set(depth - 1);
    match done {
        Ok(done) => done,
        Err(CaughtError::PostgresError(error)) => {
            let Some(place) = PLACE.take() else { CaughtError::PostgresError(error).rethrow() };
            let code = match &place.own_code {
                Some(_) => Code::ERRCODE_RAISE_EXCEPTION,
                None => error.sql_error_code(),
            };
            let own_code = place.own_code.iter().map(|code| format!("The SQLSTATE is {code}."));
            let said = error.detail().map(str::to_owned).into_iter().chain(own_code);
            let lines: Vec<String> = said.chain([place.words(what, query)]).collect();
            let told = report(code, error.message()).set_detail(lines.join("\n"));
            Err(match error.hint() {
                Some(hint) => told.set_hint(hint),
                None => told,
            })
        }
        Err(error) => error.rethrow(),
    }
}

impl Place {
    fn words(&self, what: &str, query: &str) -> String {
        let (of, text) = match &self.query {
            Some(inner) if inner != query => (format!("a query that the {what} runs"), &**inner),
            _ => (format!("the {what}"), query),
        };
        let start =
            text.char_indices().nth(self.position.saturating_sub(1)).map_or(text.len(), |at| at.0);
        let at = match self.position {
            0 => format!("In {of}: {}", shown(text)),
            _ => {
                let (before, rest) = text.split_at(start);
                let line = 1 + before.matches('\n').count();
                let character = 1 + before.chars().rev().take_while(|c| *c != '\n').count();
                let rest = rest.lines().next().unwrap_or_default();
                let rest = if rest.is_empty() { "its end" } else { rest };
                format!("In {of}, at line {line}, character {character}: {}", shown(rest))
            }
        };
        if self.context.is_empty() { at } else { format!("{at}\n{}", self.context) }
    }
}

fn shown(text: &str) -> String {
    match text.len() {
        0..=SHOWN_BYTES => text.to_owned(),
        _ => format!("{} ...", &text[..text.floor_char_boundary(SHOWN_BYTES)]),
    }
}

/// The five characters that PostgreSQL packs into six bits each.
fn sqlstate(packed: i32) -> String {
    (0..5).map(|place| char::from(b'0' + (packed >> (6 * place) & 0x3f) as u8)).collect()
}

/// Called as an error is raised, before anything unwinds.
unsafe extern "C-unwind" fn remember(depth: *mut c_void) {
    if depth.addr() != DEPTH.get() {
        return;
    }
    // One that was caught inside the query may have left its own.
    PLACE.take();
    if IS_OURS.take() {
        return;
    }
    // SAFETY: an error is being raised, which can be copied into memory of the transaction unless it is that there is none. Its
    // texts are C strings or null.
    unsafe {
        let raw = pg_sys::geterrcode();
        let code = Code::from(raw);
        let has_no_place =
            [Code::ERRCODE_OUT_OF_MEMORY, Code::ERRCODE_QUERY_CANCELED].contains(&code);
        if has_no_place || pg_sys::CurTransactionContext.is_null() {
            return;
        }
        let before = pg_sys::MemoryContextSwitchTo(pg_sys::CurTransactionContext);
        let error = pg_sys::CopyErrorData();
        pg_sys::MemoryContextSwitchTo(before);
        if (*error).elevel >= PgLogLevel::ERROR as i32 {
            let text = |text: *const c_char| {
                (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
            };
            let position = (*error).internalpos.max((*error).cursorpos);
            let mut context = text((*error).context).unwrap_or_default();
            // The last entry is of SPI, about the query itself, unless that is told as the query of the error.
            if (*error).internalquery.is_null() {
                let last = context.rfind("\nSQL statement \"");
                context.truncate(last.unwrap_or(0));
            }
            let place = Place {
                query: text((*error).internalquery),
                position: usize::try_from(position).unwrap_or(0),
                context,
                own_code: (code as i32 != raw).then(|| sqlstate(raw)),
            };
            PLACE.replace(Some(place));
        }
        pg_sys::FreeErrorData(error);
    }
}
