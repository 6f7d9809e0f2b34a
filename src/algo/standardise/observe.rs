//! One row into the moments of its features: four features at a time where the processor has AVX2, else one by one.
//!
//! Both ways make the same operations in the same order, and no fused ones, so they give the same bits.
#![allow(unsafe_code)] // The vector instructions' intrinsics; bounds are checked once at entry.

use super::stats::{PARTS, Part};

/// Adds a row without a missing value. False, and nothing added, when a value is NaN or infinite or the row has another
/// number of features than the block.
#[inline]
pub fn observe_finite(block: &mut [f64], row: &[f64]) -> bool {
    if block.len() != PARTS * row.len() {
        return false;
    }
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, and the block has PARTS runs of the row's length.
        return unsafe { observe_avx2(block, row) };
    }
    if !row.iter().all(|x| x.is_finite()) {
        return false;
    }
    observe_features(block, row, 0);
    true
}

/// Adds the features from `first` on.
pub(super) fn observe_features(block: &mut [f64], row: &[f64], first: usize) {
    let d = row.len();
    for (j, &x) in row.iter().enumerate().skip(first) {
        let at = |part: Part| part as usize * d + j;
        let before = block[at(Part::Count)];
        let n = before + 1.0;
        let mean = block[at(Part::Mean)];
        let low = block[at(Part::MeanLow)];
        // The first value is the mean as it is. In halves, so that no difference of two floats is beyond them.
        let half = if before == 0.0 { 0.0 } else { (0.5 * x - 0.5 * mean) - 0.5 * low };
        let delta = half + half;
        let step = half / (0.5 * n);
        let square = step * step;
        let growth = delta * step * before;
        let (m2, m3) = (block[at(Part::M2)], block[at(Part::M3)]);
        block[at(Part::M4)] +=
            growth * square * (n * n - 3.0 * n + 3.0) + 6.0 * square * m2 - 4.0 * step * m3;
        block[at(Part::M3)] += growth * step * (n - 2.0) - 3.0 * step * m2;
        block[at(Part::M2)] = m2 + growth;
        let moved = moved((mean, low), step);
        let first = before == 0.0;
        block[at(Part::Mean)] = if first { x } else { moved.0 };
        block[at(Part::MeanLow)] = if first { 0.0 } else { moved.1 };
        block[at(Part::Count)] = n;
        let (min, max) = (block[at(Part::Min)], block[at(Part::Max)]);
        block[at(Part::Min)] = if x < min { x } else { min };
        block[at(Part::Max)] = if x > max { x } else { max };
    }
}

