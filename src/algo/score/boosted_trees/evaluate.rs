//! Trees ready to score rows: a row becomes bytes once, and all trees compare bytes.

use std::collections::HashMap;

use rayon::prelude::*;

use super::model::{Beside, BoostedTrees, Node, UNIT};
use super::{MAX_INPUTS, search};
use crate::algo::frame::{Frame, MISSING, Values};
use crate::algo::memory;
use crate::algo::score::Error;
use crate::algo::score::additive::sigmoid;
use crate::algo::score::inputs::{Cell, Input, Kind, Row};
use crate::algo::stop::{Stopped, Watch};

#[derive(Debug, Clone)]
pub struct Trees {
    /// In units of the model, as are leaves.
    base: f64,
    inputs: Vec<Binning>,
    /// Of each input.
    missing: Vec<u8>,
    /// Tree after tree, each from its root on.
    nodes: Vec<Flat>,
    roots: Vec<u32>,
    /// Of nodes that split a text.
    sets: Vec<[u64; 4]>,
}

/// How a value of an input becomes a byte.
#[derive(Debug, Clone)]
enum Binning {
    Number(Box<search::Cuts>),
    Category { levels: HashMap<String, u8>, beside: Beside },
}

/// The bin of a missing number, above those of all thresholds.
const MISSING_NUMBER: u8 = u8::MAX;

/// The left side of a node follows it.
#[derive(Debug, Clone, Copy)]
enum Flat {
    Leaf(i32),
    /// Left is up to `cut`, after `turn` is added to both: with 1 a missing number comes first instead of last.
    Number {
        input: u16,
        cut: u8,
        turn: u8,
        right: u16,
    },
    Category {
        input: u16,
        set: u32,
        right: u16,
    },
}

/// Rows between two looks at the watch.
const CHUNK: usize = 512;

impl BoostedTrees {
    pub fn prepare(&self, inputs: &[Input]) -> Trees {
        let binnings: Vec<Binning> = inputs
            .iter()
            .zip(&self.cuts)
            .map(|(input, cuts)| match (&input.kind, Beside::of(&input.kind)) {
                (Kind::Category { levels, .. }, Some(beside)) => {
                    let levels = levels.iter().cloned().zip(0..=u8::MAX).collect();
                    Binning::Category { levels, beside }
                }
                _ => Binning::Number(Box::new(search::padded(cuts))),
            })
            .collect();
        let missing = binnings.iter().map(|binning| match binning {
            Binning::Number(_) => MISSING_NUMBER,
            Binning::Category { beside, .. } => beside.missing,
        });
        let mut trees = Trees {
            base: self.base,
            missing: missing.collect(),
            inputs: binnings,
            nodes: Vec::new(),
            roots: Vec::new(),
            sets: Vec::new(),
        };
        self.trees.iter().for_each(|tree| trees.add(&tree.nodes));
        trees
    }
}

