//! Errors of `algo::segment` as PostgreSQL reports them.

use pgrx::prelude::PgSqlErrorCode as Code;

use crate::algo::segment::Error;
use crate::pg::error::{self, Report, report};

impl From<Error> for Report {
    fn from(failure: Error) -> Self {
        let message = failure.to_string();
        match failure {
            Error::EmptyInput => report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message)
                .set_hint("The source must have at least as many rows as segments."),
            Error::InvalidK { .. } => report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message)
                .set_hint("Give k as a whole number in that range."),
            Error::InvalidFeatures { found: 0 } => error::Error::NoFeatures.into(),
            Error::InvalidFeatures { .. } => report(Code::ERRCODE_PROGRAM_LIMIT_EXCEEDED, message),
            Error::InvalidIterations { .. }
            | Error::InvalidStarts { .. }
            | Error::InvalidTolerance { .. } => {
                report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message)
            }
            Error::UnknownWeight { .. } => report(Code::ERRCODE_UNDEFINED_COLUMN, message)
                .set_hint("Give weights by the names of the columns that are fitted."),
            Error::UnknownScaling { known, .. } => report(Code::ERRCODE_UNDEFINED_COLUMN, message)
                .set_hint(format!("Columns of numbers: {}.", known.join(", "))),
            Error::NoLogarithm { .. } => report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message)
                .set_hint(
                    "log1p takes numbers above -1. Use yeo_johnson, which takes any, or leave such rows out of the source.",
                ),
            Error::AllMissing { .. } => report(Code::ERRCODE_NULL_VALUE_NOT_ALLOWED, message)
                .set_hint("Leave the column out of the features."),
            Error::InvalidWeight { .. } => report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message)
                .set_hint("Leave a column that is not to count out of the features."),
            Error::InvalidRowWeight { column, weight } => {
                error::Error::InvalidRowWeight { column, value: Some(weight) }.into()
            }
            Error::NoRowWeight { .. } => report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message)
                .set_hint("A fit needs rows of a weight above 0."),
            Error::MissingColumn { .. } => report(Code::ERRCODE_UNDEFINED_COLUMN, message)
                .set_hint("The fit needs the columns that the model was fitted on."),
            Error::NoDirection { .. } => report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message)
                .set_hint("Leave such rows out of the source, or use metric => 'euclidean'."),
            Error::TooManyRows { .. } => report(Code::ERRCODE_PROGRAM_LIMIT_EXCEEDED, message)
                .set_hint("Fit on a sample: a model labels any number of rows."),
            Error::DimensionMismatch { .. } => report(Code::ERRCODE_ARRAY_ELEMENT_ERROR, message)
                .set_hint(
                    "A refit needs the features and the number of segments of the first fit.",
                ),
            Error::TooFewDistinctRows { .. } => {
                report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message)
                    .set_hint("Fit with a smaller k, or on more rows.")
            }
            Error::MissingValue { feature, .. } => {
                let report: Report = error::Error::MissingValue { column: feature }.into();
                report.set_hint(
                    "Give missing => 'impute' or 'skip', or leave such rows out with WHERE ... IS NOT NULL.",
                )
            }
            Error::TooLarge { .. } => report(Code::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, message)
                .set_hint("Divide the column by a constant first."),
            Error::Disk { kind, message } => error::disk_failure(kind, message),
            Error::Malformed(_) => report(Code::ERRCODE_DATA_CORRUPTED, message),
            Error::Stopped(_) => report(Code::ERRCODE_QUERY_CANCELED, "the fit was cancelled"),
        }
    }
}
