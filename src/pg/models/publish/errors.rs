//! What PostgreSQL says of rows that cannot be published, and what to do about it.

use pgrx::pg_sys::panic::{CaughtError, ErrorReportWithLevel};
use pgrx::prelude::PgSqlErrorCode;

use crate::pg::error::{Error, Report, report};

const ONE_A_KEY: &str =
    "A table has one row for each key: name a source that has, as with SELECT DISTINCT ON.";

/// That two rows have one key, of the source or of a table.
pub(crate) fn is_twice(keys: &str, value: &str, table: Option<&str>) -> Report {
    let of_table = table.map(|table| format!(" in table {table}")).unwrap_or_default();
    report(
        PgSqlErrorCode::ERRCODE_UNIQUE_VIOLATION,
        format!("key ({keys})=({value}) is there more than once{of_table}"),
    )
    .set_hint(ONE_A_KEY)
}

const OF_NOBODY: &str = "A row of nobody cannot be published: leave rows without a key out of the source, with WHERE ... IS NOT NULL.";

/// That a row has no key. Another column of the table may be needed, too.
pub(super) fn without_key(error: CaughtError, key: &str) -> Report {
    let error = only(error, |error| error.message().contains(&format!("\"{key}\"")));
    report(error.sql_error_code(), error.message().to_owned()).set_hint(OF_NOBODY)
}

/// The same of a source that is read into memory.
pub(super) fn read_without_key(error: CaughtError, key: &str) -> Report {
    let null = Report::from(Error::MissingValue { column: key.to_owned() });
    let error = only(error, |error| error.message() == null.message());
    report(PgSqlErrorCode::ERRCODE_NOT_NULL_VIOLATION, error.message().to_owned())
        .set_hint(OF_NOBODY)
}

/// That the source has no such column, in words that do not name what the source is called in here.
pub(super) fn without_column(error: CaughtError, key: &str) -> Report {
    let error = only(error, |error| error.message() == format!("column s.{key} does not exist"));
    report(error.sql_error_code(), format!("the source has no column \"{key}\""))
        .set_hint("key names the column of the source that tells whose row it is.")
}

/// That a key is there twice, which the index of a new table finds.
pub(super) fn key_twice(error: CaughtError) -> Report {
    let error = only(error, |error| error.hint().is_none());
    report(error.sql_error_code(), error.message().to_owned())
        .set_detail(error.detail().unwrap_or_default().to_owned())
        .set_hint(ONE_A_KEY)
}

/// The error if it is the one that is meant; any other goes on its way.
fn only(
    error: CaughtError,
    is_meant: impl Fn(&ErrorReportWithLevel) -> bool,
) -> ErrorReportWithLevel {
    match error {
        CaughtError::PostgresError(error) | CaughtError::ErrorReport(error) if is_meant(&error) => {
            error
        }
        error => error.rethrow(),
    }
}
