//! Trees ready to score rows: a row becomes bytes once, and all trees compare bytes.

use hashbrown::HashMap;
use rayon::prelude::*;

use super::model::{Beside, BoostedTrees, UNIT};
use super::table::AnyTable;
use super::walk::Walk;
use super::{MAX_INPUTS, search};
use crate::algo::frame::Frame;
use crate::algo::memory;
use crate::algo::score::Error;
use crate::algo::score::additive::sigmoid;
use crate::algo::score::inputs::{Cell, Input, Kind, Row, sources};
use crate::algo::stop::{Stopped, Watch};

#[derive(Debug, Clone)]
pub struct Trees {
    base: f64,
    inputs: Vec<Binning>,
    /// The bin of what is missing, of each input.
    missing: Vec<u8>,
    forest: Forest,
}

#[derive(Debug, Clone)]
enum Forest {
    Table(AnyTable),
    Walk(Walk),
}

/// How a value of an input becomes a byte.
#[derive(Debug, Clone)]
enum Binning {
    Number { cuts: Box<search::Cuts>, missing: u8 },
    Category { levels: HashMap<String, u8>, beside: Beside },
}

/// Rows between two looks at the watch.
const CHUNK: usize = 512;
/// Rows of more inputs take a larger buffer.
const FEW_INPUTS: usize = 64;

impl BoostedTrees {
    pub fn prepare(&self, inputs: &[Input]) -> Trees {
        let binning = |(input, cuts): (&Input, &Vec<f64>)| {
            if let (Kind::Category { levels, .. }, Some(beside)) =
                (&input.kind, Beside::of(&input.kind))
            {
                let levels = levels.iter().cloned().zip(0..=u8::MAX).collect();
                return Binning::Category { levels, beside };
            }
            let missing = (cuts.len() + 1) as u8;
            Binning::Number { cuts: Box::new(search::padded(cuts)), missing }
        };
        let inputs: Vec<Binning> = inputs.iter().zip(&self.cuts).map(binning).collect();
        let n_bins: Vec<usize> = inputs.iter().map(Binning::n_bins).collect();
        let forest = match AnyTable::new(self, &n_bins) {
            Some(table) => Forest::Table(table),
            None => Forest::Walk(Walk::new(self, &n_bins)),
        };
        let missing = inputs.iter().map(Binning::missing).collect();
        Trees { base: self.base, inputs, missing, forest }
    }
}

impl Trees {
    /// The probability of the positive class. A cell of the other type counts as missing.
    #[inline]
    pub fn score<R: Row>(&self, row: R) -> Result<f64, R::Error> {
        if self.inputs.len() <= FEW_INPUTS {
            self.score_in(row, &mut [0; FEW_INPUTS])
        } else {
            self.score_in(row, &mut [0; MAX_INPUTS])
        }
    }

    #[inline]
    fn score_in<R: Row>(&self, row: R, bins: &mut [u8]) -> Result<f64, R::Error> {
        let bins = &mut bins[..self.inputs.len()];
        bins.copy_from_slice(&self.missing);
        row.cells(|input_idx, cell| {
            if let (Some(bin), Some(binning)) =
                (bins.get_mut(input_idx), self.inputs.get(input_idx))
            {
                *bin = binning.of(cell);
            }
        })?;
        Ok(self.of_bins(bins))
    }

    #[inline]
    fn of_bins(&self, bins: &[u8]) -> f64 {
        let sum = match &self.forest {
            Forest::Table(table) => table.sum(bins),
            Forest::Walk(walk) => walk.sum(bins),
        };
        sigmoid(self.base + sum as f64 * UNIT)
    }

    /// The score of every row; columns are found by name, in any order, and others may stand beside them.
    pub fn score_frame(
        &self,
        inputs: &[Input],
        frame: &Frame,
        watch: &Watch,
    ) -> Result<Vec<f64>, Error> {
        let of =
            |input_idx: usize, cell: Cell| self.inputs.get(input_idx).map_or(0, |one| one.of(cell));
        let columns = sources(inputs, frame, of)?;
        let width = inputs.len();
        memory::probe(rayon::current_num_threads() * CHUNK * width)?;
        let mut scores = memory::filled(0.0, frame.n_rows)?;
        scores.par_chunks_mut(CHUNK).enumerate().try_for_each(|(chunk_idx, scores)| {
            watch.check()?;
            let mut bins = vec![0; width * scores.len()];
            let start = chunk_idx * CHUNK;
            for (input_idx, (source, binning)) in columns.iter().zip(&self.inputs).enumerate() {
                let places = bins[input_idx..].iter_mut().step_by(width);
                let number = |value| binning.of(Cell::Number(value));
                source.put(start, places, number, |bin, found| *bin = found);
            }
            for (score, bins) in scores.iter_mut().zip(bins.chunks_exact(width.max(1))) {
                *score = self.of_bins(bins);
            }
            Ok::<(), Stopped>(())
        })?;
        Ok(scores)
    }
}

impl Binning {
    fn n_bins(&self) -> usize {
        let last = match self {
            Self::Number { missing, .. } => *missing,
            Self::Category { beside, .. } => beside.other,
        };
        usize::from(last) + 1
    }

    fn missing(&self) -> u8 {
        match self {
            Self::Number { missing, .. } => *missing,
            Self::Category { beside, .. } => beside.missing,
        }
    }

    #[inline]
    fn of(&self, cell: Cell) -> u8 {
        match (self, cell) {
            (Self::Number { cuts, missing }, Cell::Number(value)) => {
                search::bin(value, cuts, *missing)
            }
            (Self::Number { missing, .. }, Cell::Category(_)) => *missing,
            (Self::Category { levels, beside }, Cell::Category(Some(level))) => {
                levels.get(level).copied().unwrap_or(beside.other)
            }
            (Self::Category { beside, .. }, _) => beside.missing,
        }
    }
}
