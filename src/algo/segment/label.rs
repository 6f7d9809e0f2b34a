//! One pass over the rows of a slot: each gets the label of its nearest centroid, and the slot's sums follow the rows that
//! changed theirs. With bounds only the rows that may change are looked at, gathered into blocks of their own.

use super::bounds::{Moves, Part, Rounding};
use super::kernel::{LANES, Packed, Path, fetch, nearest_of_blocks, two_nearest_of_blocks};
use super::state::UNLABELLED;
use crate::algo::stop::{Stopped, Watch};

/// Blocks that the kernel labels at once: at 8 features they fill half of a first-level cache.
pub(super) const PIECE_BLOCKS: usize = 32;
const PIECE_ROWS: usize = PIECE_BLOCKS * LANES;
/// From this share of doubtful rows on a piece is labelled as it lies: gathering costs as much as it saves.
const DENSE: (usize, usize) = (3, 4);
/// Rows whose blocks are fetched before they are gathered: each of a row's values lies in a cache line of its own.
const AHEAD: usize = 12;

/// What one slot's relabelled rows add to the sums and counts.
pub(super) struct Slot {
    pub(super) sums: Vec<f64>,
    pub(super) counts: Vec<i64>,
    pub(super) changed: u64,
}

/// What all slots of one pass over the rows share.
pub(super) struct Pass {
    pub(super) path: Path,
    pub(super) packed: Packed,
    pub(super) n_features: usize,
}

/// What is known of a slot's rows.
pub(super) struct Known<'a> {
    pub(super) rounding: Rounding,
    /// None at the first pass.
    pub(super) moves: Option<&'a Moves>,
    pub(super) bounds: Part<'a>,
}

impl Slot {
    /// Labels all rows, of which the first `n_rows` are no padding.
    pub(super) fn label_all(
        &mut self,
        pass: &Pass,
        labels: &mut [u16],
        blocks: &[f32],
        n_rows: usize,
        watch: &Watch,
    ) -> Result<(), Stopped> {
        let mut nearest = [0u16; PIECE_ROWS];
        let pieces = labels.chunks_mut(PIECE_ROWS).zip(blocks.chunks(PIECE_ROWS * pass.n_features));
        for (piece_idx, (labels, blocks)) in pieces.enumerate() {
            watch.check()?;
            let nearest = &mut nearest[..labels.len()];
            nearest_of_blocks(pass.path, blocks, &pass.packed, nearest);
            leave_padding(nearest, n_rows, piece_idx);
            self.relabel(blocks, labels, nearest, pass.n_features);
        }
        Ok(())
    }

    /// Labels the rows whose label may change.
    pub(super) fn label_doubtful(
        &mut self,
        pass: &Pass,
        labels: &mut [u16],
        blocks: &[f32],
        n_rows: usize,
        known: Known,
        watch: &Watch,
    ) -> Result<(), Stopped> {
        let mut nearest = [0u16; PIECE_ROWS];
        let [mut best, mut second] = [[0f32; PIECE_ROWS]; 2];
        let mut doubtful = Vec::with_capacity(PIECE_ROWS);
        let mut gathered = Gathered::new(pass.n_features);
        let pieces = labels.chunks_mut(PIECE_ROWS).zip(blocks.chunks(PIECE_ROWS * pass.n_features));
        let pieces = pieces.zip(known.bounds.pieces(PIECE_ROWS)).enumerate();
        for (piece_idx, ((labels, blocks), mut bounds)) in pieces {
            watch.check()?;
            if let Some(moves) = known.moves {
                bounds.doubtful(pass.path, labels, moves, &mut doubtful);
            }
            if known.moves.is_some() && doubtful.len() * DENSE.1 < labels.len() * DENSE.0 {
                gathered.fill(blocks, &doubtful);
                let n = gathered.n_lanes();
                let scores = [&mut best[..n], &mut second[..n]];
                let found = &mut nearest[..n];
                two_nearest_of_blocks(pass.path, gathered.blocks(), &pass.packed, found, scores);
                bounds.set(&doubtful, [&best[..n], &second[..n]], known.rounding);
                for (&row, &new) in doubtful.iter().zip(&nearest) {
                    let row = row as usize;
                    if labels[row] != new {
                        let values = lane_values(blocks, row, pass.n_features);
                        self.move_row(values, labels[row], new);
                        labels[row] = new;
                    }
                }
            } else {
                let n = labels.len();
                let nearest = &mut nearest[..n];
                let scores = [&mut best[..n], &mut second[..n]];
                two_nearest_of_blocks(pass.path, blocks, &pass.packed, nearest, scores);
                leave_padding(nearest, n_rows, piece_idx);
                bounds.set_all([&best[..n], &second[..n]], known.rounding);
                self.relabel(blocks, labels, nearest, pass.n_features);
            }
        }
        Ok(())
    }

