//! Scorers in SQL: fitted here and evaluated in this process, or imported as ONNX graphs and evaluated in another.

mod batch;
mod calls;
mod error;
mod evaluate;
mod family;
mod fit;
mod graphs;
mod holdout;
mod native;
mod onnx;
mod outputs;
mod scoring;

pub(crate) use family::Family;

use super::error::{Error, Report};

fn required<T>(value: Option<T>, argument: &'static str) -> Result<T, Report> {
    value.ok_or_else(|| Error::NullArgument { argument }.into())
}
