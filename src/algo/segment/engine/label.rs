//! One pass over the rows of a slot: each gets the label of its nearest centroid, and the slot's sums follow the rows that
//! changed theirs. With bounds only the rows that may change are looked at, gathered into blocks of their own.

use crate::algo::segment::input::rows::LANES;
use multiversion::multiversion;

use super::bounds::{Doubtful, Moves, Part};
use super::kernel::{Blocks, Packed, Path, gather, nearest_of_blocks, two_nearest_of_blocks};
use super::pieces::{PIECE_ROWS, UNLABELLED};
use super::rounding::Rounding;
use crate::algo::stop::{Stopped, Watch};

/// From this share of doubtful rows on a piece is labelled as it lies: gathering costs as much as it saves.
const DENSE: (usize, usize) = (3, 4);
/// How far the features of gathered rows lie apart: not a power of two, which would put all into the same few cache lines.
const GATHERED_STEP: usize = PIECE_ROWS + LANES;
/// From so many rows of a block on that change their label, all are turned at once.
const WORTH_TURNING: u32 = 3;

/// What one slot's relabelled rows add to the sums and counts.
pub(crate) struct Slot {
    pub(crate) sums: Vec<f64>,
    pub(crate) counts: Vec<i64>,
    pub(crate) changed: u64,
    /// Rows that the bounds left in doubt; those of a first pass are not.
    pub(crate) doubtful: u64,
    /// The rows of a block, each with its values side by side.
    rows: Vec<f32>,
}

/// What all slots of one pass over the rows share.
pub(crate) struct Pass {
    pub(crate) path: Path,
    pub(crate) packed: Packed,
    pub(crate) n_features: usize,
}

/// What is known of a slot's rows.
pub(crate) struct Known<'a> {
    pub(crate) rounding: Rounding,
    /// None at the first pass.
    pub(crate) moves: Option<&'a Moves>,
    pub(crate) bounds: Part<'a>,
}

impl Slot {
    pub(crate) fn new(k: usize, n_features: usize) -> Self {
        let (sums, rows) = (vec![0.0; k * n_features], vec![0.0; LANES * n_features]);
        Self { sums, counts: vec![0; k], changed: 0, doubtful: 0, rows }
    }

    /// Labels all rows, of which the first `n_rows` are no padding.
    pub(crate) fn label_all(
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
            let in_blocks = Blocks::contiguous(blocks, pass.n_features);
            nearest_of_blocks(pass.path, in_blocks, &pass.packed, nearest);
            leave_padding(nearest, n_rows, piece_idx);
            relabel(self, blocks, labels, nearest);
        }
        Ok(())
    }

    /// Labels the rows whose label may change.
    pub(crate) fn label_doubtful(
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
        let mut doubtful = Doubtful::default();
        let mut gathered = vec![0f32; GATHERED_STEP * pass.n_features];
        let pieces = labels.chunks_mut(PIECE_ROWS).zip(blocks.chunks(PIECE_ROWS * pass.n_features));
        let pieces = pieces.zip(known.bounds.pieces(PIECE_ROWS)).enumerate();
        for (piece_idx, ((labels, blocks), mut bounds)) in pieces {
            watch.check()?;
            if let Some(moves) = known.moves {
                bounds.doubtful(pass.path, labels, moves, &mut doubtful);
                self.doubtful += doubtful.rows.len() as u64;
            }
            let n_doubtful = doubtful.rows.len();
            if known.moves.is_some() && n_doubtful * DENSE.1 < labels.len() * DENSE.0 {
                let mut at = 0;
                let block_len = pass.n_features * LANES;
                for (block, &mask) in blocks.chunks_exact(block_len).zip(&doubtful.masks) {
                    if mask != 0 {
                        gather(pass.path, block, mask, &mut gathered, at, GATHERED_STEP);
                        at += mask.count_ones() as usize;
                    }
                }
                let n = n_doubtful.next_multiple_of(LANES);
                let found = &mut nearest[..n];
                let scores = [&mut best[..n], &mut second[..n]];
                let in_blocks = Blocks::by_feature(&gathered, GATHERED_STEP);
                two_nearest_of_blocks(pass.path, in_blocks, &pass.packed, found, scores);
                bounds.set(&doubtful.rows, [&best[..n], &second[..n]], known.rounding);
                relabel_some(self, blocks, labels, &doubtful.rows, found);
            } else {
                let n = labels.len();
                let nearest = &mut nearest[..n];
                let scores = [&mut best[..n], &mut second[..n]];
                let in_blocks = Blocks::contiguous(blocks, pass.n_features);
                two_nearest_of_blocks(pass.path, in_blocks, &pass.packed, nearest, scores);
                leave_padding(nearest, n_rows, piece_idx);
                bounds.set_all([&best[..n], &second[..n]], known.rounding);
                relabel(self, blocks, labels, nearest);
            }
        }
        Ok(())
    }
}

