//! Where a frame keeps the values of the inputs, and what a learner makes of them a row after the other.

use super::{Cell, Input, Kind};
use crate::algo::frame::{Frame, MISSING, Values};
use crate::algo::score::Error;

/// The values of an input, of which a text's are what the learner made of each level.
pub enum Source<'a, T> {
    Number(&'a [f64]),
    Integer(&'a [i64]),
    /// `by_code` is of each level of the frame's dictionary.
    Text {
        codes: &'a [u32],
        by_code: Vec<T>,
        missing: T,
    },
}

/// Columns are found by name, in any order, and others may stand beside them. `of` is what a cell of this input becomes.
pub fn sources<'a, T>(
    inputs: &[Input],
    frame: &'a Frame,
    of: impl Fn(usize, Cell) -> T,
) -> Result<Vec<Source<'a, T>>, Error> {
    let source = |(index, input): (usize, &Input)| {
        let name = || input.name.clone();
        let column =
            frame.column(&input.name).ok_or_else(|| Error::MissingColumn { name: name() })?;
        match (&input.kind, &column.values) {
            (Kind::Number { .. }, Values::Number(values)) => Ok(Source::Number(values)),
            (Kind::Number { .. }, Values::Integer(values)) => Ok(Source::Integer(values)),
            (Kind::Number { .. }, Values::Text { .. }) => {
                Err(Error::ColumnType { name: name(), expected: "a number" })
            }
            (Kind::Category { .. }, Values::Text { codes, dictionary }) => {
                let level = |level: &String| of(index, Cell::Category(Some(level)));
                let by_code = dictionary.iter().map(level).collect();
                Ok(Source::Text { codes, by_code, missing: of(index, Cell::Category(None)) })
            }
            (Kind::Category { .. }, _) => Err(Error::ColumnType { name: name(), expected: "text" }),
        }
    };
    inputs.iter().enumerate().map(source).collect()
}

impl<T: Copy> Source<'_, T> {
    /// Gives each of `places` what the row there says, the first of them that of row `start`.
    #[inline]
    pub fn put<'p, P: 'p>(
        &self,
        start: usize,
        places: impl Iterator<Item = &'p mut P>,
        number: impl Fn(f64) -> T,
        put: impl Fn(&mut P, T),
    ) {
        match self {
            Self::Number(values) => {
                places.zip(&values[start..]).for_each(|(place, &value)| put(place, number(value)))
            }
            Self::Integer(values) => places
                .zip(&values[start..])
                .for_each(|(place, &value)| put(place, number(value as f64))),
            Self::Text { codes, by_code, missing } => {
                places.zip(&codes[start..]).for_each(|(place, &code)| {
                    put(place, if code == MISSING { *missing } else { by_code[code as usize] });
                });
            }
        }
    }
}
