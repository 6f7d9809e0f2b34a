//! What can be wrong with a fit's input, and with a model that comes from outside.

use super::limits::{MAX_FEATURES, MAX_K};
use crate::algo::memory::Refused;
use crate::algo::stop::Stopped;

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    #[error("there are no rows to segment")]
    EmptyInput,
    #[error("number of segments must be between 1 and {MAX_K}, not {k}")]
    InvalidK { k: i64 },
    #[error("number of features must be between 1 and {MAX_FEATURES}, not {found}")]
    InvalidFeatures { found: usize },
    #[error("max_iterations must be between 1 and {}, not {max_iterations}", i32::MAX)]
    InvalidIterations { max_iterations: i64 },
    #[error("n_init must be between 1 and {}, not {n_init}", i32::MAX)]
    InvalidStarts { n_init: i64 },
    #[error("tolerance must be a finite number not below 0, not {tolerance}")]
    InvalidTolerance { tolerance: f64 },
    #[error("too many rows: {n_rows}, at most {}", u32::MAX)]
    TooManyRows { n_rows: usize },
    #[error("expected {expected} features, found {found}")]
    DimensionMismatch { expected: usize, found: usize },
    #[error("column \"{column}\" has a weight but is no feature")]
    UnknownWeight { column: String },
    #[error("weight of column \"{column}\" must be between 1e-9 and 1e9, not {weight}")]
    InvalidWeight { column: String, weight: f64 },
    /// `known` are the columns of numbers.
    #[error("column \"{column}\" has a scaling but is no feature of numbers")]
    UnknownScaling { column: String, known: Vec<String> },
    /// `row` counts from 0.
    #[error("feature \"{feature}\" has the value {value}, of which log1p takes no logarithm")]
    NoLogarithm { feature: String, row: usize, value: f64 },
    #[error("column \"{column}\" of weights has the value {weight}")]
    InvalidRowWeight { column: String, weight: f64 },
    #[error("all rows have the weight 0 in column \"{column}\"")]
    NoRowWeight { column: String },
    #[error("column \"{column}\" is missing, or is no longer of the type it had")]
    MissingColumn { column: String },
    /// `row` counts from 0.
    #[error("a row has no direction: all its features are 0")]
    NoDirection { row: usize },
    #[error("cannot make {k} segments of {distinct} distinct rows")]
    TooFewDistinctRows { k: usize, distinct: usize },
    /// `row` counts from 0.
    #[error("feature \"{feature}\" has a missing value")]
    MissingValue { feature: String, row: usize },
    #[error("feature \"{feature}\" has a value beyond {limit:e}: {value:e}")]
    TooLarge { feature: String, row: usize, value: f64, limit: f64 },
    #[error("column \"{column}\" has no value in any row")]
    AllMissing { column: String },
    #[error("no room for an array: {message}")]
    Disk { kind: std::io::ErrorKind, message: String },
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Error::Disk { kind: error.kind(), message: error.to_string() }
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        std::io::Error::from(refused).into()
    }
}

/// Why a parsed model is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("k-means model has format {found}, this version reads {}", super::FORMAT)]
    Format { found: u16 },
    #[error("k-means model has {found} features, must have 1 to {MAX_FEATURES}")]
    Features { found: usize },
    #[error("k-means model has {found} segments, must have 1 to {MAX_K}")]
    Segments { found: usize },
    #[error("k-means model: {field} has {found} elements, expected {expected}")]
    Length { field: &'static str, found: usize, expected: usize },
    #[error("k-means model: {field} holds a number out of range")]
    Range { field: &'static str },
    #[error("k-means model: its categories do not fit its features")]
    Category,
    #[error("k-means model: sizes do not add up to the number of rows")]
    Sizes,
}