impl Trees {
    fn add(&mut self, nodes: &[Node]) {
        let first = self.nodes.len();
        self.roots.push(first as u32);
        // The nodes whose right sides are still to come.
        let mut open = Vec::new();
        for (at, node) in nodes.iter().enumerate() {
            let flat = match node {
                Node::Leaf(value) => Flat::Leaf(*value),
                &Node::Number { input, cut, missing_left } => {
                    Flat::Number { input, cut, turn: u8::from(missing_left), right: 0 }
                }
                Node::Category { input, left } => {
                    let mut bytes = [0; 32];
                    bytes.iter_mut().zip(left).for_each(|(to, from)| *to = *from);
                    let words = bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word));
                    let mut set = [0; 4];
                    set.iter_mut().zip(words).for_each(|(to, from)| *to = from);
                    self.sets.push(set);
                    Flat::Category { input: *input, set: self.sets.len() as u32 - 1, right: 0 }
                }
            };
            self.nodes.push(flat);
            if !matches!(flat, Flat::Leaf(_)) {
                open.push(first + at);
            } else if let Some(parent) = open.pop() {
                let next = (at + 1) as u16;
                if let Flat::Number { right, .. } | Flat::Category { right, .. } =
                    &mut self.nodes[parent]
                {
                    *right = next;
                }
            }
        }
    }

    /// The probability of the positive class. A cell of the other type counts as missing.
    #[inline]
    pub fn score<R: Row>(&self, row: R) -> Result<f64, R::Error> {
        let mut bins = [0; MAX_INPUTS];
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

    fn of_bins(&self, bins: &[u8]) -> f64 {
        let leaves = self.roots.iter().map(|root| i64::from(self.leaf(*root as usize, bins)));
        sigmoid(self.base + leaves.sum::<i64>() as f64 * UNIT)
    }

    fn leaf(&self, root: usize, bins: &[u8]) -> i32 {
        let mut at = root;
        loop {
            match self.nodes[at] {
                Flat::Leaf(value) => return value,
                Flat::Number { input, cut, turn, right } => {
                    let bin = bins[usize::from(input)].wrapping_add(turn);
                    let is_left = bin <= cut.wrapping_add(turn);
                    at = if is_left { at + 1 } else { root + usize::from(right) };
                }
                Flat::Category { input, set, right } => {
                    let bin = usize::from(bins[usize::from(input)]);
                    let is_left = self.sets[set as usize][bin / 64] >> (bin % 64) & 1 == 1;
                    at = if is_left { at + 1 } else { root + usize::from(right) };
                }
            }
        }
    }

    /// The score of every row; columns are found by name, in any order, and others may stand beside them.
    pub fn score_frame(
        &self,
        inputs: &[Input],
        frame: &Frame,
        watch: &Watch,
    ) -> Result<Vec<f64>, Error> {
        let mut columns = Vec::with_capacity(inputs.len());
        for (input, binning) in inputs.iter().zip(&self.inputs) {
            let name = || input.name.clone();
            let column =
                frame.column(&input.name).ok_or_else(|| Error::MissingColumn { name: name() })?;
            columns.push(match (binning, &column.values) {
                (Binning::Number(_), Values::Number(values)) => Source::Number(values),
                (Binning::Number(_), Values::Integer(values)) => Source::Integer(values),
                (Binning::Number(_), Values::Text { .. }) => {
                    return Err(Error::ColumnType { name: name(), expected: "a number" });
                }
                (Binning::Category { .. }, Values::Text { codes, dictionary }) => {
                    let level = |level: &String| binning.of(Cell::Category(Some(level)));
                    Source::Text { codes, by_code: dictionary.iter().map(level).collect() }
                }
                (Binning::Category { .. }, _) => {
                    return Err(Error::ColumnType { name: name(), expected: "text" });
                }
            });
        }
        let width = inputs.len();
        memory::probe(rayon::current_num_threads() * CHUNK * width)?;
        let mut scores = memory::filled(0.0, frame.n_rows)?;
        scores.par_chunks_mut(CHUNK).enumerate().try_for_each(|(chunk_idx, scores)| {
            watch.check()?;
            let mut bins = vec![0; width * scores.len()];
            let start = chunk_idx * CHUNK;
            for (input_idx, (source, binning)) in columns.iter().zip(&self.inputs).enumerate() {
                let places = bins[input_idx..].iter_mut().step_by(width);
                places.enumerate().for_each(|(row, bin)| *bin = source.bin(start + row, binning));
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
    #[inline]
    fn of(&self, cell: Cell) -> u8 {
        match (self, cell) {
            (Self::Number(cuts), Cell::Number(value)) => search::bin(value, cuts, MISSING_NUMBER),
            (Self::Number(_), Cell::Category(_)) => MISSING_NUMBER,
            (Self::Category { levels, beside }, Cell::Category(Some(level))) => {
                levels.get(level).copied().unwrap_or(beside.other)
            }
            (Self::Category { beside, .. }, _) => beside.missing,
        }
    }
}

/// Where a frame keeps the values of an input.
enum Source<'a> {
    Number(&'a [f64]),
    Integer(&'a [i64]),
    /// `by_code` is the bin of each level of the frame's dictionary.
    Text {
        codes: &'a [u32],
        by_code: Vec<u8>,
    },
}

impl Source<'_> {
    fn bin(&self, row: usize, binning: &Binning) -> u8 {
        match self {
            Self::Number(values) => binning.of(Cell::Number(values[row])),
            Self::Integer(values) => binning.of(Cell::Number(values[row] as f64)),
            Self::Text { codes, by_code } => match codes[row] {
                MISSING => binning.of(Cell::Category(None)),
                code => by_code[code as usize],
            },
        }
    }
}
