//! What a fit reads: rows of f64, cell by cell, so that columns need no copy into a matrix first.
//!
//! Scan order must not matter to a fit, so rows can be read in an order of their own: by key, or by content.

use std::cmp::Ordering;
use std::sync::Arc;

use ndarray::ArrayView2;
use rayon::prelude::*;

pub trait Rows: Sync {
    fn n_rows(&self) -> usize;
    fn n_features(&self) -> usize;
    fn value(&self, row: usize, feature: usize) -> f64;

    /// Whether a row may weigh anything but 1.
    fn is_weighted(&self) -> bool {
        false
    }

    /// As how many equal rows a row counts.
    fn weight(&self, _row: usize) -> f64 {
        1.0
    }

    /// Copies a feature of the rows from `first` on.
    fn copy(&self, feature: usize, first: usize, out: &mut [f64]) {
        for (row, out) in (first..).zip(out) {
            *out = self.value(row, feature);
        }
    }
}

/// Rows (or centroids) side by side.
pub(crate) const LANES: usize = 16;

/// Rows that are read together, feature by feature: long runs, since most features are columns of their own.
pub(crate) const TOGETHER: usize = 128 * LANES;

impl<T: Copy + Into<f64> + Sync> Rows for ArrayView2<'_, T> {
    fn n_rows(&self) -> usize {
        self.nrows()
    }

    fn n_features(&self) -> usize {
        self.ncols()
    }

    #[inline]
    fn value(&self, row: usize, feature: usize) -> f64 {
        self[[row, feature]].into()
    }

    fn copy(&self, feature: usize, first: usize, out: &mut [f64]) {
        match self.to_slice() {
            Some(values) => {
                let (d, first) = (self.ncols(), first * self.ncols() + feature);
                for (out, value) in out.iter_mut().zip(values[first..].iter().step_by(d)) {
                    *out = (*value).into();
                }
            }
            None => {
                for (row, out) in (first..).zip(out) {
                    *out = self.value(row, feature);
                }
            }
        }
    }
}

impl<R: Rows> Rows for &R {
    fn n_rows(&self) -> usize {
        (**self).n_rows()
    }

    fn n_features(&self) -> usize {
        (**self).n_features()
    }

    #[inline]
    fn value(&self, row: usize, feature: usize) -> f64 {
        (**self).value(row, feature)
    }

    fn is_weighted(&self) -> bool {
        (**self).is_weighted()
    }

    fn weight(&self, row: usize) -> f64 {
        (**self).weight(row)
    }

    fn copy(&self, feature: usize, first: usize, out: &mut [f64]) {
        (**self).copy(feature, first, out);
    }
}

/// One dimension of every row.
#[derive(Debug, Clone)]
pub enum Cells<'a> {
    Numbers(&'a [f64]),
    /// With a number for those that are missing.
    Filled {
        values: &'a [f64],
        fill: f64,
    },
    /// 1 where the row's code has its place at `level`, else 0; `unseen` for a code that has none, and `missing` for a missing one,
    /// which is NaN for a missing value.
    Indicator {
        codes: &'a [u32],
        /// By code; shared by all levels of a column.
        places: Arc<[Option<usize>]>,
        level: usize,
        unseen: f64,
        missing: f64,
    },
}

impl Cells<'_> {
    fn len(&self) -> usize {
        match self {
            Cells::Numbers(values) | Cells::Filled { values, .. } => values.len(),
            Cells::Indicator { codes, .. } => codes.len(),
        }
    }

    #[inline]
    fn value(&self, row: usize) -> f64 {
        match self {
            Cells::Numbers(values) => values[row],
            Cells::Filled { values, fill } => {
                if values[row].is_nan() {
                    *fill
                } else {
                    values[row]
                }
            }
            Cells::Indicator { codes, places, level, unseen, missing } => {
                match places.get(codes[row] as usize) {
                    Some(Some(place)) => f64::from(u8::from(place == level)),
                    Some(None) => *unseen,
                    None => *missing,
                }
            }
        }
    }
}

/// Columns of one length, side by side.
pub struct Columns<'a>(pub Vec<Cells<'a>>);

impl Rows for Columns<'_> {
    fn n_rows(&self) -> usize {
        self.0.first().map_or(0, Cells::len)
    }

    fn n_features(&self) -> usize {
        self.0.len()
    }

    #[inline]
    fn value(&self, row: usize, feature: usize) -> f64 {
        self.0[feature].value(row)
    }

    fn copy(&self, feature: usize, first: usize, out: &mut [f64]) {
        match &self.0[feature] {
            Cells::Numbers(values) => out.copy_from_slice(&values[first..][..out.len()]),
            cells => {
                for (row, out) in (first..).zip(out) {
                    *out = cells.value(row);
                }
            }
        }
    }
}

