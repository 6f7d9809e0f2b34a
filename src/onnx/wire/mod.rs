//! Messages between a backend and the process process, over a Unix stream socket.
//!
//! A frame is a length, a kind and a payload. Both sides parse the other's frames as hostile: nothing is believed about
//! a length before the bytes are there. Numbers travel in columns of little-endian words, so that a batch of rows is
//! copied and not parsed (70 million rows of eight floats a second both ways); everything small is postcard.
//! Nothing in here does input or output of its own but [`read_frame`], so both a blocking and a polling side can use it.

mod bytes;
mod columns;
mod frame;
mod message;
pub mod slots;
#[cfg(test)]
mod tests;

pub use crate::onnx::scan::Element;
pub use bytes::{collect, owned, with_room};
pub use columns::{Batch, Data, Output, Tensor};
pub use frame::{Frame, Inbox, MAX_FRAME, read_frame, read_frame_within};
pub use message::{Described, ErrorKind, Hello, Port, Request, Response, Run, Status};

/// Grows with every change of a message; the two sides come from one build, so they must be equal.
pub const VERSION: u32 = 3;
/// Rows of one batch: more would make a run that cannot be cancelled for too long.
pub const MAX_ROWS: u32 = 1 << 20;
/// Inputs of a model, and columns of a batch in all.
pub const MAX_COLUMNS: u32 = 4_096;
/// The bytes of a model that one frame carries.
pub const CHUNK: usize = 1 << 20;
/// The largest model.
pub const MAX_MODEL: u64 = 1 << 30;

/// A model's name between the two: the sha256 of its bytes.
pub type Sha256 = [u8; 32];

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("frame of {found} bytes, more than {allowed}")]
    FrameTooLarge { found: u64, allowed: u64 },
    #[error("frame of unknown kind {kind}")]
    UnknownKind { kind: u8 },
    #[error("message ends early")]
    Truncated,
    #[error("message has {bytes} bytes too many")]
    TrailingBytes { bytes: usize },
    #[error("message is malformed: bad {what}")]
    Malformed { what: &'static str },
    #[error("too many {what}: {found}, more than {allowed}")]
    TooMany { what: &'static str, found: u64, allowed: u64 },
    #[error("no memory for {bytes} bytes")]
    NoMemory { bytes: u64 },
    #[error("column \"{name}\" has {found} values where {expected} are due")]
    DimensionMismatch { name: String, expected: u64, found: u64 },
}
