//! Distances of rows and centroids, term by term.

use multiversion::multiversion;

use super::pieces::UNLABELLED;
use crate::algo::segment::input::rows::LANES;

/// Squared distances of a block's rows to their own centroids; 0 in the padding.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
pub(crate) fn own_distances(block: &[f32], labels: &[u16], centroids: &[f32]) -> [f32; LANES] {
    let n_features = block.len() / LANES;
    let is_row = |lane: usize| labels[lane] != UNLABELLED;
    let first: [usize; LANES] =
        std::array::from_fn(
            |lane| {
                if is_row(lane) { usize::from(labels[lane]) * n_features } else { 0 }
            },
        );
    let mut sums = [0f32; LANES];
    for (feature, values) in block.as_chunks::<LANES>().0.iter().enumerate() {
        for lane in 0..LANES {
            let difference = values[lane] - centroids[first[lane] + feature];
            sums[lane] += difference * difference;
        }
    }
    std::array::from_fn(|lane| if is_row(lane) { sums[lane] } else { 0.0 })
}

/// Between two centroids, summed in double.
pub(crate) fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
}

pub(crate) fn distance(a: &[f32], b: &[f32]) -> f32 {
    squared_distance(a, b).sqrt() as f32
}

/// In eight sums, which the compiler keeps in registers.
pub(crate) fn squared(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 8];
    let (a_parts, b_parts) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest = a_parts.remainder().iter().zip(b_parts.remainder());
    let rest: f32 = rest.map(|(a, b)| (a - b) * (a - b)).sum();
    for (a, b) in a_parts.zip(b_parts) {
        for lane in 0..8 {
            sums[lane] += (a[lane] - b[lane]) * (a[lane] - b[lane]);
        }
    }
    sums.iter().sum::<f32>() + rest
}
