//! Scorers in SQL: fitted here and evaluated in this process, or imported as ONNX graphs and evaluated in another.

mod ahead;
mod batch;
mod calls;
mod data;
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
