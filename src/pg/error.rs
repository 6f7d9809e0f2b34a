//! Every failure as PostgreSQL reports it: SQLSTATE, message, DETAIL, HINT.
//!
//! The errors of the plumbing are written here; each room of `algo` has its own typed error, mapped exhaustively below.

mod room;

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::PgSqlErrorCode as Code;

use super::kind::Kind;
pub(crate) use room::{disk_failure, no_room};

/// What a SQL function returns when it fails.
pub(crate) type Report = ErrorReport;

#[track_caller]
pub(crate) fn report(code: Code, message: impl Into<String>) -> Report {
    ErrorReport::new(code, message.into(), "")
}

/// What can go wrong between PostgreSQL and a fit or a score, whatever the room.
#[derive(Debug)]
pub(crate) enum Error {
    UnknownModel {
        name: String,
    },
    WrongKind {
        name: String,
        is: Kind,
        wanted: Kind,
    },
    NotOwner {
        name: String,
        owner: String,
    },
    /// The role may use the model, and this would hand out more.
    NotReader {
        name: String,
        role: String,
    },
    /// A role with the owner's rights is not enough: the call runs as the caller.
    NotItsOwner {
        name: String,
        owner: String,
        /// Whether SET ROLE would help.
        can_become: bool,
    },
    OwnerIsGone {
        name: String,
        owner: u32,
    },
    /// A published table or a history.
    NotItsTable {
        model: String,
        table: String,
    },
    /// By a model of this kind, or by one that the role may not see.
    NameTaken {
        name: String,
        kind: Option<Kind>,
    },
    CorruptModel {
        name: String,
        version: i32,
        why: String,
    },
    InvalidModelName {
        name: String,
    },
    UnknownSource {
        source: String,
    },
    NotOneSelect {
        statements: usize,
    },
    NotReadOnly {
        what: &'static str,
    },
    MissingColumn {
        column: String,
        available: Vec<String>,
    },
    DuplicateColumn {
        column: String,
    },
    UnnamedColumns,
    WrongType {
        column: String,
        type_name: String,
        wanted: &'static str,
        hint: &'static str,
    },
    MissingValue {
        column: String,
    },
    NotFiniteTime {
        column: String,
        value: f64,
    },
    NotFiniteWeight {
        column: String,
        value: f64,
    },
    NotFiniteArgument {
        argument: String,
        value: f64,
    },
    NotFiniteTarget {
        column: String,
        value: f64,
    },
    NotFinite {
        column: String,
        value: f64,
    },
    /// NULL, where there is no value.
    InvalidRowWeight {
        column: String,
        value: Option<f64>,
    },
    WrongDimension {
        column: String,
        expected: usize,
        found: usize,
    },
    NotOneDimensional {
        dimensions: i32,
    },
    NoFeatures,
    TooManyNames {
        found: usize,
    },
    TooManyFeatures {
        found: usize,
        limit: usize,
    },
    OutOfMemoryBudget {
        wanted: usize,
        budget: usize,
    },
    InvalidText {
        column: String,
    },
    InvalidValue {
        type_name: &'static str,
        why: String,
    },
    InvalidOption {
        option: String,
        value: String,
        valid: String,
    },
    UnknownOption {
        option: String,
        valid: String,
    },
    NullArgument {
        argument: &'static str,
    },
}

