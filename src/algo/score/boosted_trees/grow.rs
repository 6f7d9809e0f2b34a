//! One tree, leaf by leaf: the leaf that gains most is split next.

use std::ops::Range;

use rayon::prelude::*;

use super::ahead;
use super::bins::Bins;
use super::groups::{Groups, Leaf, Sample};
use super::histogram::Totals;
use super::model::{LEAF_LIMIT, MAX_DEPTH, UNIT};
use super::rows::Rows;
use super::split::{Limits, Sides, Split};
use crate::algo::score::Error;
use crate::algo::stop::Watch;

/// A tree over bins; the first node is its root.
pub type Grown = Vec<GrownNode>;

#[derive(Debug, Clone, PartialEq)]
pub enum GrownNode {
    /// Its value in units of the model, and how many rows it was learnt from.
    Leaf {
        value: i32,
        rows: u32,
    },
    Split {
        input: usize,
        sides: Sides,
        gain: f64,
        left: usize,
        right: usize,
    },
}

impl GrownNode {
    /// A leaf before its value is known.
    const NOT_YET: Self = Self::Leaf { value: 0, rows: 0 };
}

/// How trees are grown.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub max_leaves: usize,
    pub max_depth: usize,
    pub learning_rate: f64,
    pub limits: Limits,
    /// What a unit of a histogram's gradients is over one of its curvatures.
    pub unit: f64,
}

/// A leaf while the tree grows.
struct Open {
    node: usize,
    depth: usize,
    totals: Totals,
    l2: f64,
    /// The rows that are learnt from, and those that are not.
    rows: [Range<usize>; 2],
    place: usize,
    best: Option<Split>,
}

/// Grows a tree on the first rows, and adds to the score of every row what the tree says of it.
pub fn grow(
    bins: &Bins,
    sample: Sample,
    groups: &mut Groups,
    rows: &mut [Rows; 2],
    (usable, shape): (&[bool], &Shape),
    scores: &mut [f32],
    watch: &Watch,
) -> Result<Grown, Error> {
    let limits = &shape.limits;
    let all = [0..rows[0].order.len(), 0..rows[1].order.len()];
    let totals = total(&rows[0].order, sample.words);
    groups.count(sample, &rows[0].order, 0, watch)?;
    let is_open = |totals: Totals, depth: usize| {
        totals.rows >= 2 * limits.least_rows && depth < shape.max_depth.min(MAX_DEPTH)
    };
    let root = Leaf { place: 0, totals, is_open: is_open(totals, 0) };
    let best = groups.split(root, usable, limits);
    let mut leaves =
        vec![Open { node: 0, depth: 0, totals, l2: limits.l2, rows: all, place: 0, best }];
    let mut grown = vec![GrownNode::NOT_YET];
    while leaves.len() < shape.max_leaves {
        let Some((at, split)) = next(&mut leaves) else { break };
        watch.check()?;
        let left_bins = split.sides.by_bin(bins.inputs[split.input].n_bins);
        let cell = |row: u32| row as usize * sample.n_inputs + split.input;
        let is_left = |row: u32| left_bins[usize::from(sample.cells[cell(row)])];
        let ask = |row: u32| ahead::ask(sample.cells, cell(row));
        let leaf = &leaves[at];
        let mut sides = [leaf.rows.clone(), leaf.rows.clone()];
        for (which, rows) in rows.iter_mut().enumerate() {
            let range = leaf.rows[which].clone();
            let middle = range.start + rows.part(range.clone(), is_left, ask, watch)?;
            sides[0][which] = range.start..middle;
            sides[1][which] = middle..range.end;
        }
        let depth = leaf.depth + 1;
        let totals = [split.totals, leaf.totals.minus(split.totals)];
        let small = usize::from(totals[1].rows < totals[0].rows);
        let mut places = [leaf.place; 2];
        places[small] = leaves.len();
        let sides_as_leaves = [0, 1].map(|side| Leaf {
            place: places[side],
            totals: totals[side],
            is_open: is_open(totals[side], depth),
        });
        let few = &rows[0].order[sides[small][0].clone()];
        let (one, other) = (sides_as_leaves[small], sides_as_leaves[1 - small]);
        let mut found = groups.split_sides(sample, (one, few), other, (usable, limits), watch)?;
        if small == 1 {
            found.reverse();
        }
        let nodes = [grown.len(), grown.len() + 1];
        let [left, right] = nodes;
        grown[leaf.node] = GrownNode::Split {
            input: split.input,
            sides: split.sides,
            gain: split.gain,
            left,
            right,
        };
        grown.extend([GrownNode::NOT_YET, GrownNode::NOT_YET]);
        let mut sides = sides.into_iter().zip(found).enumerate().map(|(side, (rows, best))| Open {
            node: nodes[side],
            depth,
            totals: totals[side],
            l2: split.l2,
            rows,
            place: places[side],
            best,
        });
        if let (Some(left), Some(right)) = (sides.next(), sides.next()) {
            leaves[at] = left;
            leaves.push(right);
        }
    }
    for leaf in &leaves {
        watch.check()?;
        let value = value(leaf.totals, leaf.l2, shape);
        grown[leaf.node] = GrownNode::Leaf { value, rows: leaf.totals.rows as u32 };
        let value = (f64::from(value) * UNIT) as f32;
        for (rows, range) in rows.iter().zip(&leaf.rows) {
            rows.order[range.clone()].iter().for_each(|row| scores[*row as usize] += value);
        }
    }
    Ok(grown)
}

/// The first of the leaves whose split gains most, and that split.
fn next(leaves: &mut [Open]) -> Option<(usize, Split)> {
    let gain = |leaf: &Open| leaf.best.as_ref().map(|split| split.gain);
    let all = leaves.iter().enumerate().filter_map(|(at, leaf)| Some((at, gain(leaf)?)));
    let (at, _) = all.reduce(|best, next| if next.1 > best.1 { next } else { best })?;
    leaves[at].best.take().map(|split| (at, split))
}

/// The best value of a leaf, as far as the learning rate goes, in units of the model.
fn value(totals: Totals, l2: f64, shape: &Shape) -> i32 {
    let curve = (totals.curve as f64 + l2).max(1.0);
    let best = -(totals.gradient as f64) / curve * shape.unit;
    let limit = f64::from(LEAF_LIMIT);
    (best * shape.learning_rate / UNIT).round().clamp(-limit, limit) as i32
}

/// Rows that one thread sums at once.
const CHUNK: usize = 16_384;

fn total(rows: &[u32], words: &[u64]) -> Totals {
    let chunks = rows.par_chunks(CHUNK).map(|rows| {
        let sum = |sum: Totals, row: &u32| sum.plus(Totals::of(words[*row as usize]));
        rows.iter().fold(Totals::default(), sum)
    });
    chunks.reduce(Totals::default, Totals::plus)
}
