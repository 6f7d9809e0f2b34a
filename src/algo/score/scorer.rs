//! A fitted scorer: what is stored, checked when it comes back, and applied to rows.
//!
//! The score of a row is sigmoid(intercept + the contribution of each input). The parts are added in the order of the
//! inputs wherever rows are scored, so a row has the same bits alone and in a frame.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Error;
use super::fit::Metrics;
use super::logistic::sigmoid;
use super::pipeline::{Input, Kind, Slots, standardise};
use super::target;
use crate::algo::frame::{Column, Frame, MISSING, Values};
use crate::algo::stop::{Stopped, Watch};

pub const FORMAT: u16 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scorer {
    pub format: u16,
    pub inputs: Vec<Input>,
    /// As many for each input as it is wide, in the order of the inputs.
    pub coefficients: Vec<f64>,
    pub intercept: f64,
    /// In sort order.
    pub classes: [String; 2],
    /// The position in `classes` of the class whose probability is the score.
    pub positive: u8,
    /// Of the rows held out; none where none were.
    pub metrics: Option<Metrics>,
    /// How many rows the coefficients were learnt from.
    pub n_rows: u64,
}

/// One value of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// NaN is a missing number.
    Number(f64),
    Text(Option<&'a str>),
}

impl Scorer {
    pub fn positive_class(&self) -> &str {
        &self.classes[usize::from(self.positive)]
    }

    /// The more probable class, given the probability of the positive one; the first of the two where they are equal.
    pub fn label(&self, probability: f64) -> &str {
        let is_positive = probability > 0.5 || (probability == 0.5 && self.positive == 0);
        &self.classes[if is_positive { self.positive } else { 1 - self.positive } as usize]
    }

    /// Per row of a target, whether it is of the positive class, as the fit would have coded it.
    pub fn labels(&self, target: &Column) -> Result<Vec<bool>, Error> {
        target::labels(target, &self.classes, usize::from(self.positive))
    }

    /// The form that scores rows; built once for many rows.
    pub fn prepare(&self) -> Prepared {
        let mut weights = self.coefficients.as_slice();
        let mut inputs = Vec::with_capacity(self.inputs.len());
        for input in &self.inputs {
            let (own, rest) = weights.split_at(input.width());
            inputs.push(PreparedInput::new(&input.kind, own));
            weights = rest;
        }
        Prepared { intercept: self.intercept, inputs }
    }

    /// The score of one row, its cells in the order of the inputs. For many rows, [`Scorer::prepare`] once.
    pub fn score_row(&self, row: &[Cell]) -> f64 {
        self.prepare().score_row(row)
    }

