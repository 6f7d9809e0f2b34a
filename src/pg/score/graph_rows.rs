//! Rows on their way to the ONNX process: gathered one by one, checked, and sent as one tensor for each input.

use crate::algo::memory::{self, Refused};
use crate::onnx::bind::Takes;
use crate::onnx::wire::{self, Batch, Data, Tensor, collect, owned, with_room};
use crate::pg::error::{Error, Report, report};
use crate::pg::onnx as process;
use crate::pg::types::record::{Binding, Cell, Record, Row, Wanted};
use pgrx::prelude::*;

use super::onnx::Imported;

/// Rows on their way.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) n_rows: u32,
    /// One for each input; empty when all are floats, or all doubles.
    data: Vec<Data>,
    /// The rows of a graph that takes nothing but floats, one behind another.
    floats: Vec<f32>,
    /// The rows of one that takes nothing but doubles.
    doubles: Vec<f64>,
}

impl Imported {
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
    pub(super) fn push_number(
        &self,
        rows: &mut Gathered,
        index: usize,
        value: f64,
    ) -> Result<(), Report> {
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
    pub(super) fn push_whole(
        &self,
        rows: &mut Gathered,
        index: usize,
        value: i64,
    ) -> Result<(), Report> {
        let input = self.input_of.get(index).and_then(|&input| rows.data.get_mut(input));
        match input {
            Some(Data::I64(values)) => {
                values.push(value);
                Ok(())
            }
            _ => self.push_number(rows, index, value as f64),
        }
    }

    pub(super) fn push_text(
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

    /// Rows that have one number in all their columns, a text where texts are wanted.
    pub(super) fn plain_rows(&self, numbers: &[i64]) -> Result<Gathered, Report> {
        let mut rows = self.gather(numbers.len())?;
        for &number in numbers {
            for (index, (_, takes)) in self.bound.columns().enumerate() {
                match takes {
                    Takes::Text => self.push_text(&mut rows, index, Some(&number.to_string()))?,
                    Takes::Whole => self.push_whole(&mut rows, index, number)?,
                    Takes::Float | Takes::Double => {
                        self.push_number(&mut rows, index, number as f64)?;
                    }
                }
            }
            rows.n_rows += 1;
        }
        Ok(rows)
    }

    pub(super) fn send(&self, rows: Gathered, outputs: &[String]) -> Result<process::Sent, Report> {
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
}

/// With room for so many.
pub(super) fn empty<T>(n: usize) -> Result<Vec<T>, Refused> {
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
