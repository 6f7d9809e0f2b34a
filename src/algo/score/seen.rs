//! Which rows a fit has learnt from, as hashes of a sample of them: whoever measures the model on the same rows can be told.
//!
//! A row is its features and its class, by name and value. Rows of few possible contents meet their like in any source: how many do
//! is told by the fit's own rows, by the share that has a twin among the others. What is found beyond that was in the fit.

use serde::{Deserialize, Serialize};

use super::Scorer;
use super::order::{mix, of_text};
use crate::algo::frame::{Column, Frame, MISSING, Values};
use crate::algo::memory::{self, Refused};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Rows whose hash is at most this are of the sample.
    limit: u64,
    /// Rows of the fit that are of the sample, and how many of them have a twin.
    n_rows: u64,
    n_twins: u64,
    /// In order, each once.
    hashes: Vec<u64>,
}

/// Contents that are kept, about: a quarter of a megabyte for a version.
const KEPT: usize = 32_768;
/// A larger share of rows that were in the fit is told.
const TOLERATED: f64 = 0.01;
/// Standard deviations of chance that are not taken for rows of the fit.
const DEVIATIONS: f64 = 3.0;

impl Seen {
    /// Of these rows of a frame, all of whose columns are features.
    pub fn new(frame: &Frame, labels: &[bool], rows: &[usize]) -> Result<Self, Refused> {
        let all = hashes(frame.columns.iter(), labels)?;
        let limit = match rows.len() {
            n if n <= KEPT => u64::MAX,
            n => (u64::MAX as f64 * (KEPT as f64 / n as f64)) as u64,
        };
        let mut hashes = Vec::new();
        for hash in rows.iter().map(|&row_idx| all[row_idx]).filter(|hash| *hash <= limit) {
            memory::push(&mut hashes, hash)?;
        }
        hashes.sort_unstable();
        let n_rows = hashes.len() as u64;
        let alone = hashes.chunk_by(|a, b| a == b).filter(|same| same.len() == 1).count() as u64;
        hashes.dedup();
        hashes.shrink_to_fit();
        Ok(Self { limit, n_rows, n_twins: n_rows - alone, hashes })
    }

    /// About which share of rows the fit has learnt from, where that is more than may be.
    pub fn share_of(
        &self,
        scorer: &Scorer,
        frame: &Frame,
        labels: &[bool],
    ) -> Result<Option<f64>, Refused> {
        let features = scorer.inputs.iter().filter_map(|input| frame.column(&input.name));
        let (mut n, mut found) = (0.0, 0.0);
        for hash in hashes(features, labels)?.into_iter().filter(|hash| *hash <= self.limit) {
            n += 1.0;
            found += f64::from(u8::from(self.hashes.binary_search(&hash).is_ok()));
        }
        let of_fit = self.n_rows as f64;
        let by_chance = if of_fit > 0.0 { (self.n_twins as f64 / of_fit).min(1.0) } else { 0.0 };
        let surplus = found - n * by_chance;
        // Of none among few nobody knows that there is none: Laplace's rule.
        let chance = ((self.n_twins as f64 + 1.0) / (of_fit + 2.0)).min(1.0);
        let variance = chance * (1.0 - chance) * (n + n * n / of_fit.max(1.0));
        if surplus <= DEVIATIONS * variance.sqrt() {
            return Ok(None);
        }
        let share = surplus / (n * (1.0 - by_chance));
        Ok((share > TOLERATED).then_some(share.min(1.0)))
    }
}