    /// The score of every row; columns are found by name, in any order, and others may stand beside them.
    pub fn score_frame(&self, frame: &Frame, watch: &Watch) -> Result<Vec<f64>, Error> {
        let prepared = self.prepare();
        let mut columns = Vec::with_capacity(self.inputs.len());
        for (input, prepared_input) in self.inputs.iter().zip(&prepared.inputs) {
            let name = || input.name.clone();
            let column =
                frame.column(&input.name).ok_or_else(|| Error::MissingColumn { name: name() })?;
            columns.push(match (prepared_input, &column.values) {
                (PreparedInput::Number { .. }, Values::Number(values)) => Source::Number(values),
                (PreparedInput::Number { .. }, Values::Integer(values)) => Source::Integer(values),
                (PreparedInput::Number { .. }, Values::Text { .. }) => {
                    return Err(Error::ColumnType { name: name(), expected: "a number" });
                }
                (PreparedInput::Category { .. }, Values::Text { codes, dictionary }) => {
                    let level =
                        |level: &String| prepared_input.contribution(Cell::Text(Some(level)));
                    Source::Text { codes, by_code: dictionary.iter().map(level).collect() }
                }
                (PreparedInput::Category { .. }, _) => {
                    return Err(Error::ColumnType { name: name(), expected: "text" });
                }
            });
        }
        let mut scores = vec![self.intercept; frame.n_rows];
        scores.par_chunks_mut(CHUNK).enumerate().try_for_each(|(chunk_idx, chunk)| {
            watch.check()?;
            let start = chunk_idx * CHUNK;
            for (source, input) in columns.iter().zip(&prepared.inputs) {
                source.add_to(chunk, start, input);
            }
            chunk.iter_mut().for_each(|score| *score = sigmoid(*score));
            Ok::<(), Stopped>(())
        })?;
        Ok(scores)
    }

    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        postcard::to_stdvec(self).map_err(bad_model)
    }

    /// Reads what [`Scorer::to_bytes`] wrote, from a source that need not be trusted.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        // The format comes first, so that a newer one is named as such.
        let (format, _) = postcard::take_from_bytes::<u16>(bytes).map_err(bad_model)?;
        check_format(format)?;
        let scorer: Self = postcard::from_bytes(bytes).map_err(bad_model)?;
        scorer.check()?;
        Ok(scorer)
    }

    pub fn to_json(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(bad_model)
    }

    pub fn from_json(json: &str) -> Result<Self, Error> {
        let scorer: Self = serde_json::from_str(json).map_err(bad_model)?;
        scorer.check()?;
        Ok(scorer)
    }

    /// Whether the parts fit together, so that scoring needs no checks of its own.
    pub fn check(&self) -> Result<(), Error> {
        check_format(self.format)?;
        let holds = |holds: bool, reason: &str| {
            if holds { Ok(()) } else { Err(bad_model(reason)) }
        };
        holds(!self.inputs.is_empty(), "it has no inputs")?;
        let names: HashSet<&str> = self.inputs.iter().map(|input| input.name.as_str()).collect();
        holds(names.len() == self.inputs.len(), "an input name appears twice")?;
        let width: usize = self.inputs.iter().map(Input::width).sum();
        holds(width == self.coefficients.len(), "coefficients and inputs differ in number")?;
        let mut weights = self.coefficients.iter().chain([&self.intercept]);
        // False for NaN too.
        let bounded = weights.all(|weight| weight.abs() <= COEFFICIENT_LIMIT);
        holds(bounded, "a coefficient is not finite or huge")?;
        for input in &self.inputs {
            holds((0.0..=1.0).contains(&input.missing_share), "a missing share is not a share")?;
            match &input.kind {
                Kind::Number { mean, center, scale } => {
                    holds(mean.is_finite() && center.is_finite(), "a mean is not finite")?;
                    holds(scale.is_normal() && *scale > 0.0, "a scale is not positive")?;
                }
                Kind::Category { levels, .. } => {
                    holds(input.width() > 0, "a text input has no level")?;
                    let distinct: HashSet<&String> = levels.iter().collect();
                    holds(distinct.len() == levels.len(), "a level appears twice")?;
                }
            }
        }
        holds(self.classes[0] != self.classes[1], "its classes are one")?;
        holds(self.positive < 2, "its positive class is not one of its classes")?;
        holds(self.metrics.as_ref().is_none_or(Metrics::is_finite), "a metric is not finite")
    }
}

fn check_format(format: u16) -> Result<(), Error> {
    if format == FORMAT {
        return Ok(());
    }
    Err(bad_model(format!("its format is {format}, this version reads {FORMAT}")))
}

fn bad_model(reason: impl ToString) -> Error {
    Error::BadModel { reason: reason.to_string() }
}

/// Times [`super::pipeline::STANDARDISED_LIMIT`] it is still finite, so no sum of contributions is inf - inf. No fit comes near.
const COEFFICIENT_LIMIT: f64 = 1e200;

/// Rows between two looks at the watch: about a tenth of a millisecond for ten columns.
const CHUNK: usize = 4096;

