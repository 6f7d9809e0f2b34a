//! What is held out to measure a ranking: by chance within each user or item, or the last by time.

use super::{Error, Interactions, Sparse};
use crate::algo::random::Random;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Split {
    /// This share of each user's (or item's) interactions, rounded down at a half; each keeps at least one.
    Random { share: f64, seed: i64, by: Stratum },
    /// What was first had after one moment, so that nothing is learned from the future: about this share of the rows comes
    /// after it. The interactions know the moment: they were made with this share.
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

/// What to learn from and what is held out, both over all users and items.
pub struct Parts {
    pub train: Sparse,
    pub held_out: Sparse,
}

pub fn split(interactions: &Interactions, how: Split) -> Result<Parts, Error> {
    how.check()?;
    let histories = &interactions.histories;
    let held_out = match how {
        Split::Random { share, seed, by: Stratum::User } => {
            let offsets = &histories.offsets;
            let mut held_out = vec![false; histories.n_cells()];
            for user in 0..interactions.n_users() {
                let mut cells: Vec<usize> = (offsets[user]..offsets[user + 1]).collect();
                hold_out(&mut cells, share, Random::new(seed, user as u64), &mut held_out);
            }
            held_out
        }
        Split::Random { share, seed, by: Stratum::Item } => {
            let mut cells_of: Vec<Vec<usize>> = vec![Vec::new(); interactions.n_items()];
            for (cell, &item) in histories.columns.iter().enumerate() {
                cells_of[item as usize].push(cell);
            }
            let mut held_out = vec![false; histories.n_cells()];
            for (item, cells) in cells_of.iter_mut().enumerate() {
                hold_out(cells, share, Random::new(seed, item as u64), &mut held_out);
            }
            held_out
        }
        Split::LastByTime { .. } => {
            let past = &interactions.past.as_ref().ok_or(Error::NoTimes)?.weights;
            let later = |cell: usize| if past[cell] > 0.0 { 0.0 } else { histories.values[cell] };
            return Ok(Parts {
                train: interactions.weighted(|cell| past[cell]),
                held_out: interactions.weighted(later),
            });
        }
    };
    let part = |is_held_out: bool| {
        let weight =
            |cell: usize| if held_out[cell] == is_held_out { histories.values[cell] } else { 0.0 };
        interactions.weighted(weight)
    };
    Ok(Parts { train: part(false), held_out: part(true) })
}

fn hold_out(cells: &mut [usize], share: f64, mut random: Random, held_out: &mut [bool]) {
    random.shuffle(cells);
    for &cell in cells.iter().skip(n_train(cells.len(), share)) {
        held_out[cell] = true;
    }
}

pub(super) fn n_train(n: usize, share: f64) -> usize {
    ((n as f64 * (1.0 - share)).round() as usize).clamp(n.min(1), n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::recommend::Columns;
    use crate::algo::{
        frame::{Column, Frame},
        stop::Watch,
    };

    fn example() -> Interactions {
        let frame = Frame {
            n_rows: 200,
            columns: vec![
                Column::integer("u", (0..200).map(|row| row % 10).collect()),
                Column::integer("i", (0..200).map(|row| row / 10).collect()),
                Column::number("t", (0..200).map(f64::from).collect()),
            ],
        };
        let columns = Columns { time: Some("t"), ..Columns::of("u", "i") };
        Interactions::from_frame(&frame, &columns, Some(0.1), &Watch::new()).unwrap()
    }

    #[track_caller]
    fn check_parts(how: Split, n_held_out: usize) -> Parts {
        let whole = example();
        let parts = split(&whole, how).unwrap();
        assert_eq!(parts.held_out.n_cells(), n_held_out);
        assert_eq!(parts.train.n_cells() + n_held_out, whole.histories.n_cells());
        for user in 0..whole.n_users() {
            for &item in parts.held_out.row(user).0 {
                assert_eq!(parts.train.get(user, item), 0.0);
            }
        }
        parts
    }

    #[test]
    fn each_user_or_each_item_gives_its_share() {
        let by_user = check_parts(Split::Random { share: 0.25, seed: 1, by: Stratum::User }, 50);
        assert!((0..10).all(|user| by_user.held_out.row(user).0.len() == 5));
        let by_item = check_parts(Split::Random { share: 0.2, seed: 1, by: Stratum::Item }, 40);
        assert!(by_item.held_out.column_counts(20).iter().all(|&count| count == 2));
    }

    #[test]
    fn a_seed_decides_what_is_held_out() {
        let with_seed = |seed| {
            split(&example(), Split::Random { share: 0.2, seed, by: Stratum::User }).unwrap().train
        };
        assert_eq!(with_seed(1), with_seed(1));
        assert_ne!(with_seed(1), with_seed(2));
    }

    #[test]
    fn the_last_by_time_are_all_later_than_the_rest() {
        // The last 20 of 200 rows are those of items 18 and 19.
        let parts = check_parts(Split::LastByTime { share: 0.1 }, 20);
        assert_eq!(parts.train.column_counts(20), [[10; 18].as_slice(), &[0; 2]].concat());
        let mut without = example();
        without.past = None;
        let refused = split(&without, Split::LastByTime { share: 0.1 }).err();
        assert_eq!(refused, Some(Error::NoTimes));
    }

    #[test]
    fn a_share_outside_0_to_1_is_refused() {
        for share in [0.0, 1.0, -1.0, f64::NAN] {
            assert!(split(&example(), Split::LastByTime { share }).is_err());
        }
    }
}
