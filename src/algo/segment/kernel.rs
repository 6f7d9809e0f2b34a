//! The assignment kernel: nearest centroid of 16 rows at a time, without a matrix of distances.
//!
//! The nearest centroid minimises |c|^2 / 2 - x.c, one fused multiply-add per feature, in feature order. Every path makes
//! the same operations on the same numbers, so all give the same bits: AVX-512, AVX2 and the portable one, rows in the
//! lanes (a fit) and centroids in the lanes (a single row).
#![allow(unsafe_code)] // The vector instructions' intrinsics; bounds are the callers' slices, checked once at entry.

/// Rows (or centroids) side by side.
pub(super) const LANES: usize = 16;
/// Centroids whose sums run together: with two vectors of rows that makes 8 chains, which hides the 4 cycles of an FMA.
const GROUP: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Path {
    pub(super) fn best() -> Self {
        Self::available().last().copied().unwrap_or(Self::Portable)
    }

    /// What this processor can run, slowest first.
    pub(super) fn available() -> Vec<Self> {
        #[allow(unused_mut)]
        let mut paths = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            paths.push(Self::Avx2);
            if std::is_x86_feature_detected!("avx512f") {
                paths.push(Self::Avx512);
            }
        }
        paths
    }
}

/// Centroids laid out for the kernel: per group of `width` centroids and feature, the negated coordinates side by side.
///
/// A group that is not full is padded with centroids at an infinite score, which are never the nearest.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Packed {
    n_features: usize,
    width: usize,
    half_norms: Vec<f32>,
    negated: Vec<f32>,
}

impl Packed {
    /// For rows in the lanes: [`nearest_of_blocks`].
    pub(super) fn for_blocks(centroids: &[f32], n_features: usize) -> Self {
        Self::new(centroids, n_features, GROUP)
    }

    /// For centroids in the lanes: [`nearest_of_row`].
    pub(super) fn for_rows(centroids: &[f32], n_features: usize) -> Self {
        Self::new(centroids, n_features, LANES)
    }

    fn new(centroids: &[f32], n_features: usize, width: usize) -> Self {
        let k = centroids.len() / n_features;
        let padded = k.next_multiple_of(width);
        let mut packed = Self {
            n_features,
            width,
            half_norms: vec![f32::INFINITY; padded],
            negated: vec![0.0; padded * n_features],
        };
        for (idx, centroid) in centroids.chunks_exact(n_features).enumerate() {
            let norm: f64 = centroid.iter().map(|&c| f64::from(c) * f64::from(c)).sum();
            packed.half_norms[idx] = (norm / 2.0) as f32;
            for (feature, &c) in centroid.iter().enumerate() {
                packed.negated[(idx / width * n_features + feature) * width + idx % width] = -c;
            }
        }
        packed
    }
}

/// Writes the index of the nearest centroid of every row of some blocks; of equally near ones, the first.
pub(super) fn nearest_of_blocks(path: Path, blocks: &[f32], packed: &Packed, nearest: &mut [u16]) {
    blocks_by::<false>(path, blocks, packed, nearest, [&mut [], &mut []]);
}

/// As [`nearest_of_blocks`], and writes |c|^2 / 2 - x.c of the nearest centroid and of the second nearest; infinity where there
/// is none.
pub(super) fn two_nearest_of_blocks(
    path: Path,
    blocks: &[f32],
    packed: &Packed,
    nearest: &mut [u16],
    scores: [&mut [f32]; 2],
) {
    assert!(scores.iter().all(|scores| scores.len() == nearest.len()));
    blocks_by::<true>(path, blocks, packed, nearest, scores);
}

fn blocks_by<const TWO: bool>(
    path: Path,
    blocks: &[f32],
    packed: &Packed,
    nearest: &mut [u16],
    scores: [&mut [f32]; 2],
) {
    assert!(packed.width == GROUP && blocks.len() == nearest.len() * packed.n_features);
    assert!(nearest.len().is_multiple_of(LANES));
    match path {
        Path::Portable => portable_blocks::<TWO>(blocks, packed, nearest, scores),
        // SAFETY: `Path::available` found the instructions; the lengths were checked above.
        #[cfg(target_arch = "x86_64")]
        Path::Avx2 => unsafe { x86::blocks_avx2::<TWO>(blocks, packed, nearest, scores) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Path::Avx512 => unsafe { x86::blocks_avx512::<TWO>(blocks, packed, nearest, scores) },
    }
}

/// The index of the centroid nearest to one row; of equally near ones, the first.
pub(super) fn nearest_of_row(path: Path, row: &[f32], packed: &Packed) -> u32 {
    assert!(packed.width == LANES && row.len() == packed.n_features);
    let mut best = [f32::INFINITY; LANES];
    let mut index = [0u32; LANES];
    match path {
        Path::Portable => portable_row(row, packed, &mut best, &mut index),
        // SAFETY: `Path::available` found the instructions; the lengths were checked above.
        #[cfg(target_arch = "x86_64")]
        Path::Avx2 | Path::Avx512 => unsafe { x86::row_avx2(row, packed, &mut best, &mut index) },
    }
    let mut nearest = (best[0], index[0]);
    for lane in 1..LANES {
        let other = (best[lane], index[lane]);
        if other.0 < nearest.0 || (other.0 == nearest.0 && other.1 < nearest.1) {
            nearest = other;
        }
    }
    nearest.1
}

/// Asks for a block that will be read soon.
#[inline]
pub(super) fn fetch(block: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    for values in block.chunks_exact(LANES) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(values.as_ptr().cast()) }
    }
}

