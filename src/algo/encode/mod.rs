//! Text and angles as numbers: levels by frequency, signed hashing, target encoding, cycles, and products of features.

pub mod categories;
mod moments;
pub mod numbers;
pub mod target;