/// The hash of each row, whatever the order of the columns.
fn hashes<'a>(
    columns: impl Iterator<Item = &'a Column>,
    labels: &[bool],
) -> Result<Vec<u64>, Refused> {
    let mut hashes = memory::collect(labels.iter().map(|&label| u64::from(label)))?;
    for column in columns {
        let name = of_text(&column.name);
        let mut add = |row_idx: usize, word: u64| {
            hashes[row_idx] = hashes[row_idx].wrapping_add(mix(name ^ mix(word)));
        };
        // A missing value is none of the others: NaN has many forms.
        let number = |value: f64| if value.is_nan() { u64::MAX } else { (value + 0.0).to_bits() };
        match &column.values {
            Values::Number(values) => {
                values.iter().enumerate().for_each(|(row, value)| add(row, number(*value)));
            }
            Values::Integer(values) => {
                values.iter().enumerate().for_each(|(row, &value)| add(row, number(value as f64)));
            }
            Values::Text { codes, dictionary } => {
                let by_code = memory::collect(dictionary.iter().map(|text| of_text(text)))?;
                codes.iter().enumerate().for_each(|(row, &code)| {
                    add(row, if code == MISSING { u64::MAX } else { by_code[code as usize] });
                });
            }
        }
    }
    hashes.iter_mut().for_each(|hash| *hash = mix(*hash));
    Ok(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::random::Random;
    use crate::algo::score::{Params, fit};
    use crate::algo::stop::Watch;

    /// Rows of a number with so many values and a text, with labels.
    fn sample(n_rows: usize, n_values: usize, seed: i64) -> (Frame, Vec<bool>) {
        let mut random = Random::new(seed, 0);
        let x: Vec<f64> = (0..n_rows).map(|_| random.below(n_values) as f64 / 8.0).collect();
        let c: Vec<_> =
            (0..n_rows).map(|_| [Some("a"), None, Some("b")][random.below(3)]).collect();
        let labels = (0..n_rows).map(|_| random.below(2) == 1).collect();
        let columns = vec![Column::number("x", x), Column::text("c", c)];
        (Frame { n_rows, columns }, labels)
    }

    fn scorer(frame: &Frame, labels: &[bool]) -> Scorer {
        let target = Column::integer("y", labels.iter().map(|&label| i64::from(label)).collect());
        fit(frame, &target, &Params::default().check().unwrap(), &Watch::new()).unwrap().scorer
    }

    /// The share that is told of the first `n_known` rows of the fit together with `n_new` others.
    fn told(n_fit: usize, n_values: usize, n_known: usize, n_new: usize) -> Option<f64> {
        let (frame, labels) = sample(n_fit + n_new, n_values, 1);
        let seen = Seen::new(&frame, &labels, &(0..n_fit).collect::<Vec<_>>()).unwrap();
        let scorer = scorer(&frame, &labels);
        let rows: Vec<usize> = (0..n_known).chain(n_fit..n_fit + n_new).collect();
        let columns = frame.columns.iter().rev().map(|column| Column {
            name: column.name.clone(),
            values: match &column.values {
                Values::Number(values) => {
                    Values::Number(rows.iter().map(|&row| values[row]).collect::<Vec<_>>().into())
                }
                Values::Integer(values) => {
                    Values::Integer(rows.iter().map(|&row| values[row]).collect::<Vec<_>>().into())
                }
                Values::Text { codes, dictionary } => Values::Text {
                    codes: rows.iter().map(|&row| codes[row]).collect::<Vec<_>>().into(),
                    dictionary: dictionary.clone(),
                },
            },
        });
        let later = Frame { n_rows: rows.len(), columns: columns.collect() };
        let labels: Vec<bool> = rows.iter().map(|&row| labels[row]).collect();
        seen.share_of(&scorer, &later, &labels).unwrap()
    }

    #[track_caller]
    fn check(found: Option<f64>, expected: Option<f64>) {
        match (found, expected) {
            (Some(found), Some(expected)) => {
                assert!((found - expected).abs() < 0.1, "{found} instead of {expected}");
            }
            (found, expected) => assert_eq!(found, expected),
        }
    }

    #[test]
    fn rows_of_the_fit_are_told_and_others_are_not() {
        let many = 1 << 40;
        check(told(5_000, many, 5_000, 0), Some(1.0));
        check(told(5_000, many, 500, 500), Some(0.5));
        check(told(5_000, many, 0, 3_000), None);
        check(told(5_000, many, 5, 3_000), None);
        check(told(5_000, many, 3, 0), Some(1.0));
        // A sample of the contents alone is kept.
        check(told(200_000, many, 2_000, 8_000), Some(0.2));
        check(told(200_000, many, 0, 5_000), None);
    }

    #[test]
    fn twins_by_chance_are_not_taken_for_rows_of_the_fit() {
        // Nearly every row has a twin.
        check(told(5_000, 10, 0, 3_000), None);
        check(told(5_000, 10, 3_000, 0), None);
        // A third of the rows have one.
        check(told(5_000, 2_000, 0, 3_000), None);
        check(told(5_000, 2_000, 3_000, 0), Some(1.0));
    }
}