/// A mean of two parts, moved by a step: what the sum leaves out of the step (Knuth's two-sum) goes to the low part.
#[inline]
pub(super) fn moved((mean, low): (f64, f64), step: f64) -> (f64, f64) {
    let sum = mean + step;
    let added = sum - mean;
    let low = low + ((mean - (sum - added)) + (step - added));
    let high = sum + low;
    (high, low - (high - sum))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
/// # Safety
/// The processor has AVX2; `block` is PARTS times as long as `row`.
unsafe fn observe_avx2(block: &mut [f64], row: &[f64]) -> bool {
    use std::arch::x86_64::*;
    let d = row.len();
    let whole = d - d % 4;
    // SAFETY: every pointer is to four numbers at j + 3 < d of a run of d, within the lengths of the contract.
    unsafe {
        let (zero, infinity) = (_mm256_setzero_pd(), _mm256_set1_pd(f64::INFINITY));
        let sign = _mm256_set1_pd(-0.0);
        let mut finite = _mm256_castsi256_pd(_mm256_set1_epi64x(-1));
        for j in (0..whole).step_by(4) {
            let x = _mm256_loadu_pd(row.as_ptr().add(j));
            let is_finite = _mm256_cmp_pd::<_CMP_LT_OQ>(_mm256_andnot_pd(sign, x), infinity);
            finite = _mm256_and_pd(finite, is_finite);
        }
        if _mm256_movemask_pd(finite) != 0b1111 || !row[whole..].iter().all(|x| x.is_finite()) {
            return false;
        }
        let [halved, one, two, three, four, six] =
            [0.5, 1.0, 2.0, 3.0, 4.0, 6.0].map(|x| _mm256_set1_pd(x));
        let base = block.as_mut_ptr();
        for j in (0..whole).step_by(4) {
            let at = |part: Part| base.add(part as usize * d + j);
            let x = _mm256_loadu_pd(row.as_ptr().add(j));
            let before = _mm256_loadu_pd(at(Part::Count));
            let mean = _mm256_loadu_pd(at(Part::Mean));
            let m2 = _mm256_loadu_pd(at(Part::M2));
            let m3 = _mm256_loadu_pd(at(Part::M3));
            let m4 = _mm256_loadu_pd(at(Part::M4));
            let n = _mm256_add_pd(before, one);
            let is_first = _mm256_cmp_pd::<_CMP_EQ_OQ>(before, zero);
            let low = _mm256_loadu_pd(at(Part::MeanLow));
            let half = _mm256_sub_pd(_mm256_mul_pd(halved, x), _mm256_mul_pd(halved, mean));
            let half = _mm256_sub_pd(half, _mm256_mul_pd(halved, low));
            let half = _mm256_andnot_pd(is_first, half);
            let delta = _mm256_add_pd(half, half);
            let step = _mm256_div_pd(half, _mm256_mul_pd(halved, n));
            let square = _mm256_mul_pd(step, step);
            let growth = _mm256_mul_pd(_mm256_mul_pd(delta, step), before);
            let polynomial =
                _mm256_add_pd(_mm256_sub_pd(_mm256_mul_pd(n, n), _mm256_mul_pd(three, n)), three);
            let fourth = _mm256_mul_pd(_mm256_mul_pd(growth, square), polynomial);
            let fourth = _mm256_add_pd(fourth, _mm256_mul_pd(_mm256_mul_pd(six, square), m2));
            let fourth = _mm256_sub_pd(fourth, _mm256_mul_pd(_mm256_mul_pd(four, step), m3));
            let third = _mm256_mul_pd(_mm256_mul_pd(growth, step), _mm256_sub_pd(n, two));
            let third = _mm256_sub_pd(third, _mm256_mul_pd(_mm256_mul_pd(three, step), m2));
            let sum = _mm256_add_pd(mean, step);
            let added = _mm256_sub_pd(sum, mean);
            let left_out = _mm256_sub_pd(mean, _mm256_sub_pd(sum, added));
            let left_out = _mm256_add_pd(left_out, _mm256_sub_pd(step, added));
            let low = _mm256_add_pd(low, left_out);
            let high = _mm256_add_pd(sum, low);
            let low = _mm256_sub_pd(low, _mm256_sub_pd(high, sum));
            let mean = _mm256_blendv_pd(high, x, is_first);
            let low = _mm256_andnot_pd(is_first, low);
            _mm256_storeu_pd(at(Part::M4), _mm256_add_pd(m4, fourth));
            _mm256_storeu_pd(at(Part::M3), _mm256_add_pd(m3, third));
            _mm256_storeu_pd(at(Part::M2), _mm256_add_pd(m2, growth));
            _mm256_storeu_pd(at(Part::Mean), mean);
            _mm256_storeu_pd(at(Part::MeanLow), low);
            _mm256_storeu_pd(at(Part::Count), n);
            // Both give the second operand where neither is less (greater), as the comparisons of the other way do.
            let min = _mm256_min_pd(x, _mm256_loadu_pd(at(Part::Min)));
            let max = _mm256_max_pd(x, _mm256_loadu_pd(at(Part::Max)));
            _mm256_storeu_pd(at(Part::Min), min);
            _mm256_storeu_pd(at(Part::Max), max);
        }
    }
    observe_features(block, row, whole);
    true
}

#[cfg(test)]
mod tests {
    use super::super::stats::clear;
    use super::*;

    #[test]
    fn both_ways_give_the_same_bits() {
        for d in [1, 3, 4, 7, 8, 13] {
            let (mut fast, mut plain) = (vec![0.0; PARTS * d], vec![0.0; PARTS * d]);
            clear(&mut fast);
            clear(&mut plain);
            for i in 0..200_i32 {
                let row: Vec<f64> = (0..d)
                    .map(|j| (f64::from(i * 31 + j as i32 * 17) * 0.7).sin() * 10.0 + j as f64)
                    .collect();
                let far = 10f64.powi(i % 4 * 100);
                let row: Vec<f64> = row.iter().map(|x| x * far + 1.7e12).collect();
                assert!(observe_finite(&mut fast, &row));
                observe_features(&mut plain, &row, 0);
            }
            let bits = |block: &[f64]| block.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&fast), bits(&plain));
        }
    }

    #[test]
    fn a_row_that_is_not_finite_adds_nothing() {
        for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for place in 0..5 {
                let mut block = vec![0.0; PARTS * 5];
                clear(&mut block);
                let before = block.clone();
                let mut row = [1.0; 5];
                row[place] = x;
                assert!(!observe_finite(&mut block, &row));
                assert_eq!(block, before);
            }
        }
    }
}