/// The rows in another order, or some of them; `None` leaves them as they are.
pub struct Ordered<R> {
    pub rows: R,
    pub order: Option<Vec<u32>>,
}

impl<R: Rows> Rows for Ordered<R> {
    fn n_rows(&self) -> usize {
        self.order.as_ref().map_or_else(|| self.rows.n_rows(), Vec::len)
    }

    fn n_features(&self) -> usize {
        self.rows.n_features()
    }

    #[inline]
    fn value(&self, row: usize, feature: usize) -> f64 {
        self.rows.value(original(self.order.as_deref(), row), feature)
    }

    fn is_weighted(&self) -> bool {
        self.rows.is_weighted()
    }

    fn weight(&self, row: usize) -> f64 {
        self.rows.weight(original(self.order.as_deref(), row))
    }

    fn copy(&self, feature: usize, first: usize, out: &mut [f64]) {
        match &self.order {
            None => self.rows.copy(feature, first, out),
            Some(order) => {
                for (&row, out) in order[first..].iter().zip(out) {
                    *out = self.rows.value(row as usize, feature);
                }
            }
        }
    }
}

/// Which row is at this place of an order.
#[inline]
pub fn original(order: Option<&[u32]>, place: usize) -> usize {
    order.map_or(place, |order| order[place] as usize)
}

/// The rows' order by their values, feature by feature, and then by their weights; `None` when they are in order already.
pub fn order_by_content(rows: &impl Rows) -> Option<Vec<u32>> {
    order_by(rows.n_rows(), |row| sortable(rows.value(row, 0)), |a, b| by_content(rows, a, b))
}

/// The rows' order by whole keys, rows of one key by content.
pub fn order_by_integer(keys: &[i64], rows: &impl Rows) -> Option<Vec<u32>> {
    order_by(keys.len(), |row| keys[row], |a, b| by_content(rows, a, b))
}

/// The rows' order by text keys, bytewise, rows of one key by content. `codes` point into the dictionary.
pub fn order_by_text(codes: &[u32], dictionary: &[String], rows: &impl Rows) -> Option<Vec<u32>> {
    let mut sorted: Vec<u32> = (0..dictionary.len() as u32).collect();
    sorted.par_sort_unstable_by(|&a, &b| dictionary[a as usize].cmp(&dictionary[b as usize]));
    let mut ranks = vec![0u32; dictionary.len()];
    for (rank, &code) in sorted.iter().enumerate() {
        ranks[code as usize] = rank as u32;
    }
    order_by(codes.len(), |row| ranks[codes[row] as usize], |a, b| by_content(rows, a, b))
}

fn order_by<K: Ord + Copy + Send + Sync>(
    n_rows: usize,
    key: impl Fn(usize) -> K + Sync,
    tie: impl Fn(usize, usize) -> Ordering + Sync,
) -> Option<Vec<u32>> {
    let in_order = |row: usize| key(row - 1).cmp(&key(row)).then_with(|| tie(row - 1, row)).is_le();
    if (1..n_rows).all(in_order) {
        return None;
    }
    let mut keyed: Vec<(K, u32)> = (0..n_rows).map(|row| (key(row), row as u32)).collect();
    keyed.par_sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| tie(a.1 as usize, b.1 as usize)));
    Some(keyed.into_iter().map(|(_, row)| row).collect())
}

fn by_content(rows: &impl Rows, a: usize, b: usize) -> Ordering {
    (0..rows.n_features())
        .map(|feature| sortable(rows.value(a, feature)).cmp(&sortable(rows.value(b, feature))))
        .find(|ordering| ordering.is_ne())
        .unwrap_or_else(|| rows.weight(a).total_cmp(&rows.weight(b)))
}

/// An integer in the order of the numbers; 0 and -0 are one.
fn sortable(value: f64) -> i64 {
    let bits = (value + 0.0).to_bits() as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn rows_are_ordered_by_content_feature_by_feature() {
        let rows = array![[1.0, 5.0], [-2.0, 0.0], [1.0, -3.0], [0.0, 1.0], [-0.0, 0.5]];
        assert_eq!(order_by_content(&rows.view()), Some(vec![1, 4, 3, 2, 0]));
        assert_eq!(order_by_content(&array![[1.0], [1.0], [2.0]].view()), None);
    }

    #[test]
    fn rows_are_ordered_by_key_and_rows_of_one_key_by_content() {
        let rows = Columns(vec![Cells::Numbers(&[9.0, 8.0, 7.0, 6.0])]);
        assert_eq!(order_by_integer(&[2, -1, 2, 0], &rows), Some(vec![1, 3, 2, 0]));
        assert_eq!(order_by_integer(&[1, 2, 3, 4], &rows), None);
        let dictionary = ["b".to_owned(), "a".to_owned()];
        assert_eq!(order_by_text(&[0, 1, 1, 0], &dictionary, &rows), Some(vec![2, 1, 3, 0]));
    }
}
