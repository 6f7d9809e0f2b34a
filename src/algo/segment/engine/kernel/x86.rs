//! The kernel in the instructions of x86-64 that processors have or lack.
#![allow(unsafe_code, reason = "instructions and loads that the callers vouch for")]

use super::{Blocks, GROUP, Packed};
use crate::algo::segment::input::rows::LANES;
use std::arch::x86_64::*;

/// # Safety
/// AVX2 and FMA; `nearest` of whole blocks, `blocks` of as many of `packed`'s width in features, and as many scores if TWO.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn blocks_avx2<const TWO: bool>(
    blocks: Blocks,
    packed: &Packed,
    nearest: &mut [u16],
    scores: [&mut [f32]; 2],
) {
    let n_features = packed.n_features;
    let n_groups = packed.half_norms.len() / GROUP;
    let n_blocks = nearest.len() / LANES;
    for block_idx in 0..n_blocks {
        // SAFETY: block, group, feature and lane stay within the slices, by the lengths that the caller checked.
        unsafe {
            let block = blocks.values.as_ptr().add(block_idx * blocks.block_step);
            let mut best = [_mm256_set1_ps(f32::INFINITY); 2];
            let mut second = best;
            let mut index = [_mm256_setzero_ps(); 2];
            for group in 0..n_groups {
                let half_norms = packed.half_norms.as_ptr().add(group * GROUP);
                let negated = packed.negated.as_ptr().add(group * n_features * GROUP);
                let mut score = [[_mm256_setzero_ps(); 2]; GROUP];
                for (member, score) in score.iter_mut().enumerate() {
                    *score = [_mm256_broadcast_ss(&*half_norms.add(member)); 2];
                }
                for feature in 0..n_features {
                    let values = block.add(feature * blocks.feature_step);
                    let (low, high) = (_mm256_loadu_ps(values), _mm256_loadu_ps(values.add(8)));
                    for (member, score) in score.iter_mut().enumerate() {
                        let negated = _mm256_broadcast_ss(&*negated.add(feature * GROUP + member));
                        score[0] = _mm256_fmadd_ps(low, negated, score[0]);
                        score[1] = _mm256_fmadd_ps(high, negated, score[1]);
                    }
                }
                for (member, score) in score.iter().enumerate() {
                    let number =
                        _mm256_castsi256_ps(_mm256_set1_epi32((group * GROUP + member) as i32));
                    for half in 0..2 {
                        if TWO {
                            let farther = _mm256_max_ps(score[half], best[half]);
                            second[half] = _mm256_min_ps(second[half], farther);
                        }
                        let nearer = _mm256_cmp_ps::<_CMP_LT_OQ>(score[half], best[half]);
                        best[half] = _mm256_blendv_ps(best[half], score[half], nearer);
                        index[half] = _mm256_blendv_ps(index[half], number, nearer);
                    }
                }
            }
            let index = [_mm256_castps_si256(index[0]), _mm256_castps_si256(index[1])];
            // The pack works within halves of the register: the permutation puts the lanes back in order.
            let packed_index =
                _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi32(index[0], index[1]));
            _mm256_storeu_si256(nearest.as_mut_ptr().add(block_idx * LANES).cast(), packed_index);
            if TWO {
                for half in 0..2 {
                    let place = block_idx * LANES + half * 8;
                    _mm256_storeu_ps(scores[0].as_mut_ptr().add(place), best[half]);
                    _mm256_storeu_ps(scores[1].as_mut_ptr().add(place), second[half]);
                }
            }
        }
    }
}

/// One block after the other, so that the rows are one stream, which the processor fetches ahead.
///
/// # Safety
/// AVX-512F, AVX2 and FMA; lengths as [`blocks_avx2`].
#[target_feature(enable = "avx512f,avx2,fma")]
pub(super) unsafe fn blocks_avx512<const TWO: bool>(
    blocks: Blocks,
    packed: &Packed,
    nearest: &mut [u16],
    scores: [&mut [f32]; 2],
) {
    let n_features = packed.n_features;
    let n_groups = packed.half_norms.len() / GROUP;
    for block_idx in 0..nearest.len() / LANES {
        // SAFETY: as in `blocks_avx2`.
        unsafe {
            let block = blocks.values.as_ptr().add(block_idx * blocks.block_step);
            let mut found = Found {
                best: _mm512_set1_ps(f32::INFINITY),
                second: _mm512_set1_ps(f32::INFINITY),
                index: _mm512_setzero_si512(),
            };
            let mut group = 0;
            // Short sums overlap with those of the next group by themselves.
            while n_features >= LONG && group + 2 <= n_groups {
                score_groups::<TWO, 2>(block, blocks.feature_step, packed, group, &mut found);
                group += 2;
            }
            while group < n_groups {
                score_groups::<TWO, 1>(block, blocks.feature_step, packed, group, &mut found);
                group += 1;
            }
            let place = block_idx * LANES;
            let out = nearest.as_mut_ptr().add(place);
            _mm256_storeu_si256(out.cast(), _mm512_cvtepi32_epi16(found.index));
            if TWO {
                _mm512_storeu_ps(scores[0].as_mut_ptr().add(place), found.best);
                _mm512_storeu_ps(scores[1].as_mut_ptr().add(place), found.second);
            }
        }
    }
}

