//! What can be wrong with what these fits are given.

use crate::algo::segment;
use crate::algo::stop::Stopped;

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    #[error("eps must be a finite number above 0, not {}", sql_number(*.eps))]
    InvalidEps { eps: f64 },
    #[error("min_points must be at least 1, not {min_points}")]
    InvalidMinPoints { min_points: i64 },
    #[error("too many rows: {n_rows}, at most {}", u32::MAX)]
    TooManyRows { n_rows: usize },
    #[error("regularization must be a number from 0 to 1e6, not {}", sql_number(*.regularization))]
    InvalidRegularization { regularization: f64 },
    #[error("the covariances of these components would have {found} numbers")]
    TooManyParameters { found: usize },
    #[error("the covariance of a component is singular")]
    Collapsed,
    #[error("{why}")]
    Malformed { why: String },
    /// Of the start, which wants of the rows and of k what a mixture does.
    #[error(transparent)]
    Segment(#[from] segment::Error),
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// As SQL writes it.
fn sql_number(value: f64) -> String {
    match value {
        f64::INFINITY => "Infinity".to_owned(),
        f64::NEG_INFINITY => "-Infinity".to_owned(),
        finite => finite.to_string(),
    }
}
