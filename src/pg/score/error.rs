//! The scorers' errors as PostgreSQL reports them.

use pgrx::prelude::PgSqlErrorCode as Code;
use pgrx::spi::quote_literal;

use crate::algo::metrics::regression;
use crate::algo::score::Error;
use crate::algo::stop::Stopped;
use crate::onnx::{bind, scan};
use crate::pg::error::{self, Report, quoted_list, report};

impl From<Error> for Report {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::EmptyInput => {
                report(Code::ERRCODE_INVALID_PARAMETER_VALUE, "the source has no rows to learn from")
            }
            Error::NoInputs => error::Error::NoFeatures.into(),
            Error::DuplicateColumn { name } => error::Error::DuplicateColumn { column: name }.into(),
            Error::MissingTarget { .. } => report(Code::ERRCODE_NULL_VALUE_NOT_ALLOWED, message)
                .set_hint("Leave such rows out with WHERE ... IS NOT NULL."),
            Error::OneClass { .. } | Error::OneClassInTraining { .. } => {
                report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message)
                    .set_hint("A scorer learns to tell two classes apart: both must be among the rows to learn from.")
            }
            Error::TooManyClasses { ref examples, .. } => {
                let examples = quoted_list(examples);
                report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message).set_hint(format!(
                    "Make it two in the source, as in (status = 'paid') AS paid. The first classes are {examples}."
                ))
            }
            Error::UnknownPositive { positive, classes } => error::Error::InvalidOption {
                option: "positive".to_owned(),
                value: positive,
                valid: quoted_list(&classes),
            }
            .into(),
            Error::UnknownClass { classes, .. } => {
                report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message)
                    .set_hint(format!("The model knows {}.", quoted_list(&classes)))
            }
            Error::UnnamedClasses { .. } => report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message)
                .set_hint("Make the target a boolean that is true for the positive class, as in (answer = 'yes') AS answer."),
            Error::TooFewRows { .. } => report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message)
                .set_hint("Pass holdout => 0 to learn from all rows without measuring."),
            Error::TooManyFeatures { .. } => report(Code::ERRCODE_PROGRAM_LIMIT_EXCEEDED, message)
                .set_hint("Use fewer columns, a lower max_categories, or missing_indicator false."),
            Error::Separated { .. } => report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message)
                .set_hint("Give the parameter l2 as 1 or more, or leave out the column that gives the target away."),
            Error::BadParameter { name, value, expected } => error::Error::InvalidOption {
                option: name.to_owned(),
                value,
                valid: expected.to_owned(),
            }
            .into(),
            Error::MissingColumn { name } => {
                error::Error::MissingColumn { column: name, available: Vec::new() }.into()
            }
            Error::ColumnType { .. } => report(Code::ERRCODE_DATATYPE_MISMATCH, message)
                .set_hint("The type is another one than at the fit: cast the column."),
            Error::NotExportable => report(Code::ERRCODE_FEATURE_NOT_SUPPORTED, message)
                .set_hint("Fit it with algorithm => 'logistic', whose models can be."),
            Error::UnknownAlgorithm { .. } => report(Code::ERRCODE_INTERNAL_ERROR, message),
            Error::BadModel { .. } => report(Code::ERRCODE_DATA_CORRUPTED, message),
            Error::DimensionMismatch { .. } => report(Code::ERRCODE_INTERNAL_ERROR, message),
            Error::Stopped(Stopped) => report(Code::ERRCODE_QUERY_CANCELED, message),
            Error::Refused(refused) => refused.into(),
        }
    }
}

impl From<scan::Error> for Report {
    fn from(error: scan::Error) -> Self {
        use scan::Error::*;
        let message = error.to_string();
        match error {
            Empty
            | Truncated
            | Malformed { .. }
            | UnknownField { .. }
            | NotUtf8
            | NulInName
            | NoGraph
            | NoOutputs
            | Unnamed
            | Duplicate { .. } => report(Code::ERRCODE_INVALID_BINARY_REPRESENTATION, message)
                .set_hint("The bytes of an ONNX model are expected, as written by onnx.save or skl2onnx; pg_read_binary_file reads them from a file of the server."),
            NotOnnx => report(Code::ERRCODE_INVALID_BINARY_REPRESENTATION, message)
                .set_hint("Import the .onnx file that it was made from."),
            TooLarge { .. }
            | TooDeep { .. }
            | CallsTooDeep { .. }
            | TooMany { .. }
            | NameTooLong { .. } => report(Code::ERRCODE_PROGRAM_LIMIT_EXCEEDED, message),
            // As when the ONNX process refuses it: hostile or half a model, its data are wrong.
            ExternalData => report(Code::ERRCODE_DATA_EXCEPTION, message)
                .set_hint("Save it as one file, with save_as_external_data=False."),
            UnknownDomain { .. } | RefusedOperator { .. } => {
                report(Code::ERRCODE_FEATURE_NOT_SUPPORTED, message)
                    .set_hint("The operators of ONNX, ai.onnx.ml and com.microsoft can be used.")
            }
        }
    }
}

