//! The assignment kernel: nearest centroid of 16 rows at a time, without a matrix of distances.
//!
//! The nearest centroid minimises |c|^2 / 2 - x.c, one fused multiply-add per feature, in feature order. Every path makes
//! the same operations on the same numbers, so all give the same bits: AVX-512, AVX2 and the portable one, rows in the
//! lanes (a fit) and centroids in the lanes (a single row).
#![allow(unsafe_code)] // The vector instructions' intrinsics; bounds are the callers' slices, checked once at entry.

use crate::algo::segment::input::rows::LANES;

#[cfg(target_arch = "x86_64")]
mod x86;

/// Centroids whose sums run together.
const GROUP: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Path {
    pub(crate) fn best() -> Self {
        Self::available().last().copied().unwrap_or(Self::Portable)
    }

    /// What this processor can run, slowest first.
    pub(crate) fn available() -> Vec<Self> {
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
pub(crate) struct Packed {
    n_features: usize,
    width: usize,
    half_norms: Vec<f32>,
    negated: Vec<f32>,
}

impl Packed {
    /// For rows in the lanes: [`nearest_of_blocks`].
    pub(crate) fn for_blocks(centroids: &[f32], n_features: usize) -> Self {
        Self::new(centroids, n_features, GROUP)
    }

    /// For centroids in the lanes: [`nearest_of_row`].
    pub(crate) fn for_rows(centroids: &[f32], n_features: usize) -> Self {
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

/// Blocks of rows, and how far each is from the one before, and each feature from the one before.
#[derive(Clone, Copy)]
pub(crate) struct Blocks<'a> {
    values: &'a [f32],
    block_step: usize,
    feature_step: usize,
}

impl<'a> Blocks<'a> {
    /// Block after block, as [`crate::algo::segment::input::points::Points`] has them.
    pub(crate) fn contiguous(values: &'a [f32], n_features: usize) -> Self {
        Self { values, block_step: n_features * LANES, feature_step: LANES }
    }

    /// Feature after feature, `feature_step` apart, of all rows.
    pub(crate) fn by_feature(values: &'a [f32], feature_step: usize) -> Self {
        Self { values, block_step: LANES, feature_step }
    }
}

/// Writes the index of the nearest centroid of every row of some blocks; of equally near ones, the first.
pub(crate) fn nearest_of_blocks(path: Path, blocks: Blocks, packed: &Packed, nearest: &mut [u16]) {
    blocks_by::<false>(path, blocks, packed, nearest, [&mut [], &mut []]);
}

/// As [`nearest_of_blocks`], and writes |c|^2 / 2 - x.c of the nearest centroid and of the second nearest; infinity where there
/// is none.
pub(crate) fn two_nearest_of_blocks(
    path: Path,
    blocks: Blocks,
    packed: &Packed,
    nearest: &mut [u16],
    scores: [&mut [f32]; 2],
) {
    assert!(scores.iter().all(|scores| scores.len() == nearest.len()));
    blocks_by::<true>(path, blocks, packed, nearest, scores);
}

fn blocks_by<const TWO: bool>(
    path: Path,
    blocks: Blocks,
    packed: &Packed,
    nearest: &mut [u16],
    scores: [&mut [f32]; 2],
) {
    assert!(packed.width == GROUP && nearest.len().is_multiple_of(LANES));
    let Some(last_block) = (nearest.len() / LANES).checked_sub(1) else { return };
    let last = last_block * blocks.block_step + (packed.n_features - 1) * blocks.feature_step;
    assert!(last + LANES <= blocks.values.len());
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
pub(crate) fn nearest_of_row(path: Path, row: &[f32], packed: &Packed) -> u32 {
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

/// Puts the rows of a block that are in `mask` side by side: feature after feature, `feature_step` apart, from `at` on. What lies
/// behind them, up to [`LANES`], is overwritten.
#[inline]
pub(crate) fn gather(
    path: Path,
    block: &[f32],
    mask: u16,
    to: &mut [f32],
    at: usize,
    feature_step: usize,
) {
    let (features, _) = block.as_chunks::<LANES>();
    assert!(at + features.len().saturating_sub(1) * feature_step + LANES <= to.len());
    match path {
        // SAFETY: `Path::available` found the instructions; the room was checked above.
        #[cfg(target_arch = "x86_64")]
        Path::Avx512 => unsafe { x86::gather_avx512(features, mask, &mut to[at..], feature_step) },
        _ => {
            for (feature, values) in features.iter().enumerate() {
                let (mut left, mut place) = (mask, at + feature * feature_step);
                while left != 0 {
                    to[place] = values[left.trailing_zeros() as usize];
                    (left, place) = (left & (left - 1), place + 1);
                }
            }
        }
    }
}

fn portable_blocks<const TWO: bool>(
    blocks: Blocks,
    packed: &Packed,
    nearest: &mut [u16],
    mut scores: [&mut [f32]; 2],
) {
    for (block_idx, nearest) in nearest.chunks_exact_mut(LANES).enumerate() {
        let block = &blocks.values[block_idx * blocks.block_step..];
        let mut best = [f32::INFINITY; LANES];
        let mut second = [f32::INFINITY; LANES];
        for (group_idx, group) in packed.negated.chunks_exact(packed.n_features * GROUP).enumerate()
        {
            for member in 0..GROUP {
                let centroid_idx = group_idx * GROUP + member;
                let mut score = [packed.half_norms[centroid_idx]; LANES];
                for (values, negated) in
                    block.chunks(blocks.feature_step).zip(group.chunks_exact(GROUP))
                {
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
        let in_blocks = Blocks::contiguous(&blocks, n_features);
        nearest_of_blocks(Path::Portable, in_blocks, &packed, &mut expected);
        for path in Path::available() {
            let mut nearest = vec![9u16; n_blocks * LANES];
            nearest_of_blocks(path, in_blocks, &packed, &mut nearest);
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
    #[test]
    fn gathered_rows_get_the_labels_they_have_in_their_blocks() {
        let (n_blocks, n_features, k, step) = (6, 5, 9, 128);
        let mut random = Random::new(6, 0);
        let mut draws =
            |n: usize| -> Vec<f32> { (0..n).map(|_| random.below(100) as f32).collect() };
        let values = draws(n_blocks * n_features * LANES);
        let packed = Packed::for_blocks(&draws(k * n_features), n_features);
        let masks: Vec<u16> = draws(n_blocks).iter().map(|draw| (draw * 655.0) as u16).collect();
        for path in Path::available() {
            let mut all = vec![0u16; n_blocks * LANES];
            nearest_of_blocks(path, Blocks::contiguous(&values, n_features), &packed, &mut all);
            let mut gathered = vec![0f32; n_features * step];
            let mut expected = Vec::new();
            for (block_idx, &mask) in masks.iter().enumerate() {
                let block = &values[block_idx * n_features * LANES..][..n_features * LANES];
                gather(path, block, mask, &mut gathered, expected.len(), step);
                let rows = (0..LANES).filter(|lane| mask >> lane & 1 == 1);
                expected.extend(rows.map(|lane| all[block_idx * LANES + lane]));
            }
            let mut found = vec![0u16; expected.len().next_multiple_of(LANES)];
            nearest_of_blocks(path, Blocks::by_feature(&gathered, step), &packed, &mut found);
            assert!(expected.len() > LANES);
            assert_eq!(found[..expected.len()], expected, "{path:?}");
        }
    }
}
