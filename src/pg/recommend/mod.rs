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

use super::error::Report;
use super::types::options::{required, within};

/// The most places of a page.
const MAX_PLACES: i64 = 10_000;
/// Places of a page that nobody gave another number of.
const PLACES: i64 = 10;

fn places(n: Option<i64>, argument: &'static str) -> Result<usize, Report> {
    let valid = format_args!("1 to {MAX_PLACES}");
    within(argument, n.unwrap_or(PLACES), 1..=MAX_PLACES, valid).map(|n| n as usize)
}
