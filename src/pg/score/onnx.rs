//! Rows scored by an imported graph: columns gathered into a batch, sent to the ONNX process, and the score picked out.

use pgrx::pg_sys::panic::ErrorReportable;
use pgrx::prelude::*;

use crate::algo::frame::{Column, Frame, MISSING, Values};
use crate::algo::memory::{self, Refused};
use crate::algo::score::{self, LabelsOfGraph};
use crate::onnx::bind::{Bound, Takes};
use crate::onnx::wire::{self, Batch, Data, Output, Tensor, collect, owned, with_room};
use crate::pg::error::{Error, Report, report};
use crate::pg::models::registry::{self, Version};
use crate::pg::onnx as process;
use crate::pg::types::record::{Binding, Cell, Record, Row, Wanted};

use super::outputs::{class_name, column_of, json_at, last_class, width, wrong_output};

/// An imported version: all that is kept of it here is how its inputs bind, for its bytes are the ONNX process's.
pub(super) struct Imported {
    version: Version,
    bound: Bound,
    /// For each column in order the input that it belongs to.
    input_of: Vec<usize>,
    /// All columns of a graph that takes nothing but floats: the usual one, which has a faster way of its own.
    floats: Option<Vec<String>>,
    /// The same of one that takes nothing but doubles, as our own exports of numbers do.
    doubles: Option<Vec<String>>,
}

/// Values of one row that become JSON, each of which takes more memory than it did as a number.
const MOST_PREDICTED: usize = 100_000;

/// A batch that the ONNX process has.
pub(super) struct Asked {
    n_rows: usize,
    /// None when there was no row to send.
    sent: Option<process::Sent>,
}

/// Rows on their way.
#[derive(Default)]
pub(super) struct Gathered {
    n_rows: u32,
    /// One for each input; empty when all are floats, or all doubles.
    data: Vec<Data>,
    /// The rows of a graph that takes nothing but floats, one behind another.
    floats: Vec<f32>,
    /// The rows of one that takes nothing but doubles.
    doubles: Vec<f64>,
}

impl Imported {
    pub(super) fn of(version: &Version) -> Result<Self, Report> {
        let mut parameters = registry::parameters(version)?;
        let bound: Bound = serde_json::from_value(parameters["binding"].take())
            .map_err(|error| version.corrupt(format!("its binding cannot be read ({error})")))?;
        let inputs = bound.inputs.iter().enumerate();
        let input_of = inputs.flat_map(|(i, input)| input.columns.iter().map(move |_| i)).collect();
        let names_if_all = |wanted| {
            let are_all = bound.inputs.iter().all(|input| input.element == wanted);
            are_all.then(|| bound.columns().map(|(name, _)| name.to_owned()).collect())
        };
        let (floats, doubles) = (names_if_all(Takes::Float), names_if_all(Takes::Double));
        Ok(Self { version: version.clone(), bound, input_of, floats, doubles })
    }

    /// Room for so many rows.
    pub(super) fn gather(&self, n_rows: usize) -> Result<Gathered, Refused> {
        if let Some(names) = &self.floats {
            let floats = empty(n_rows * names.len())?;
            return Ok(Gathered { floats, ..Gathered::default() });
        }
        if let Some(names) = &self.doubles {
            let doubles = empty(n_rows * names.len())?;
            return Ok(Gathered { doubles, ..Gathered::default() });
        }
        let data = self.bound.inputs.iter().map(|input| {
            let n = n_rows * input.columns.len();
            Ok(match input.element {
                Takes::Float => Data::F32(empty(n)?),
                Takes::Double => Data::F64(empty(n)?),
                Takes::Whole => Data::I64(empty(n)?),
                Takes::Text => Data::Str(empty(n)?),
            })
        });
        Ok(Gathered { data: data.collect::<Result<_, _>>()?, ..Gathered::default() })
    }

    /// Adds a row. After an error the rows are not whole, and must not be sent.
    pub(super) fn push(
        &self,
        rows: &mut Gathered,
        binding: &mut Binding,
        row: Row,
    ) -> Result<(), Report> {
        if let Some(names) = &self.floats {
            let row = binding.numbers(row, names)?;
            let start = rows.floats.len();
            rows.floats.extend(row.iter().map(|&value| value as f32));
            // Looked for by itself only when there is one: the test alone is a vector instruction or two.
            if rows.floats[start..].iter().any(|value| value.is_infinite()) {
                let mut columns = names.iter().zip(row);
                if let Some((column, value)) = columns.find(|(_, value)| is_too_large(**value)) {
                    return Err(out_of_range(column, *value, FLOAT));
                }
            }
            rows.n_rows += 1;
            return Ok(());
        }
        if let Some(names) = &self.doubles {
            rows.doubles.extend_from_slice(binding.numbers(row, names)?);
            rows.n_rows += 1;
            return Ok(());
        }
        let wanted = self.bound.columns().map(|(name, takes)| match takes {
            Takes::Text => (name, Wanted::Category),
            Takes::Whole => (name, Wanted::Whole),
            Takes::Float | Takes::Double => (name, Wanted::Number),
        });
        binding.cells(row, wanted, |index, cell| match cell {
            Cell::Number(value) => self.push_number(rows, index, value),
            Cell::Whole(value) => self.push_whole(rows, index, value),
            Cell::Category(text) => self.push_text(rows, index, text),
        })?;
        rows.n_rows += 1;
        Ok(())
    }

    /// Adds a row that can be read in place; false, and nothing added, of another one. Calls nothing of PostgreSQL.
    #[inline]
    pub(super) fn push_in_place(
        &self,
        rows: &mut Gathered,
        binding: &Binding,
        record: Record,
    ) -> bool {
        let is_added = self.floats.is_some() && binding.floats_in_place(record, &mut rows.floats);
        rows.n_rows += u32::from(is_added);
        is_added
    }

