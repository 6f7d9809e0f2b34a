//! A data set in memory: typed, named columns of one length, as a fit receives them.
//!
//! Missing numbers are NaN: NaN and infinity are refused at the door (SQL NULL is the only missing value), so the mark
//! is unambiguous. Text columns hold codes into a dictionary of their distinct values in order of first appearance.

use ndarray::Array2;

use super::dictionary::Dictionary;
use super::memory::{self, Refused};
use super::store::{Place, Store};

/// The code of a missing value in a text column.
pub const MISSING: u32 = u32::MAX;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Frame {
    pub n_rows: usize,
    pub columns: Vec<Column>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    pub name: String,
    pub values: Values,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Finite numbers; NaN is a missing one.
    Number(Store<f64>),
    /// Whole numbers without a missing one: keys.
    Integer(Store<i64>),
    /// Codes into the dictionary; [`MISSING`] is a missing one.
    Text { codes: Store<u32>, dictionary: Vec<String> },
}

/// `v[3]` is element 2, counted from 0, of the array column `v`.
pub fn element_of(name: &str) -> Option<(&str, usize)> {
    let (array, rest) = name.split_once('[')?;
    let element: usize = rest.strip_suffix(']')?.parse().ok()?;
    Some((array, element.checked_sub(1)?))
}

/// The column of a source that a column of a frame comes from: `v` for `v[1]`.
pub fn base_name(column: &str) -> &str {
    element_of(column).map_or(column, |(array, _)| array)
}

impl Frame {
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Removes the column of this name and returns it.
    pub fn take(&mut self, name: &str) -> Option<Column> {
        let position = self.columns.iter().position(|column| column.name == name)?;
        Some(self.columns.remove(position))
    }

    pub fn names(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.name.clone()).collect()
    }

    /// The numeric columns as an `n_rows` x `n_columns` matrix in standard layout, or the first column that is not one.
    pub fn matrix(&self) -> Result<Array2<f64>, &Column> {
        let mut matrix = Array2::zeros((self.n_rows, self.columns.len()));
        for (column_idx, column) in self.columns.iter().enumerate() {
            let Values::Number(values) = &column.values else { return Err(column) };
            for (cell, value) in matrix.column_mut(column_idx).iter_mut().zip(values) {
                *cell = *value;
            }
        }
        Ok(matrix)
    }
}

impl Column {
    pub fn number(name: &str, values: Vec<f64>) -> Self {
        Self { name: name.to_owned(), values: Values::Number(values.into()) }
    }

    pub fn integer(name: &str, values: Vec<i64>) -> Self {
        Self { name: name.to_owned(), values: Values::Integer(values.into()) }
    }

    /// Gives each word of a text column the form that all its equals have, so that they share a code. `canonical` may leave a
    /// word as it is by saying None.
    pub fn unite_words(
        &mut self,
        canonical: impl Fn(&str) -> Option<String>,
    ) -> Result<(), Refused> {
        let Values::Text { codes, dictionary } = &mut self.values else { return Ok(()) };
        let mut is_changed = false;
        for word in dictionary.iter_mut() {
            if let Some(form) = canonical(word).filter(|form| form != word) {
                *word = form;
                is_changed = true;
            }
        }
        if !is_changed {
            return Ok(());
        }
        let mut united = Vec::new();
        let mut words = Dictionary::default();
        for word in std::mem::take(dictionary) {
            memory::push(&mut united, words.code(&word)?.0)?;
        }
        *dictionary = words.into_words();
        for code in codes.iter_mut().filter(|code| **code != MISSING) {
            *code = united[*code as usize];
        }
        Ok(())
    }

    /// A text column from its values; `None` is a missing one.
    #[cfg(test)]
    pub fn text<'a>(name: &str, values: impl IntoIterator<Item = Option<&'a str>>) -> Self {
        let mut builder = TextBuilder::default();
        for value in values {
            builder.push(value).unwrap();
        }
        Self { name: name.to_owned(), values: builder.finish() }
    }
}

/// Collects a text column value by value.
#[derive(Debug, Default)]
pub struct TextBuilder {
    codes: Store<u32>,
    dictionary: Dictionary,
}

impl TextBuilder {
    /// With codes that lie in this place.
    pub fn in_place(place: &Place) -> Self {
        Self { codes: Store::new(place), ..Self::default() }
    }

    /// Room for codes up to so many.
    pub fn reserve(&mut self, rows: usize) -> std::io::Result<()> {
        self.codes.reserve_exact(rows.saturating_sub(self.codes.len()))
    }

    /// Appends a value and returns by how many bytes the dictionary grew.
    pub fn push(&mut self, value: Option<&str>) -> Result<usize, Refused> {
        let Some(value) = value else {
            self.codes.push(MISSING);
            return Ok(0);
        };
        let (code, is_new) = self.dictionary.code(value)?;
        self.codes.push(code);
        Ok(if is_new { Dictionary::bytes(value) } else { 0 })
    }

    pub fn finish(self) -> Values {
        Values::Text { codes: self.codes, dictionary: self.dictionary.into_words() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_column_codes_its_values_in_order_of_appearance() {
        let column = Column::text("city", [Some("Kyoto"), None, Some("Oslo"), Some("Kyoto")]);
        let expected = Values::Text {
            codes: vec![0, MISSING, 1, 0].into(),
            dictionary: vec!["Kyoto".into(), "Oslo".into()],
        };
        assert_eq!(column.values, expected);
    }

    #[test]
    fn words_of_one_form_share_a_code_in_order_of_appearance() {
        let words = [Some("b "), Some("a"), None, Some("b"), Some("a "), Some("c")];
        let mut column = Column::text("code", words);
        column.unite_words(|word| Some(word.trim_end().to_owned())).unwrap();
        let expected = Values::Text {
            codes: vec![0, 1, MISSING, 0, 1, 2].into(),
            dictionary: vec!["b".into(), "a".into(), "c".into()],
        };
        assert_eq!(column.values, expected);
    }

    #[test]
    fn a_matrix_is_row_major_and_refuses_text() {
        let mut frame = Frame {
            n_rows: 2,
            columns: vec![Column::number("a", vec![1.0, 2.0]), Column::number("b", vec![3.0, 4.0])],
        };
        let matrix = frame.matrix().unwrap();
        assert!(matrix.is_standard_layout());
        assert_eq!(matrix.as_slice().unwrap(), [1.0, 3.0, 2.0, 4.0]);
        frame.columns.push(Column::text("c", [None, None]));
        assert_eq!(frame.matrix().unwrap_err().name, "c");
    }
}
