//! What the kernel's single precision may be off by, and numbers that are surely above or below another.

use super::distance::squared;

/// More than a rounding of f32 upwards, and downwards.
pub(crate) const UP: f32 = 1.0 + 4.0 * f32::EPSILON;
pub(crate) const DOWN: f32 = 1.0 - 4.0 * f32::EPSILON;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Rounding {
    pub(crate) per_square: f32,
    pub(crate) longest: f32,
}

impl Rounding {
    pub(crate) fn new(centroids: &[f32], n_features: usize) -> Self {
        let origin = vec![0.0; n_features];
        let squares = centroids.chunks_exact(n_features).map(|one| squared(one, &origin));
        let longest = squares.fold(0f32, f32::max).sqrt() * UP;
        Self { per_square: (n_features + 4) as f32 * f32::EPSILON, longest }
    }

    #[inline]
    pub(crate) fn of(self, norm: f32) -> f32 {
        let length = norm + self.longest;
        self.per_square * length * length
    }
}
