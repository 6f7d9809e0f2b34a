//! Lloyd's iterations: the kernel, the bounds that spare it rows, what is carried from one to the next, and who gets which number.

mod bounding;
mod bounds;
mod carry;
pub(crate) mod distance;
pub(crate) mod kernel;
mod label;
pub(crate) mod lloyd;
mod matching;
pub(crate) mod pieces;
mod repair;
mod rounding;
mod state;
mod weighed;
