//! The seam between a recommender and how it learns: a folder a learner, an arm of each `match` here, and no other place.
//!
//! [`Method`] is a learner with its parameters, before the fit; [`Learner`] is what it has learned. What all of them share lies
//! beside: keys, histories, popularity, the split, the measuring, and the pages, which ask a [`Ranker`] for scores.

use super::item_knn::{self, ItemKnn};
use super::page::{History, Scores};
use super::user_knn::{self, UserKnn};
use super::{Error, Interactions, Sparse, popular};
use crate::algo::declared::{Algorithm, Settings};
use crate::algo::memory::Refused;
use crate::algo::stop::{Stopped, Watch};
use serde::{Deserialize, Serialize};

/// How to learn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// Cosine between items over the users that have them.
    ItemKnn(item_knn::Options),
    /// Cosine between users over the items that they have.
    UserKnn(user_knn::Options),
    /// The same list for everyone: items by the number of their users.
    Popular,
}

/// What was learned, beside how popular the items are. A model stores the place in this list: a new one comes last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Learner {
    ItemKnn(ItemKnn),
    Popular,
    UserKnn(UserKnn),
}

/// What a recommender can be fitted by.
struct Offered {
    algorithm: &'static Algorithm,
    method: fn(&Settings) -> Method,
}

const OFFERED: &[Offered] = &[
    Offered {
        algorithm: &item_knn::ALGORITHM,
        method: |settings| Method::ItemKnn(settings.into()),
    },
    Offered {
        algorithm: &user_knn::ALGORITHM,
        method: |settings| Method::UserKnn(settings.into()),
    },
    Offered { algorithm: &popular::ALGORITHM, method: |_| Method::Popular },
];

pub fn algorithms() -> Vec<&'static Algorithm> {
    OFFERED.iter().map(|one| one.algorithm).collect()
}

impl TryFrom<&Settings> for Method {
    type Error = Error;

    fn try_from(settings: &Settings) -> Result<Self, Error> {
        let algorithm = settings.algorithm();
        let offered = OFFERED.iter().find(|one| one.algorithm == algorithm);
        let offered = offered.ok_or(Error::NoRecommender { algorithm: algorithm.name })?;
        Ok((offered.method)(settings))
    }
}

impl Default for Method {
    fn default() -> Self {
        Self::ItemKnn((&item_knn::ALGORITHM.defaults()).into())
    }
}

impl Method {
    /// What this learner takes beside the interactions.
    pub fn room(&self, interactions: &Interactions) -> Room {
        match self {
            Self::ItemKnn(options) => options.room(interactions),
            Self::UserKnn(options) => options.room(interactions),
            Self::Popular => Room::default(),
        }
    }

    /// Learns from histories, of which `popularity` says how many have each item.
    pub(super) fn learn(
        &self,
        histories: &Sparse,
        popularity: &[u32],
        watch: &Watch,
    ) -> Result<Learner, Error> {
        match self {
            Self::ItemKnn(options) => {
                Ok(Learner::ItemKnn(options.learn(histories, popularity, watch)?))
            }
            Self::UserKnn(options) => {
                Ok(Learner::UserKnn(options.learn(histories, popularity.len(), watch)?))
            }
            Self::Popular => Ok(Learner::Popular),
        }
    }
}

/// Bytes that a learner takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    pub kept: usize,
    /// By each thread, while it works.
    pub by_thread: usize,
}

impl Learner {
    /// What it has to say of a history; None where it says the same to everyone.
    pub(super) fn personal(&self) -> Option<&dyn Personal> {
        match self {
            Self::ItemKnn(learned) => Some(learned),
            Self::UserKnn(learned) => Some(learned),
            Self::Popular => None,
        }
    }

    /// For each item those most like it and their similarity.
    pub(super) fn similar_items(&self) -> Result<&Sparse, Error> {
        match self {
            Self::ItemKnn(learned) => Ok(learned.similar_items()),
            Self::UserKnn(_) => Err(Error::NoSimilarItems { known: "which users are alike" }),
            Self::Popular => Err(Error::NoSimilarItems { known: "how popular items are" }),
        }
    }

    /// Whether bytes from outside made something that can be asked about so many users and items.
    pub(super) fn is_sound(&self, n_items: usize) -> bool {
        match self {
            Self::ItemKnn(learned) => learned.is_sound(n_items),
            Self::UserKnn(learned) => learned.is_sound(),
            Self::Popular => true,
        }
    }

    /// Makes what is not stored, after it was read.
    pub(super) fn complete(&mut self, histories: &Sparse, n_items: usize) {
        match self {
            Self::ItemKnn(learned) => learned.complete(n_items),
            Self::UserKnn(learned) => learned.complete(histories, n_items),
            Self::Popular => {}
        }
    }
}

/// A learner that goes by what a user has.
pub(super) trait Personal: Sync {
    /// For the pages that one thread makes. `histories` are those that were learned from.
    fn ranker<'a>(&'a self, histories: &'a Sparse) -> Result<Box<dyn Ranker + 'a>, Refused>;
}

/// A learner at work, with room for one page at a time.
pub(super) trait Ranker {
    /// Adds up what a history says for each item, and returns what no score of it is above.
    fn score(
        &mut self,
        history: History,
        scores: &mut Scores,
        watch: &Watch,
    ) -> Result<f64, Stopped>;

    /// The item of the history that was scored last that adds most to the score of this one: of equals, the lower key.
    fn main_reason(
        &mut self,
        history: History,
        item: u32,
        watch: &Watch,
    ) -> Result<Option<u32>, Stopped>;
}
