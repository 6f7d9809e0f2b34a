//! ONNX graphs from a backend's side: the client that asks, and the background worker that keeps the process.
//!
//! A backend knocks at `pg_persona/onnx.sock` in the data directory. Nobody there: it registers a dynamic background
//! worker, which binds the socket and starts `persona-onnx` when somebody knocks. So nothing needs to be preloaded,
//! nothing runs that nobody uses, and it works on a standby.

mod client;
mod error;
mod place;
mod spawn;
mod status;
mod supervisor;

pub(crate) use client::{Sent, load, send_batch, status};
pub(crate) use error::Error;
