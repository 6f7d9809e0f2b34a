//! What is to be done to rows that have keys to make them other rows: one pass over both, in the order of their keys.

use std::cmp::Ordering;

use rayon::prelude::*;

use super::memory::{self, Refused};
use super::stop::{Stopped, Watch};

/// A row, by its place among those that are wanted; if it is to go, by its place among those that were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    New(usize),
    Changed(usize),
    Gone(usize),
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The place of a row whose key an earlier one has.
    #[error("two of the rows that are wanted have one key")]
    WantedTwice(usize),
    #[error("two of the rows that were found have one key")]
    FoundTwice(usize),
    #[error(transparent)]
    Stopped(#[from] Stopped),
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Rows, and the key of each.
pub struct Keyed<F> {
    pub n_rows: usize,
    pub key: F,
}

/// What to do, in the order of the keys. `is_same` compares a row that is wanted with one that was found, of the same key.
pub fn differences<K: Ord + Copy + Send + Sync>(
    wanted: &Keyed<impl Fn(usize) -> K + Sync>,
    found: &Keyed<impl Fn(usize) -> K + Sync>,
    is_same: impl Fn(usize, usize) -> bool,
    watch: &Watch,
) -> Result<Vec<Difference>, Error> {
    let (wanted_rows, found_rows) = (wanted.by_key(watch)?, found.by_key(watch)?);
    if let Some(place) = wanted.twice(&wanted_rows) {
        return Err(Error::WantedTwice(place));
    }
    if let Some(place) = found.twice(&found_rows) {
        return Err(Error::FoundTwice(place));
    }
    let mut differences = Vec::new();
    let (mut next_wanted, mut next_found) = (0, 0);
    loop {
        if (next_wanted + next_found) % STEP == 0 {
            watch.check()?;
        }
        let row = |rows: &Rows, next| (next < rows.n_rows).then(|| rows.at(next));
        let (new, old) = (row(&wanted_rows, next_wanted), row(&found_rows, next_found));
        let order = match (new, old) {
            (None, None) => return Ok(differences),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(new), Some(old)) => (wanted.key)(new).cmp(&(found.key)(old)),
        };
        let difference = match (order, new, old) {
            (Ordering::Less, Some(new), _) => Some(Difference::New(new)),
            (Ordering::Greater, _, Some(old)) => Some(Difference::Gone(old)),
            (_, Some(new), Some(old)) if !is_same(new, old) => Some(Difference::Changed(new)),
            _ => None,
        };
        if let Some(difference) = difference {
            memory::push(&mut differences, difference)?;
        }
        next_wanted += usize::from(order.is_le());
        next_found += usize::from(order.is_ge());
    }
}

/// Rows between two looks at the watch.
const STEP: usize = 1 << 16;

/// Places of rows in an order; without one, in the order that they have.
struct Rows {
    n_rows: usize,
    order: Option<Vec<u32>>,
}

impl Rows {
    fn at(&self, place: usize) -> usize {
        self.order.as_ref().map_or(place, |order| order[place] as usize)
    }
}

impl<K: Ord + Copy + Send + Sync, F: Fn(usize) -> K + Sync> Keyed<F> {
    fn by_key(&self, watch: &Watch) -> Result<Rows, Error> {
        let (n_rows, key) = (self.n_rows, &self.key);
        if (1..n_rows).all(|row| key(row - 1) <= key(row)) {
            return Ok(Rows { n_rows, order: None });
        }
        watch.check()?;
        let mut order: Vec<u32> = memory::collect(0..n_rows as u32)?;
        order.par_sort_unstable_by_key(|&row| key(row as usize));
        Ok(Rows { n_rows, order: Some(order) })
    }

    fn twice(&self, rows: &Rows) -> Option<usize> {
        let same = |place: &usize| (self.key)(rows.at(place - 1)) == (self.key)(rows.at(*place));
        (1..self.n_rows).find(same).map(|place| rows.at(place))
    }
}

#[cfg(test)]
mod tests {
    use super::Difference::{Changed, Gone, New};
    use super::*;
    use crate::algo::random::Random;

    fn between(wanted: &[(i64, u8)], found: &[(i64, u8)]) -> Result<Vec<Difference>, Error> {
        differences(
            &Keyed { n_rows: wanted.len(), key: |row: usize| wanted[row].0 },
            &Keyed { n_rows: found.len(), key: |row: usize| found[row].0 },
            |new, old| wanted[new].1 == found[old].1,
            &Watch::new(),
        )
    }

    #[test]
    fn each_kind_of_difference_is_found_by_key() {
        let wanted = [(5, 1), (1, 1), (3, 2), (9, 7)];
        let found = [(3, 1), (1, 1), (4, 4)];
        assert_eq!(between(&wanted, &found), Ok(vec![Changed(2), Gone(2), New(0), New(3)]));
        assert_eq!(between(&wanted, &wanted), Ok(vec![]));
        assert_eq!(between(&[], &[(1, 1), (0, 1)]), Ok(vec![Gone(1), Gone(0)]));
        assert_eq!(between(&[(1, 1)], &[]), Ok(vec![New(0)]));
    }

    #[test]
    fn a_key_that_is_there_twice_is_an_error() {
        assert!(matches!(between(&[(1, 1), (2, 1), (1, 1)], &[]), Err(Error::WantedTwice(0 | 2))));
        assert!(matches!(between(&[], &[(7, 1), (7, 1)]), Err(Error::FoundTwice(1))));
    }

    /// Whatever the two are, doing what is said to the one makes the other.
    #[test]
    fn what_is_said_makes_the_one_the_other() {
        use std::collections::BTreeMap;
        let mut random = Random::new(7, 0);
        let mut some = |n: u64| -> Vec<(i64, u8)> {
            let rows: BTreeMap<i64, u8> =
                (0..n).map(|_| (random.below(40) as i64, random.below(3) as u8)).collect();
            let mut rows: Vec<(i64, u8)> = rows.into_iter().collect();
            rows.sort_by_key(|(key, _)| (key * 17) % 41);
            rows
        };
        for n in 0..200 {
            let (wanted, found) = (some(n % 50), some((n * 7) % 50));
            let mut made: BTreeMap<i64, u8> = found.iter().copied().collect();
            for difference in between(&wanted, &found).unwrap() {
                match difference {
                    New(row) => assert_eq!(made.insert(wanted[row].0, wanted[row].1), None),
                    Changed(row) => {
                        let before = made.insert(wanted[row].0, wanted[row].1);
                        assert!(before.is_some_and(|before| before != wanted[row].1));
                    }
                    Gone(row) => assert_eq!(made.remove(&found[row].0), Some(found[row].1)),
                }
            }
            assert_eq!(made, wanted.iter().copied().collect());
        }
    }
}
