//! What users like this one have: each candidate by the most similar of its users.
//!
//! similarity(u, v) = u.v / (|u| |v| + shrinkage m(u) m(v)) over what two users have, where m is the root of the mean square of a
//! user's weights: cosine x g / (g + shrinkage), g being the geometric mean of the users' numbers of items. An item scores the
//! sum of the similarities of the `neighbors` most similar users that have it. How much of it they had says how alike they are and
//! no more: as a factor of the score it cost a fifth of the nDCG (MovieLens-100K by ratings, .40 without and .34 with).
//!
//! Nothing but the transposed histories is learned. A page goes once through the histories of all who share an item with the
//! user, most similar first, so that it takes longer where these are many; it stops when it is told to. Similarities are
//! rounded to `f32`, so that users who are equally similar are equal, and the lower key comes first.

#[cfg(test)]
mod tests;

use super::learner::{Personal, Ranker, Room};
use super::page::{History, Scores};
use super::{Interactions, Sparse};
use crate::algo::declared::{Algorithm, Number, Parameter, Settings, Whole};
use crate::algo::memory::{self, Refused};
use crate::algo::stop::{Stopped, Watch};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::ops::{Bound, RangeBounds};

pub(super) static ALGORITHM: Algorithm = Algorithm {
    name: "user_knn",
    meaning: "what users like this one have: cosine between users over the items that they have",
    source: "Herlocker, Konstan, Borchers and Riedl, An algorithmic framework for collaborative filtering (1999)",
    parameters: &[Parameter::Whole(NEIGHBORS), Parameter::Number(SHRINKAGE)],
};

const NEIGHBORS: Whole = Whole {
    name: "neighbors",
    meaning: "users that speak for an item: the most similar of those that have it",
    least: 1,
    most: 10_000,
    default: 50,
};

const SHRINKAGE: Number = Number {
    name: "shrinkage",
    meaning: "so many items more in a similarity's denominator: users that have few items weigh less",
    least: Bound::Included(0.0),
    most: Bound::Unbounded,
    default: 10.0,
};

/// Its parameters, within their ranges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    neighbors: u32,
    shrinkage: f64,
}

impl From<&Settings> for Options {
    fn from(settings: &Settings) -> Self {
        let neighbors = settings.whole(&NEIGHBORS) as u32;
        Self { neighbors, shrinkage: settings.number(&SHRINKAGE) }
    }
}

impl Options {
    pub(super) fn room(&self, interactions: &Interactions) -> Room {
        /// A column and a value of the transpose.
        const CELL_BYTES: usize = 8;
        /// What a ranker has for each user: a similarity, that it was met, its place among the others.
        const MET_BYTES: usize = 20;
        /// For each item: a score, and how many have spoken for it.
        const ITEM_BYTES: usize = 12;
        let (n_users, n_items) = (interactions.n_users(), interactions.n_items());
        Room {
            kept: interactions.histories.n_cells() * CELL_BYTES
                + n_items * size_of::<usize>()
                + n_users * size_of::<Length>(),
            by_thread: n_users * MET_BYTES + n_items * ITEM_BYTES,
        }
    }

    pub(super) fn learn(
        &self,
        histories: &Sparse,
        n_items: usize,
        watch: &Watch,
    ) -> Result<UserKnn, Stopped> {
        watch.check()?;
        let (neighbors, shrinkage) = (self.neighbors, self.shrinkage);
        let (users_of, lengths) = (Sparse::default(), Vec::new());
        let mut learned = UserKnn { neighbors, shrinkage, users_of, lengths };
        learned.complete(histories, n_items);
        watch.check()?;
        Ok(learned)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UserKnn {
    neighbors: u32,
    shrinkage: f64,
    /// A row for each item: its users and how much of it they had.
    #[serde(skip)]
    users_of: Sparse,
    /// Of each user's history.
    #[serde(skip)]
    lengths: Vec<Length>,
}

/// What a history brings into the denominator of a similarity.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Length {
    norm: f64,
    /// The root of its part of the shrinkage.
    shrunk: f64,
}

impl Length {
    fn of(weights: &[f32], shrinkage: f64) -> Self {
        let norm = weights.iter().map(|&weight| f64::from(weight).powi(2)).sum::<f64>().sqrt();
        Self { norm, shrunk: norm * (shrinkage / weights.len().max(1) as f64).sqrt() }
    }

    /// The denominator with another history.
    fn most(&self, other: &Self) -> f64 {
        self.norm * other.norm + self.shrunk * other.shrunk
    }
}

impl UserKnn {
    pub(super) fn is_sound(&self) -> bool {
        (NEIGHBORS.least..=NEIGHBORS.most).contains(&i64::from(self.neighbors))
            && self.shrinkage.is_finite()
            && (SHRINKAGE.least, SHRINKAGE.most).contains(&self.shrinkage)
    }

