//! The bounds of a block of rows after a move of the centroids: a few operations a row, which must cost less than the kernel.
#![allow(unsafe_code)] // The vector instructions' intrinsics; labels are checked against the table.

use super::kernel::Path;
use super::rounding::{DOWN, Rounding, UP};
use crate::algo::segment::input::rows::LANES;

/// Neighborhoods of so many of the nearest other centroids; beside them that of none, and that of all.
pub(crate) const NEIGHBORS: [usize; 2] = [4, 14];

/// What a move of the centroids does to the bounds of a segment's rows.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(32))]
pub(crate) struct Move {
    pub(crate) grow: f32,
    /// From the own centroid to the nearest other one.
    pub(crate) beyond_none: f32,
    /// The farthest move within each neighborhood.
    pub(crate) near: [f32; 2],
    /// From the own centroid to the nearest one outside each.
    pub(crate) beyond: [f32; 2],
    near_all: f32,
    unused: f32,
}

impl Move {
    /// Of a segment whose centroid moved by `grow`, and the others by no more than `near_all`.
    pub(crate) fn new(grow: f32, near_all: f32) -> Self {
        let (near, beyond) = ([0.0; 2], [0.0; 2]);
        Self { grow, beyond_none: 0.0, near, beyond, near_all, unused: 0.0 }
    }
}

/// Carries the bounds along; the result has a bit for each row whose label may change. A label that is no segment's takes the
/// first one's.
#[inline]
pub(crate) fn carry(
    path: Path,
    moves: &[Move],
    rounding: Rounding,
    upper: &mut [f32; LANES],
    lower: &mut [f32; LANES],
    norms: &[f32; LANES],
    labels: &[u16; LANES],
) -> u16 {
    match path {
        Path::Portable => portable(moves, rounding, upper, lower, norms, labels),
        // SAFETY: `Path::available` found the instructions.
        #[cfg(target_arch = "x86_64")]
        Path::Avx2 | Path::Avx512 => unsafe { avx2(moves, rounding, upper, lower, norms, labels) },
    }
}

fn portable(
    moves: &[Move],
    rounding: Rounding,
    upper: &mut [f32; LANES],
    lower: &mut [f32; LANES],
    norms: &[f32; LANES],
    labels: &[u16; LANES],
) -> u16 {
    let mut doubtful = 0;
    for lane in 0..LANES {
        let moved = moves.get(usize::from(labels[lane])).unwrap_or(&moves[0]);
        let u = (upper[lane] + moved.grow) * UP;
        let mut l = (moved.beyond_none - u).max(lower[lane] - moved.near_all).max(0.0);
        for (near, beyond) in moved.near.iter().zip(moved.beyond) {
            l = l.max((lower[lane] - near).min(beyond - u));
        }
        l *= DOWN;
        let is_sure = (l - u) * (l + u) > 4.0 * rounding.of(norms[lane]);
        (upper[lane], lower[lane]) = (u, l);
        doubtful |= u16::from(!is_sure) << lane;
    }
    doubtful
}

