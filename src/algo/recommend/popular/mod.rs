//! The same list for everyone, by the number of users: what others are measured against. A model of any learner knows it, and
//! fills with it what a history cannot: see `popularity`.

use crate::algo::declared::Algorithm;

pub(super) static ALGORITHM: Algorithm = Algorithm {
    name: "popular",
    meaning: "the items that most users have, the same for everyone",
    source: "Cremonesi, Koren and Turrin, Performance of recommender algorithms on top-n tasks (2010)",
    parameters: &[],
};
