//! `fold` and `keep` of keys of any type, and the window function `copies`.

use std::collections::HashMap;

use crate::algo::clean;
use crate::algo::memory::{self, Refused};

use super::error::Report;
use crate::pg::rows::window::{Partition, Window, window_functions};
use crate::pg::sys::call::{Any, Call, functions};
use crate::pg::sys::call_site::CallSite;
use crate::pg::sys::reserve;
use crate::pg::types::any_text::AnyText;
use crate::pg::types::options::within;

functions! {
    /// The fold of the key's text: a key may change its type.
    fn fold_wrapper(Any, i64, i64) -> i32 = fold;
    fn keep_wrapper(Any, f64, i64) -> bool = keep;
}

window_functions! {
    /// How often to take the row of a label.
    fn copies(Any) -> i64 = copies_of;
}

const MOST_FOLDS: i64 = 1_000_000;

fn fold(Call { args, site }: Call<(Any, i64, i64)>) -> Result<Option<i32>, Report> {
    let (Some(key), Some(k), Some(seed)) = (args.any::<0>(), args.get::<1>(), args.get::<2>())
    else {
        return Ok(None);
    };
    let k = folds(k)?;
    with_text(key, site, |key| clean::fold(key.as_bytes(), k, seed) as i32).map(Some)
}

fn keep(Call { args, site }: Call<(Any, f64, i64)>) -> Result<Option<bool>, Report> {
    let (Some(key), Some(fraction), Some(seed)) =
        (args.any::<0>(), args.get::<1>(), args.get::<2>())
    else {
        return Ok(None);
    };
    within("fraction", fraction, 0.0..=1.0, "a number from 0 to 1")?;
    with_text(key, site, |key| clean::keep(key.as_bytes(), fraction, seed)).map(Some)
}

/// Calls `f` with the text of a call's key, which is its first argument.
fn with_text<T>(key: Any, site: CallSite, f: impl FnOnce(&str) -> T) -> Result<T, Report> {
    let text: &mut AnyText = site.remember(|site| AnyText::of(site, 0, "key"))?;
    text.text(key, "key", f)
}

fn folds(k: i64) -> Result<u32, Report> {
    let valid = format_args!("a whole number from 1 to {MOST_FOLDS}");
    within("k", k, 1..=MOST_FOLDS, valid).map(|k| k as u32)
}

fn copies_of(Window { mut rows, site }: Window<(Any,)>) -> Result<Option<i64>, Report> {
    let position = rows.position();
    let text = || AnyText::of_any_type(&site, 0);
    let copies = rows.remember(|rows| all_copies(rows, text()))?;
    Ok(copies.get(position as usize).copied().flatten().map(|n| n as i64))
}

/// The copies of every row of the partition; None where the label is NULL.
fn all_copies(
    partition: &mut Partition<(Any,)>,
    text: AnyText,
) -> Result<Vec<Option<u64>>, Report> {
    // Each row's class and its number within it.
    reserve::begin();
    let (mut rows, mut counts, mut classes) =
        (Vec::new(), Vec::<u64>::new(), HashMap::<String, usize>::new());
    partition.each(|row| {
        let row = match row.any::<0>() {
            None => return Ok(false),
            Some(None) => None,
            Some(Some(label)) => {
                let class = text.text(label, "label", |class| {
                    if let Some(class) = classes.get(class) {
                        return Ok(*class);
                    }
                    memory::insert(&mut classes, memory::owned(class)?, counts.len())?;
                    memory::push(&mut counts, 0)?;
                    Ok::<_, Refused>(counts.len() - 1)
                })??;
                counts[class] += 1;
                Some((class, counts[class] - 1))
            }
        };
        memory::push(&mut rows, row)?;
        memory::check()?;
        Ok(true)
    })?;
    drop(classes);
    let most = counts.iter().copied().max().unwrap_or(0);
    let copies = rows.into_iter().map(|row| {
        row.map(|(class, index): (usize, u64)| clean::copies(index, counts[class], most))
    });
    Ok(memory::collect(copies)?)
}
