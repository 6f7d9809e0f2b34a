//! The stored model: keys, histories, popularity and what a learner made of them, and the door that hostile bytes do not pass.

use super::{Error, Interactions, Keys, Learner, Method, popularity, sparse::Sparse};
use crate::algo::encoded;
use crate::algo::stop::Watch;
use serde::{Deserialize, Serialize};

/// The layout of a stored model; raised whenever older bytes would be misread.
pub const FORMAT: u16 = 3;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recommender {
    pub(super) format: u16,
    pub learner: Learner,
    pub user_keys: Keys,
    pub item_keys: Keys,
    /// A row for each user: what it has and how much.
    pub(super) histories: Sparse,
    /// For each cell of the histories how strongly it speaks for having the item again.
    pub(super) repeats: Vec<f32>,
    /// The part of the histories that was learned from; None is all of them.
    pub(super) training: Option<Sparse>,
    /// For each item the number of its users.
    pub(super) popularity: Vec<u32>,
    /// The items, most popular first.
    pub(super) popular_order: Vec<u32>,
    /// The users that were learned from.
    #[serde(skip)]
    pub(super) n_learned: usize,
}

impl Recommender {
    /// Learns from `training`, a part of the interactions, or from all of them.
    pub(super) fn build(
        interactions: &Interactions,
        training: Option<Sparse>,
        method: &Method,
        watch: &Watch,
    ) -> Result<Self, Error> {
        let n_items = interactions.n_items();
        let training = training.filter(|part| *part != interactions.histories);
        let learned = training.as_ref().unwrap_or(&interactions.histories);
        if learned.n_cells() == 0 {
            return Err(Error::EmptyInput);
        }
        let popularity = popularity::counts(learned, n_items);
        Ok(Self {
            format: FORMAT,
            learner: method.learn(learned, &popularity, watch)?,
            user_keys: interactions.user_keys.clone(),
            item_keys: interactions.item_keys.clone(),
            histories: interactions.histories.clone(),
            repeats: interactions.repeats.clone(),
            popular_order: popularity::order(&popularity),
            popularity,
            n_learned: learned.n_filled_rows(),
            training,
        })
    }

    /// What popularity, and all that the learner knows, was learned from.
    pub(super) fn learned(&self) -> &Sparse {
        self.training.as_ref().unwrap_or(&self.histories)
    }

    /// Whether a part of the histories was held out of what the model learned from.
    pub fn is_of_a_part(&self) -> bool {
        self.training.is_some()
    }

    pub fn n_users(&self) -> usize {
        self.user_keys.len()
    }

    pub fn n_items(&self) -> usize {
        self.item_keys.len()
    }

    /// The items of a user and their weights, ascending by item.
    pub fn history(&self, user: u32) -> Result<(&[u32], &[f32]), Error> {
        if user as usize >= self.n_users() {
            return Err(Error::OutOfRange { what: "user", index: user, n: self.n_users() });
        }
        Ok(self.histories.row(user as usize))
    }

    /// How many users have each item.
    pub fn popularity(&self) -> &[u32] {
        &self.popularity
    }

    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        encoded::to_bytes(self).map_err(|error| match error {
            encoded::Error::Refused(refused) => refused.into(),
            encoded::Error::Unwritable(_) => Error::Damaged { what: "it cannot be written" },
        })
    }

    /// Reads and checks a model; whatever the bytes, every function of the result is safe to call.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let (format, _) = postcard::take_from_bytes::<u16>(bytes)
            .map_err(|_| Error::Damaged { what: "it is too short" })?;
        if format != FORMAT {
            return Err(Error::UnknownFormat { expected: FORMAT, found: format });
        }
        let (mut model, rest) = postcard::take_from_bytes::<Self>(bytes)
            .map_err(|_| Error::Damaged { what: "it cannot be read" })?;
        if !rest.is_empty() {
            return Err(Error::Damaged { what: "it has bytes left over" });
        }
        model.check()?;
        model.n_learned = model.learned().n_filled_rows();
        let n_items = model.n_items();
        model.learner.complete(model.training.as_ref().unwrap_or(&model.histories), n_items);
        Ok(model)
    }

    fn check(&self) -> Result<(), Error> {
        let damaged = |what| Err(Error::Damaged { what });
        let (n_users, n_items) = (self.n_users(), self.n_items());
        if !self.user_keys.are_sound() || !self.item_keys.are_sound() {
            return damaged("its keys are not in order");
        }
        if !self.histories.is_sound(n_users, n_items) {
            return damaged("its histories are out of range");
        }
        if self.repeats.len() != self.histories.n_cells()
            || !self.repeats.iter().all(|repeat| repeat.is_finite() && *repeat >= 0.0)
        {
            return damaged("its repeats are out of range");
        }
        if self.training.as_ref().is_some_and(|part| !part.is_sound(n_users, n_items)) {
            return damaged("what it learned from is out of range");
        }
        if !self.learner.is_sound(n_items) {
            return damaged("what its learner knows is out of range");
        }
        if self.popularity != popularity::counts(self.learned(), n_items)
            || !popularity::is_order(&self.popular_order, &self.popularity)
        {
            return damaged("its popularity is not that of what it learned from");
        }
        Ok(())
    }
}
