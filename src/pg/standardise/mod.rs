//! Summaries and scalers in SQL.

mod moments;
mod quantiles;
mod scaler;
mod stats;
mod windows;

use pgrx::prelude::PgSqlErrorCode as Code;

use crate::algo::standardise::align::{Misfit, align};
use crate::pg::error::{Error, Report, report};

/// Where each feature of a summary is in one that is to be merged with it; None where all are at their own place.
fn aligned(
    n_features: (usize, Option<&[String]>),
    n_given: (usize, Option<&[String]>),
) -> Result<Option<Vec<usize>>, Report> {
    let ((expected, wanted), (found, given)) = (n_features, n_given);
    if expected != found {
        let column = "a summary to be merged".to_owned();
        return Err(Error::WrongDimension { column, expected, found }.into());
    }
    align(wanted, given).map_err(|misfit| match misfit {
        Misfit::Missing { feature } => {
            let available = given.unwrap_or_default().to_vec();
            Error::MissingColumn { column: feature, available }.into()
        }
        Misfit::OneHasNoNames => report(
            Code::ERRCODE_DATATYPE_MISMATCH,
            "a summary of rows cannot be merged with a summary of arrays",
        )
        .set_hint(
            "The features of arrays have no names: summarise all data in one of the two forms.",
        ),
    })
}