    pub(super) fn complete(&mut self, histories: &Sparse, n_items: usize) {
        self.users_of = histories.transposed(n_items);
        self.lengths = (0..histories.n_rows())
            .map(|user| Length::of(histories.row(user).1, self.shrinkage))
            .collect();
    }
}

impl Personal for UserKnn {
    fn ranker<'a>(&'a self, histories: &'a Sparse) -> Result<Box<dyn Ranker + 'a>, Refused> {
        let n_users = histories.n_rows();
        let mut ranker = Asked {
            learned: self,
            histories,
            similarities: memory::zeros(n_users)?,
            met: Vec::new(),
            nearest: Vec::new(),
            n_spoken: memory::zeros(self.users_of.n_rows())?,
            length: Length::of(&[], 0.0),
            shares: Vec::new(),
            since: Since::default(),
        };
        memory::exact_room(&mut ranker.met, n_users)?;
        memory::exact_room(&mut ranker.nearest, n_users)?;
        Ok(Box::new(ranker))
    }
}

struct Asked<'a> {
    learned: &'a UserKnn,
    histories: &'a Sparse,
    /// To the history that was scored last: of each user, 0 for most of them.
    similarities: Vec<f64>,
    /// The users who have an item of that history.
    met: Vec<u32>,
    nearest: Vec<Near>,
    /// How many users have spoken for each item.
    n_spoken: Vec<u32>,
    /// Of that history.
    length: Length,
    shares: Vec<f64>,
    since: Since,
}

/// Cells since the last look at the watch.
#[derive(Default)]
struct Since(usize);

impl Since {
    fn look(&mut self, n_cells: usize, watch: &Watch) -> Result<(), Stopped> {
        self.0 += n_cells;
        if self.0 < CELLS_PER_CHECK {
            return Ok(());
        }
        self.0 = 0;
        watch.check()
    }
}

#[derive(Debug, Clone, Copy)]
struct Near {
    similarity: f32,
    user: u32,
}

impl Near {
    /// Most similar first; of equals, the lower key.
    fn order(&self, other: &Self) -> Ordering {
        other.similarity.total_cmp(&self.similarity).then(self.user.cmp(&other.user))
    }
}

/// Cells between two looks at the watch: about a millisecond.
const CELLS_PER_CHECK: usize = 1 << 19;

impl Ranker for Asked<'_> {
    fn score(
        &mut self,
        history: History,
        scores: &mut Scores,
        watch: &Watch,
    ) -> Result<f64, Stopped> {
        let Self {
            learned, histories, similarities, met, nearest, n_spoken, length, since, ..
        } = self;
        met.drain(..).for_each(|user| similarities[user as usize] = 0.0);
        nearest.clear();
        *length = Length::of(history.weights, learned.shrinkage);
        for (&item, &weight) in history.items.iter().zip(history.weights) {
            let (users, others) = learned.users_of.row(item as usize);
            for (&user, &other) in users.iter().zip(others) {
                let dot = &mut similarities[user as usize];
                if *dot == 0.0 {
                    met.push(user);
                }
                *dot += f64::from(weight) * f64::from(other);
            }
            since.look(users.len(), watch)?;
        }
        for &user in &*met {
            let dot = &mut similarities[user as usize];
            let similarity = (*dot / length.most(&learned.lengths[user as usize])) as f32;
            *dot = f64::from(similarity);
            if similarity > 0.0 {
                nearest.push(Near { similarity, user });
            }
        }
        nearest.sort_unstable_by(Near::order);
        n_spoken.fill(0);
        for near in &*nearest {
            let (items, _) = histories.row(near.user as usize);
            for &item in items {
                let n_spoken = &mut n_spoken[item as usize];
                if *n_spoken < learned.neighbors {
                    *n_spoken += 1;
                    scores.add(item, f64::from(near.similarity));
                }
            }
            since.look(items.len(), watch)?;
        }
        // An item that all of the nearest have; the sum of fewer, or of those less similar, is not above it, rounding included.
        let nearest = nearest.iter().take(learned.neighbors as usize);
        Ok(nearest.map(|near| f64::from(near.similarity)).sum())
    }

    /// A similarity is a sum over the items that two users share, and so is a score.
    fn main_reason(
        &mut self,
        history: History,
        item: u32,
        watch: &Watch,
    ) -> Result<Option<u32>, Stopped> {
        let Self { learned, histories, similarities, nearest, length, shares, since, .. } = self;
        let n_speaking = learned.neighbors as usize;
        nearest.clear();
        let users = learned.users_of.row(item as usize).0;
        since.look(users.len(), watch)?;
        for &user in users {
            let similarity = similarities[user as usize] as f32;
            if similarity > 0.0 {
                nearest.push(Near { similarity, user });
            }
        }
        if nearest.len() > n_speaking {
            nearest.select_nth_unstable_by(n_speaking, Near::order);
            nearest.truncate(n_speaking);
        }
        nearest.sort_unstable_by(Near::order);
        shares.clear();
        shares.resize(history.items.len(), 0.0);
        for near in &*nearest {
            let most = length.most(&learned.lengths[near.user as usize]);
            let (items, weights) = histories.row(near.user as usize);
            since.look(items.len() + history.items.len(), watch)?;
            let mut had = history.items.iter().zip(history.weights).zip(&mut *shares).peekable();
            for (item, &weight) in items.iter().zip(weights) {
                while had.next_if(|((had, _), _)| *had < item).is_some() {}
                let Some(((_, &own), share)) = had.next_if(|((had, _), _)| *had == item) else {
                    continue;
                };
                *share += f64::from(own) * f64::from(weight) / most;
            }
        }
        let mut reason = (0.0, None);
        for (&item, &share) in history.items.iter().zip(&*shares) {
            if share > reason.0 {
                reason = (share, Some(item));
            }
        }
        Ok(reason.1)
    }
}
