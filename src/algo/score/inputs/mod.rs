//! From a frame to what learners take: its rows in an order of their own, each column encoded, the target as two classes.

mod encoding;
pub mod order;
mod source;
mod target;

use std::convert::Infallible;

pub use encoding::{
    Design, Input, Kind, MAX_CATEGORIES, MISSING_INDICATOR, NO_COLUMN, STANDARDISED_LIMIT, Slots,
    design_bytes, encode, fit_inputs, in_input_order, standardise, standardised,
};
pub use source::{Source, sources};
pub use target::{LabelsOfGraph, Target, code, labels, labels_of_graph};

use super::Error;
use crate::algo::frame::Frame;

/// What a learner learns from: rows of a frame, whether each of them is positive, and how the frame's columns are encoded.
pub struct Training<'a> {
    pub frame: &'a Frame,
    pub inputs: &'a [Input],
    pub rows: &'a [usize],
    pub labels: &'a [bool],
    /// Of all that is drawn.
    pub seed: i64,
}

/// One value of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// NaN is a missing number.
    Number(f64),
    Category(Option<&'a str>),
}

/// A row that hands out its cells one after the other, in the order of the inputs, so that nobody has to gather them.
pub trait Row {
    type Error;

    fn cells(self, each: impl FnMut(usize, Cell)) -> Result<(), Self::Error>;
}

/// The cells that are there, then missing ones up to this number.
pub struct Cells<'a>(pub &'a [Cell<'a>], pub usize);

impl Row for Cells<'_> {
    type Error = Infallible;

    #[inline]
    fn cells(self, mut each: impl FnMut(usize, Cell)) -> Result<(), Infallible> {
        for input_idx in 0..self.1 {
            each(input_idx, self.0.get(input_idx).copied().unwrap_or(Cell::Category(None)));
        }
        Ok(())
    }
}
