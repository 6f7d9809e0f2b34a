//! What is stored: thresholds, each once for its input, and trees that refer to them.
//!
//! A tree is the list of its nodes, each before those below it and its left side before its right one. There are no pointers, so
//! no bytes make a loop. Leaves are whole numbers of [`UNIT`]: sums of such have the same bits in whatever order they are added.

use serde::{Deserialize, Serialize};

use super::MAX_INPUTS;
use crate::algo::score::inputs::{Input, Kind};

/// What a leaf counts in, in log-odds.
pub const UNIT: f64 = 1.0 / (1 << 24) as f64;
/// No leaf is farther from 0, in units: 64 in log-odds.
pub const LEAF_LIMIT: i32 = 1 << 30;
/// No leaf has more nodes above it.
pub const MAX_DEPTH: usize = 64;
/// A number has a bin more than thresholds, and one for missing.
pub const MAX_CUTS: usize = 254;
/// Levels that a text column counts one by one: beside them there are missing and other.
pub const MAX_LEVELS: usize = 254;
pub const MAX_TREES: usize = 10_000;
pub const MAX_LEAVES: usize = 4096;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoostedTrees {
    /// The log-odds before the first tree.
    pub base: f64,
    /// Of each input that is a number the thresholds of all trees, in ascending order; of a text nothing.
    pub cuts: Vec<Vec<f64>>,
    /// By how much the splits of each input have lowered the log-loss of the rows that were learnt from, to second order.
    pub gains: Vec<f64>,
    pub trees: Vec<Tree>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tree {
    pub nodes: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Node {
    /// In units, with the rows that it was learnt from.
    Leaf { value: i32, rows: u32 },
    /// Left is what is at most the input's threshold of this number. Beyond the last one every value is left.
    Number { input: u16, cut: u8, missing_left: bool },
    /// Left are the slots whose bits are set, the lowest bit of the first byte first. Slots are the input's levels in their order, then
    /// missing, then other.
    Category { input: u16, left: Vec<u8> },
}

impl Node {
    pub fn input(&self) -> Option<usize> {
        match self {
            Self::Leaf { .. } => None,
            Self::Number { input, .. } | Self::Category { input, .. } => Some(usize::from(*input)),
        }
    }
}

/// The slot of each value of a text input beside its levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beside {
    pub missing: u8,
    /// Of rare levels, and of those that the fit did not see.
    pub other: u8,
}

impl Beside {
    /// None of a number, and of a text of more levels than have a slot.
    pub fn of(kind: &Kind) -> Option<Self> {
        let Kind::Category { levels, .. } = kind else { return None };
        let missing = u8::try_from(levels.len()).ok()?;
        Some(Self { missing, other: missing.checked_add(1)? })
    }
}

impl BoostedTrees {
    /// What is wrong with it, as the learner of these inputs.
    pub fn fault(&self, inputs: &[Input]) -> Option<&'static str> {
        let base_limit = f64::from(LEAF_LIMIT) * UNIT;
        if !(-base_limit..=base_limit).contains(&self.base) {
            return Some("the base of the trees is not finite or huge");
        }
        if self.cuts.len() != inputs.len() || inputs.len() > MAX_INPUTS {
            return Some("thresholds and inputs differ in number");
        }
        let is_gain = |gain: &f64| gain.is_finite() && *gain >= 0.0;
        if self.gains.len() != inputs.len() || !self.gains.iter().all(is_gain) {
            return Some("gains are not finite, or not one for each input");
        }
        for (cuts, input) in self.cuts.iter().zip(inputs) {
            let is_text = matches!(input.kind, Kind::Category { .. });
            if cuts.len() > MAX_CUTS || (is_text && !cuts.is_empty()) {
                return Some("an input has too many thresholds");
            }
            if is_text && Beside::of(&input.kind).is_none() {
                return Some("a text input has too many levels for trees");
            }
            let ascend = cuts.windows(2).all(|pair| pair[0] < pair[1]);
            if !ascend || cuts.iter().any(|cut| cut.is_nan()) {
                return Some("thresholds do not ascend");
            }
        }
        if self.trees.len() > MAX_TREES {
            return Some("there are too many trees");
        }
        self.trees.iter().find_map(|tree| tree.fault(&self.cuts, inputs))
    }
}

impl Tree {
    fn fault(&self, cuts: &[Vec<f64>], inputs: &[Input]) -> Option<&'static str> {
        if self.nodes.len() > 2 * MAX_LEAVES {
            return Some("a tree has too many nodes");
        }
        // How deep the right sides are that are still to come.
        let mut open = vec![0];
        for node in &self.nodes {
            let Some(depth) = open.pop() else { return Some("a tree has nodes below no other") };
            let is_sound = match node {
                // A root that is a leaf may have been drawn no rows.
                Node::Leaf { value, rows } => {
                    value.unsigned_abs() <= LEAF_LIMIT as u32 && (*rows > 0 || depth == 0)
                }
                Node::Number { input, cut, .. } => {
                    let input = usize::from(*input);
                    let kind = inputs.get(input).map(|input| &input.kind);
                    let is_number = matches!(kind, Some(Kind::Number { .. }));
                    is_number && cuts.get(input).is_some_and(|cuts| usize::from(*cut) <= cuts.len())
                }
                Node::Category { input, left } => {
                    let kind = inputs.get(usize::from(*input)).map(|input| &input.kind);
                    matches!(kind, Some(Kind::Category { .. })) && left.len() <= 32
                }
            };
            if !is_sound {
                return Some("a node does not fit the inputs, or a leaf is huge or of no rows");
            }
            if node.input().is_some() {
                if depth == MAX_DEPTH {
                    return Some("a tree is too deep");
                }
                open.extend([depth + 1; 2]);
            }
        }
        (!open.is_empty()).then_some("a tree ends before its last leaf")
    }
}
