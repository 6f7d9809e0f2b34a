//! Log-odds that are a sum, to which each input adds what its value says by itself: what linear models and naive Bayes score by.
//!
//! The score of a row is sigmoid(intercept + the part of each input). The parts are added in the order of the inputs wherever
//! rows are scored, so a row has the same bits alone and in a frame.

use std::collections::HashMap;

use rayon::prelude::*;

use super::Error;
use super::inputs::{Cell, Input, Kind, Row, Slots, sources};
use crate::algo::frame::Frame;
use crate::algo::memory;
use crate::algo::stop::{Stopped, Watch};

/// What a number says, in log-odds. NaN is a missing one.
pub trait OfNumber: Copy + Sync {
    fn part(&self, value: f64) -> f64;
}

/// How the values of a number are standardised.
#[derive(Debug, Clone, Copy)]
pub struct Encoding {
    pub mean: f64,
    pub center: f64,
    pub scale: f64,
}

/// Ready to score rows: levels are found by hash, and no row allocates.
#[derive(Debug, Clone)]
pub struct Additive<N> {
    pub intercept: f64,
    /// One for each input.
    pub parts: Vec<Part<N>>,
}

#[derive(Debug, Clone)]
pub enum Part<N> {
    Number(N),
    Category { levels: HashMap<String, f64>, missing: f64, other: f64 },
}

pub fn sigmoid(x: f64) -> f64 {
    // exp of a negative number alone, so that neither end overflows.
    let e = (-x.abs()).exp();
    if x >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}

/// Rows between two looks at the watch: about a tenth of a millisecond for ten columns.
const CHUNK: usize = 4096;

impl<N: OfNumber> Additive<N> {
    /// From `weights`, as many for each input as it is wide, in the order of the inputs. Those of a text are what each of its slots
    /// says; `number` makes the part of a number of its encoding and weights.
    pub fn new(
        intercept: f64,
        inputs: &[Input],
        mut weights: &[f64],
        mut number: impl FnMut(Encoding, &[f64]) -> N,
    ) -> Self {
        let mut parts = Vec::with_capacity(inputs.len());
        for input in inputs {
            let (own, rest) = weights.split_at(input.width().min(weights.len()));
            weights = rest;
            parts.push(match &input.kind {
                &Kind::Number { mean, center, scale, .. } => {
                    Part::Number(number(Encoding { mean, center, scale }, own))
                }
                kind @ Kind::Category { levels, .. } => {
                    let slots = Slots::new(kind);
                    let weight = |slot: Option<usize>| {
                        slot.and_then(|slot| own.get(slot)).copied().unwrap_or(0.0)
                    };
                    Part::Category {
                        levels: levels.iter().cloned().zip(own.iter().copied()).collect(),
                        missing: weight(slots.missing()),
                        other: weight(slots.other()),
                    }
                }
            });
        }
        Self { intercept, parts }
    }

    /// The probability of the positive class. A cell of the other type counts as missing.
    #[inline]
    pub fn score<R: Row>(&self, row: R) -> Result<f64, R::Error> {
        let mut log_odds = self.intercept;
        row.cells(|input_idx, cell| {
            log_odds += self.parts.get(input_idx).map_or(0.0, |part| part.of(cell));
        })?;
        Ok(sigmoid(log_odds))
    }

    /// The score of every row; columns are found by name, in any order, and others may stand beside them.
    pub fn score_frame(
        &self,
        inputs: &[Input],
        frame: &Frame,
        watch: &Watch,
    ) -> Result<Vec<f64>, Error> {
        let columns = sources(inputs, frame, |input_idx, cell| {
            self.parts.get(input_idx).map_or(0.0, |part| part.of(cell))
        })?;
        let mut scores = memory::filled(self.intercept, frame.n_rows)?;
        scores.par_chunks_mut(CHUNK).enumerate().try_for_each(|(chunk_idx, chunk)| {
            watch.check()?;
            let start = chunk_idx * CHUNK;
            for (source, part) in columns.iter().zip(&self.parts) {
                let number = |value| part.of(Cell::Number(value));
                source.put(start, chunk.iter_mut(), number, |score, said| *score += said);
            }
            chunk.iter_mut().for_each(|score| *score = sigmoid(*score));
            Ok::<(), Stopped>(())
        })?;
        Ok(scores)
    }
}

impl<N: OfNumber> Part<N> {
    /// What the cell adds to the log-odds.
    #[inline]
    fn of(&self, cell: Cell) -> f64 {
        match (self, cell) {
            (Self::Number(number), cell) => {
                number.part(if let Cell::Number(value) = cell { value } else { f64::NAN })
            }
            (Self::Category { levels, other, .. }, Cell::Category(Some(level))) => {
                levels.get(level).copied().unwrap_or(*other)
            }
            (Self::Category { missing, .. }, _) => *missing,
        }
    }
}
