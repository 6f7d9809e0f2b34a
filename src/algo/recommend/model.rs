//! The stored model: keys, histories, neighbour lists and popularity, and the door that hostile bytes do not pass.

use super::{Algorithm, Error, Interactions, Keys, Params, item_knn, popular, sparse::Sparse};
use crate::algo::encoded;
use crate::algo::stop::Watch;
use serde::{Deserialize, Serialize};

/// The layout of a stored model; raised whenever older bytes would be misread.
pub const FORMAT: u16 = 2;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recommender {
    pub(super) format: u16,
    pub algorithm: Algorithm,
    pub user_keys: Keys,
    pub item_keys: Keys,
    /// A row for each user: what it has and how much.
    pub(super) histories: Sparse,
    /// For each cell of the histories how strongly it speaks for having the item again.
    pub(super) repeats: Vec<f32>,
    /// The part of the histories that neighbours and popularity were learned from; None is all of them.
    pub(super) training: Option<Sparse>,
    /// A row for each item: its nearest and their similarity. Rows are empty where the algorithm needs none.
    pub(super) neighbours: Sparse,
    /// The transpose of `neighbours`: for an item of a history, whom it speaks for. Made on reading: a transpose costs
    /// less than reading as many bytes again.
    #[serde(skip)]
    pub(super) speaks_for: Sparse,
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
        params: &Params,
        watch: &Watch,
    ) -> Result<Self, Error> {
        let n_items = interactions.n_items();
        let training = training.filter(|part| *part != interactions.histories);
        let learned = training.as_ref().unwrap_or(&interactions.histories);
        if learned.n_cells() == 0 {
            return Err(Error::EmptyInput);
        }
        let popularity = popular::counts(learned, n_items);
        let neighbours = match params.algorithm {
            Algorithm::ItemKnn => {
                let options =
                    item_knn::Options { neighbors: params.neighbors, shrinkage: params.shrinkage };
                item_knn::neighbours(learned, &popularity, options, watch)?
            }
            Algorithm::Popular => Sparse::empty(n_items),
        };
        Ok(Self {
            format: FORMAT,
            algorithm: params.algorithm,
            user_keys: interactions.user_keys.clone(),
            item_keys: interactions.item_keys.clone(),
            histories: interactions.histories.clone(),
            repeats: interactions.repeats.clone(),
            speaks_for: neighbours.transposed(n_items),
            neighbours,
            popular_order: popular::order(&popularity),
            popularity,
            n_learned: learned.n_filled_rows(),
            training,
        })
    }

    /// What neighbours and popularity were learned from.
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
        model.speaks_for = model.neighbours.transposed(model.n_items());
        model.n_learned = model.learned().n_filled_rows();
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
        if !self.neighbours.is_sound(n_items, n_items) {
            return damaged("its neighbours are out of range");
        }
        if self.popularity != popular::counts(self.learned(), n_items)
            || !popular::is_order(&self.popular_order, &self.popularity)
        {
            return damaged("its popularity is not that of what it learned from");
        }
        Ok(())
    }
}
