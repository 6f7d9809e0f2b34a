//! Errors of `algo::shapes` as PostgreSQL reports them.

use pgrx::prelude::PgSqlErrorCode as Code;

use crate::algo::shapes::Error;
use crate::pg::error::{Report, report};

impl From<Error> for Report {
    fn from(failure: Error) -> Self {
        let message = failure.to_string();
        match failure {
            Error::InvalidEps { .. } => report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message)
                .set_hint("Give the distance up to which two rows are neighbors, in the features' units."),
            Error::InvalidMinPoints { .. } => {
                report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message)
                    .set_hint("Give the rows, itself included, that a core row has within eps: twice the number of features, for one.")
            }
            Error::TooManyRows { .. } => report(Code::ERRCODE_PROGRAM_LIMIT_EXCEEDED, message)
                .set_hint("Divide the rows with PARTITION BY."),
            Error::InvalidRegularization { .. } => {
                report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message)
                    .set_hint("It is added to the variances of the standardised features.")
            }
            Error::TooManyParameters { .. } => report(Code::ERRCODE_PROGRAM_LIMIT_EXCEEDED, message)
                .set_hint("Give fewer features or components, or {\"covariance\": \"diagonal\"}."),
            Error::Collapsed => report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message)
                .set_hint("Raise \"regularization\", or give fewer components."),
            Error::Malformed { .. } => report(Code::ERRCODE_DATA_CORRUPTED, message),
            Error::Segment(error) => error.into(),
            Error::Stopped(_) => report(Code::ERRCODE_QUERY_CANCELED, "the run was cancelled"),
        }
    }
}
