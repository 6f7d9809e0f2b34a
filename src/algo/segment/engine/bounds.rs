//! Bounds on a row's distances that tell, without computing any, that its label cannot change.
//!
//! After Hamerly (2010), each row has an upper bound u on the distance to its own centroid and a lower bound l on that to every
//! other one; while u < l the row stays where it is. When the centroids move, u grows by how far its own moved. For l the other
//! centroids are split, as in Newling and Fleuret (2016), by how near they are to the row's own: those of a neighborhood took
//! at most the farthest of their moves off l, and those outside are at least as far as the nearest of them is from the own
//! centroid, less u. That holds for a neighborhood of any size, and the best of a few sizes counts: a centroid that still
//! travels disturbs only the rows near it.
//!
//! The kernel works in f32, so it may take for nearer what is farther by its rounding. For a row x and centroids no longer than
//! C, its |c|^2 / 2 - x.c is off by less than e = (d + 4) 2^-24 (|x| + C)^2; a row is passed over only where l^2 - u^2 is
//! more than twice what two such errors make. So the labels are the same, bit for bit, as without bounds.

use crate::algo::segment::input::rows::LANES;
use multiversion::multiversion;
use rayon::prelude::*;

use super::carry::{Move, NEIGHBORS, carry};
use super::distance::{distance, squared};
use super::kernel::Path;
use super::pieces::{PIECE_ROWS, UNLABELLED, reordered};
use super::rounding::{DOWN, Rounding, UP};
use crate::algo::segment::error::Error;
use crate::algo::segment::input::points::Points;
use crate::algo::stop::{Stopped, Watch};
use crate::algo::store::Store;

/// Distances among the centroids are computed where they cost less than this share of a pass over the rows.
const PAIRS_SHARE: usize = 8;

pub(crate) struct Bounds {
    /// One a row, and the padding's.
    upper: Store<f32>,
    lower: Store<f32>,
    /// |x|.
    norms: Store<f32>,
    /// The scaled centroids that they are bounds for; none before the first pass.
    centroids: Vec<f32>,
}

/// The bounds of some rows.
pub(crate) struct Part<'a> {
    upper: &'a mut [f32],
    lower: &'a mut [f32],
    norms: &'a [f32],
}

/// The rows of a piece whose label may change.
#[derive(Default)]
pub(crate) struct Doubtful {
    pub(crate) rows: Vec<u32>,
    /// The same, a bit for each row of a block.
    pub(crate) masks: Vec<u16>,
}

/// What a move of the centroids does to the bounds of the rows of each segment.
pub(crate) struct Moves {
    of_segment: Vec<Move>,
    rounding: Rounding,
}

impl Bounds {
    pub(crate) fn new(points: &Points) -> Result<Self, Error> {
        let n = points.n_blocks() * LANES;
        let filled = |value: f32| Store::filled(&points.place, n, value);
        let mut norms = filled(0.0)?;
        let blocks = points.values.par_chunks(points.block_len());
        let norms_of = norms.par_chunks_mut(LANES).zip(blocks).with_min_len(256);
        norms_of.for_each(|(norms, block)| lengths(block, norms));
        let (upper, lower) = (filled(f32::INFINITY)?, filled(0.0)?);
        Ok(Self { upper, lower, norms, centroids: Vec::new() })
    }

