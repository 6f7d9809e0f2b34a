//! Scorers: the probability that a row belongs to the positive one of two classes.
//!
//! A fit learns an encoding of named columns (`inputs`) and, over it, what one of the learners learns (`learner`); it holds rows out to
//! say how good that is (`measure`). The result is a [`Scorer`], which is stored and scores rows. A linear one writes itself as an ONNX
//! graph, and graphs made elsewhere are scorers, too: see `crate::onnx`.

pub mod additive;
pub mod boosted_trees;
pub mod fit;
pub mod inputs;
pub mod learner;
pub mod logistic;
pub mod measure;
pub mod naive_bayes;
pub mod scorer;

pub use fit::{Fit, Params, ValidParams, fit};
pub use inputs::{Cell, Input, Kind, LabelsOfGraph, Row, labels_of_graph};
pub use learner::{Prepared, algorithms};
pub use measure::{Figures, Holdout, Metrics, Seen};
pub use scorer::Scorer;

use super::memory::Refused;
use super::stop::Stopped;

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
    #[error("algorithm \"{name}\" is not known")]
    UnknownAlgorithm { name: &'static str },
    #[error("input column \"{name}\" is missing")]
    MissingColumn { name: String },
    #[error("input column \"{name}\" is not {expected}")]
    ColumnType { name: String, expected: &'static str },
    #[error("this scorer cannot be written as an ONNX graph")]
    NotExportable,
    #[error("not a usable scorer: {reason}")]
    BadModel { reason: String },
    #[error(transparent)]
    Stopped(#[from] Stopped),
    #[error(transparent)]
    Refused(#[from] Refused),
}
