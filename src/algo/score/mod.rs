//! Scorers: the probability that a row belongs to the positive one of two classes.
//!
//! A fit learns an encoding of named columns (`pipeline`) and the weights of a logistic regression over it (`logistic`);
//! the result is a [`Scorer`], which is stored, scores rows natively and writes itself as an ONNX graph (`onnx_export`).
//! Graphs made elsewhere are read before any runtime sees them (`onnx_scan`) and bound to columns (`onnx_bind`).

pub mod figures;
pub mod fit;
pub mod logistic;
pub mod onnx_bind;
pub mod onnx_export;
pub mod onnx_scan;
pub mod order;
pub mod params;
pub mod pipeline;
#[cfg(test)]
mod quality;
pub mod scorer;
pub mod seen;
mod split;
mod target;

pub use figures::Figures;
pub use fit::{Fit, Holdout, Metrics, fit};
pub use params::{Params, ValidParams};
pub use pipeline::{Input, Kind};
pub use scorer::{Cell, Prepared, Scorer};
pub use seen::Seen;
pub use target::{LabelsOfGraph, labels_of_graph};

use super::declared::Algorithm;
use super::memory::Refused;
use super::stop::Stopped;

/// What a scorer can be fitted by.
pub fn algorithms() -> Vec<&'static Algorithm> {
    vec![&logistic::ALGORITHM]
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    #[error("no rows to learn from")]
    EmptyInput,
    #[error("no input columns to learn from")]
    NoInputs,
    #[error("column \"{name}\" appears more than once")]
    DuplicateColumn { name: String },
    #[error("expected {expected} rows, found {found}")]
    DimensionMismatch { expected: usize, found: usize },
    #[error("the target is missing in {rows} rows")]
    MissingTarget { rows: usize },
    #[error("the target has the single class \"{value}\"")]
    OneClass { value: String },
    #[error("the rows outside the holdout have the single class \"{value}\"")]
    OneClassInTraining { value: String },
    /// `examples` are the first few classes in sort order.
    #[error("the target has {n} classes instead of two")]
    TooManyClasses { n: usize, examples: Vec<String> },
    #[error("positive class \"{positive}\" is not a class of the target")]
    UnknownPositive { positive: String, classes: Vec<String> },
    #[error("the target has the value \"{value}\", which is not a class of the model")]
    UnknownClass { value: String, classes: Vec<String> },
    /// Of one value alone nobody can say which class of the model it is.
    #[error(
        "the target has the single class \"{value}\", and the model does not say what its classes are called"
    )]
    UnnamedClasses { value: String },
    /// A class that a split into two parts cannot serve.
    #[error("class \"{class}\" has {rows} rows, too few to hold some out")]
    TooFewRows { class: String, rows: usize },
    #[error("the inputs need {found} columns once encoded, more than {limit}")]
    TooManyFeatures { found: usize, limit: usize },
    /// Without a penalty the best weights would be infinite.
    #[error("the inputs separate the classes perfectly")]
    Separated { iterations: usize },
    #[error("parameter {name} is {value}, expected {expected}")]
    BadParameter { name: &'static str, value: String, expected: &'static str },
    #[error("input column \"{name}\" is missing")]
    MissingColumn { name: String },
    #[error("input column \"{name}\" is not {expected}")]
    ColumnType { name: String, expected: &'static str },
    #[error("not a usable scorer: {reason}")]
    BadModel { reason: String },
    #[error(transparent)]
    Stopped(#[from] Stopped),
    #[error(transparent)]
    Refused(#[from] Refused),
}
