//! Customer analytics inside PostgreSQL: standardise, segment, score, recommend.
//!
//! `algo` is the maths and knows no PostgreSQL; `pg` is the SQL surface and holds no maths; `wire` and `scorer` are the
//! ONNX process and the messages to it. Without a feature only `algo` and `wire` are built.

// An ErrorReport is large, and every SQL function returns one: it is built once per failed statement.
#![cfg_attr(feature = "pg", allow(clippy::result_large_err))]
// The columns of a set-returning function are its signature, and long.
#![cfg_attr(feature = "pg", allow(clippy::type_complexity))]

pub mod algo;
pub mod wire;

#[cfg(feature = "scorer")]
pub mod scorer;

#[cfg(feature = "pg")]
mod pg;
