//! Which rows a fit has learnt from, as hashes of a sample of them: whoever measures the model on the same rows can be told.
//!
//! A row is its features and its class, by name and value. A content that the fit saw more than once says nothing: it meets its
//! like in any source. Of the others some are met by chance, too: as often as the fit's own rows tell (Good 1953): of contents that
//! were seen once, a new row meets one with twice the frequency of those that were seen twice. What is found beyond that was in the fit.

use serde::{Deserialize, Serialize};

use crate::algo::frame::{Column, Frame, MISSING, Values};
use crate::algo::memory::{self, Refused};
use crate::algo::score::inputs::Input;
use crate::algo::score::inputs::order::{mix, of_text};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Rows whose hash is at most this are of the sample.
    limit: u64,
    /// How many contents the fit saw twice.
    n_pairs: u64,
    /// Those that it saw once, in order.
    alone: Vec<u64>,
    /// Those that it saw more often, in order.
    common: Vec<u64>,
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
        let (mut n_pairs, mut alone, mut common) = (0, Vec::new(), Vec::new());
        for same in hashes.chunk_by(|a, b| a == b) {
            n_pairs += u64::from(same.len() == 2);
            memory::push(if same.len() == 1 { &mut alone } else { &mut common }, same[0])?;
        }
        Ok(Self { limit, n_pairs, alone, common })
    }

    /// About which share of rows the fit has learnt from, where that is more than may be: judged by those whose content is rare.
    pub fn share_of(
        &self,
        inputs: &[Input],
        frame: &Frame,
        labels: &[bool],
    ) -> Result<Option<f64>, Refused> {
        let features = inputs.iter().filter_map(|input| frame.column(&input.name));
        let is_among = |known: &[u64], hash: u64| known.binary_search(&hash).is_ok();
        let (mut n, mut found) = (0.0, 0.0);
        for hash in hashes(features, labels)?.into_iter().filter(|hash| *hash <= self.limit) {
            if !is_among(&self.common, hash) {
                n += 1.0;
                found += f64::from(u8::from(is_among(&self.alone, hash)));
            }
        }
        // New rows of rare contents, by what the fit saw once: those that it has seen, among these and those that it has not.
        let (met, new) = (2.0 * self.n_pairs as f64, self.alone.len() as f64);
        let by_chance = if met > 0.0 { met / (met + new) } else { 0.0 };
        let surplus = found - n * by_chance;
        // Of none among few nobody knows that there is none: Laplace's rule.
        let chance = (met + 1.0) / (met + new + 2.0);
        let variance = chance * (1.0 - chance) * (n + n * n / (met + new).max(1.0));
        if surplus <= DEVIATIONS * variance.sqrt() {
            return Ok(None);
        }
        // Of a share s of rows of the fit those that are rare are found, s · new, and of the others, of which more are rare, some:
        // found / n = (s · new + (1 - s) · met) / (s · new + (1 - s) · (new + met)).
        let rate = found / n;
        let share = (rate * (new + met) - met) / (new - met + rate * met);
        // Where nearly all meet their like by chance, nothing can be told.
        let is_told = share > TOLERATED && new > met;
        Ok(is_told.then_some(share.min(1.0)))
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

    fn inputs(frame: &Frame, labels: &[bool]) -> Vec<Input> {
        let target = Column::integer("y", labels.iter().map(|&label| i64::from(label)).collect());
        fit(frame, &target, &Params::default().check().unwrap(), &Watch::new())
            .unwrap()
            .scorer
            .inputs
    }

    /// The share that is told of the first `n_known` rows of the fit together with `n_new` others.
    fn told(n_fit: usize, n_values: usize, n_known: usize, n_new: usize) -> Option<f64> {
        let (frame, labels) = sample(n_fit + n_new, n_values, 1);
        let seen = Seen::new(&frame, &labels, &(0..n_fit).collect::<Vec<_>>()).unwrap();
        let inputs = inputs(&frame, &labels);
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
        seen.share_of(&inputs, &later, &labels).unwrap()
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
    fn a_slice_of_what_is_common_says_nothing() {
        // Three rows in four have one number, of which there are few contents; the others are alone.
        let rows = |seed: i64| {
            let (mut frame, labels) = sample(6_000, 1 << 40, seed);
            if let Values::Number(values) = &mut frame.columns[0].values {
                (0..6_000).filter(|row| row % 4 > 0).for_each(|row| values[row] = 0.0);
            }
            (frame, labels)
        };
        let (frame, labels) = rows(1);
        let seen = Seen::new(&frame, &labels, &(0..6_000).collect::<Vec<_>>()).unwrap();
        let inputs = inputs(&frame, &labels);
        assert_eq!(seen.share_of(&inputs, &frame, &labels).unwrap(), Some(1.0));
        let (later, labels) = rows(2);
        assert_eq!(seen.share_of(&inputs, &later, &labels).unwrap(), None);
        let common: Vec<usize> = (0..6_000).filter(|row| row % 4 > 0).collect();
        let columns = later.columns.iter().map(|column| match &column.values {
            Values::Number(_) => Column::number(&column.name, vec![0.0; common.len()]),
            _ => Column::text(&column.name, common.iter().map(|_| Some("a"))),
        });
        let slice = Frame { n_rows: common.len(), columns: columns.collect() };
        let labels: Vec<bool> = common.iter().map(|&row| labels[row]).collect();
        assert_eq!(seen.share_of(&inputs, &slice, &labels).unwrap(), None);
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
