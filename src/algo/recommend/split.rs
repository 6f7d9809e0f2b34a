//! What is held out to measure a ranking: by chance within each user or item, or the last by time.

use super::{Error, Interactions};
use crate::algo::random::Random;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Split {
    /// This share of each user's (or item's) interactions, rounded down at a half; each keeps at least one.
    Random { share: f64, seed: i64, by: Stratum },
    /// About this share of all interactions: those after one moment, so that nothing is learned from the future.
    LastByTime { share: f64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stratum {
    User,
    Item,
}

impl Split {
    pub(super) fn check(&self) -> Result<(), Error> {
        let (Split::Random { share, .. } | Split::LastByTime { share }) = *self;
        if share > 0.0 && share < 1.0 {
            return Ok(());
        }
        Err(Error::InvalidParameter { name: "holdout", value: share, expected: "between 0 and 1" })
    }
}

/// The interactions to learn from and those held out, both over all users and items.
pub fn split(
    interactions: &Interactions,
    how: Split,
) -> Result<(Interactions, Interactions), Error> {
    how.check()?;
    let held_out = match how {
        Split::Random { share, seed, by: Stratum::User } => {
            let offsets = &interactions.histories.offsets;
            let mut held_out = vec![false; interactions.histories.n_cells()];
            for user in 0..interactions.n_users() {
                let mut cells: Vec<usize> = (offsets[user]..offsets[user + 1]).collect();
                hold_out(&mut cells, share, Random::new(seed, user as u64), &mut held_out);
            }
            held_out
        }
        Split::Random { share, seed, by: Stratum::Item } => {
            let mut cells_of: Vec<Vec<usize>> = vec![Vec::new(); interactions.n_items()];
            for (cell, &item) in interactions.histories.columns.iter().enumerate() {
                cells_of[item as usize].push(cell);
            }
            let mut held_out = vec![false; interactions.histories.n_cells()];
            for (item, cells) in cells_of.iter_mut().enumerate() {
                hold_out(cells, share, Random::new(seed, item as u64), &mut held_out);
            }
            held_out
        }
        Split::LastByTime { share } => {
            let times = interactions.times.as_ref().ok_or(Error::NoTimes)?;
            let mut sorted = times.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            let n_train = n_train(times.len(), share);
            match n_train.checked_sub(1).and_then(|last| sorted.get(last)) {
                Some(&last_of_train) => times.iter().map(|&time| time > last_of_train).collect(),
                None => vec![false; times.len()],
            }
        }
    };
    Ok((
        interactions.filtered(|cell| !held_out[cell]),
        interactions.filtered(|cell| held_out[cell]),
    ))
}

fn hold_out(cells: &mut [usize], share: f64, mut random: Random, held_out: &mut [bool]) {
    random.shuffle(cells);
    for &cell in cells.iter().skip(n_train(cells.len(), share)) {
        held_out[cell] = true;
    }
}

fn n_train(n: usize, share: f64) -> usize {
    ((n as f64 * (1.0 - share)).round() as usize).clamp(n.min(1), n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::{frame::Column, stop::Watch};

    fn example() -> Interactions {
        let users = Column::integer("u", (0..200).map(|row| row % 10).collect());
        let items = Column::integer("i", (0..200).map(|row| row / 10).collect());
        let times: Vec<f64> = (0..200).map(f64::from).collect();
        Interactions::from_columns(&users, &items, None, Some(&times), &Watch::new()).unwrap()
    }

    #[track_caller]
    fn check_parts(how: Split, n_held_out: usize) -> (Interactions, Interactions) {
        let whole = example();
        let (train, held_out) = split(&whole, how).unwrap();
        assert_eq!(held_out.histories.n_cells(), n_held_out);
        assert_eq!(train.histories.n_cells() + n_held_out, whole.histories.n_cells());
        for user in 0..whole.n_users() {
            for &item in held_out.histories.row(user).0 {
                assert_eq!(train.histories.get(user, item), 0.0);
            }
        }
        (train, held_out)
    }

    #[test]
    fn each_user_or_each_item_gives_its_share() {
        let (_, held_out) =
            check_parts(Split::Random { share: 0.25, seed: 1, by: Stratum::User }, 50);
        assert!((0..10).all(|user| held_out.histories.row(user).0.len() == 5));
        let (_, held_out) =
            check_parts(Split::Random { share: 0.2, seed: 1, by: Stratum::Item }, 40);
        assert!(held_out.histories.column_counts(20).iter().all(|&count| count == 2));
    }

    #[test]
    fn a_seed_decides_what_is_held_out() {
        let with_seed = |seed| {
            split(&example(), Split::Random { share: 0.2, seed, by: Stratum::User }).unwrap()
        };
        assert_eq!(with_seed(1), with_seed(1));
        assert_ne!(with_seed(1), with_seed(2));
    }

    #[test]
    fn the_last_by_time_are_all_later_than_the_rest() {
        let (train, held_out) = check_parts(Split::LastByTime { share: 0.1 }, 20);
        let last = train.times.unwrap().into_iter().fold(0.0, f64::max);
        assert!(held_out.times.unwrap().iter().all(|&time| time > last));
        let mut without = example();
        without.times = None;
        assert_eq!(split(&without, Split::LastByTime { share: 0.1 }).unwrap_err(), Error::NoTimes);
    }

    #[test]
    fn a_share_outside_0_to_1_is_refused() {
        for share in [0.0, 1.0, -1.0, f64::NAN] {
            assert!(split(&example(), Split::LastByTime { share }).is_err());
        }
    }
}
