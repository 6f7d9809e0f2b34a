//! Top-N recommendations from who had what: raw [`Params`] -> [`Params::check`] -> [`fit`] -> [`Recommender`].
//!
//! A model holds the histories it was fitted on: they score known users, say what was seen and why an item is shown. The
//! result depends on the interactions and parameters alone, bit for bit, not on the order of rows or threads.

mod evaluate;
mod interactions;
mod item_knn;
mod keys;
mod learner;
mod model;
mod page;
mod popular;
mod popularity;
mod sparse;
mod split;
mod top;
mod user_knn;

pub use evaluate::{Evaluation, Quality, evaluate};
pub use interactions::{Columns, Interactions, Past};
pub use keys::Keys;
pub use learner::{Learner, Method, Room, algorithms};
pub use model::{FORMAT, Recommender};
pub use page::{Pages, Recommendation};
pub use sparse::Sparse;
pub use split::{Parts, Split, Stratum, split};

use crate::algo::memory::Refused;
use crate::algo::stop::{Stopped, Watch};

#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    pub method: Method,
    /// What is held out to measure the ranking, and so not learned from.
    pub holdout: Option<Split>,
    /// Whether to learn from everything once more when that was measured.
    pub refit_on_all: bool,
    /// Places measured.
    pub k: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            method: Method::default(),
            holdout: Some(Split::Random { share: 0.2, seed: 0, by: Stratum::User }),
            refit_on_all: false,
            k: 10,
        }
    }
}

/// Parameters within their ranges.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidParams(Params);

impl Params {
    pub fn check(self) -> Result<ValidParams, Error> {
        if self.k == 0 {
            let (name, value, expected) = ("k", 0.0, "at least 1");
            return Err(Error::InvalidParameter { name, value, expected });
        }
        if let Some(split) = &self.holdout {
            split.check()?;
        }
        Ok(ValidParams(self))
    }
}

impl ValidParams {
    pub fn get(&self) -> &Params {
        &self.0
    }
}

/// The model and, with a holdout, how well it ranks what was held out. It has learned from the rest alone, as it was measured,
/// unless it is to learn from everything afterwards; what its users have is all of their interactions in either case.
pub fn fit(
    interactions: &Interactions,
    params: &ValidParams,
    watch: &Watch,
) -> Result<(Recommender, Option<Evaluation>), Error> {
    let params = params.get();
    let Some(how) = params.holdout else {
        return Ok((Recommender::build(interactions, None, &params.method, watch)?, None));
    };
    let Parts { train, held_out } = split(interactions, how)?;
    let measured = Recommender::build(interactions, Some(train), &params.method, watch)?;
    let evaluation = evaluate::evaluate_held_out(&measured, &held_out, params.k, watch)?;
    if params.refit_on_all && measured.is_of_a_part() {
        drop(measured);
        return Ok((
            Recommender::build(interactions, None, &params.method, watch)?,
            Some(evaluation),
        ));
    }
    Ok((measured, Some(evaluation)))
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    #[error("there are no interactions")]
    EmptyInput,
    #[error("there is no column \"{column}\"")]
    MissingColumn { column: String },
    #[error("column \"{column}\" is neither whole numbers nor text, and cannot be a key")]
    KeyType { column: String },
    #[error("column \"{column}\" is not numeric")]
    NotANumber { column: String },
    #[error("column \"{column}\" has a missing key in row {}", row + 1)]
    MissingKey { column: String, row: usize },
    #[error("the weight of row {} is missing", row + 1)]
    MissingWeight { row: usize },
    #[error("the time of row {} is missing", row + 1)]
    MissingTime { row: usize },
    #[error("user \"{user}\" and item \"{item}\" have the negative weight {weight}")]
    NegativeWeight { user: String, item: String, weight: f64 },
    #[error(
        "the weights of user \"{user}\" and item \"{item}\" sum up to more than a float4 holds"
    )]
    WeightOverflow { user: String, item: String },
    #[error("a column has {found} rows where another has {expected}")]
    LengthMismatch { expected: usize, found: usize },
    #[error("{n_rows} rows are more than a model can number")]
    TooManyRows { n_rows: usize },
    #[error("{name} is {value}, must be {expected}")]
    InvalidParameter { name: &'static str, value: f64, expected: &'static str },
    #[error("a split by time needs the times of the interactions")]
    NoTimes,
    #[error("there is no {what} number {index} among {n}")]
    OutOfRange { what: &'static str, index: u32, n: usize },
    #[error("\"{algorithm}\" is not an algorithm of recommenders")]
    NoRecommender { algorithm: &'static str },
    #[error("the model knows {known}, not which items are alike")]
    NoSimilarItems { known: &'static str },
    #[error("the model has format {found}, expected {expected}")]
    UnknownFormat { expected: u16, found: u16 },
    #[error("the model's bytes are damaged: {what}")]
    Damaged { what: &'static str },
    #[error(transparent)]
    Stopped(#[from] Stopped),
    #[error(transparent)]
    Refused(#[from] Refused),
}

#[cfg(test)]
mod tests;
