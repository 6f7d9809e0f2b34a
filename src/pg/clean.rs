//! `fold` and `keep` of keys of any type, and the window function `copies`.
#![allow(unsafe_code, reason = "a window function is called as C")]

use std::collections::HashMap;

use pgrx::pg_sys::panic::ErrorReportable;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo};
use pgrx::prelude::*;
use pgrx::{AnyElement, IntoDatum};

use crate::algo::clean;
use crate::algo::memory::{self, Refused};

use super::error::Report;
use crate::pg::rows::window::Partition;
use crate::pg::sys::call_site::CallSite;
use crate::pg::sys::raw;
use crate::pg::sys::reserve;
use crate::pg::types::any_text::AnyText;
use crate::pg::types::options::within;

raw::declare! {
    copies, pg_finfo_copies;
}

const MOST_FOLDS: i64 = 1_000_000;

/// The fold of the key's text: a key may change its type.
#[pg_extern]
fn fold(key: AnyElement, k: i64, seed: i64, fcinfo: FunctionCallInfo) -> Result<i32, Report> {
    let k = folds(k)?;
    with_text(key, fcinfo, |key| clean::fold(key.as_bytes(), k, seed) as i32)
}

#[pg_extern]
fn keep(
    key: AnyElement,
    fraction: f64,
    seed: i64,
    fcinfo: FunctionCallInfo,
) -> Result<bool, Report> {
    within("fraction", fraction, 0.0..=1.0, "a number from 0 to 1")?;
    with_text(key, fcinfo, |key| clean::keep(key.as_bytes(), fraction, seed))
}

/// Calls `f` with the text of a call's key, which is its first argument.
fn with_text<T>(
    key: AnyElement,
    fcinfo: FunctionCallInfo,
    f: impl FnOnce(&str) -> T,
) -> Result<T, Report> {
    // SAFETY: SQL declares the key as the first argument.
    unsafe {
        let text: &mut AnyText = CallSite::of(fcinfo).remember(|| AnyText::of(fcinfo, 0, "key"))?;
        text.text(key.datum(), "key", f)
    }
}

fn folds(k: i64) -> Result<u32, Report> {
    let valid = format_args!("a whole number from 1 to {MOST_FOLDS}");
    within("k", k, 1..=MOST_FOLDS, valid).map(|k| k as u32)
}

/// (label anyelement) OVER (…): how often to take the row.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn copies(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares the function WINDOW, with one argument and bigint as its result.
    unsafe {
        let partition = Partition::of(fcinfo);
        let copies = match partition.kept::<Vec<Option<u64>>>() {
            Some(copies) => copies,
            None => {
                let type_oid = pg_sys::get_fn_expr_argtype((*fcinfo).flinfo, 0);
                partition.keep(all_copies(partition, type_oid).unwrap_or_report())
            }
        };
        let here = copies.get(partition.position() as usize).copied().flatten();
        here.and_then(|n| (n as i64).into_datum()).unwrap_or_else(|| raw::null(fcinfo))
    }
}

/// The copies of every row of the partition; None where the label is NULL.
///
/// # Safety
/// The partition is of a running call whose argument is of this type.
unsafe fn all_copies(
    partition: Partition,
    type_oid: pg_sys::Oid,
) -> Result<Vec<Option<u64>>, Report> {
    let any_text = AnyText::of_type(type_oid);
    // Each row's class and its number within it.
    reserve::begin();
    let (mut rows, mut counts, mut classes) =
        (Vec::new(), Vec::<u64>::new(), HashMap::<String, usize>::new());
    while let Some(label) = partition.argument_at(0, rows.len() as i64) {
        let row = match label {
            None => None,
            // SAFETY: by the caller's promise the label is of this type.
            Some(label) => unsafe {
                let class = any_text.text(label, "label", |class| {
                    if let Some(class) = classes.get(class) {
                        return Ok(*class);
                    }
                    memory::insert(&mut classes, memory::owned(class)?, counts.len())?;
                    memory::push(&mut counts, 0)?;
                    Ok::<_, Refused>(counts.len() - 1)
                })??;
                counts[class] += 1;
                Some((class, counts[class] - 1))
            },
        };
        memory::push(&mut rows, row)?;
        memory::check()?;
    }
    drop(classes);
    let most = counts.iter().copied().max().unwrap_or(0);
    let copies = rows.into_iter().map(|row| {
        row.map(|(class, index): (usize, u64)| clean::copies(index, counts[class], most))
    });
    Ok(memory::collect(copies)?)
}
