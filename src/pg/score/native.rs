//! Rows scored in this process: columns bound once, then nothing allocated.

use serde_json::json;

use crate::algo::score::{Cell, Kind, Prepared, Row, Scorer};
use crate::pg::error::Report;
use crate::pg::rows::ingest::Role;
use crate::pg::types::record::{self, Binding, Wanted};

pub(super) struct Native {
    pub(super) scorer: Scorer,
    prepared: Prepared,
}

/// A row of the inputs' columns.
struct Bound<'a> {
    scorer: &'a Scorer,
    binding: &'a mut Binding,
    row: record::Row<'a>,
}

impl Row for Bound<'_> {
    type Error = Report;

    #[inline]
    fn cells(self, mut each: impl FnMut(usize, Cell)) -> Result<(), Report> {
        let wanted = self.scorer.inputs.iter().map(|input| {
            let wanted = match input.kind {
                Kind::Number { .. } => Wanted::Number,
                Kind::Category { .. } => Wanted::Category,
            };
            (input.name.as_str(), wanted)
        });
        self.binding.cells(self.row, wanted, |index, cell| {
            let cell = match cell {
                record::Cell::Number(value) => Cell::Number(value),
                record::Cell::Whole(value) => Cell::Number(value as f64),
                record::Cell::Category(text) => Cell::Category(text),
            };
            each(index, cell);
            Ok(())
        })
    }
}

impl Native {
    pub(super) fn new(scorer: Scorer) -> Self {
        let prepared = scorer.prepare();
        Self { scorer, prepared }
    }

    pub(super) fn inputs(&self) -> impl Iterator<Item = (&str, Role)> {
        self.scorer.inputs.iter().map(|input| {
            let role = match input.kind {
                Kind::Number { .. } => Role::Number,
                Kind::Category { .. } => Role::Category,
            };
            (input.name.as_str(), role)
        })
    }

    /// The probability of the positive class.
    #[inline]
    pub(super) fn score(&self, binding: &mut Binding, row: record::Row) -> Result<f64, Report> {
        self.prepared.score(Bound { scorer: &self.scorer, binding, row })
    }

    /// Everything there is to say of a row.
    pub(super) fn predict(
        &self,
        binding: &mut Binding,
        row: record::Row,
    ) -> Result<serde_json::Value, Report> {
        let probability = self.score(binding, row)?;
        let [(first, its), (second, others)] = self.scorer.probabilities(probability);
        Ok(json!({
            "label": self.scorer.label(probability),
            "probability": probability,
            "probabilities": { first: its, second: others },
        }))
    }
}