    /// The bounds of so many rows each.
    pub(crate) fn parts(&mut self, n_rows: usize) -> impl IndexedParallelIterator<Item = Part<'_>> {
        let bounds = self.upper.par_chunks_mut(n_rows).zip(self.lower.par_chunks_mut(n_rows));
        let parts = bounds.zip(self.norms.par_chunks(n_rows));
        parts.map(|((upper, lower), norms)| Part { upper, lower, norms })
    }

    /// From the centroids of the last pass to these; None when there was no pass.
    pub(crate) fn moved(
        &mut self,
        centroids: &[f32],
        n_features: usize,
        watch: &Watch,
    ) -> Result<(Rounding, Option<Moves>), Stopped> {
        let rounding = Rounding::new(centroids, n_features);
        let before = std::mem::replace(&mut self.centroids, centroids.to_vec());
        if before.is_empty() {
            return Ok((rounding, None));
        }
        let moves = Moves::new(&before, centroids, n_features, self.upper.len(), rounding, watch)?;
        Ok((rounding, Some(moves)))
    }

    /// Forgets what is known of a row that was given another label.
    pub(crate) fn forget(&mut self, row: usize) {
        self.upper[row] = f32::INFINITY;
    }

    /// The segments have other numbers: segment `order[i]` has become `i`.
    pub(crate) fn renumber(&mut self, order: &[usize], n_features: usize) {
        self.centroids = reordered(&self.centroids, order, n_features);
    }
}

impl<'a> Part<'a> {
    /// So many rows each.
    pub(crate) fn pieces(self, n_rows: usize) -> impl Iterator<Item = Part<'a>> {
        let bounds = self.upper.chunks_mut(n_rows).zip(self.lower.chunks_mut(n_rows));
        let pieces = bounds.zip(self.norms.chunks(n_rows));
        pieces.map(|((upper, lower), norms)| Part { upper, lower, norms })
    }

    /// Sets the bounds of all rows from the scores of the nearest centroid and of the second nearest.
    pub(crate) fn set_all(&mut self, scores: [&[f32]; 2], rounding: Rounding) {
        set_bounds(rounding, self.norms, scores, self.upper, self.lower);
    }

    /// As [`Self::set_all`], of these rows alone, a piece's at most; the scores are in whole blocks.
    pub(crate) fn set(&mut self, rows: &[u32], scores: [&[f32]; 2], rounding: Rounding) {
        let n = scores[0].len();
        let [mut norms, mut upper, mut lower] = [[0f32; PIECE_ROWS]; 3];
        for (norm, &row) in norms.iter_mut().zip(rows) {
            *norm = self.norms[row as usize];
        }
        set_bounds(rounding, &norms[..n], scores, &mut upper[..n], &mut lower[..n]);
        for (&row, (&upper, &lower)) in rows.iter().zip(upper.iter().zip(&lower)) {
            (self.upper[row as usize], self.lower[row as usize]) = (upper, lower);
        }
    }

    /// Carries the bounds along, and finds the rows whose label may change.
    pub(crate) fn doubtful(
        &mut self,
        path: Path,
        labels: &[u16],
        moves: &Moves,
        found: &mut Doubtful,
    ) {
        found.masks.clear();
        found.rows.clear();
        let (upper, _) = self.upper.as_chunks_mut::<LANES>();
        let (lower, _) = self.lower.as_chunks_mut::<LANES>();
        let bounds = upper.iter_mut().zip(lower).zip(self.norms.as_chunks::<LANES>().0);
        let blocks = bounds.zip(labels.as_chunks::<LANES>().0).enumerate();
        for (block_idx, (((upper, lower), norms), labels)) in blocks {
            let (moves, rounding) = (&moves.of_segment, moves.rounding);
            let mut mask = carry(path, moves, rounding, upper, lower, norms, labels);
            // The padding is at the end.
            while mask != 0 && labels[mask.ilog2() as usize] == UNLABELLED {
                mask ^= 1 << mask.ilog2();
            }
            found.masks.push(mask);
            while mask != 0 {
                found.rows.push((block_idx * LANES) as u32 + mask.trailing_zeros());
                mask &= mask - 1;
            }
        }
    }
}

