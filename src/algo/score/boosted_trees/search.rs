//! Which bin a number is in: the number of thresholds below it, by halving without branches.

use multiversion::multiversion;

/// Thresholds, with infinity behind them.
pub type Cuts = [f64; 256];

pub fn padded(cuts: &[f64]) -> Cuts {
    let mut padded = [f64::INFINITY; 256];
    padded.iter_mut().zip(cuts).for_each(|(to, from)| *to = *from);
    padded
}

/// Of each value its bin, and `missing` of NaN.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub fn bins(values: &[f64], cuts: &Cuts, missing: u8, bins: &mut [u8]) {
    let missing = u64::from(missing);
    // Lane by lane, so that one waits while the others go on.
    let (values, last_values) = values.as_chunks::<16>();
    let (bins, last_bins) = bins.as_chunks_mut::<16>();
    for (values, bins) in values.iter().zip(bins) {
        let mut first = [0u64; 16];
        for half in [128, 64, 32, 16, 8, 4, 2, 1] {
            for (first, value) in first.iter_mut().zip(values) {
                let cut = cuts[(*first + half - 1) as usize & 255];
                *first += if cut < *value { half } else { 0 };
            }
        }
        for ((bin, value), first) in bins.iter_mut().zip(values).zip(first) {
            *bin = if value.is_nan() { missing } else { first } as u8;
        }
    }
    for (value, bin) in last_values.iter().zip(last_bins) {
        *bin = self::bin(*value, cuts, missing as u8);
    }
}

/// As [`bins`], of one value.
#[inline(always)]
pub fn bin(value: f64, cuts: &Cuts, missing: u8) -> u8 {
    let mut first = 0;
    for half in [128, 64, 32, 16, 8, 4, 2, 1] {
        first += if cuts[(first + half - 1) & 255] < value { half } else { 0 };
    }
    if value.is_nan() { missing } else { first as u8 }
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
                values.chain([f64::NAN, f64::NEG_INFINITY, f64::MAX, f64::INFINITY]).collect();
            let padded = padded(&cuts);
            let mut found = vec![0; values.len()];
            bins(&values, &padded, 255, &mut found);
            for (value, found) in values.into_iter().zip(found) {
                let expected = cuts.iter().filter(|cut| **cut < value).count() as u8;
                assert_eq!(found, if value.is_nan() { 255 } else { expected }, "{value} of {n}");
                assert_eq!(found, bin(value, &padded, 255));
            }
        }
    }
}