fn portable_blocks<const TWO: bool>(
    blocks: &[f32],
    packed: &Packed,
    nearest: &mut [u16],
    mut scores: [&mut [f32]; 2],
) {
    let block_len = packed.n_features * LANES;
    let by_block = blocks.chunks_exact(block_len).zip(nearest.chunks_exact_mut(LANES));
    for (block_idx, (block, nearest)) in by_block.enumerate() {
        let mut best = [f32::INFINITY; LANES];
        let mut second = [f32::INFINITY; LANES];
        for (group_idx, group) in packed.negated.chunks_exact(packed.n_features * GROUP).enumerate()
        {
            for member in 0..GROUP {
                let centroid_idx = group_idx * GROUP + member;
                let mut score = [packed.half_norms[centroid_idx]; LANES];
                for (values, negated) in block.chunks_exact(LANES).zip(group.chunks_exact(GROUP)) {
                    for lane in 0..LANES {
                        score[lane] = values[lane].mul_add(negated[member], score[lane]);
                    }
                }
                for lane in 0..LANES {
                    second[lane] = second[lane].min(score[lane].max(best[lane]));
                    if score[lane] < best[lane] {
                        best[lane] = score[lane];
                        nearest[lane] = centroid_idx as u16;
                    }
                }
            }
        }
        if TWO {
            for (scores, found) in scores.iter_mut().zip([best, second]) {
                scores[block_idx * LANES..][..LANES].copy_from_slice(&found);
            }
        }
    }
}

fn portable_row(row: &[f32], packed: &Packed, best: &mut [f32; LANES], index: &mut [u32; LANES]) {
    for (group_idx, group) in packed.negated.chunks_exact(packed.n_features * LANES).enumerate() {
        let mut score = [0f32; LANES];
        score.copy_from_slice(&packed.half_norms[group_idx * LANES..][..LANES]);
        for (value, negated) in row.iter().zip(group.chunks_exact(LANES)) {
            for lane in 0..LANES {
                score[lane] = value.mul_add(negated[lane], score[lane]);
            }
        }
        for lane in 0..LANES {
            if score[lane] < best[lane] {
                best[lane] = score[lane];
                index[lane] = (group_idx * LANES + lane) as u32;
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
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
                            let negated =
                                _mm256_broadcast_ss(&*negated.add(feature * GROUP + member));
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
                let packed_index = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi32(
                    index[0], index[1],
                ));
                _mm256_storeu_si256(
                    nearest.as_mut_ptr().add(block_idx * LANES).cast(),
                    packed_index,
                );
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
                blocks_avx2::<TWO>(
                    &blocks[done * n_features..],
                    packed,
                    &mut nearest[done..],
                    scores,
                );
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
                        score[1] =
                            _mm256_fmadd_ps(value, _mm256_loadu_ps(negated.add(8)), score[1]);
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::random::Random;

    #[track_caller]
    fn check_paths_agree(n_blocks: usize, n_features: usize, k: usize) {
        let mut random = Random::new(5, (n_blocks * n_features * k) as u64);
        // A coarse grid, so that rows equally far from several centroids are common.
        let mut draws =
            |n: usize| -> Vec<f32> { (0..n).map(|_| random.below(7) as f32 - 3.0).collect() };
        let blocks = draws(n_blocks * n_features * LANES);
        let centroids = draws(k * n_features);
        let packed = Packed::for_blocks(&centroids, n_features);
        let by_row = Packed::for_rows(&centroids, n_features);
        let mut expected = vec![0u16; n_blocks * LANES];
        nearest_of_blocks(Path::Portable, &blocks, &packed, &mut expected);
        for path in Path::available() {
            let mut nearest = vec![9u16; n_blocks * LANES];
            nearest_of_blocks(path, &blocks, &packed, &mut nearest);
            assert_eq!(nearest, expected, "{path:?}");
            for row_idx in 0..n_blocks * LANES {
                let block = &blocks[row_idx / LANES * n_features * LANES..];
                let row: Vec<f32> =
                    (0..n_features).map(|f| block[f * LANES + row_idx % LANES]).collect();
                assert_eq!(
                    nearest_of_row(path, &row, &by_row),
                    u32::from(expected[row_idx]),
                    "{path:?}"
                );
            }
        }
    }

    #[test]
    fn every_path_gives_the_portable_labels() {
        for (n_blocks, n_features, k) in
            [(1, 1, 1), (3, 8, 8), (2, 3, 5), (5, 17, 64), (4, 2, 33), (1, 300, 17)]
        {
            check_paths_agree(n_blocks, n_features, k);
        }
    }
}