/// Where a frame keeps the values of an input.
enum Source<'a> {
    Number(&'a [f64]),
    Integer(&'a [i64]),
    /// `by_code` is what each level of the frame's dictionary contributes.
    Text {
        codes: &'a [u32],
        by_code: Vec<f64>,
    },
}

impl Source<'_> {
    fn add_to(&self, scores: &mut [f64], start: usize, input: &PreparedInput) {
        let rows = start..start + scores.len();
        match self {
            Source::Number(values) => scores
                .iter_mut()
                .zip(&values[rows])
                .for_each(|(score, &value)| *score += input.contribution(Cell::Number(value))),
            Source::Integer(values) => {
                scores.iter_mut().zip(&values[rows]).for_each(|(score, &value)| {
                    *score += input.contribution(Cell::Number(value as f64))
                })
            }
            Source::Text { codes, by_code } => {
                let missing = input.contribution(Cell::Text(None));
                for (score, &code) in scores.iter_mut().zip(&codes[rows]) {
                    *score += if code == MISSING { missing } else { by_code[code as usize] };
                }
            }
        }
    }
}

/// A scorer ready to score rows: levels are found by hash, and no row allocates.
#[derive(Debug, Clone)]
pub struct Prepared {
    intercept: f64,
    inputs: Vec<PreparedInput>,
}

#[derive(Debug, Clone)]
enum PreparedInput {
    Number { mean: f64, center: f64, scale: f64, weight: f64 },
    Category { weights: HashMap<String, f64>, missing: f64, other: f64 },
}

impl Prepared {
    pub fn n_inputs(&self) -> usize {
        self.inputs.len()
    }

    /// The probability of the positive class. A cell of the other type, or beyond the end of the row, counts as missing.
    pub fn score_row(&self, row: &[Cell]) -> f64 {
        sigmoid(self.contributions(row).fold(self.intercept, |sum, part| sum + part))
    }

    /// The log-odds before any input adds to them.
    pub fn intercept(&self) -> f64 {
        self.intercept
    }

    /// What the cell of one input adds to the log-odds, for a caller that has the cells one after the other. The
    /// [`sigmoid`] of the sum, taken in the order of the inputs, has the bits of [`Prepared::score_row`].
    #[inline]
    pub fn contribution(&self, input_idx: usize, cell: Cell) -> f64 {
        self.inputs.get(input_idx).map_or(0.0, |input| input.contribution(cell))
    }

    /// What each input adds to the log-odds.
    pub fn contributions(&self, row: &[Cell]) -> impl Iterator<Item = f64> {
        self.inputs.iter().enumerate().map(|(input_idx, input)| {
            input.contribution(row.get(input_idx).copied().unwrap_or(Cell::Text(None)))
        })
    }
}

impl PreparedInput {
    fn new(kind: &Kind, own: &[f64]) -> Self {
        match kind {
            &Kind::Number { mean, center, scale } => {
                let weight = own.first().copied().unwrap_or(0.0);
                Self::Number { mean, center, scale, weight }
            }
            Kind::Category { levels, .. } => {
                let slots = Slots::new(kind);
                let weight = |slot: Option<usize>| {
                    slot.and_then(|slot| own.get(slot)).copied().unwrap_or(0.0)
                };
                Self::Category {
                    weights: levels.iter().cloned().zip(own.iter().copied()).collect(),
                    missing: weight(slots.missing()),
                    other: weight(slots.other()),
                }
            }
        }
    }

