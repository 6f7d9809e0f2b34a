//! Where the process's files are. Every process of the server runs in the data directory, so the paths are relative: a
//! socket's path may have only 107 bytes, and the data directory's often has more.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;

pub(super) const DIRECTORY: &str = "pg_persona";
pub(super) const SOCKET: &str = "pg_persona/onnx.sock";
/// Held by the one supervisor of the cluster while it lives.
pub(super) const SUPERVISOR_LOCK: &str = "pg_persona/onnx.lock";
/// Held by the backend that registers a supervisor: else twenty backends that come at once fill the worker slots.
pub(super) const START_LOCK: &str = "pg_persona/onnx.start";
pub(super) const SLOTS: &str = "pg_persona/onnx.slots";
/// What the process runs in; always empty.
pub(super) const EMPTY: &str = "pg_persona/onnx.empty";

pub(super) fn make_directory(path: &str) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

/// The lock, unless another process has it. It ends with the file.
pub(super) fn try_lock(path: &str) -> io::Result<Option<File>> {
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}
