//! Rows of which a feature is missing: what stands for it, or which rows are whole.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::features::Features;
use super::rows::{Rows, TOGETHER, original};
use crate::algo::frame::{Column, MISSING, Values};
use crate::algo::memory;
use crate::algo::segment::error::Error;
use crate::algo::stop::Watch;

/// What a fit does with a row of which a feature is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// Refuses it.
    #[default]
    Error,
    /// Takes the mean of those that are there: of an indicator, the share of the rows that have the level.
    Impute,
    /// Leaves the row out.
    Skip,
}

impl Missing {
    pub const ALL: [(&str, Self); 3] =
        [("error", Self::Error), ("impute", Self::Impute), ("skip", Self::Skip)];
}

/// Refuses a column that no row has a value of, where there are rows.
pub fn check_present(columns: &[Column]) -> Result<(), Error> {
    let is_missing = |column: &&Column| match &column.values {
        Values::Number(values) => !values.is_empty() && values.iter().all(|value| value.is_nan()),
        Values::Text { codes, .. } => {
            !codes.is_empty() && codes.iter().all(|code| *code == MISSING)
        }
        Values::Integer(_) => false,
    };
    match columns.iter().find(is_missing) {
        Some(column) => Err(Error::AllMissing { column: column.name.clone() }),
        None => Ok(()),
    }
}

impl Features {
    /// With the mean of each dimension, over the rows that have it, for a value that is missing. The rows come in the order of a
    /// fit, so that the order of a scan decides nothing.
    pub fn filled(mut self, rows: &impl Rows, watch: &Watch) -> Result<Self, Error> {
        let fill = (0..self.len()).into_par_iter().map(|feature| {
            let (mut mean, mut mass) = (0.0, 0.0);
            let mut values = memory::filled(0f64, TOGETHER.min(rows.n_rows()))?;
            for first in (0..rows.n_rows()).step_by(TOGETHER) {
                watch.check()?;
                let values = &mut values[..TOGETHER.min(rows.n_rows() - first)];
                rows.copy(feature, first, values);
                for (row, value) in (first..).zip(values).filter(|(_, value)| !value.is_nan()) {
                    let weight = rows.weight(row);
                    if weight > 0.0 {
                        mass += weight;
                        mean += (*value - mean) * (weight / mass);
                    }
                }
            }
            let column = || self.column(feature).to_owned();
            if mass > 0.0 { Ok(mean) } else { Err(Error::AllMissing { column: column() }) }
        });
        self.fill = fill.collect::<Result<_, _>>()?;
        Ok(self)
    }
}

/// The rows, in this order, that have all features; None where all have.
pub fn whole_rows(
    rows: &impl Rows,
    order: Option<&[u32]>,
    watch: &Watch,
) -> Result<Option<Vec<u32>>, Error> {
    let mut is_whole = memory::filled(true, rows.n_rows())?;
    is_whole.par_chunks_mut(TOGETHER).enumerate().try_for_each(|(chunk, is_whole)| {
        watch.check()?;
        let mut values = [0f64; TOGETHER];
        let values = &mut values[..is_whole.len()];
        for feature in 0..rows.n_features() {
            rows.copy(feature, chunk * TOGETHER, values);
            is_whole.iter_mut().zip(&*values).for_each(|(is, value)| *is &= !value.is_nan());
        }
        Ok::<(), Error>(())
    })?;
    let n_whole = is_whole.iter().filter(|is| **is).count();
    if n_whole == rows.n_rows() {
        return Ok(None);
    }
    let mut whole = memory::filled(0u32, n_whole)?;
    let places = (0..rows.n_rows()).map(|place| original(order, place));
    let kept = places.filter(|row| is_whole[*row]);
    whole.iter_mut().zip(kept).for_each(|(to, row)| *to = row as u32);
    if rows.is_weighted() && whole.iter().all(|&row| rows.weight(row as usize) == 0.0) {
        return Err(Error::EmptyInput);
    }
    Ok(Some(whole))
}
