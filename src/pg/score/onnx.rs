//! Rows scored by an imported graph: columns gathered into a batch, sent to the ONNX process, and the score picked out.

use pgrx::pg_sys::panic::ErrorReportable;
use pgrx::prelude::*;

use crate::algo::frame::{Column, Frame, MISSING, Values};
use crate::algo::score::{self, LabelsOfGraph};
use crate::onnx::bind::{Bound, Takes};
use crate::onnx::wire::{Data, Output};
use crate::pg::error::{Error, Report, report};
use crate::pg::models::registry::{self, Version};
use crate::pg::onnx as process;
use crate::pg::rows::ingest::Role;

use super::graph_rows::{Gathered, empty};
use super::outputs::{class_name, column_of, json_at, last_class, width, wrong_output};

/// An imported version: all that is kept of it here is how its inputs bind, for its bytes are the ONNX process's.
pub(super) struct Imported {
    pub(super) version: Version,
    pub(super) bound: Bound,
    /// For each column in order the input that it belongs to.
    pub(super) input_of: Vec<usize>,
    /// All columns of a graph that takes nothing but floats: the usual one, which has a faster way of its own.
    pub(super) floats: Option<Vec<String>>,
    /// The same of one that takes nothing but doubles, as our own exports of numbers do.
    pub(super) doubles: Option<Vec<String>>,
}

/// Values of one row that become JSON, each of which takes more memory than it did as a number.
const MOST_PREDICTED: usize = 100_000;

/// A batch that the ONNX process has.
pub(super) struct Asked {
    pub(super) n_rows: usize,
    /// None when there was no row to send.
    pub(super) sent: Option<process::Sent>,
}

impl Imported {
    pub(super) fn of(version: &Version) -> Result<Self, Report> {
        let mut parameters = registry::parameters(version)?;
        let bound: Bound = serde_json::from_value(parameters["binding"].take())
            .map_err(|error| version.corrupt(format!("its binding cannot be read ({error})")))?;
        Ok(Self::new(version, bound))
    }

    pub(super) fn new(version: &Version, bound: Bound) -> Self {
        let inputs = bound.inputs.iter().enumerate();
        let input_of = inputs.flat_map(|(i, input)| input.columns.iter().map(move |_| i)).collect();
        let names_if_all = |wanted| {
            let are_all = bound.inputs.iter().all(|input| input.element == wanted);
            are_all.then(|| bound.columns().map(|(name, _)| name.to_owned()).collect())
        };
        let (floats, doubles) = (names_if_all(Takes::Float), names_if_all(Takes::Double));
        Self { version: version.clone(), bound, input_of, floats, doubles }
    }

    /// Sends the rows, whose scores may be waited for later.
    pub(super) fn ask(&self, rows: Gathered) -> Result<Asked, Report> {
        let n_rows = rows.n_rows as usize;
        let outputs = std::slice::from_ref(&self.bound.output);
        let sent = if n_rows > 0 { Some(self.send(rows, outputs)?) } else { None };
        Ok(Asked { n_rows, sent })
    }

    /// The score of each row, of which some may be no finite number, and how many bytes the answer had.
    pub(super) fn scores(&self, asked: Asked) -> Result<(Vec<f64>, usize), Report> {
        let Asked { n_rows, sent: Some(sent) } = asked else { return Ok((Vec::new(), 0)) };
        let outputs = sent.outputs(|| self.payload())?;
        self.scores_of(&outputs, n_rows)
    }

