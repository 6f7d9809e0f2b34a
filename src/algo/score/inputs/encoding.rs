//! Each column as numbers, and the matrix of a regression: numbers imputed and standardised, text one-hot.
//!
//! A missing number becomes the mean of its column and, where the fit saw some values of it and missed others, a weight of its own
//! says what it means that the value is missing. A text column gets one weight for each of its most frequent levels,
//! one for missing where the fit saw missing values, and one that the rarer levels share where there are any. A level
//! that the fit did not see counts as a rare one, or as all zero where no level was rare; so the rare levels, of which
//! there may be as many as rows, need not be kept.
//!
//! The indicator of a missing number is 0 or 1, as that of a level is, and not standardised: a penalty then holds back what few
//! rows say. Standardised, the rarest indicator would be penalised least.

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::Error;
use crate::algo::declared::{Flag, Settings, Whole};
use crate::algo::frame::{Column, Frame, MISSING, Values};
use crate::algo::stop::{Stopped, Watch};

/// Of every learner that takes text.
pub const MAX_CATEGORIES: Whole = Whole {
    name: "max_categories",
    meaning: "levels of a text column that count one by one; the rarer ones count as one",
    least: 1,
    most: 1000,
    default: 32,
};

/// Of every learner that has weights for its inputs.
pub const MISSING_INDICATOR: Flag = Flag {
    name: "missing_indicator",
    meaning: "whether it counts that a number is missing, of columns that have missing values in the fit",
    default: true,
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Input {
    pub name: String,
    /// The share of rows without a value at the fit.
    pub missing_share: f64,
    pub kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One weight, for (value - center) / scale, where a missing value counts as `mean`; then one for missing.
    Number { mean: f64, center: f64, scale: f64, missing: bool },
    /// One weight for each of `levels` (most frequent first), then one for missing, then one for all other levels.
    Category { levels: Vec<String>, missing: bool, other: bool },
}

impl Input {
    /// How many weights the input has.
    pub fn width(&self) -> usize {
        match &self.kind {
            Kind::Number { missing, .. } => 1 + usize::from(*missing),
            Kind::Category { levels, missing, other } => {
                levels.len() + usize::from(*missing) + usize::from(*other)
            }
        }
    }

    fn is_number(&self) -> bool {
        matches!(self.kind, Kind::Number { .. })
    }

    /// How many of its weights are of columns of 0 and 1.
    fn n_indicators(&self) -> usize {
        self.width() - usize::from(self.is_number())
    }
}

/// A standardised value is held within ±1e15: farther out it decides alone anyhow, and sums of such stay finite.
pub const STANDARDISED_LIMIT: f64 = 1e15;

/// NaN is a missing value.
pub fn standardise(value: f64, mean: f64, center: f64, scale: f64) -> f64 {
    standardised(if value.is_nan() { mean } else { value }, center, scale)
}

/// The value of a cell as its input standardises it, for a learner to which a missing one says nothing: NaN stays.
pub fn standardised(value: f64, center: f64, scale: f64) -> f64 {
    ((value - center) / scale).clamp(-STANDARDISED_LIMIT, STANDARDISED_LIMIT)
}

/// Learns the encoding of every column from these rows, as the settings have it.
pub fn fit_inputs(frame: &Frame, rows: &[usize], settings: &Settings) -> Result<Vec<Input>, Error> {
    if frame.columns.is_empty() {
        return Err(Error::NoInputs);
    }
    if rows.is_empty() {
        return Err(Error::EmptyInput);
    }
    let mut names = HashSet::new();
    for column in &frame.columns {
        if !names.insert(&column.name) {
            return Err(Error::DuplicateColumn { name: column.name.clone() });
        }
    }
    Ok(frame.columns.iter().map(|column| fit_input(column, rows, settings)).collect())
}

fn fit_input(column: &Column, rows: &[usize], settings: &Settings) -> Input {
    let (n_missing, mut kind) = match &column.values {
        Values::Number(values) => fit_number(rows.iter().map(|&row_idx| values[row_idx])),
        Values::Integer(values) => fit_number(rows.iter().map(|&row_idx| values[row_idx] as f64)),
        Values::Text { codes, dictionary } => {
            let max_categories = settings.whole(&MAX_CATEGORIES) as usize;
            fit_category(rows.iter().map(|&row_idx| codes[row_idx]), dictionary, max_categories)
        }
    };
    if let Kind::Number { missing, .. } = &mut kind {
        *missing = settings.flag(&MISSING_INDICATOR) && (1..rows.len()).contains(&n_missing);
    }
    let missing_share = n_missing as f64 / rows.len() as f64;
    Input { name: column.name.clone(), missing_share, kind }
}

/// Mean, and the standard deviation of the imputed column (population form, as scikit-learn's SimpleImputer and
/// StandardScaler one after the other); a constant column keeps the scale 1.
fn fit_number(values: impl Iterator<Item = f64> + Clone) -> (usize, Kind) {
    let n_rows = values.clone().count();
    let present = values.filter(|value| !value.is_nan());
    let n_present = present.clone().count();
    if n_present == 0 {
        return (n_rows, Kind::Number { mean: 0.0, center: 0.0, scale: 1.0, missing: false });
    }
    let mut mean = present.clone().sum::<f64>() / n_present as f64;
    if !mean.is_finite() {
        // Only the sum of huge values overflows.
        mean = present.clone().map(|value| value / n_present as f64).sum();
    }
    // Squares of huge or tiny deviations would leave the range of a double: take them relative to the largest. Half the
    // deviation is always finite.
    let half = |value: f64| (value / 2.0 - mean / 2.0).abs();
    let largest = present.clone().map(half).fold(0.0, f64::max);
    // The mean of equal values may be off in its last bit: that is no variation.
    let mut scale = 1.0;
    if largest > mean.abs() * 4.0 * f64::EPSILON {
        let sum: f64 = present.map(|value| (half(value) / largest).powi(2)).sum();
        let found = 2.0 * (largest * (sum / n_rows as f64).sqrt());
        if found.is_normal() {
            scale = found;
        }
    }
    (n_rows - n_present, Kind::Number { mean, center: mean, scale, missing: false })
}

fn fit_category(
    codes: impl Iterator<Item = u32>,
    dictionary: &[String],
    max_categories: usize,
) -> (usize, Kind) {
    let mut counts = vec![0usize; dictionary.len()];
    let mut n_missing = 0;
    for code in codes {
        if code == MISSING { n_missing += 1 } else { counts[code as usize] += 1 }
    }
    let mut seen: Vec<usize> = (0..dictionary.len()).filter(|&code| counts[code] > 0).collect();
    seen.sort_unstable_by(|&a, &b| {
        counts[b].cmp(&counts[a]).then_with(|| dictionary[a].cmp(&dictionary[b]))
    });
    let other = seen.len() > max_categories;
    let levels = seen.iter().take(max_categories).map(|&code| dictionary[code].clone()).collect();
    (n_missing, Kind::Category { levels, missing: n_missing > 0, other })
}

/// The encoded rows: a dense part, and for each text, and each number with an indicator, the one column that is 1.
#[derive(Debug, Clone)]
pub struct Design {
    /// Rows x (1 + numeric inputs); the first column is 1 for the intercept.
    pub dense: Array2<f64>,
    /// Rows x inputs with columns of 0 and 1: the column of the whole design that is 1, or [`NO_COLUMN`]. Those of a later input
    /// are higher.
    pub active: Array2<u32>,
    /// Columns in all: the dense ones, then those of 0 and 1 of each input.
    pub n_columns: usize,
}

pub const NO_COLUMN: u32 = u32::MAX;

/// What the design of so many rows takes.
pub fn design_bytes(n_rows: usize, inputs: &[Input]) -> usize {
    let (n_numbers, n_active) = n_columns(inputs);
    n_rows * ((1 + n_numbers) * size_of::<f64>() + n_active * size_of::<u32>())
}

/// How many inputs are numbers, and how many have columns of 0 and 1.
fn n_columns(inputs: &[Input]) -> (usize, usize) {
    let n_numbers = inputs.iter().filter(|input| input.is_number()).count();
    (n_numbers, inputs.iter().filter(|input| input.n_indicators() > 0).count())
}

/// Encodes these rows; `inputs` must come from [`fit_inputs`] on the same frame.
pub fn encode(
    frame: &Frame,
    inputs: &[Input],
    rows: &[usize],
    watch: &Watch,
) -> Result<Design, Stopped> {
    let (n_numbers, n_active) = n_columns(inputs);
    let mut dense = Array2::ones((rows.len(), 1 + n_numbers));
    let mut active = Array2::from_elem((rows.len(), n_active), NO_COLUMN);
    let (mut number_idx, mut active_idx, mut n_columns) = (0, 0, 1 + n_numbers);
    for (input, column) in inputs.iter().zip(&frame.columns) {
        watch.check()?;
        match (&input.kind, &column.values) {
            (Kind::Number { mean, center, scale, missing }, values) => {
                number_idx += 1;
                let value = |row_idx: usize| match values {
                    Values::Number(values) => values[row_idx],
                    Values::Integer(values) => values[row_idx] as f64,
                    Values::Text { .. } => f64::NAN,
                };
                for (cell, &row_idx) in dense.column_mut(number_idx).iter_mut().zip(rows) {
                    *cell = standardise(value(row_idx), *mean, *center, *scale);
                }
                if *missing {
                    for (cell, &row_idx) in active.column_mut(active_idx).iter_mut().zip(rows) {
                        *cell = if value(row_idx).is_nan() { n_columns as u32 } else { NO_COLUMN };
                    }
                }
            }
            (Kind::Category { .. }, Values::Text { codes, dictionary }) => {
                let slots = Slots::new(&input.kind);
                let by_code: Vec<Option<usize>> =
                    dictionary.iter().map(|level| slots.of(Some(level))).collect();
                let column_of =
                    |slot: Option<usize>| slot.map_or(NO_COLUMN, |slot| (n_columns + slot) as u32);
                for (cell, &row_idx) in active.column_mut(active_idx).iter_mut().zip(rows) {
                    *cell = column_of(match codes[row_idx] {
                        MISSING => slots.of(None),
                        code => by_code[code as usize],
                    });
                }
            }
            (Kind::Category { .. }, _) => {}
        }
        n_columns += input.n_indicators();
        active_idx += usize::from(input.n_indicators() > 0);
    }
    Ok(Design { dense, active, n_columns })
}

/// The weights of a design (without the intercept) in the order of the inputs, as a scorer keeps them.
pub fn in_input_order(inputs: &[Input], design_weights: &[f64]) -> Vec<f64> {
    let (dense, mut indicators) = design_weights.split_at(1 + n_columns(inputs).0);
    let mut numbers = dense[1..].iter();
    let mut weights = Vec::with_capacity(design_weights.len());
    for input in inputs {
        weights.extend(numbers.by_ref().take(usize::from(input.is_number())));
        let (own, rest) = indicators.split_at(input.n_indicators());
        weights.extend_from_slice(own);
        indicators = rest;
    }
    weights
}

/// Finds the weight that a text value has among those of its input.
pub struct Slots<'a> {
    levels: std::collections::HashMap<&'a str, usize>,
    missing: Option<usize>,
    other: Option<usize>,
}

impl<'a> Slots<'a> {
    /// Of a number, which has no levels, nothing is found.
    pub fn new(kind: &'a Kind) -> Self {
        let Kind::Category { levels, missing, other } = kind else {
            return Self { levels: Default::default(), missing: None, other: None };
        };
        Self {
            levels: levels.iter().enumerate().map(|(slot, level)| (level.as_str(), slot)).collect(),
            missing: missing.then_some(levels.len()),
            other: other.then_some(levels.len() + usize::from(*missing)),
        }
    }

    pub fn missing(&self) -> Option<usize> {
        self.missing
    }

    pub fn other(&self) -> Option<usize> {
        self.other
    }

    /// `None` is all zero.
    pub fn of(&self, value: Option<&str>) -> Option<usize> {
        match value {
            None => self.missing,
            Some(value) => self.levels.get(value).copied().or(self.other),
        }
    }
}
