//! What can go wrong between a backend and the process, and how PostgreSQL reports it.

use pgrx::prelude::PgSqlErrorCode as Code;

use crate::onnx::wire::{self, ErrorKind};
use crate::pg::error::{Report, report};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The process does not run and cannot be started.
    #[error("ONNX process is not available: {reason}")]
    Unavailable { reason: String },
    #[error("ONNX Runtime is not available: {reason}")]
    Library { reason: String },
    #[error("ONNX Runtime provider is not available: {reason}")]
    Provider { reason: String },
    #[error("no background worker slot is free for the ONNX process")]
    WorkerSlotsFull,
    #[error("ONNX process was not ready within {seconds} s")]
    Timeout { seconds: u64 },
    /// It ended before it answered.
    #[error("ONNX process ended while this session waited for it")]
    Crashed,
    /// It does not read any more, and so has not begun with what it was to be sent.
    #[error("ONNX process ended before this session could ask")]
    Closed,
    #[error("{message}")]
    Refused { kind: ErrorKind, message: String },
    #[error("unexpected answer of the ONNX process: {0}")]
    Protocol(String),
    #[error("batch cannot be sent to the ONNX process: {0}")]
    Batch(wire::Error),
    /// Of this session, not of the process.
    #[error("no memory for a message to or from the ONNX process")]
    NoMemory,
    #[error("could not reach the ONNX process: {0}")]
    System(#[from] std::io::Error),
}

impl From<wire::Error> for Error {
    fn from(error: wire::Error) -> Self {
        match error {
            wire::Error::NoMemory { .. } => Self::NoMemory,
            error => Self::Batch(error),
        }
    }
}

impl Error {
    pub(super) fn wrong_answer(error: wire::Error) -> Self {
        match error {
            wire::Error::NoMemory { .. } => Self::NoMemory,
            error => Self::Protocol(error.to_string()),
        }
    }

    /// What the process or its supervisor answered.
    pub(super) fn answered(kind: ErrorKind, message: String) -> Self {
        match kind {
            ErrorKind::Library => Self::Library { reason: message },
            ErrorKind::Provider => Self::Provider { reason: message },
            ErrorKind::Unavailable | ErrorKind::Busy => Self::Unavailable { reason: message },
            _ => Self::Refused { kind, message },
        }
    }
}

impl From<Error> for Report {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Library { .. } => report(Code::ERRCODE_CONFIG_FILE_ERROR, message)
                .set_hint("Set persona.onnxruntime_library to ONNX Runtime 1.20 or later and reload the configuration."),
            Error::Provider { .. } => report(Code::ERRCODE_CONFIG_FILE_ERROR, message)
                .set_hint("The server log has more. The provider's libraries must be where the dynamic linker finds them (ldconfig -p). Else change persona.onnx_providers, or turn persona.onnx_require_first_provider off."),
            Error::Unavailable { .. } => report(Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message)
                .set_hint("The server log has more; persona.onnx_path and persona.onnxruntime_library say what is started."),
            Error::WorkerSlotsFull => report(Code::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED, message)
                .set_hint("Increase max_worker_processes."),
            Error::Timeout { .. } => report(Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message)
                .set_hint("The server log says how far it came."),
            Error::Crashed | Error::Closed => report(Code::ERRCODE_EXTERNAL_ROUTINE_EXCEPTION, message)
                .set_hint("It starts again by itself. A model that ends it three times in a row is not run any more."),
            Error::Refused { kind, .. } => refused(kind, message),
            Error::Protocol(_) => report(Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message)
                .set_hint("persona-onnx and the extension must be of one version."),
            Error::Batch(_) => report(Code::ERRCODE_PROGRAM_LIMIT_EXCEEDED, message),
            Error::NoMemory => report(Code::ERRCODE_OUT_OF_MEMORY, message),
            Error::System(_) => report(Code::ERRCODE_IO_ERROR, message),
        }
    }
}

fn refused(kind: ErrorKind, message: String) -> Report {
    match kind {
        ErrorKind::Protocol | ErrorKind::Internal => {
            report(Code::ERRCODE_EXTERNAL_ROUTINE_EXCEPTION, message)
        }
        ErrorKind::Forbidden => report(Code::ERRCODE_INSUFFICIENT_PRIVILEGE, message),
        ErrorKind::ModelTooLarge => report(Code::ERRCODE_PROGRAM_LIMIT_EXCEEDED, message)
            .set_hint("Raise persona.onnx_memory."),
        ErrorKind::ModelRefused => report(Code::ERRCODE_DATA_EXCEPTION, message),
        ErrorKind::ModelInvalid => {
            let hint = invalid_hint(&message);
            report(Code::ERRCODE_DATA_EXCEPTION, message).set_hint(hint)
        }
        ErrorKind::ModelPoisonous => report(Code::ERRCODE_EXTERNAL_ROUTINE_EXCEPTION, message)
            .set_hint("A reload of the configuration makes the process try it again."),
        ErrorKind::LoadTimeout => report(Code::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED, message)
            .set_hint("Raise persona.onnx_load_timeout. The model is not loaded again until the configuration is reloaded."),
        ErrorKind::InputMismatch => report(Code::ERRCODE_DATATYPE_MISMATCH, message),
        ErrorKind::ValueOutOfRange => {
            report(Code::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, message)
        }
        ErrorKind::RunFailed => report(Code::ERRCODE_EXTERNAL_ROUTINE_EXCEPTION, message),
        ErrorKind::Cancelled => report(Code::ERRCODE_QUERY_CANCELED, message),
        ErrorKind::OutOfMemory => report(Code::ERRCODE_OUT_OF_MEMORY, message)
            .set_hint("Raise persona.onnx_memory, score fewer rows at a time, or free the GPU's memory where it runs on one."),
        ErrorKind::Library | ErrorKind::Provider | ErrorKind::Unavailable | ErrorKind::Busy => {
            report(Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        }
    }
}

/// What may be done about a graph that ONNX Runtime refuses, by what it says.
fn invalid_hint(message: &str) -> &'static str {
    if message.contains("locale") {
        "The graph puts text in lower case: install this locale on the server."
    } else if message.contains("opset") {
        "Export it with a lower target_opset, or use a later ONNX Runtime."
    } else {
        "ONNX Runtime does not take it: export it in another form, as with floats for doubles or another target_opset."
    }
}