/// Gives the rows of some blocks their new labels, and carries the values of those that changed from sum to sum.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
fn relabel(slot: &mut Slot, blocks: &[f32], labels: &mut [u16], nearest: &[u16]) {
    let Slot { sums, counts, changed, rows, .. } = slot;
    let n_features = sums.len() / counts.len();
    let (labels, _) = labels.as_chunks_mut::<LANES>();
    let by_block = labels.iter_mut().zip(nearest.as_chunks::<LANES>().0);
    for ((labels, nearest), block) in by_block.zip(blocks.chunks_exact(n_features * LANES)) {
        let mut differ = 0u16;
        for lane in 0..LANES {
            differ |= u16::from(labels[lane] != nearest[lane]) << lane;
        }
        if differ == 0 {
            continue;
        }
        let is_turned = differ.count_ones() >= WORTH_TURNING;
        *changed += u64::from(differ.count_ones());
        if is_turned {
            turn(block, rows);
        }
        while differ != 0 {
            let lane = differ.trailing_zeros() as usize;
            differ &= differ - 1;
            let row = &mut rows[lane * n_features..][..n_features];
            if !is_turned {
                let values = block[lane..].iter().step_by(LANES);
                row.iter_mut().zip(values).for_each(|(to, value)| *to = *value);
            }
            carry_row(sums, counts, row, labels[lane], nearest[lane]);
            labels[lane] = nearest[lane];
        }
    }
}

/// As [`relabel`], of these rows alone.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
fn relabel_some(
    slot: &mut Slot,
    blocks: &[f32],
    labels: &mut [u16],
    some: &[u32],
    nearest: &[u16],
) {
    let Slot { sums, counts, changed, rows, .. } = slot;
    let n_features = sums.len() / counts.len();
    for (&row, &new) in some.iter().zip(nearest) {
        let old = &mut labels[row as usize];
        if *old != new {
            let (block_idx, lane) = (row as usize / LANES, row as usize % LANES);
            let block = &blocks[block_idx * LANES * n_features..][..LANES * n_features];
            let values = block[lane..].iter().step_by(LANES);
            rows.iter_mut().zip(values).for_each(|(to, value)| *to = *value);
            carry_row(sums, counts, &rows[..n_features], *old, new);
            *changed += 1;
            *old = new;
        }
    }
}

/// Carries the values of a row from the sums of one segment to those of another.
#[inline(always)]
fn carry_row(sums: &mut [f64], counts: &mut [i64], row: &[f32], old: u16, new: u16) {
    let (old, new) = (usize::from(old), usize::from(new));
    let sums_of = |segment: usize| segment * row.len()..(segment + 1) * row.len();
    counts[new] += 1;
    let sums_and_values = sums[sums_of(new)].iter_mut().zip(row);
    sums_and_values.for_each(|(sum, value)| *sum += f64::from(*value));
    if old != usize::from(UNLABELLED) {
        counts[old] -= 1;
        let sums_and_values = sums[sums_of(old)].iter_mut().zip(row);
        sums_and_values.for_each(|(sum, value)| *sum -= f64::from(*value));
    }
}

/// A block's values from feature after feature to row after row: eight features at a time, which become vectors.
#[inline(always)]
fn turn(block: &[f32], rows: &mut [f32]) {
    const TOGETHER: usize = 8;
    let n_features = block.len() / LANES;
    let (features, _) = block.as_chunks::<LANES>();
    let (eights, rest) = features.as_chunks::<TOGETHER>();
    for (place, eight) in eights.iter().enumerate() {
        let turned: [[f32; TOGETHER]; LANES] =
            std::array::from_fn(|lane| std::array::from_fn(|feature| eight[feature][lane]));
        for (lane, turned) in turned.iter().enumerate() {
            rows[lane * n_features + place * TOGETHER..][..TOGETHER].copy_from_slice(turned);
        }
    }
    for (place, values) in (eights.len() * TOGETHER..).zip(rest) {
        for (lane, value) in values.iter().enumerate() {
            rows[lane * n_features + place] = *value;
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
