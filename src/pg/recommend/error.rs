//! The recommender's errors as PostgreSQL reports them.

use pgrx::prelude::PgSqlErrorCode as Code;

use crate::algo::recommend::Error;
use crate::algo::stop::Stopped;
use crate::pg::error::{self, Report, report};
use crate::pg::types::options::invalid;

impl From<Error> for Report {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::EmptyInput => {
                report(Code::ERRCODE_INVALID_PARAMETER_VALUE, "the source has no interactions")
                    .set_hint("It needs at least one row, of a weight above 0 where weights are given.")
            }
            Error::MissingColumn { column } => {
                error::Error::MissingColumn { column, available: Vec::new() }.into()
            }
            Error::KeyType { .. } | Error::NotANumber { .. } => {
                report(Code::ERRCODE_DATATYPE_MISMATCH, message)
            }
            Error::MissingKey { column, .. } => error::Error::MissingValue { column }.into(),
            Error::MissingWeight { .. } => {
                report(Code::ERRCODE_NULL_VALUE_NOT_ALLOWED, "the weight column has a NULL")
                    .set_hint("Leave such rows out with WHERE ... IS NOT NULL, or fill them with coalesce().")
            }
            Error::MissingTime { .. } => {
                report(Code::ERRCODE_NULL_VALUE_NOT_ALLOWED, "the time column has a NULL")
                    .set_hint("Leave such rows out with WHERE ... IS NOT NULL.")
            }
            Error::NegativeWeight { .. } => report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message)
                .set_hint("A weight says how much a user had of an item; leave returns out, or use greatest(weight, 0)."),
            Error::WeightOverflow { .. } => {
                report(Code::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, message)
                    .set_hint("Divide the weights by a constant first.")
            }
            Error::TooManyRows { .. } => report(Code::ERRCODE_PROGRAM_LIMIT_EXCEEDED, message)
                .set_hint("Group the source by user and item first."),
            Error::InvalidParameter { name, value, expected } => invalid(name, value, expected),
            Error::NoTimes => report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message)
                .set_hint("Name a time_column."),
            Error::NoSimilarItems { .. } => report(Code::ERRCODE_FEATURE_NOT_SUPPORTED, message)
                .set_hint("Fit it with algorithm => 'item_knn'."),
            Error::UnknownFormat { .. } | Error::Damaged { .. } => {
                report(Code::ERRCODE_DATA_CORRUPTED, message)
            }
            Error::NoRecommender { .. } | Error::LengthMismatch { .. } | Error::OutOfRange { .. } => {
                report(Code::ERRCODE_INTERNAL_ERROR, message)
            }
            Error::Stopped(Stopped) => report(Code::ERRCODE_QUERY_CANCELED, message),
            Error::Refused(refused) => refused.into(),
        }
    }
}