#[cfg(target_arch = "x86_64")]
/// # Safety
/// The processor has AVX2.
#[target_feature(enable = "avx2")]
unsafe fn avx2(
    moves: &[Move],
    rounding: Rounding,
    upper: &mut [f32; LANES],
    lower: &mut [f32; LANES],
    norms: &[f32; LANES],
    labels: &[u16; LANES],
) -> u16 {
    use std::arch::x86_64::*;
    let mut doubtful = 0;
    for half in [0, 8] {
        // SAFETY: eight floats of a Move, and of the arrays from `half` on.
        unsafe {
            let mut row = [_mm256_setzero_ps(); 8];
            for (row, &label) in row.iter_mut().zip(&labels[half..]) {
                let moved = moves.get(usize::from(label)).unwrap_or(&moves[0]);
                *row = _mm256_load_ps((&raw const *moved).cast());
            }
            // Eight rows of eight into eight columns.
            let (a0, a1) = (_mm256_unpacklo_ps(row[0], row[1]), _mm256_unpackhi_ps(row[0], row[1]));
            let (b0, b1) = (_mm256_unpacklo_ps(row[2], row[3]), _mm256_unpackhi_ps(row[2], row[3]));
            let (c0, c1) = (_mm256_unpacklo_ps(row[4], row[5]), _mm256_unpackhi_ps(row[4], row[5]));
            let (d0, d1) = (_mm256_unpacklo_ps(row[6], row[7]), _mm256_unpackhi_ps(row[6], row[7]));
            const LOW: i32 = 0b01_00_01_00;
            const HIGH: i32 = 0b11_10_11_10;
            let (e0, e1) = (_mm256_shuffle_ps::<LOW>(a0, b0), _mm256_shuffle_ps::<HIGH>(a0, b0));
            let (e2, e3) = (_mm256_shuffle_ps::<LOW>(a1, b1), _mm256_shuffle_ps::<HIGH>(a1, b1));
            let (f0, f1) = (_mm256_shuffle_ps::<LOW>(c0, d0), _mm256_shuffle_ps::<HIGH>(c0, d0));
            let (f2, f3) = (_mm256_shuffle_ps::<LOW>(c1, d1), _mm256_shuffle_ps::<HIGH>(c1, d1));
            let grow = _mm256_permute2f128_ps::<0x20>(e0, f0);
            let beyond_none = _mm256_permute2f128_ps::<0x20>(e1, f1);
            let near_0 = _mm256_permute2f128_ps::<0x20>(e2, f2);
            let near_1 = _mm256_permute2f128_ps::<0x20>(e3, f3);
            let beyond_0 = _mm256_permute2f128_ps::<0x31>(e0, f0);
            let beyond_1 = _mm256_permute2f128_ps::<0x31>(e1, f1);
            let near_all = _mm256_permute2f128_ps::<0x31>(e2, f2);
            let (up, down) = (_mm256_set1_ps(UP), _mm256_set1_ps(DOWN));
            let before = _mm256_loadu_ps(lower.as_ptr().add(half));
            let u = _mm256_loadu_ps(upper.as_ptr().add(half));
            let u = _mm256_mul_ps(_mm256_add_ps(u, grow), up);
            let in_all = _mm256_sub_ps(before, near_all);
            let mut l = _mm256_max_ps(_mm256_setzero_ps(), in_all);
            l = _mm256_max_ps(l, _mm256_sub_ps(beyond_none, u));
            for (near, beyond) in [(near_0, beyond_0), (near_1, beyond_1)] {
                let inside = _mm256_sub_ps(before, near);
                l = _mm256_max_ps(l, _mm256_min_ps(inside, _mm256_sub_ps(beyond, u)));
            }
            l = _mm256_mul_ps(l, down);
            let length = _mm256_loadu_ps(norms.as_ptr().add(half));
            let length = _mm256_add_ps(length, _mm256_set1_ps(rounding.longest));
            let error = _mm256_mul_ps(_mm256_set1_ps(4.0 * rounding.per_square), length);
            let error = _mm256_mul_ps(error, length);
            let gap = _mm256_mul_ps(_mm256_sub_ps(l, u), _mm256_add_ps(l, u));
            let is_sure = _mm256_cmp_ps::<_CMP_GT_OQ>(gap, error);
            _mm256_storeu_ps(upper.as_mut_ptr().add(half), u);
            _mm256_storeu_ps(lower.as_mut_ptr().add(half), l);
            doubtful |= ((!_mm256_movemask_ps(is_sure) & 0xff) as u16) << half;
        }
    }
    doubtful
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::random::Random;

    #[test]
    fn every_path_carries_the_same() {
        let mut random = Random::new(9, 0);
        let moves: Vec<Move> = (0..20)
            .map(|_| {
                let mut moved = Move::new(0.1 * random.uniform() as f32, 0.2);
                moved.near = [0.05, 0.1].map(|far| far * random.uniform() as f32);
                (moved.beyond_none, moved.beyond) = (1.5, [2.0, 2.5]);
                moved
            })
            .collect();
        let rounding = Rounding { per_square: 1e-6, longest: 3.0 };
        for _ in 0..50 {
            let mut draw =
                || std::array::from_fn::<f32, LANES, _>(|_| 2.0 * random.uniform() as f32);
            let (upper, lower, norms) = (draw(), draw(), draw());
            // The last label is that of the padding.
            let mut labels: [u16; LANES] = std::array::from_fn(|_| random.below(20) as u16);
            labels[LANES - 1] = u16::MAX;
            let carried = Path::available().into_iter().map(|path| {
                let (mut upper, mut lower) = (upper, lower);
                let doubtful =
                    carry(path, &moves, rounding, &mut upper, &mut lower, &norms, &labels);
                (doubtful, upper.map(f32::to_bits), lower.map(f32::to_bits))
            });
            let carried: Vec<_> = carried.collect();
            assert!(carried.iter().all(|one| *one == carried[0]), "{carried:?}");
        }
    }
}
