//! Who had what: the user x item matrix that every recommender is fitted on, from rows in any order.
//!
//! Rows of one user and item are one cell, whose weight is their sum. The sum runs over the weights in ascending order, so
//! that the cell has the same bits however the rows came. Time is of rows, not of cells: what was had in January and again in
//! December is in the past of March.

#[cfg(test)]
mod tests;

use super::{Error, keys, keys::Keys, sparse::Sparse, split};
use crate::algo::{
    frame::{Column, Frame, Values},
    stop::Watch,
};

#[derive(Debug, Clone, PartialEq)]
pub struct Interactions {
    pub user_keys: Keys,
    pub item_keys: Keys,
    /// A row for each user, a column for each item.
    pub histories: Sparse,
    /// For each cell of `histories` how much it was had, rows of long ago counting less: what a user is likely to have again.
    pub repeats: Vec<f32>,
    /// What was had up to a moment, where times were given and one was asked for.
    pub past: Option<Past>,
}

/// The part of the interactions up to a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// For each cell of the histories its weight from the rows up to the moment; 0 where the first row comes later.
    pub(super) weights: Vec<f32>,
    /// Whether there are rows after the moment.
    pub has_later: bool,
}

/// The names of the columns of a frame that holds interactions.
#[derive(Debug, Clone, Copy)]
pub struct Columns<'a> {
    pub user: &'a str,
    pub item: &'a str,
    /// Without one each row weighs 1 and a cell weighs 1 however many rows it has: bought or not.
    pub weight: Option<&'a str>,
    pub time: Option<&'a str>,
    /// For each word of a text column of keys the one by which it is known, where words that differ are one key.
    pub user_words: Option<&'a [String]>,
    pub item_words: Option<&'a [String]>,
}

impl<'a> Columns<'a> {
    /// Users and items alone.
    pub fn of(user: &'a str, item: &'a str) -> Self {
        Self { user, item, weight: None, time: None, user_words: None, item_words: None }
    }
}

/// Rows of who had what, as parallel columns.
#[derive(Debug, Clone, Copy)]
struct Events<'a> {
    users: &'a Column,
    items: &'a Column,
    user_words: Option<&'a [String]>,
    item_words: Option<&'a [String]>,
    weights: Option<&'a [f64]>,
    times: Option<&'a [f64]>,
    last_share: Option<f64>,
}

/// In the time from the first row to the last, the weight of a row for buying again is halved so many times: of 0 to 12 the
/// best, with 1, on the households of a grocer.
const HALVINGS: f64 = 2.0;

impl Interactions {
    /// With `last_share`, and a column of times, the past is what was had before about this share of the rows.
    pub fn from_frame(
        frame: &Frame,
        columns: &Columns,
        last_share: Option<f64>,
        watch: &Watch,
    ) -> Result<Self, Error> {
        let find = |name: &str| {
            frame.column(name).ok_or_else(|| Error::MissingColumn { column: name.to_owned() })
        };
        let weights = columns.weight.map(|name| numbers(find(name)?)).transpose()?;
        let times = columns.time.map(|name| numbers(find(name)?)).transpose()?;
        let events = Events {
            users: find(columns.user)?,
            items: find(columns.item)?,
            user_words: columns.user_words,
            item_words: columns.item_words,
            weights: weights.as_deref(),
            times: times.as_deref(),
            last_share,
        };
        Self::from_events(&events, watch)
    }

    /// From parallel columns. A weight of zero is no interaction; a negative one is refused.
    pub fn from_columns(
        users: &Column,
        items: &Column,
        weights: Option<&[f64]>,
        times: Option<&[f64]>,
        watch: &Watch,
    ) -> Result<Self, Error> {
        let (user_words, item_words, last_share) = (None, None, None);
        let events = Events { users, items, user_words, item_words, weights, times, last_share };
        Self::from_events(&events, watch)
    }

