//! A sparse matrix by rows (CSR) of positive numbers, columns ascending within a row.
//!
//! User histories, their transpose and the neighbor lists are all one of these. Values are `f32`: halves the model, and
//! products and sums of `f32` taken in `f64` can neither overflow nor vanish.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Sparse {
    pub(super) offsets: Vec<usize>,
    pub(super) columns: Vec<u32>,
    pub(super) values: Vec<f32>,
}

impl Sparse {
    /// No rows yet; rows are appended with [`Sparse::push`] and closed with [`Sparse::end_row`].
    pub(super) fn new() -> Self {
        Self { offsets: vec![0], columns: Vec::new(), values: Vec::new() }
    }

    /// `n_rows` rows without a cell.
    #[cfg(test)]
    pub(super) fn empty(n_rows: usize) -> Self {
        Self { offsets: vec![0; n_rows + 1], columns: Vec::new(), values: Vec::new() }
    }

    pub(super) fn push(&mut self, column: u32, value: f32) {
        self.columns.push(column);
        self.values.push(value);
    }

    pub(super) fn end_row(&mut self) {
        self.offsets.push(self.columns.len());
    }

    pub fn n_rows(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    pub fn n_cells(&self) -> usize {
        self.columns.len()
    }

    /// How many rows have a cell.
    pub(super) fn n_filled_rows(&self) -> usize {
        self.offsets.windows(2).filter(|two| two[0] < two[1]).count()
    }

    /// Columns and values of a row.
    pub fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let range = self.offsets[row]..self.offsets[row + 1];
        (&self.columns[range.clone()], &self.values[range])
    }

    /// The value of a cell, 0 where there is none.
    pub fn get(&self, row: usize, column: u32) -> f32 {
        let (columns, values) = self.row(row);
        columns.binary_search(&column).map_or(0.0, |position| values[position])
    }

    pub(super) fn transposed(&self, n_columns: usize) -> Sparse {
        let mut offsets = vec![0usize; n_columns + 1];
        for &column in &self.columns {
            offsets[column as usize + 1] += 1;
        }
        for column in 0..n_columns {
            offsets[column + 1] += offsets[column];
        }
        let mut next = offsets.clone();
        let mut columns = vec![0u32; self.n_cells()];
        let mut values = vec![0f32; self.n_cells()];
        for row in 0..self.n_rows() {
            let (row_columns, row_values) = self.row(row);
            for (&column, &value) in row_columns.iter().zip(row_values) {
                let position = next[column as usize];
                next[column as usize] += 1;
                columns[position] = row as u32;
                values[position] = value;
            }
        }
        Sparse { offsets, columns, values }
    }

    /// How many rows have a cell in each column.
    pub(super) fn column_counts(&self, n_columns: usize) -> Vec<u32> {
        let mut counts = vec![0u32; n_columns];
        for &column in &self.columns {
            counts[column as usize] += 1;
        }
        counts
    }

    /// Whether bytes from outside made a matrix of this shape that every function here can read.
    pub(super) fn is_sound(&self, n_rows: usize, n_columns: usize) -> bool {
        let n_cells = self.columns.len();
        self.offsets.len() == n_rows + 1
            && self.values.len() == n_cells
            && self.offsets.first() == Some(&0)
            && self.offsets.last() == Some(&n_cells)
            && self.offsets.is_sorted()
            && self.values.iter().all(|value| value.is_finite() && *value > 0.0)
            && (0..n_rows).all(|row| {
                let (columns, _) = self.row(row);
                columns.is_sorted_by(|a, b| a < b)
                    && columns.last().is_none_or(|&last| (last as usize) < n_columns)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Sparse {
        Sparse { offsets: vec![0, 2, 2, 3], columns: vec![0, 2, 1], values: vec![1.0, 2.0, 3.0] }
    }

    #[test]
    fn a_transpose_of_a_transpose_is_the_matrix() {
        let transposed = example().transposed(3);
        assert_eq!(transposed.row(2), (&[0u32][..], &[2.0f32][..]));
        assert_eq!(transposed.transposed(3), example());
        assert_eq!(example().column_counts(3), [1, 1, 1]);
    }

    #[test]
    fn unsound_matrices_are_seen() {
        assert!(example().is_sound(3, 3));
        assert!(Sparse::empty(4).is_sound(4, 0));
        let spoilt: [fn(&mut Sparse); 8] = [
            |m| m.offsets[1] = 9,
            |m| m.offsets[0] = 1,
            |m| m.offsets[3] = 2,
            |m| m.offsets.truncate(1),
            |m| m.columns[1] = 3,
            |m| m.columns[1] = 0,
            |m| m.values[0] = f32::NAN,
            |m| m.values.truncate(2),
        ];
        for (number, spoil) in spoilt.into_iter().enumerate() {
            let mut matrix = example();
            spoil(&mut matrix);
            assert!(!matrix.is_sound(3, 3), "{number}");
        }
    }
}
