//! What a fit of a scorer reads: the target, the key, what is held out, and the features.

use pgrx::prelude::*;

use crate::algo::frame::{Column, Frame, TextBuilder, Values, base_name};
use crate::algo::score::inputs::order;
use crate::algo::score::{self, Fit, Params, ValidParams};
use crate::algo::stop::Watch;
use crate::pg::error::{Error, Report, no_room, report};
use crate::pg::fitting::warn_of_suspects_in;
use crate::pg::rows::ingest::{Ingested, Others, Request, Role, ingest};
use crate::pg::sys::progress::Progress;

use super::fit::Asked;

/// A source as it was read: target, then the key and the holdout column where they are, then the features.
pub(super) struct Data {
    frame: Frame,
    has_key: bool,
    has_holdout: bool,
}

pub(super) fn read(
    source: &str,
    asked: &Asked,
    is_again: bool,
    progress: &mut Progress,
) -> Result<Data, Report> {
    let mut columns = vec![(asked.target.as_str(), Role::Target)];
    columns.extend(asked.key.iter().map(|key| (key.as_str(), Role::Key)));
    columns.extend(asked.holdout_column.iter().map(|name| (name.as_str(), Role::Flag)));
    let others = match &asked.features {
        Some(features) => {
            columns.extend(features.iter().map(|name| (name.as_str(), Role::Feature)));
            Others::Ignore
        }
        None => Others::Features { except: &[] },
    };
    let Ingested { mut frame, types, natures, .. } =
        ingest(&Request { source, columns, others }, progress)?;
    name_classes(&mut frame, &types)?;
    let (has_key, has_holdout) = (asked.key.is_some(), asked.holdout_column.is_some());
    if let Some(name) = &asked.holdout_column {
        check_holdout(&frame, 1 + usize::from(has_key), name)?;
    }
    // Who fits again has been told.
    if !is_again {
        let n_others = 1 + usize::from(has_key) + usize::from(has_holdout);
        warn_of_suspects_in(&frame, n_others, &natures)?;
    }
    Ok(Data { frame, has_key, has_holdout })
}

/// The classes of a boolean target, which is the first column, are false and true.
pub(super) fn name_classes(frame: &mut Frame, types: &[String]) -> Result<(), Report> {
    match (frame.columns.first_mut(), types.first()) {
        (Some(column), Some(type_name)) if type_name == "boolean" => name_booleans(column),
        _ => Ok(()),
    }
}

fn name_booleans(column: &mut Column) -> Result<(), Report> {
    if let Values::Number(values) = &column.values {
        let name = |&value: &f64| match value {
            value if value.is_nan() => None,
            0.0 => Some("false"),
            _ => Some("true"),
        };
        let mut names = TextBuilder::default();
        names.reserve(values.len()).map_err(no_room)?;
        for name in values.iter().map(name) {
            names.push(name)?;
        }
        column.values = names.finish();
    }
    Ok(())
}

/// Refuses a row of which it is not known whether it is held out, and a fit of no row.
fn check_holdout(frame: &Frame, position: usize, name: &str) -> Result<(), Report> {
    let held_out = frame.columns.get(position).map(|column| &column.values);
    if let Some(Values::Number(held_out)) = held_out
        && !held_out.is_empty()
        && held_out.iter().all(|&value| value != 0.0 && !value.is_nan())
    {
        let why =
            format!("column \"{name}\" holds out every row, so that none is left to learn from");
        return Err(report(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, why).set_hint(
            "It is true in the rows to hold out, as in (sent_on >= '2024-10-01') AS is_late.",
        ));
    }
    let has_null = frame.columns.get(position).is_some_and(|column| match &column.values {
        Values::Number(values) => values.iter().any(|value| value.is_nan()),
        _ => false,
    });
    if has_null { Err(Error::MissingValue { column: name.to_owned() }.into()) } else { Ok(()) }
}

impl Data {
    /// The fit, and the source's columns that it used.
    pub(super) fn fit(
        mut self,
        params: Params,
        watch: &Watch,
    ) -> Result<(Fit, Vec<String>), score::Error> {
        order::by_content(&mut self.frame, watch)?;
        let mut columns = self.frame.columns.into_iter();
        let missing = || score::Error::NoInputs;
        let target = columns.next().ok_or_else(missing)?;
        if self.has_key {
            columns.next();
        }
        let holdout_rows = match (self.has_holdout, &mut columns) {
            (true, columns) => match columns.next().ok_or_else(missing)?.values {
                Values::Number(values) => Some(values.iter().map(|&value| value != 0.0).collect()),
                _ => None,
            },
            _ => None,
        };
        let frame = Frame { n_rows: self.frame.n_rows, columns: columns.collect() };
        let params: ValidParams = Params { holdout_rows, ..params }.check()?;
        let fit = score::fit(&frame, &target, &params, watch)?;
        Ok((fit, source_columns(&frame)))
    }
}

/// The columns of the source that a frame's come from: an array's features `v[1]`, `v[2]`, … from `v`.
fn source_columns(frame: &Frame) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for column in &frame.columns {
        let name = base_name(&column.name);
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}
