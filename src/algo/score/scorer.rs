//! A fitted scorer: what is stored, checked when it comes back, and applied to rows.
//!
//! The score of a row is sigmoid(intercept + the contribution of each input). The parts are added in the order of the
//! inputs wherever rows are scored, so a row has the same bits alone and in a frame.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Error;
use super::fit::Metrics;
use super::logistic::sigmoid;
use super::pipeline::{Input, Kind, Slots, standardise};
use super::target;
use crate::algo::encoded;
use crate::algo::frame::{Column, Frame, MISSING, Values};
use crate::algo::memory;
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
        let mut scores = memory::filled(self.intercept, frame.n_rows)?;
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
        encoded::to_bytes(self).map_err(|error| match error {
            encoded::Error::Refused(refused) => refused.into(),
            error => bad_model(error),
        })
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