    fn from_events(events: &Events, watch: &Watch) -> Result<Self, Error> {
        let Events { users, items, weights, times, .. } = *events;
        let n_rows = length(users);
        let lengths = [Some(length(items)), weights.map(<[f64]>::len), times.map(<[f64]>::len)];
        if let Some(found) = lengths.into_iter().flatten().find(|&found| found != n_rows) {
            return Err(Error::LengthMismatch { expected: n_rows, found });
        }
        if n_rows >= u32::MAX as usize {
            return Err(Error::TooManyRows { n_rows });
        }
        if let Some(row) = times.and_then(|times| times.iter().position(|time| !time.is_finite())) {
            return Err(Error::MissingTime { row });
        }
        let kept = kept_rows(users, items, weights)?;
        let n_kept = kept.iter().filter(|kept| **kept).count();
        if n_kept == 0 {
            return Err(Error::EmptyInput);
        }
        watch.check()?;
        let (user_keys, user_codes) = keys::encode(users, events.user_words, &kept)?;
        watch.check()?;
        let (item_keys, item_codes) = keys::encode(items, events.item_words, &kept)?;
        watch.check()?;

        let clock = times.map(|times| Clock::of(times, &kept, events.last_share));
        let until = clock.as_ref().and_then(|clock| clock.until);
        let (offsets, rows) = rows_by_user(&user_codes, user_keys.len(), &kept);
        let mut histories = Sparse::new();
        let mut repeats = Vec::new();
        let mut past_weights = until.map(|_| Vec::new());
        let mut history: Vec<(u32, f64, f64)> = Vec::new();
        for user in 0..user_keys.len() {
            if user % 1024 == 0 {
                watch.check()?;
            }
            history.clear();
            history.extend(rows[offsets[user]..offsets[user + 1]].iter().map(|&row| {
                let row = row as usize;
                (item_codes[row], weights.map_or(1.0, |w| w[row]), times.map_or(0.0, |t| t[row]))
            }));
            let by_weight = |a: &(u32, f64, f64), b: &(u32, f64, f64)| {
                a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.total_cmp(&b.2))
            };
            history.sort_unstable_by(by_weight);
            for cell in history.chunk_by(|a, b| a.0 == b.0) {
                let item = cell[0].0;
                let sum = |rows: &mut dyn Iterator<Item = f64>| match weights {
                    Some(_) => rows.sum::<f64>() as f32,
                    None => rows.next().map_or(0.0, |_| 1.0),
                };
                let weight = sum(&mut cell.iter().map(|row| row.1));
                if !weight.is_finite() {
                    return Err(Error::WeightOverflow {
                        user: user_keys.text(user as u32),
                        item: item_keys.text(item),
                    });
                }
                histories.push(item, weight);
                if let (Some(past), Some(until)) = (&mut past_weights, until) {
                    let earlier = cell.iter().filter(|row| row.2 <= until);
                    past.push(sum(&mut earlier.map(|row| row.1)));
                }
                let fresh = |row: &(u32, f64, f64)| {
                    row.1 * clock.as_ref().map_or(1.0, |clock| clock.freshness(row.2))
                };
                repeats.push(cell.iter().map(fresh).sum::<f64>() as f32);
            }
            histories.end_row();
        }
        let has_later = clock.is_some_and(|clock| until.is_some_and(|until| clock.last > until));
        let past = past_weights.map(|weights| Past { weights, has_later });
        Ok(Self { user_keys, item_keys, histories, repeats, past })
    }

    pub fn n_users(&self) -> usize {
        self.user_keys.len()
    }

    pub fn n_items(&self) -> usize {
        self.item_keys.len()
    }

    /// The same users and items with the weights alone that `weight` gives a cell, where that is more than nothing.
    pub(super) fn weighted(&self, weight: impl Fn(usize) -> f32) -> Sparse {
        let mut histories = Sparse::new();
        for user in 0..self.histories.n_rows() {
            for cell in self.histories.offsets[user]..self.histories.offsets[user + 1] {
                let weight = weight(cell);
                if weight > 0.0 {
                    histories.push(self.histories.columns[cell], weight);
                }
            }
            histories.end_row();
        }
        histories
    }
}

/// The times of the rows, as far as they matter.
struct Clock {
    first: f64,
    last: f64,
    /// The moment up to which rows are the past.
    until: Option<f64>,
}

impl Clock {
    fn of(times: &[f64], kept: &[bool], last_share: Option<f64>) -> Self {
        let mut times: Vec<f64> =
            times.iter().zip(kept).filter(|(_, kept)| **kept).map(|(time, _)| *time).collect();
        let (first, last) = times
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &t| (a.min(t), b.max(t)));
        let until = last_share.map(|share| {
            let place = split::n_train(times.len(), share).saturating_sub(1);
            *times.select_nth_unstable_by(place, f64::total_cmp).1
        });
        Self { first, last, until }
    }

    /// How much a row counts for buying again: 1 at the end.
    fn freshness(&self, time: f64) -> f64 {
        let span = self.last - self.first;
        if span > 0.0 { (-HALVINGS * (self.last - time) / span).exp2() } else { 1.0 }
    }
}

fn length(column: &Column) -> usize {
    match &column.values {
        Values::Number(values) => values.len(),
        Values::Integer(values) => values.len(),
        Values::Text { codes, .. } => codes.len(),
    }
}

fn numbers(column: &Column) -> Result<Vec<f64>, Error> {
    match &column.values {
        Values::Number(values) => Ok(values.to_vec()),
        Values::Integer(values) => Ok(values.iter().map(|&value| value as f64).collect()),
        Values::Text { .. } => Err(Error::NotANumber { column: column.name.clone() }),
    }
}

/// Rows whose weight is more than nothing, as the `f32` that it is kept in.
fn kept_rows(users: &Column, items: &Column, weights: Option<&[f64]>) -> Result<Vec<bool>, Error> {
    let Some(weights) = weights else { return Ok(vec![true; length(users)]) };
    let mut kept = Vec::with_capacity(weights.len());
    for (row, &weight) in weights.iter().enumerate() {
        if weight < 0.0 {
            return Err(Error::NegativeWeight {
                user: text(users, row),
                item: text(items, row),
                weight,
            });
        }
        if weight.is_nan() {
            return Err(Error::MissingWeight { row });
        }
        kept.push(weight as f32 > 0.0);
    }
    Ok(kept)
}

fn text(column: &Column, row: usize) -> String {
    match &column.values {
        Values::Number(values) => values[row].to_string(),
        Values::Integer(values) => values[row].to_string(),
        Values::Text { codes, dictionary } => {
            dictionary.get(codes[row] as usize).cloned().unwrap_or_else(|| "NULL".to_owned())
        }
    }
}

/// A counting sort: the kept rows of each user one after the other, and where each user's begin.
fn rows_by_user(codes: &[u32], n_users: usize, kept: &[bool]) -> (Vec<usize>, Vec<u32>) {
    let kept_rows = || codes.iter().zip(kept).enumerate().filter(|(_, (_, kept))| **kept);
    let mut offsets = vec![0usize; n_users + 1];
    kept_rows().for_each(|(_, (&code, _))| offsets[code as usize + 1] += 1);
    for user in 0..n_users {
        offsets[user + 1] += offsets[user];
    }
    let mut next = offsets.clone();
    let mut rows = vec![0u32; offsets[n_users]];
    for (row, (&code, _)) in kept_rows() {
        rows[next[code as usize]] = row as u32;
        next[code as usize] += 1;
    }
    (offsets, rows)
}