/// From so many features on one group's chains are too few to keep the units busy.
const LONG: usize = 16;

/// The nearest centroids of a block's rows so far.
struct Found {
    best: __m512,
    second: __m512,
    index: __m512i,
}

/// # Safety
/// AVX-512F; `block` is a whole one, and the groups from `group` on are `packed`'s.
#[target_feature(enable = "avx512f")]
unsafe fn score_groups<const TWO: bool, const GROUPS: usize>(
    block: *const f32,
    feature_step: usize,
    packed: &Packed,
    group: usize,
    found: &mut Found,
) {
    let n_features = packed.n_features;
    // SAFETY: group, feature, member and lane stay within the slices, by the caller's promise.
    unsafe {
        let half_norms = packed.half_norms.as_ptr().add(group * GROUP);
        let negated = packed.negated.as_ptr().add(group * n_features * GROUP);
        let mut score = [[_mm512_setzero_ps(); GROUP]; GROUPS];
        for (member, score) in score.as_flattened_mut().iter_mut().enumerate() {
            *score = _mm512_set1_ps(*half_norms.add(member));
        }
        for feature in 0..n_features {
            let values = _mm512_loadu_ps(block.add(feature * feature_step));
            for (group, score) in score.iter_mut().enumerate() {
                let negated = negated.add((group * n_features + feature) * GROUP);
                for (member, score) in score.iter_mut().enumerate() {
                    let negated = _mm512_set1_ps(*negated.add(member));
                    *score = _mm512_fmadd_ps(values, negated, *score);
                }
            }
        }
        for (member, &score) in score.as_flattened().iter().enumerate() {
            if TWO {
                let farther = _mm512_max_ps(score, found.best);
                found.second = _mm512_min_ps(found.second, farther);
            }
            let nearer = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(score, found.best);
            found.best = _mm512_mask_mov_ps(found.best, nearer, score);
            let number = _mm512_set1_epi32((group * GROUP + member) as i32);
            found.index = _mm512_mask_mov_epi32(found.index, nearer, number);
        }
    }
}

/// # Safety
/// AVX2 and FMA; `row` of `packed`'s width in features.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn row_avx2(
    row: &[f32],
    packed: &Packed,
    best: &mut [f32; LANES],
    index: &mut [u32; LANES],
) {
    let n_features = packed.n_features;
    let n_groups = packed.half_norms.len() / LANES;
    // SAFETY: group, feature and lane stay within the slices, by the lengths that the caller checked.
    unsafe {
        let mut nearest = [_mm256_set1_ps(f32::INFINITY); 2];
        let mut number = [_mm256_setzero_ps(); 2];
        let lanes = [
            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
            _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15),
        ];
        let mut group = 0;
        // Two groups run together where there are two, so that four chains share the latency.
        while group < n_groups {
            let width = if group + 1 < n_groups { 2 } else { 1 };
            let mut score = [[_mm256_setzero_ps(); 2]; 2];
            for (member, score) in score.iter_mut().enumerate().take(width) {
                let half_norms = packed.half_norms.as_ptr().add((group + member) * LANES);
                *score = [_mm256_loadu_ps(half_norms), _mm256_loadu_ps(half_norms.add(8))];
            }
            let negated = packed.negated.as_ptr().add(group * n_features * LANES);
            for (feature, value) in row.iter().enumerate() {
                let value = _mm256_broadcast_ss(value);
                for (member, score) in score.iter_mut().enumerate().take(width) {
                    let negated = negated.add((member * n_features + feature) * LANES);
                    score[0] = _mm256_fmadd_ps(value, _mm256_loadu_ps(negated), score[0]);
                    score[1] = _mm256_fmadd_ps(value, _mm256_loadu_ps(negated.add(8)), score[1]);
                }
            }
            for (member, score) in score.iter().enumerate().take(width) {
                let first = _mm256_set1_epi32(((group + member) * LANES) as i32);
                for half in 0..2 {
                    let nearer = _mm256_cmp_ps::<_CMP_LT_OQ>(score[half], nearest[half]);
                    let this = _mm256_castsi256_ps(_mm256_add_epi32(first, lanes[half]));
                    nearest[half] = _mm256_blendv_ps(nearest[half], score[half], nearer);
                    number[half] = _mm256_blendv_ps(number[half], this, nearer);
                }
            }
            group += width;
        }
        for half in 0..2 {
            _mm256_storeu_ps(best.as_mut_ptr().add(half * 8), nearest[half]);
            _mm256_storeu_si256(
                index.as_mut_ptr().add(half * 8).cast(),
                _mm256_castps_si256(number[half]),
            );
        }
    }
}

/// # Safety
/// AVX-512F; `to` has room for a block's width at each feature.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn gather_avx512(
    features: &[[f32; LANES]],
    mask: u16,
    to: &mut [f32],
    feature_step: usize,
) {
    for (feature, values) in features.iter().enumerate() {
        // SAFETY: by the caller's promise.
        unsafe {
            // Into a register first: compressing into memory takes some processors a hundred cycles.
            let side_by_side = _mm512_maskz_compress_ps(mask, _mm512_loadu_ps(values.as_ptr()));
            _mm512_storeu_ps(to.as_mut_ptr().add(feature * feature_step), side_by_side);
        }
    }
}