    #[inline]
    fn push_number(&self, rows: &mut Gathered, index: usize, value: f64) -> Result<(), Report> {
        let name = || self.bound.columns().nth(index).map_or("", |(name, _)| name).to_owned();
        let push_float = |values: &mut Vec<f32>| match is_too_large(value) {
            true => Err(out_of_range(&name(), value, FLOAT)),
            false => {
                values.push(value as f32);
                Ok(())
            }
        };
        if self.floats.is_some() {
            return push_float(&mut rows.floats);
        }
        if self.doubles.is_some() {
            rows.doubles.push(value);
            return Ok(());
        }
        let input = self.input_of.get(index).and_then(|&input| rows.data.get_mut(input));
        match input {
            Some(Data::F32(values)) => push_float(values)?,
            Some(Data::F64(values)) => values.push(value),
            Some(Data::I64(values)) => {
                if value.is_nan() {
                    return Err(Error::MissingValue { column: name() }.into());
                }
                // From here on a double stands for several whole numbers, and its digits may be none of the column's.
                if value.fract() != 0.0 || value.abs() >= 2f64.powi(53) {
                    return Err(out_of_range(&name(), value, "a whole number"));
                }
                values.push(value as i64);
            }
            _ => {}
        }
        Ok(())
    }

    /// With all its digits, where the input takes whole numbers.
    fn push_whole(&self, rows: &mut Gathered, index: usize, value: i64) -> Result<(), Report> {
        let input = self.input_of.get(index).and_then(|&input| rows.data.get_mut(input));
        match input {
            Some(Data::I64(values)) => {
                values.push(value);
                Ok(())
            }
            _ => self.push_number(rows, index, value as f64),
        }
    }

    fn push_text(
        &self,
        rows: &mut Gathered,
        index: usize,
        text: Option<&str>,
    ) -> Result<(), Report> {
        let Some(&input) = self.input_of.get(index) else { return Ok(()) };
        if let (Some(Data::Str(values)), Some(bound)) =
            (rows.data.get_mut(input), self.bound.inputs.get(input))
        {
            values.push(owned(text.unwrap_or(&bound.missing)).map_err(no_memory)?);
        }
        Ok(())
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
        let outputs = self.outputs(sent)?;
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
        let outputs = self.outputs(self.send(rows, &[])?)?;
        let n_values: usize = outputs.iter().map(|output| output.data.len()).sum();
        if n_values > MOST_PREDICTED {
            let message = format!(
                "model gives {n_values} values for a row, more than the {MOST_PREDICTED} that can be shown"
            );
            return Err(report(PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED, message));
        }
        let mut all = serde_json::Map::new();
        for output in outputs {
            let width = width(&output, 1)?;
            let values = (0..width).map(|column| json_at(&output.data, column));
            let value = match &output.classes {
                Some(classes) => (0..width)
                    .zip(values)
                    .map(|(column, value)| (class_name(classes, column), value))
                    .collect::<serde_json::Map<_, _>>()
                    .into(),
                None if output.shape.len() < 2 || width == 1 => json_at(&output.data, 0),
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

    pub(super) fn columns(&self) -> impl Iterator<Item = (&str, Takes)> {
        self.bound.columns()
    }

    fn send(&self, rows: Gathered, outputs: &[String]) -> Result<process::Sent, Report> {
        let data = if self.floats.is_some() {
            self.split(rows.floats, Data::F32).map_err(no_memory)?
        } else if self.doubles.is_some() {
            self.split(rows.doubles, Data::F64).map_err(no_memory)?
        } else {
            rows.data
        };
        let inputs = self.bound.inputs.iter().zip(data);
        let tensors = inputs.map(|(input, data)| Tensor {
            name: input.name.clone(),
            width: input.columns.len() as u32,
            data,
        });
        let batch = Batch { n_rows: rows.n_rows, tensors: tensors.collect() };
        Ok(process::send_batch(&self.version.sha256, outputs, batch)?)
    }

    /// Rows of numbers as one tensor for each input.
    fn split<T: Copy>(
        &self,
        numbers: Vec<T>,
        data: fn(Vec<T>) -> Data,
    ) -> Result<Vec<Data>, wire::Error> {
        let inputs = &self.bound.inputs;
        if inputs.len() == 1 {
            return Ok(vec![data(numbers)]);
        }
        let n_columns = self.input_of.len();
        let mut first = 0;
        let of_input = inputs.iter().map(|input| {
            let columns = first..first + input.columns.len();
            first = columns.end;
            let rows = numbers.chunks_exact(n_columns);
            Ok(data(match columns.len() {
                1 => collect(rows.map(|row| row[columns.start]))?,
                width => {
                    let mut values = with_room(rows.len() * width)?;
                    rows.for_each(|row| values.extend_from_slice(&row[columns.clone()]));
                    values
                }
            }))
        });
        of_input.collect()
    }

    fn outputs(&self, sent: process::Sent) -> Result<Vec<Output>, Report> {
        Ok(sent.outputs(|| registry::payload(&self.version).unwrap_or_report())?)
    }
}

/// With room for so many.
fn empty<T>(n: usize) -> Result<Vec<T>, Refused> {
    let mut values = Vec::new();
    memory::exact_room(&mut values, n)?;
    Ok(values)
}

fn no_memory(error: wire::Error) -> Report {
    process::Error::from(error).into()
}

const FLOAT: &str = "a 32-bit float";

fn is_too_large(value: f64) -> bool {
    (value as f32).is_infinite()
}

fn out_of_range(column: &str, value: f64, wanted: &str) -> Report {
    report(
        PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
        format!("column \"{column}\" has the value {value:?}, but the model takes {wanted}"),
    )
}
