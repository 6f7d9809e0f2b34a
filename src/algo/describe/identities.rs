//! Which values a column has, and how often each: exact while the distinct ones are few, estimated beyond.
//!
//! A value counts by a key of 64 bits; what it stands for is kept to be shown.

use std::collections::HashMap;

use super::MOST_COUNTED;
use super::counts::Counts;
use super::frequent::Frequent;

#[derive(Debug)]
pub(super) struct Identities<V> {
    counts: Counts,
    /// What each counted key stands for.
    shown: HashMap<u64, V>,
    /// From when the distinct values are too many to be counted each.
    frequent: Option<Box<Frequent<V>>>,
}

impl<V> Default for Identities<V> {
    fn default() -> Self {
        Self { counts: Counts::default(), shown: HashMap::new(), frequent: None }
    }
}

impl<V: Clone + Default> Identities<V> {
    /// Adds `n` of a value, which its key stands for.
    #[inline]
    pub(super) fn add(&mut self, key: u64, n: u64, value: impl FnOnce() -> V) {
        if let Some(frequent) = &mut self.frequent {
            frequent.add(key, n, value);
        } else if self.counts.add(key, n) {
            self.shown.insert(key, value());
            if self.counts.len() > MOST_COUNTED {
                self.give_up_counting();
            }
        }
    }

    #[cold]
    fn give_up_counting(&mut self) {
        let mut frequent = Box::new(Frequent::new());
        let mut shown = std::mem::take(&mut self.shown);
        for (key, n) in std::mem::take(&mut self.counts).iter() {
            frequent.add(key, n, || shown.remove(&key).unwrap_or_default());
        }
        self.frequent = Some(frequent);
    }

    pub(super) fn is_exact(&self) -> bool {
        self.frequent.is_none()
    }

    pub(super) fn n_distinct(&self) -> u64 {
        match &self.frequent {
            Some(frequent) => frequent.n_distinct(),
            None => self.counts.len() as u64,
        }
    }

    /// All values and their counts, or those that are surely frequent and about how many there are of each.
    pub(super) fn found(mut self) -> Vec<(V, u64)> {
        match &self.frequent {
            Some(frequent) => frequent.winners(),
            None => {
                let shown = |(key, n)| (self.shown.remove(&key).unwrap_or_default(), n);
                self.counts.iter().map(shown).collect()
            }
        }
    }
}