impl From<bind::Error> for Report {
    fn from(error: bind::Error) -> Self {
        use bind::Error::*;
        let message = error.to_string();
        match error {
            NoInputs => report(Code::ERRCODE_FEATURE_NOT_SUPPORTED, message),
            UnsupportedInput { .. } | NoRows { .. } => report(Code::ERRCODE_FEATURE_NOT_SUPPORTED, message)
                .set_hint("A graph takes tensors of numbers or of texts, whose first dimension is the rows."),
            UnsupportedElement { .. } => report(Code::ERRCODE_FEATURE_NOT_SUPPORTED, message)
                .set_hint("Export it with floats of 16, 32 or 64 bits, whole numbers of 8 to 64 bits, booleans or texts."),
            NoColumns { .. } | OneDimension { .. } => report(Code::ERRCODE_FEATURE_NOT_SUPPORTED, message)
                .set_hint("Export it with inputs of two dimensions, the rows and the columns."),
            DifferentRows { .. } => report(Code::ERRCODE_FEATURE_NOT_SUPPORTED, message)
                .set_hint("Export it with an open first dimension, the rows, or with one batch for all inputs."),
            OpenWidth { .. } => report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message)
                .set_hint("Name its columns in their order, as in features => ARRAY['age', 'income']."),
            OpenWidths { .. } => report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message)
                .set_hint("Export it with fixed sizes but for the first dimension, the rows."),
            RowsAtOnce { .. } => report(Code::ERRCODE_FEATURE_NOT_SUPPORTED, message)
                .set_hint("Export it with an open first dimension, the rows, or with a batch of up to a million."),
            OpenDimensions { .. } => report(Code::ERRCODE_FEATURE_NOT_SUPPORTED, message)
                .set_hint("Export it with fixed sizes but for the first dimension, the rows."),
            UnnamedColumns { n, .. } => {
                report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message).set_hint(format!(
                    "Name its {n} columns in their order, as in features => ARRAY['age', 'income']."
                ))
            }
            WrongNumberOfNames { inputs, .. } => {
                report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message).set_hint(format!(
                    "Give one name for each column, in the order of the inputs {}; where each of them is one column, features may be left out.",
                    quoted_list(&inputs)
                ))
            }
            DuplicateName { .. } | EmptyName => report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message)
                .set_hint("Give one name for each column of the inputs, in their order."),
            LongName { .. } => report(Code::ERRCODE_NAME_TOO_LONG, message)
                .set_hint("Name the columns of all inputs in their order, with at most 63 bytes each, as in features => ARRAY['age', 'income']."),
            UnknownOutput { outputs, .. } | SeveralScores { outputs } => {
                report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message).set_hint(format!(
                    "Pick one with output => 'name'. The outputs are {}.",
                    quoted_list(&outputs)
                ))
            }
            ScaledProbabilities { output } => report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message)
                .set_hint(format!(
                    "skl2onnx multiplies them by -1 under raw_scores=True: export it without. To take it all the same, pass output => {}.",
                    quote_literal(&output)
                )),
            NotAScore { .. } => report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message)
                .set_hint("Pick an output of one value, or of one probability for each class, with output => 'name'."),
            NoScore { reasons, possible } => {
                let hint = match possible[..] {
                    [] => "Export it with an output of one value, or of one probability for each class, for each row.".to_owned(),
                    _ => format!("Pick one with output => 'name'. Of the outputs this may be {}.", quoted_list(&possible)),
                };
                report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message)
                    .set_detail(format!("Of the outputs {}.", reasons.join(", ")))
                    .set_hint(hint)
            }
        }
    }
}

impl From<regression::Error> for Report {
    fn from(error: regression::Error) -> Self {
        use regression::Error::*;
        let hint = match error {
            ZeroActual => {
                "Leave such rows out, as in FILTER (WHERE actual <> 0), or take the absolute error."
            }
            NegativeCount(_) => "The metric is of counts: take the squared error.",
            CountNotPositive(_) => {
                "The metric is of predicted counts, which are positive: take greatest(prediction, 1e-9)."
            }
        };
        report(Code::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, error.to_string()).set_hint(hint)
    }
}
