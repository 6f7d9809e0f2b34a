//! Customer analytics inside PostgreSQL: standardise, segment, score, recommend.
//!
//! `algo` is the maths, and `onnx` all of ONNX, the process that runs graphs included: they know no PostgreSQL. `pg` is the SQL
//! surface and holds no maths. Without a feature `algo` and `onnx` without its process are built.

// An ErrorReport is large, and every SQL function returns one: it is built once per failed statement.
#![cfg_attr(feature = "pg", allow(clippy::result_large_err))]
// The columns of a set-returning function are its signature, and long.
#![cfg_attr(feature = "pg", allow(clippy::type_complexity))]

pub mod algo;
pub mod onnx;

#[cfg(feature = "pg")]
mod pg;
