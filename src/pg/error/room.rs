//! That there was no room: in memory, or in a temporary file.

use std::io::ErrorKind;

use pgrx::prelude::PgSqlErrorCode as Code;

use super::{Report, report};
use crate::algo::encoded;
use crate::algo::memory::Refused;

impl From<Refused> for Report {
    fn from(refused: Refused) -> Self {
        report(Code::ERRCODE_OUT_OF_MEMORY, format!("out of memory: {refused}"))
            .set_hint("Give the server more memory, or fewer rows or columns at once.")
    }
}

impl From<encoded::Error> for Report {
    fn from(error: encoded::Error) -> Self {
        match error {
            encoded::Error::Refused(refused) => refused.into(),
            encoded::Error::Unwritable(why) => {
                report(Code::ERRCODE_INTERNAL_ERROR, format!("a value cannot be written: {why}"))
            }
        }
    }
}

/// Room for an array that could not be had, in memory or in a temporary file.
pub(crate) fn no_room(error: std::io::Error) -> Report {
    disk_failure(error.kind(), error)
}

pub(crate) fn disk_failure(kind: ErrorKind, why: impl std::fmt::Display) -> Report {
    match kind {
        ErrorKind::OutOfMemory => {
            report(Code::ERRCODE_OUT_OF_MEMORY, format!("out of memory: {why}"))
        }
        ErrorKind::StorageFull => {
            report(Code::ERRCODE_DISK_FULL, format!("no room for a temporary file: {why}"))
        }
        ErrorKind::QuotaExceeded => report(
            Code::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
            format!("no room for a temporary file: {why}"),
        )
        .set_hint("Raise temp_file_limit, or fit on fewer rows or columns."),
        _ => report(Code::ERRCODE_IO_ERROR, format!("temporary file: {why}")),
    }
}