    fn relabel(&mut self, blocks: &[f32], labels: &mut [u16], nearest: &[u16], n_features: usize) {
        let by_block = labels.chunks_exact_mut(LANES).zip(nearest.chunks_exact(LANES));
        for ((labels, nearest), block) in by_block.zip(blocks.chunks_exact(n_features * LANES)) {
            if labels == nearest {
                continue;
            }
            for lane in 0..LANES {
                let (old, new) = (labels[lane], nearest[lane]);
                if old != new {
                    labels[lane] = new;
                    self.move_row(lane_values(block, lane, n_features), old, new);
                }
            }
        }
    }

    /// Carries a row's values from the sums of one segment to those of another.
    fn move_row(&mut self, values: impl Iterator<Item = f64> + Clone, old: u16, new: u16) {
        let n_features = self.sums.len() / self.counts.len();
        self.changed += 1;
        self.counts[usize::from(new)] += 1;
        let sums = &mut self.sums[usize::from(new) * n_features..][..n_features];
        sums.iter_mut().zip(values.clone()).for_each(|(sum, value)| *sum += value);
        if old != UNLABELLED {
            self.counts[usize::from(old)] -= 1;
            let sums = &mut self.sums[usize::from(old) * n_features..][..n_features];
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum -= value);
        }
    }
}

/// The rows behind the last one have no label.
fn leave_padding(nearest: &mut [u16], n_rows: usize, piece_idx: usize) {
    let n_here = n_rows.saturating_sub(piece_idx * PIECE_ROWS);
    if n_here < nearest.len() {
        nearest[n_here..].fill(UNLABELLED);
    }
}

/// The values of a row of some blocks.
fn lane_values(blocks: &[f32], row: usize, n_features: usize) -> impl Iterator<Item = f64> + Clone {
    let block = &blocks[row / LANES * LANES * n_features..][..LANES * n_features];
    block[row % LANES..].iter().step_by(LANES).copied().map(f64::from)
}

/// Rows out of a piece, in blocks of their own.
struct Gathered {
    n_features: usize,
    n_rows: usize,
    values: Vec<f32>,
}

impl Gathered {
    fn new(n_features: usize) -> Self {
        Self { n_features, n_rows: 0, values: vec![0.0; PIECE_ROWS * n_features] }
    }

    fn fill(&mut self, blocks: &[f32], rows: &[u32]) {
        self.n_rows = rows.len();
        let block_len = self.n_features * LANES;
        let block_of = |row: u32| &blocks[row as usize / LANES * block_len..][..block_len];
        rows.iter().take(AHEAD).for_each(|&row| fetch(block_of(row)));
        let mut ahead = rows.iter().skip(AHEAD);
        for (to, rows) in self.values.chunks_exact_mut(block_len).zip(rows.chunks(LANES)) {
            for (lane, &row) in rows.iter().enumerate() {
                ahead.next().iter().for_each(|&&row| fetch(block_of(row)));
                let from = block_of(row);
                let (to, _) = to.as_chunks_mut::<LANES>();
                for (to, from) in to.iter_mut().zip(from.as_chunks::<LANES>().0) {
                    to[lane % LANES] = from[row as usize % LANES];
                }
            }
        }
    }

    fn n_lanes(&self) -> usize {
        self.n_rows.next_multiple_of(LANES)
    }

    fn blocks(&self) -> &[f32] {
        &self.values[..self.n_lanes() * self.n_features]
    }
}
