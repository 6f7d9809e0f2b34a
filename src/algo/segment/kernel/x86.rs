//! The kernel in the instructions of x86-64 that processors have or lack.
#![allow(unsafe_code, reason = "instructions and loads that the callers vouch for")]

use super::{GROUP, LANES, Packed};
use std::arch::x86_64::*;

/// # Safety
/// AVX2 and FMA; `blocks` and `nearest` of whole blocks of `packed`'s width in features, and as many scores if TWO.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn blocks_avx2<const TWO: bool>(
    blocks: &[f32],
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
            let block = blocks.as_ptr().add(block_idx * n_features * LANES);
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
                    let low = _mm256_loadu_ps(block.add(feature * LANES));
                    let high = _mm256_loadu_ps(block.add(feature * LANES + 8));
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

/// Two blocks at a time, for the 8 chains; a last odd block goes the way of AVX2.
///
/// # Safety
/// AVX-512F, AVX2 and FMA; lengths as [`blocks_avx2`].
#[target_feature(enable = "avx512f,avx2,fma")]
pub(super) unsafe fn blocks_avx512<const TWO: bool>(
    blocks: &[f32],
    packed: &Packed,
    nearest: &mut [u16],
    scores: [&mut [f32]; 2],
) {
    let n_features = packed.n_features;
    let n_groups = packed.half_norms.len() / GROUP;
    let n_pairs = nearest.len() / (2 * LANES);
    for pair in 0..n_pairs {
        // SAFETY: as in `blocks_avx2`.
        unsafe {
            let low_block = blocks.as_ptr().add(pair * 2 * n_features * LANES);
            let high_block = low_block.add(n_features * LANES);
            let mut best = [_mm512_set1_ps(f32::INFINITY); 2];
            let mut second = best;
            let mut index = [_mm512_setzero_si512(); 2];
            for group in 0..n_groups {
                let half_norms = packed.half_norms.as_ptr().add(group * GROUP);
                let negated = packed.negated.as_ptr().add(group * n_features * GROUP);
                let mut score = [[_mm512_setzero_ps(); 2]; GROUP];
                for (member, score) in score.iter_mut().enumerate() {
                    *score = [_mm512_set1_ps(*half_norms.add(member)); 2];
                }
                for feature in 0..n_features {
                    let low = _mm512_loadu_ps(low_block.add(feature * LANES));
                    let high = _mm512_loadu_ps(high_block.add(feature * LANES));
                    for (member, score) in score.iter_mut().enumerate() {
                        let negated = _mm512_set1_ps(*negated.add(feature * GROUP + member));
                        score[0] = _mm512_fmadd_ps(low, negated, score[0]);
                        score[1] = _mm512_fmadd_ps(high, negated, score[1]);
                    }
                }
                for (member, score) in score.iter().enumerate() {
                    let number = _mm512_set1_epi32((group * GROUP + member) as i32);
                    for half in 0..2 {
                        if TWO {
                            let farther = _mm512_max_ps(score[half], best[half]);
                            second[half] = _mm512_min_ps(second[half], farther);
                        }
                        let nearer = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(score[half], best[half]);
                        best[half] = _mm512_mask_mov_ps(best[half], nearer, score[half]);
                        index[half] = _mm512_mask_mov_epi32(index[half], nearer, number);
                    }
                }
            }
            for (half, index) in index.iter().enumerate() {
                let out = nearest.as_mut_ptr().add((pair * 2 + half) * LANES);
                _mm256_storeu_si256(out.cast(), _mm512_cvtepi32_epi16(*index));
                if TWO {
                    let place = (pair * 2 + half) * LANES;
                    _mm512_storeu_ps(scores[0].as_mut_ptr().add(place), best[half]);
                    _mm512_storeu_ps(scores[1].as_mut_ptr().add(place), second[half]);
                }
            }
        }
    }
    let done = n_pairs * 2 * LANES;
    if done < nearest.len() {
        // SAFETY: whole blocks are left over, and AVX2 is there.
        unsafe {
            let scores = scores.map(|scores| if TWO { &mut scores[done..] } else { scores });
            blocks_avx2::<TWO>(&blocks[done * n_features..], packed, &mut nearest[done..], scores);
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