    #[inline]
    fn contribution(&self, cell: Cell) -> f64 {
        match (self, cell) {
            (&Self::Number { mean, center, scale, weight }, cell) => {
                let value = if let Cell::Number(value) = cell { value } else { f64::NAN };
                weight * standardise(value, mean, center, scale)
            }
            (Self::Category { weights, other, .. }, Cell::Text(Some(level))) => {
                weights.get(level).copied().unwrap_or(*other)
            }
            (Self::Category { missing, .. }, _) => *missing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::frame::Column;

    pub(crate) fn sample() -> Scorer {
        let number = |name: &str| Input {
            name: name.into(),
            missing_share: 0.25,
            kind: Kind::Number { mean: 2.0, center: 2.0, scale: 4.0 },
        };
        let levels = vec!["a".into(), "".into()];
        let text = Kind::Category { levels, missing: true, other: true };
        Scorer {
            format: FORMAT,
            inputs: vec![
                number("x"),
                Input { name: "c".into(), missing_share: 0.5, kind: text },
                number("y"),
            ],
            coefficients: vec![1.0, 0.1, 0.2, 0.3, 0.4, -0.5],
            intercept: 0.05,
            classes: ["no".into(), "yes".into()],
            positive: 1,
            metrics: None,
            n_rows: 10,
        }
    }

    #[track_caller]
    fn check_score(row: &[Cell], log_odds: f64) {
        let found = sample().score_row(row);
        assert!((found - sigmoid(log_odds)).abs() < 1e-15, "{found}");
    }

    #[track_caller]
    fn check_refused(spoil: impl Fn(&mut Scorer), reason: &str) {
        let mut scorer = sample();
        spoil(&mut scorer);
        assert_eq!(scorer.check(), Err(bad_model(reason)));
        let bytes = scorer.to_bytes().unwrap();
        assert_eq!(Scorer::from_bytes(&bytes), Err(bad_model(reason)));
    }

    #[test]
    fn a_row_adds_up_its_parts() {
        let (x, y) = (Cell::Number(6.0), Cell::Number(2.0));
        check_score(&[x, Cell::Text(Some("a")), y], 0.05 + 1.0 + 0.1);
        check_score(&[x, Cell::Text(Some("")), y], 0.05 + 1.0 + 0.2);
        check_score(&[x, Cell::Text(None), y], 0.05 + 1.0 + 0.3);
        check_score(&[x, Cell::Text(Some("unseen")), y], 0.05 + 1.0 + 0.4);
    }

    #[test]
    fn missing_numbers_and_missing_cells_count_as_the_mean() {
        let level = Cell::Text(Some("a"));
        check_score(&[Cell::Number(f64::NAN), level, Cell::Number(6.0)], 0.05 + 0.1 - 0.5);
        check_score(&[Cell::Text(Some("text")), level], 0.05 + 0.1);
        check_score(&[], 0.05 + 0.3);
    }

    #[test]
    fn huge_values_of_both_signs_still_give_a_probability() {
        let row = [Cell::Number(f64::MAX), Cell::Text(None), Cell::Number(f64::INFINITY)];
        assert_eq!(sample().score_row(&row), 1.0);
        let row = [Cell::Number(f64::NEG_INFINITY), Cell::Text(None), Cell::Number(f64::MIN)];
        assert_eq!(sample().score_row(&row), 0.0);
    }

    #[test]
    fn a_frame_scores_as_its_rows_bit_for_bit_on_any_number_of_threads() {
        let n_rows = 10_000;
        let x = |i: usize| if i.is_multiple_of(7) { f64::NAN } else { (i as f64).sin() * 9.0 };
        let y = |i: usize| i as i64 % 11;
        let c = |i: usize| [Some("a"), Some(""), None, Some("z")][i % 4];
        let columns = vec![
            Column::integer("y", (0..n_rows).map(y).collect()),
            Column::text("beside", (0..n_rows).map(|_| None)),
            Column::number("x", (0..n_rows).map(x).collect()),
            Column::text("c", (0..n_rows).map(c)),
        ];
        let frame = Frame { n_rows, columns };
        let scorer = sample();
        let prepared = scorer.prepare();
        let rows: Vec<f64> = (0..n_rows)
            .map(|i| [Cell::Number(x(i)), Cell::Text(c(i)), Cell::Number(y(i) as f64)])
            .map(|row| prepared.score_row(&row))
            .collect();
        for n_threads in [1, 2, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            let scores = pool.install(|| scorer.score_frame(&frame, &Watch::new()).unwrap());
            assert!(scores == rows);
        }
    }

    #[test]
    fn frames_that_do_not_fit_are_refused_by_column() {
        let score = |columns| {
            sample().score_frame(&Frame { n_rows: 1, columns }, &Watch::new()).unwrap_err()
        };
        assert_eq!(score(vec![]), Error::MissingColumn { name: "x".into() });
        let text = Column::text("x", [None]);
        let expected = Error::ColumnType { name: "x".into(), expected: "a number" };
        assert_eq!(score(vec![text]), expected);
        let number = |name| Column::number(name, vec![1.0]);
        let expected = Error::ColumnType { name: "c".into(), expected: "text" };
        assert_eq!(score(vec![number("x"), number("c")]), expected);
    }

    #[test]
    fn bytes_and_json_give_the_same_scorer_back() {
        let mut scorer = sample();
        scorer.metrics = Some(Metrics::new(&[true, false, true], &[0.3, 0.1, 0.9], 7));
        scorer.intercept = 0.1 + 0.2;
        assert_eq!(Scorer::from_bytes(&scorer.to_bytes().unwrap()), Ok(scorer.clone()));
        assert_eq!(Scorer::from_json(&scorer.to_json().unwrap()), Ok(scorer));
    }

    #[test]
    fn parts_that_do_not_fit_together_are_refused() {
        check_refused(|s| s.format = 2, "its format is 2, this version reads 1");
        check_refused(|s| s.inputs.clear(), "it has no inputs");
        check_refused(|s| s.inputs[1].name = "x".into(), "an input name appears twice");
        check_refused(|s| s.coefficients.truncate(5), "coefficients and inputs differ in number");
        check_refused(|s| s.coefficients[0] = f64::NAN, "a coefficient is not finite or huge");
        check_refused(|s| s.coefficients[1] = -1e300, "a coefficient is not finite or huge");
        check_refused(|s| s.intercept = f64::INFINITY, "a coefficient is not finite or huge");
        check_refused(|s| s.inputs[0].missing_share = 2.0, "a missing share is not a share");
        let number = |mean, scale| Kind::Number { mean, center: 0.0, scale };
        check_refused(|s| s.inputs[0].kind = number(f64::NAN, 1.0), "a mean is not finite");
        check_refused(|s| s.inputs[0].kind = number(0.0, 0.0), "a scale is not positive");
        let text = |levels| Kind::Category { levels, missing: false, other: false };
        check_refused(
            |s| s.inputs[1].kind = text(["a"; 4].map(String::from).to_vec()),
            "a level appears twice",
        );
        check_refused(|s| s.classes[0] = "yes".into(), "its classes are one");
        check_refused(|s| s.positive = 2, "its positive class is not one of its classes");
        let metrics = Metrics::new(&[], &[], 0);
        check_refused(|s| s.metrics = Some(metrics.clone()), "a metric is not finite");
    }

    #[test]
    fn damaged_bytes_are_refused_or_harmless() {
        let bytes = sample().to_bytes().unwrap();
        for length in 0..bytes.len() {
            assert!(Scorer::from_bytes(&bytes[..length]).is_err());
        }
        for position in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[position] ^= 1 << bit;
                if let Ok(scorer) = Scorer::from_bytes(&damaged) {
                    let score = scorer.score_row(&[Cell::Number(1.0), Cell::Text(None)]);
                    assert!((0.0..=1.0).contains(&score));
                }
            }
        }
    }

    /// Not a test of anything but speed: `cargo test --release -- --ignored --nocapture score_row_speed`.
    #[test]
    #[ignore = "needs data or quiet: run by hand, as the comment says"]
    fn score_row_speed() {
        let mut scorer = sample();
        let number = scorer.inputs[0].clone();
        scorer.inputs = (0..8).map(|i| Input { name: format!("x{i}"), ..number.clone() }).collect();
        scorer.coefficients = vec![0.1; 8];
        let prepared = scorer.prepare();
        let start = std::time::Instant::now();
        let n = 1_000_000;
        let sum: f64 =
            (0..n).map(|i| prepared.score_row(&[Cell::Number(f64::from(i % 100)); 8])).sum();
        println!("{:?} a row ({sum})", start.elapsed() / n as u32);
    }
}
