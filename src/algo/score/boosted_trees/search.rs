//! Which bin a number is in: the number of thresholds below it, by halving without branches.

use std::array;

/// Searched at once, so that one waits while the others go on.
const LANES: usize = 8;

/// Of each value its bin, and `missing` of NaN; as many bins as values.
pub fn bins(mut values: impl Iterator<Item = f64>, cuts: &[f64], missing: u8, bins: &mut [u8]) {
    for bins in bins.chunks_mut(LANES) {
        let values: [f64; LANES] = array::from_fn(|_| values.next().unwrap_or(f64::NAN));
        let found = lower(&values, cuts);
        for ((bin, value), found) in bins.iter_mut().zip(values).zip(found) {
            *bin = if value.is_nan() { missing } else { found as u8 };
        }
    }
}

/// As [`bins`], of one value.
#[inline]
pub fn bin(value: f64, cuts: &[f64], missing: u8) -> u8 {
    if value.is_nan() { missing } else { lower(&[value], cuts)[0] as u8 }
}

#[inline(always)]
fn lower<const N: usize>(values: &[f64; N], cuts: &[f64]) -> [usize; N] {
    let mut first = [0; N];
    let mut length = cuts.len();
    while length > 1 {
        let half = length / 2;
        for (first, value) in first.iter_mut().zip(values) {
            *first += if cuts[*first + half - 1] < *value { half } else { 0 };
        }
        length -= half;
    }
    if let 1 = length {
        for (first, value) in first.iter_mut().zip(values) {
            *first += usize::from(cuts[*first] < *value);
        }
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_is_the_number_of_thresholds_below() {
        for n in [0, 1, 2, 3, 7, 8, 100, 253, 254] {
            let cuts: Vec<f64> = (0..n).map(f64::from).collect();
            let values = (0..2 * n + 6).map(|i| f64::from(i) / 2.0 - 1.0);
            let values: Vec<f64> =
                values.chain([f64::NAN, f64::NEG_INFINITY, f64::INFINITY]).collect();
            let mut found = vec![0; values.len()];
            bins(values.iter().copied(), &cuts, 255, &mut found);
            for (value, found) in values.into_iter().zip(found) {
                let expected = cuts.iter().filter(|cut| **cut < value).count() as u8;
                assert_eq!(found, if value.is_nan() { 255 } else { expected }, "{value} of {n}");
                assert_eq!(found, bin(value, &cuts, 255));
            }
        }
    }
}
