//! A fitted scorer: what is stored, checked when it comes back, and applied to rows.

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::Error;
use super::inputs::{self, Cell, Cells, Input, Kind};
use super::learner::{Learner, Prepared};
use super::measure::Metrics;
use crate::algo::encoded;
use crate::algo::frame::{Column, Frame};
use crate::algo::stop::Watch;

pub const FORMAT: u16 = 3;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scorer {
    pub format: u16,
    pub inputs: Vec<Input>,
    pub learner: Learner,
    /// In sort order.
    pub classes: [String; 2],
    /// The position in `classes` of the class whose probability is the score.
    pub positive: u8,
    /// Of the rows held out; none where none were.
    pub metrics: Option<Metrics>,
    /// How many rows were learnt from.
    pub n_rows: u64,
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

    /// Both classes, in their order, each with its probability, given that of the positive one.
    pub fn probabilities(&self, probability: f64) -> [(&str, f64); 2] {
        let of = |position: u8| {
            let is_positive = position == self.positive;
            (
                self.classes[usize::from(position)].as_str(),
                if is_positive { probability } else { 1.0 - probability },
            )
        };
        [of(0), of(1)]
    }

    /// Per row of a target, whether it is of the positive class, as the fit would have coded it.
    pub fn labels(&self, target: &Column) -> Result<Vec<bool>, Error> {
        inputs::labels(target, &self.classes, usize::from(self.positive))
    }

    /// The form that scores rows; built once for many rows.
    pub fn prepare(&self) -> Prepared {
        self.learner.prepare(&self.inputs)
    }

    /// The score of one row, its cells in the order of the inputs; those beyond its end count as missing. For many rows,
    /// [`Scorer::prepare`] once.
    pub fn score_row(&self, row: &[Cell]) -> f64 {
        let Ok(score) = self.prepare().score(Cells(row, self.inputs.len()));
        score
    }

    /// The score of every row; columns are found by name, in any order, and others may stand beside them.
    pub fn score_frame(&self, frame: &Frame, watch: &Watch) -> Result<Vec<f64>, Error> {
        self.prepare().score_frame(&self.inputs, frame, watch)
    }

    /// As many numbers as the encoded inputs have columns.
    pub fn width(&self) -> usize {
        self.inputs.iter().map(Input::width).sum()
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
        for input in &self.inputs {
            holds((0.0..=1.0).contains(&input.missing_share), "a missing share is not a share")?;
            match &input.kind {
                Kind::Number { mean, center, scale, .. } => {
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
        if let Some(fault) = self.learner.fault(&self.inputs) {
            return Err(bad_model(fault));
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
