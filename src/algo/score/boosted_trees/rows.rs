//! The numbers of rows, those of a leaf side by side and in ascending order.

use rayon::prelude::*;

use super::ahead;
use crate::algo::memory::{self, Refused};
use crate::algo::stop::{Stopped, Watch};

#[derive(Default)]
pub struct Rows {
    pub order: Vec<u32>,
    scratch: Vec<u32>,
}

/// Rows between two looks at the watch, and those that one thread parts at once.
const CHUNK: usize = 16_384;

impl Rows {
    /// These alone.
    pub fn take(&mut self, rows: &[u32]) -> Result<(), Refused> {
        self.order.clear();
        self.add(rows)
    }

    pub fn add(&mut self, rows: &[u32]) -> Result<(), Refused> {
        memory::exact_room(&mut self.order, rows.len())?;
        self.order.extend_from_slice(rows);
        let missing = self.order.len().saturating_sub(self.scratch.len());
        memory::exact_room(&mut self.scratch, missing)?;
        self.scratch.resize(self.order.len(), 0);
        Ok(())
    }

    /// Moves the rows of a range that go left before those that go right; each keep their order. `ask` is told which
    /// rows come next. Says how many are left.
    pub fn part(
        &mut self,
        range: std::ops::Range<usize>,
        is_left: impl Fn(u32) -> bool + Sync,
        ask: impl Fn(u32) + Sync,
        watch: &Watch,
    ) -> Result<usize, Stopped> {
        let (order, scratch) = (&mut self.order[range.clone()], &mut self.scratch[range]);
        if order.len() <= CHUNK {
            watch.check()?;
            return Ok(part(order, scratch, &is_left, &ask));
        }
        let chunks = order.par_chunks_mut(CHUNK).zip(scratch.par_chunks_mut(CHUNK));
        let parted = chunks.map(|(order, scratch)| {
            watch.check()?;
            Ok(part(order, scratch, &is_left, &ask))
        });
        let lefts = parted.collect::<Result<Vec<usize>, Stopped>>()?;
        let n_left = lefts.iter().sum();
        // Where each chunk's rows go.
        let (mut left, mut right) = scratch.split_at_mut(n_left);
        let mut moves = Vec::with_capacity(lefts.len());
        for (chunk, n_left) in order.chunks(CHUNK).zip(lefts) {
            let (to_left, rest_left) = left.split_at_mut(n_left);
            let (to_right, rest_right) = right.split_at_mut(chunk.len() - n_left);
            (left, right) = (rest_left, rest_right);
            moves.push((chunk, to_left, to_right));
        }
        moves.into_par_iter().for_each(|(chunk, to_left, to_right)| {
            let (from_left, from_right) = chunk.split_at(to_left.len());
            to_left.copy_from_slice(from_left);
            to_right.copy_from_slice(from_right);
        });
        let chunks = order.par_chunks_mut(CHUNK).zip(scratch.par_chunks(CHUNK));
        chunks.for_each(|(order, scratch)| order.copy_from_slice(scratch));
        Ok(n_left)
    }
}

fn part(
    order: &mut [u32],
    scratch: &mut [u32],
    is_left: impl Fn(u32) -> bool,
    ask: impl Fn(u32),
) -> usize {
    let (mut n_left, mut n_right) = (0, 0);
    for place in 0..order.len() {
        if let Some(&next) = order.get(place + ahead::ROWS) {
            ask(next);
        }
        // Written to both sides, so that no branch is to be guessed.
        let row = order[place];
        let left = usize::from(is_left(row));
        order[n_left] = row;
        scratch[n_right] = row;
        n_left += left;
        n_right += 1 - left;
    }
    order[n_left..].copy_from_slice(&scratch[..n_right]);
    n_left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_keep_their_order() {
        for n in [0, 1, 10, CHUNK, 3 * CHUNK + 7] {
            let mut rows = Rows::default();
            rows.take(&(0..n as u32).collect::<Vec<_>>()).unwrap();
            let is_left = |row: u32| row % 7 < 3;
            let n_left = rows.part(0..n, is_left, |_| (), &Watch::new()).unwrap();
            let (left, right) = rows.order.split_at(n_left);
            assert!(left.iter().all(|row| is_left(*row)) && left.is_sorted());
            assert!(!right.iter().any(|row| is_left(*row)) && right.is_sorted());
        }
    }
}
