//! A graph's outputs as they came: how wide they are, which column is the score, and their values as JSON.

use pgrx::prelude::*;
use serde_json::json;

use crate::onnx::wire::{Data, Output};
use crate::pg::error::{Report, report};

/// The column of the last class in sort order where the output names its classes: a ZipMap gives them in any order.
pub(super) fn last_class(output: &Output) -> Option<usize> {
    fn last<T: Ord>(classes: &[T]) -> Option<usize> {
        classes.iter().enumerate().max_by_key(|(_, class)| *class).map(|(column, _)| column)
    }
    match output.classes.as_ref()? {
        Data::I64(classes) => last(classes),
        Data::Str(classes) => last(classes),
        Data::F32(_) | Data::F64(_) => None,
    }
}

/// How many values the output has for each row.
pub(super) fn width(output: &Output, n_rows: usize) -> Result<usize, Report> {
    let n = output.data.len();
    if output.shape.first() == Some(&(n_rows as i64)) && n >= n_rows {
        return Ok(n / n_rows);
    }
    // Some graphs drop the dimension of a single row.
    if n_rows == 1 && n >= 1 && output.shape.len() <= 1 {
        return Ok(n);
    }
    Err(wrong_output(&output.name, &format!("has the shape {:?} for {n_rows} rows", output.shape)))
}

/// A column of a matrix of this width.
pub(super) fn column_of<T: Copy>(
    values: &[T],
    column: usize,
    width: usize,
    number: impl Fn(T) -> f64,
) -> Vec<f64> {
    values.chunks_exact(width).map(|row| number(row[column])).collect()
}

pub(super) fn json_at(data: &Data, index: usize) -> serde_json::Value {
    match data {
        // By its shortest decimal, not by the double nearest to it: 0.1 and not 0.10000000149011612.
        Data::F32(values) => {
            json!(values.get(index).and_then(|v| v.to_string().parse::<f64>().ok()))
        }
        Data::F64(values) => json!(values.get(index)),
        Data::I64(values) => json!(values.get(index)),
        Data::Str(values) => json!(values.get(index)),
    }
}

pub(super) fn class_name(classes: &Data, index: usize) -> String {
    match json_at(classes, index) {
        serde_json::Value::String(name) => name,
        other => other.to_string(),
    }
}

pub(super) fn wrong_output(output: &str, why: &str) -> Report {
    report(PgSqlErrorCode::ERRCODE_DATA_EXCEPTION, format!("output \"{output}\" of the model {why}"))
        .set_hint("Import the model again with output => 'name' of an output with one value or one probability per class for each row.")
}