impl Moves {
    fn new(
        before: &[f32],
        after: &[f32],
        n_features: usize,
        n_rows: usize,
        rounding: Rounding,
        watch: &Watch,
    ) -> Result<Self, Stopped> {
        let k = after.len() / n_features;
        let pairs = before.chunks_exact(n_features).zip(after.chunks_exact(n_features));
        let grow: Vec<f32> = pairs.map(|(a, b)| distance(a, b) * UP).collect();
        // The farthest move, and the farthest of the others for the segment that made it.
        let mut farthest = [(usize::MAX, 0f32); 2];
        for (segment, &grow) in grow.iter().enumerate() {
            if grow > farthest[0].1 {
                farthest = [(segment, grow), farthest[0]];
            } else if grow > farthest[1].1 {
                farthest[1] = (segment, grow);
            }
        }
        let looks_around = k * PAIRS_SHARE <= n_rows;
        let of_segment = |segment: usize| {
            watch.check()?;
            let far = farthest[usize::from(farthest[0].0 == segment)].1;
            let mut found = Move::new(grow[segment], far);
            if looks_around {
                look_around(&mut found, segment, after, n_features, &grow);
            }
            Ok(found)
        };
        let of_segment = (0..k).into_par_iter().with_min_len(16).map(of_segment);
        Ok(Self { of_segment: of_segment.collect::<Result<_, Stopped>>()?, rounding })
    }
}

/// Finds the nearest other centroids, and how far they moved.
fn look_around(
    found: &mut Move,
    segment: usize,
    centroids: &[f32],
    n_features: usize,
    grow: &[f32],
) {
    let own = &centroids[segment * n_features..][..n_features];
    let others = centroids.chunks_exact(n_features).zip(grow).enumerate();
    let others = others.filter(|(other, _)| *other != segment);
    let mut others: Vec<(f32, f32)> =
        others.map(|(_, (other, &grow))| (squared(own, other), grow)).collect();
    let nearer = |a: &(f32, f32), b: &(f32, f32)| a.0.total_cmp(&b.0);
    let n_looked = NEIGHBORS[1] + 1;
    if n_looked < others.len() {
        others.select_nth_unstable_by(n_looked, nearer);
        others.truncate(n_looked);
    }
    others.sort_unstable_by(nearer);
    let beyond = |size: usize| others.get(size).map_or(0.0, |other| other.0.sqrt() * DOWN);
    let near = |size: usize| others.iter().take(size).fold(0f32, |far, other| far.max(other.1));
    found.beyond_none = beyond(0);
    found.near = NEIGHBORS.map(near);
    found.beyond = NEIGHBORS.map(beyond);
}

/// The lengths of a block's rows.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
fn lengths(block: &[f32], lengths: &mut [f32]) {
    let mut squares = [0f32; LANES];
    for values in block.as_chunks::<LANES>().0 {
        for lane in 0..LANES {
            squares[lane] += values[lane] * values[lane];
        }
    }
    for (length, square) in lengths.iter_mut().zip(squares) {
        *length = square.sqrt();
    }
}

/// The upper and the lower bounds of rows from the scores of the nearest centroid and of the second nearest; in whole blocks.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
fn set_bounds(
    rounding: Rounding,
    norms: &[f32],
    [best, second]: [&[f32]; 2],
    upper: &mut [f32],
    lower: &mut [f32],
) {
    // Not by f32::max, which looks at NaN too: the loop is to become vector instructions.
    let positive = |x: f32| if x > 0.0 { x } else { 0.0 };
    let (upper, lower) = (upper.as_chunks_mut::<LANES>().0, lower.as_chunks_mut::<LANES>().0);
    let norms = norms.as_chunks::<LANES>().0.iter();
    let scores = best.as_chunks::<LANES>().0.iter().zip(second.as_chunks::<LANES>().0);
    for ((norms, (best, second)), (upper, lower)) in
        norms.zip(scores).zip(upper.iter_mut().zip(lower))
    {
        for lane in 0..LANES {
            let (square, error) = (norms[lane] * norms[lane], 4.0 * rounding.of(norms[lane]));
            upper[lane] = (positive(square + 2.0 * best[lane]) + error).sqrt() * UP;
            lower[lane] = positive(square + 2.0 * second[lane] - error).sqrt() * DOWN;
        }
    }
}
