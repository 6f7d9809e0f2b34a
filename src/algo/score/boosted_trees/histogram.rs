//! What the rows of a leaf say of each bin of an input: the sums of their gradients and of their curvatures, and how many they are.
//!
//! A row is one word of 64 bits, so that a bin of a row costs one addition: from the top the gradient with its sign, 26 bits; the
//! curvature, 24 bits; the row itself, 14 bits. Both are whole numbers of a fixed unit, at most 2047 and 1023, so up to [`BLOCK`]
//! rows no field runs over into the next. Sums of whole numbers do not hang on their order, nor on who adds them.

use multiversion::multiversion;

use super::ahead;

/// Rows that a word can count.
pub const BLOCK: usize = (1 << ROW_BITS) - 1;
const ROW_BITS: u32 = 14;
const CURVE_BITS: u32 = 24;
pub const MAX_GRADIENT: i32 = 2047;
pub const MAX_CURVE: i32 = 1023;

/// The word of one row.
#[inline(always)]
pub fn word(gradient: i32, curve: u32) -> u64 {
    ((i64::from(gradient) as u64) << (ROW_BITS + CURVE_BITS)) + (u64::from(curve) << ROW_BITS) + 1
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Totals {
    pub gradient: i64,
    pub curve: i64,
    pub rows: i64,
}

impl Totals {
    /// Of a word, or of the sum of no more than [`BLOCK`] of them.
    #[inline(always)]
    pub fn of(word: u64) -> Self {
        Self {
            gradient: word as i64 >> (ROW_BITS + CURVE_BITS),
            curve: (word >> ROW_BITS & ((1 << CURVE_BITS) - 1)) as i64,
            rows: (word & ((1 << ROW_BITS) - 1)) as i64,
        }
    }

    #[inline(always)]
    pub fn plus(self, other: Self) -> Self {
        Self {
            gradient: self.gradient + other.gradient,
            curve: self.curve + other.curve,
            rows: self.rows + other.rows,
        }
    }

    #[inline(always)]
    pub fn minus(self, other: Self) -> Self {
        Self {
            gradient: self.gradient - other.gradient,
            curve: self.curve - other.curve,
            rows: self.rows - other.rows,
        }
    }
}

/// Of the bins of some inputs, one after the other.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    pub gradients: Vec<i64>,
    pub curves: Vec<i64>,
    pub rows: Vec<u32>,
}

impl Histogram {
    pub fn bytes(n_bins: usize) -> usize {
        n_bins * (2 * size_of::<i64>() + size_of::<u32>())
    }

    pub fn new(n_bins: usize) -> Self {
        Self { gradients: vec![0; n_bins], curves: vec![0; n_bins], rows: vec![0; n_bins] }
    }

    pub fn clear(&mut self) {
        self.gradients.fill(0);
        self.curves.fill(0);
        self.rows.fill(0);
    }

    #[inline]
    pub fn bin(&self, bin: usize) -> Totals {
        Totals {
            gradient: self.gradients[bin],
            curve: self.curves[bin],
            rows: i64::from(self.rows[bin]),
        }
    }

    /// Adds the sums of words, from this bin on.
    pub fn add(&mut self, first: usize, words: &[u64]) {
        let places = first..first + words.len();
        add(
            &mut self.gradients[places.clone()],
            &mut self.curves[places.clone()],
            &mut self.rows[places],
            words,
        );
    }

    pub fn subtract(&mut self, other: &Self) {
        subtract(&mut self.gradients, &other.gradients);
        subtract(&mut self.curves, &other.curves);
        self.rows.iter_mut().zip(&other.rows).for_each(|(rows, other)| *rows -= other);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
fn add(gradients: &mut [i64], curves: &mut [i64], rows: &mut [u32], words: &[u64]) {
    let sums = gradients.iter_mut().zip(curves).zip(rows);
    for (((gradient, curve), rows), word) in sums.zip(words) {
        let totals = Totals::of(*word);
        *gradient += totals.gradient;
        *curve += totals.curve;
        *rows += totals.rows as u32;
    }
}

#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
fn subtract(from: &mut [i64], other: &[i64]) {
    from.iter_mut().zip(other).for_each(|(sum, other)| *sum -= other);
}

/// The words of these rows, at most [`BLOCK`], by the bins of each of some inputs: `cells` are those of all rows, `n_inputs` a row,
/// and the first of the inputs is `first`.
pub fn accumulate(
    rows: &[u32],
    words: &[u64],
    cells: &[u8],
    (n_inputs, first): (usize, usize),
    sums: &mut [[u64; 256]],
) {
    let width = sums.len();
    for (place, &row) in rows.iter().enumerate() {
        if let Some(&next) = rows.get(place + ahead::ROWS) {
            let start = next as usize * n_inputs + first;
            ahead::ask(words, next as usize);
            ahead::ask(cells, start);
            ahead::ask(cells, start + width - 1);
        }
        let word = words[row as usize];
        let start = row as usize * n_inputs + first;
        let (bins, last_bins) = cells[start..start + width].as_chunks::<4>();
        let (sums, last_sums) = sums.as_chunks_mut::<4>();
        for (sums, bins) in sums.iter_mut().zip(bins) {
            sums.iter_mut().zip(bins).for_each(|(sums, bin)| add_word(sums, *bin, word));
        }
        for (sums, bin) in last_sums.iter_mut().zip(last_bins) {
            add_word(sums, *bin, word);
        }
    }
}

#[inline(always)]
fn add_word(sums: &mut [u64; 256], bin: u8, word: u64) {
    let sum = &mut sums[usize::from(bin)];
    *sum = sum.wrapping_add(word);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_a_whole_block_keep_their_fields_apart() {
        for (gradient, curve) in [(-MAX_GRADIENT, 0), (MAX_GRADIENT, MAX_CURVE), (-1, MAX_CURVE)] {
            let sum =
                (0..BLOCK).fold(0u64, |sum, _| sum.wrapping_add(word(gradient, curve as u32)));
            let n = BLOCK as i64;
            let expected =
                Totals { gradient: n * i64::from(gradient), curve: n * i64::from(curve), rows: n };
            assert_eq!(Totals::of(sum), expected);
        }
    }
}
