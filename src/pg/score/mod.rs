//! Scorers in SQL: fitted here and evaluated in this process, or imported as ONNX graphs and evaluated in another.

mod ahead;
mod batch;
mod calls;
mod compare;
mod curves;
mod data;
mod error;
mod evaluate;
mod family;
mod fit;
mod graph_rows;
mod graphs;
mod holdout;
mod metrics;
mod native;
mod onnx;
mod outputs;
mod scoring;
mod trial;

pub(crate) use family::Family;