impl From<Error> for Report {
    fn from(error: Error) -> Self {
        use Error::*;
        match error {
            UnknownModel { name } => report(Code::ERRCODE_UNDEFINED_OBJECT, format!("model \"{name}\" does not exist"))
                .set_hint("The view persona.models lists the models that you may use."),
            WrongKind { name, is, wanted } => report(
                Code::ERRCODE_WRONG_OBJECT_TYPE,
                format!("model \"{name}\" is of kind {is}, not {wanted}"),
            )
            .set_hint("The view persona.models lists each model and its kind."),
            NotOwner { name, owner } => report(
                Code::ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("must be owner of model \"{name}\""),
            )
            .set_detail(format!("It belongs to role \"{owner}\", whose members may do this, too."))
            .set_hint("Ask one of them to do it."),
            NotReader { name, role } => report(
                Code::ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("permission denied to read model \"{name}\""),
            )
            .set_detail("The model is granted to be used, not to be read.")
            .set_hint(format!("Its owner can allow it: SELECT persona.grant_model('{name}', '{role}', 'read').")),
            NotItsOwner { name, owner, can_become } => report(
                Code::ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("model \"{name}\" belongs to role \"{owner}\""),
            )
            .set_hint(match can_become {
                true => format!("Run SET ROLE \"{owner}\" first, or choose another name."),
                false => "Ask its owner, or choose another name.".to_owned(),
            }),
            OwnerIsGone { name, owner } => report(
                Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("the owner of model \"{name}\", role {owner}, does not exist"),
            )
            .set_hint("A superuser can give the model to a role with persona.set_owner, go on using it, or drop it."),
            NotItsTable { model, table } => report(
                Code::ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("table {table} does not belong to the owner of model \"{model}\""),
            )
            .set_hint("Publish into a table that is not there yet, or into one of the model's owner."),
            NameTaken { name, kind } => {
                report(Code::ERRCODE_DUPLICATE_OBJECT, format!("model \"{name}\" already exists"))
                    .set_detail(kind.map_or("It belongs to another role.".into(), |kind| format!("It is of kind {kind}.")))
                    .set_hint("Choose another name.")
            }
            CorruptModel { name, version, why } => report(
                Code::ERRCODE_DATA_CORRUPTED,
                format!("version {version} of model \"{name}\" cannot be read: {why}"),
            )
            .set_hint("Activate another version with persona.activate, or refit the model."),
            InvalidModelName { name } => {
                let start: String = name.chars().take(60).collect();
                let more = if start.len() < name.len() { "..." } else { "" };
                report(Code::ERRCODE_INVALID_NAME, format!("invalid model name \"{start}{more}\""))
                    .set_hint("A model name has 1 to 200 characters and no control character.")
            }
            UnknownSource { source } => {
                report(Code::ERRCODE_UNDEFINED_TABLE, format!("relation \"{source}\" does not exist"))
                    .set_hint(
                        "A source is the name of a table or view, or a SELECT. Write the schema of one that is not in the search_path, \
                         and a name with capitals or spaces in double quotes, as in 'shop.\"Orders 2025\"'.",
                    )
            }
            NotOneSelect { statements } => report(
                Code::ERRCODE_SYNTAX_ERROR,
                format!("a source must be one SELECT, and this is {statements} statements"),
            )
            .set_hint("Give one SELECT, or make a view of what several statements do."),
            NotReadOnly { what } => {
                report(Code::ERRCODE_READ_ONLY_SQL_TRANSACTION, format!("a source must only read: it has {what}"))
                    .set_hint("Give the name of a table or view, or a SELECT.")
            }
            MissingColumn { column, available } => report(
                Code::ERRCODE_UNDEFINED_COLUMN,
                format!("column \"{column}\" does not exist in the given rows"),
            )
            .set_hint(match available.is_empty() {
                true => "They have no column of this name.".to_owned(),
                false => format!("Their columns are {}.", quoted_list(&available)),
            }),
            DuplicateColumn { column } => report(
                Code::ERRCODE_DUPLICATE_COLUMN,
                format!("column \"{column}\" appears more than once in the given rows"),
            )
            .set_hint("Features bind by name: give each column its own with AS."),
            UnnamedColumns => {
                report(Code::ERRCODE_UNDEFINED_COLUMN, "the columns of a row constructor have no names".to_owned())
                    .set_hint(
                        "Features bind by name: pass the alias of a table or of a subquery, as in \
                         score('model', v) FROM (SELECT a, b FROM t) AS v.",
                    )
            }
            WrongType { column, type_name, wanted, hint } => report(
                Code::ERRCODE_DATATYPE_MISMATCH,
                format!("column \"{column}\" has type {type_name}, but {wanted} is needed"),
            )
            .set_hint(hint),
            MissingValue { column } => {
                report(Code::ERRCODE_NULL_VALUE_NOT_ALLOWED, format!("column \"{column}\" has a NULL"))
                    .set_hint("Leave such rows out with WHERE ... IS NOT NULL, or fill them with coalesce().")
            }
            NotFinite { column, value } => report(
                Code::ERRCODE_INVALID_PARAMETER_VALUE,
                format!("feature \"{column}\" has the value {}", postgres_float(value)),
            )
            .set_hint(format!("Features must be finite numbers or NULL: use nullif(column, '{}').", postgres_float(value))),
            NotFiniteTime { column, value } => report(
                Code::ERRCODE_INVALID_PARAMETER_VALUE,
                format!("column \"{column}\" of times has the value {}", if value.is_nan() { "NaN".into() } else { postgres_float(value).to_lowercase() }),
            )
            .set_hint("No time is before or after it by so much: leave such rows out, as with WHERE isfinite(column)."),
            NotFiniteWeight { column, value } => report(
                Code::ERRCODE_INVALID_PARAMETER_VALUE,
                format!("column \"{column}\" of weights has the value {}", postgres_float(value)),
            )
            .set_hint("A weight is a finite number: leave such rows out."),
            NotFiniteArgument { argument, value } => report(
                Code::ERRCODE_INVALID_PARAMETER_VALUE,
                format!("argument \"{argument}\" has the value {}", postgres_float(value)),
            )
            .set_hint("It must be finite: leave such rows out, or make it NULL with nullif()."),
            NotFiniteTarget { column, value } => report(
                Code::ERRCODE_INVALID_PARAMETER_VALUE,
                format!("target \"{column}\" has the value {}", postgres_float(value)),
            )
            .set_hint("The target has one of two classes in each row: leave such rows out."),
            InvalidRowWeight { column, value } => report(
                Code::ERRCODE_INVALID_PARAMETER_VALUE,
                match value {
                    None => format!("column \"{column}\" of weights has a NULL"),
                    Some(value) if value.is_finite() => format!("column \"{column}\" of weights has the value {value}"),
                    Some(value) => format!("column \"{column}\" of weights has the value {}", postgres_float(value)),
                },
            )
            .set_hint("A row's weight is 0 or a number from 1e-15 to 1e15: leave other rows out, or use coalesce() and greatest()."),
            WrongDimension { column, expected, found } => report(
                Code::ERRCODE_ARRAY_ELEMENT_ERROR,
                format!("{column} has {found} elements, but {expected} are expected"),
            )
            .set_hint("All feature arrays of one data set or model have the same length."),
            NotOneDimensional { dimensions } => report(
                Code::ERRCODE_ARRAY_ELEMENT_ERROR,
                format!("a feature array must have one dimension, not {dimensions}"),
            ),
            NoFeatures => report(Code::ERRCODE_INVALID_PARAMETER_VALUE, "there is no feature".to_owned())
                .set_hint("Give a numeric column, or an array with an element; a text column is one where it is named, as in features => '{channel}'."),
            TooManyNames { found } => report(
                Code::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                format!("array of {found} names is too large"),
            )
            .set_hint("Up to 10000 names are read, of up to 1 MB in all."),
            TooManyFeatures { found, limit } => report(
                Code::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                format!("{found} features are more than the limit of {limit}"),
            ),
            OutOfMemoryBudget { wanted, budget } => report(
                Code::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                format!("the data needs {}, more than persona.max_fit_memory ({})", bytes(wanted), bytes(budget)),
            )
            .set_hint("Raise persona.max_fit_memory, or fit on fewer rows or columns."),
            InvalidText { column } => report(
                Code::ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
                format!("column \"{column}\" has text that is not valid UTF-8"),
            ),
            InvalidValue { type_name, why } => report(
                Code::ERRCODE_INVALID_TEXT_REPRESENTATION,
                format!("invalid input for type persona.{type_name}: {why}"),
            ),
            InvalidOption { option, value, valid } => report(
                Code::ERRCODE_INVALID_PARAMETER_VALUE,
                format!("invalid value for \"{option}\": {value}"),
            )
            .set_hint(format!("Valid: {valid}.")),
            UnknownOption { option, valid } => {
                report(Code::ERRCODE_INVALID_PARAMETER_VALUE, format!("unknown option \"{option}\""))
                    .set_hint(format!("Valid options: {valid}."))
            }
            NullArgument { argument } => {
                report(Code::ERRCODE_NULL_VALUE_NOT_ALLOWED, format!("argument \"{argument}\" must not be NULL"))
                    .set_hint(format!("Give it a value, as in {argument} => ..., or leave it out where it has a default."))
            }
        }
    }
}

pub(crate) fn quoted_list(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().take(50).map(|name| format!("\"{name}\"")).collect();
    let more = if names.len() > 50 { ", ..." } else { "" };
    quoted.join(", ") + more
}

fn postgres_float(value: f64) -> &'static str {
    match value {
        value if value.is_nan() => "NaN",
        value if value > 0.0 => "Infinity",
        _ => "-Infinity",
    }
}

fn bytes(n: usize) -> String {
    match n {
        0..=0x3fff => format!("{n} bytes"),
        0x4000..=0xff_ffff => format!("{} kB", n.div_ceil(1 << 10)),
        _ => format!("{} MB", n.div_ceil(1 << 20)),
    }
}
