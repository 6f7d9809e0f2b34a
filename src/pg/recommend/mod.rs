//! What to offer next: fit a recommender on a table of who had what, then ask it for a user, a basket, or everyone.
//!
//! Each question has a bigint and a text form, the same code for both: [`keys::Key`]. A model is found and loaded by
//! [`served::served`], once per backend, however many users a query asks for.

mod error;
mod evaluate;
mod events;
mod everyone;
mod family;
mod fit;
mod keys;
mod questions;
mod served;

pub(crate) use family::Family;

use super::error::{Error, Report};

/// The most places of a page.
const MAX_PLACES: i32 = 10_000;

fn required<T>(value: Option<T>, argument: &'static str) -> Result<T, Report> {
    value.ok_or_else(|| Error::NullArgument { argument }.into())
}

fn places(n: Option<i32>, argument: &'static str) -> Result<usize, Report> {
    let n = required(n, argument)?;
    if (1..=MAX_PLACES).contains(&n) {
        return Ok(n as usize);
    }
    Err(Error::InvalidOption {
        option: argument.to_owned(),
        value: n.to_string(),
        valid: format!("1 to {MAX_PLACES}"),
    }
    .into())
}
