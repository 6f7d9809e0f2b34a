//! Everything ONNX that needs no PostgreSQL: what a graph is (`scan`), which of its outputs is the score and what its inputs are
//! (`bind`), a scorer as a graph (`export`), the process that runs graphs (`process`) and the messages to it (`wire`).

pub mod bind;
pub mod export;
#[cfg(feature = "onnx-runtime")]
pub mod process;
pub mod scan;
pub mod wire;
