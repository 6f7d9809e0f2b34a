//! Rows scored in this process: columns bound once, then nothing allocated.

use serde_json::json;

use crate::algo::score::logistic::sigmoid;
use crate::algo::score::{Cell, Kind, Prepared, Scorer};
use crate::pg::error::Report;
use crate::pg::record::{self, Binding, Record, Wanted};

pub(super) struct Native {
    pub(super) scorer: Scorer,
    prepared: Prepared,
}

impl Native {
    pub(super) fn new(scorer: Scorer) -> Self {
        let prepared = scorer.prepare();
        Self { scorer, prepared }
    }

    /// The probability of the positive class.
    #[inline]
    pub(super) fn score(&self, binding: &mut Binding, record: Record) -> Result<f64, Report> {
        let wanted = self.scorer.inputs.iter().map(|input| {
            let wanted = match input.kind {
                Kind::Number { .. } => Wanted::Number,
                Kind::Category { .. } => Wanted::Category,
            };
            (input.name.as_str(), wanted)
        });
        let mut log_odds = self.prepared.intercept();
        binding.cells(record, wanted, |index, cell| {
            let cell = match cell {
                record::Cell::Number(value) => Cell::Number(value),
                record::Cell::Whole(value) => Cell::Number(value as f64),
                record::Cell::Category(text) => Cell::Text(text),
            };
            log_odds += self.prepared.contribution(index, cell);
            Ok(())
        })?;
        Ok(sigmoid(log_odds))
    }

    /// Everything there is to say of a row.
    pub(super) fn predict(
        &self,
        binding: &mut Binding,
        record: Record,
    ) -> Result<serde_json::Value, Report> {
        let probability = self.score(binding, record)?;
        let of_class = |position: usize| {
            if position == usize::from(self.scorer.positive) {
                probability
            } else {
                1.0 - probability
            }
        };
        let [first, second] = &self.scorer.classes;
        Ok(json!({
            "label": self.scorer.label(probability),
            "probability": probability,
            "probabilities": { first.as_str(): of_class(0), second.as_str(): of_class(1) },
        }))
    }
}