    pub(super) fn scores_of(
        &self,
        outputs: &[Output],
        n_rows: usize,
    ) -> Result<(Vec<f64>, usize), Report> {
        let Some(output) = outputs.first() else {
            return Err(wrong_output(&self.bound.output, "is missing"));
        };
        let width = width(output, n_rows)?;
        let column = self.bound.class.or_else(|| last_class(output)).unwrap_or(width - 1);
        if column >= width {
            return Err(wrong_output(&output.name, "has fewer columns than classes"));
        }
        let column = if self.bound.is_reversed && width == 2 { 1 - column } else { column };
        let mut scores = match &output.data {
            Data::F32(values) => column_of(values, column, width, f64::from),
            Data::F64(values) => column_of(values, column, width, |value| value),
            Data::I64(_) if width > 1 && output.classes.is_none() => {
                return Err(wrong_output(&output.name, "holds several whole numbers for each row"));
            }
            Data::I64(values) => column_of(values, column, width, |value| value as f64),
            Data::Str(_) => return Err(wrong_output(&output.name, "holds no numbers")),
        };
        scores.truncate(n_rows);
        Ok((scores, 8 * output.data.len()))
    }

    /// Every output of the one row that was gathered.
    pub(super) fn predict(&self, rows: Gathered) -> Result<serde_json::Value, Report> {
        let outputs = self.send(rows, &[])?.outputs(|| self.payload())?;
        let n_values: usize = outputs.iter().map(|output| output.data.len()).sum();
        if n_values > MOST_PREDICTED {
            let message = format!(
                "model gives {n_values} values for a row, more than the {MOST_PREDICTED} that can be shown"
            );
            return Err(report(PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED, message));
        }
        let mut all = serde_json::Map::new();
        for output in outputs {
            let n = output.data.len();
            let values = (0..n).map(|place| json_at(&output.data, place));
            let value = match &output.classes {
                Some(classes) => (0..n)
                    .zip(values)
                    .map(|(place, value)| (class_name(classes, place), value))
                    .collect::<serde_json::Map<_, _>>()
                    .into(),
                None if n == 1 => json_at(&output.data, 0),
                None => values.collect::<Vec<_>>().into(),
            };
            all.insert(output.name, value);
        }
        Ok(all.into())
    }

    /// The scores of a frame that has the columns of [`Self::columns`], in batches of some size; some may be no finite number.
    pub(super) fn score_frame(&self, frame: &Frame) -> Result<Vec<f64>, Report> {
        const ROWS: usize = 8192;
        let mut scores = empty(frame.n_rows)?;
        for start in (0..frame.n_rows).step_by(ROWS) {
            check_for_interrupts!();
            let mut rows = self.gather(ROWS)?;
            for row_idx in start..(start + ROWS).min(frame.n_rows) {
                for (index, (name, _)) in self.bound.columns().enumerate() {
                    let column = frame.column(name).ok_or_else(|| Error::MissingColumn {
                        column: name.to_owned(),
                        available: frame.names(),
                    })?;
                    match &column.values {
                        Values::Number(values) => {
                            self.push_number(&mut rows, index, values[row_idx])?
                        }
                        Values::Integer(values) => {
                            self.push_whole(&mut rows, index, values[row_idx])?;
                        }
                        Values::Text { codes, dictionary } => {
                            let text = dictionary.get(codes[row_idx] as usize);
                            let text = text.filter(|_| codes[row_idx] != MISSING);
                            self.push_text(&mut rows, index, text.map(String::as_str))?;
                        }
                    }
                }
                rows.n_rows += 1;
            }
            scores.extend(self.scores(self.ask(rows)?)?.0);
        }
        Ok(scores)
    }

    /// Whether the score may be a probability.
    pub(super) fn may_be_probability(&self) -> bool {
        !self.bound.is_value
    }

    /// Which rows of a target are of the class whose probability is the score.
    pub(super) fn labels(&self, target: &Column) -> Result<LabelsOfGraph, score::Error> {
        score::labels_of_graph(
            target,
            self.bound.classes.as_deref(),
            self.bound.positive.or(self.bound.class),
        )
    }

    pub(super) fn inputs(&self) -> impl Iterator<Item = (&str, Role)> {
        self.bound.columns().map(|(name, takes)| match takes {
            Takes::Text => (name, Role::Category),
            Takes::Whole => (name, Role::Whole),
            Takes::Float | Takes::Double => (name, Role::Number),
        })
    }

    fn payload(&self) -> Vec<u8> {
        registry::payload(&self.version).unwrap_or_report()
    }
}
