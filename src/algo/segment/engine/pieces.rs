//! How labels lie: 16 bits a row, in the pieces of rows that a pass takes at once.

use crate::algo::segment::input::rows::LANES;

/// The label of a row that has none yet, and of the padding.
pub(crate) const UNLABELLED: u16 = u16::MAX;
/// Blocks that the kernel labels at once: at 8 features they fill half of a first-level cache.
pub(crate) const PIECE_BLOCKS: usize = 32;
pub(crate) const PIECE_ROWS: usize = PIECE_BLOCKS * LANES;

/// What each segment has, so many values, in another order: segment `order[i]` becomes `i`.
pub(crate) fn reordered<T: Copy>(values: &[T], order: &[usize], width: usize) -> Vec<T> {
    order.iter().flat_map(|&old| &values[old * width..][..width]).copied().collect()
}
