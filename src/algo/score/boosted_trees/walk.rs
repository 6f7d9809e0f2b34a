//! Trees that are walked from the root to a leaf: those of more leaves than a word has bits, and very many trees.

use super::model::{BoostedTrees, Node};
use super::table::sides;

#[derive(Debug, Clone)]
pub struct Walk {
    /// Tree after tree. The left side of a node follows it.
    nodes: Vec<Step>,
    roots: Vec<u32>,
    /// Of each bin whether it is left, in bits.
    sets: Vec<[u64; 4]>,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Leaf(i32),
    /// Left is up to `cut`. A missing number, whose bin is `missing`, has a side of its own.
    Number {
        input: u16,
        cut: u8,
        missing: u8,
        missing_left: bool,
        right: u16,
    },
    Category {
        input: u16,
        set: u32,
        right: u16,
    },
}

impl Walk {
    pub fn new(model: &BoostedTrees, n_bins: &[usize]) -> Self {
        let mut walk = Self { nodes: Vec::new(), roots: Vec::new(), sets: Vec::new() };
        model.trees.iter().for_each(|tree| walk.add(&tree.nodes, n_bins));
        walk
    }

    fn add(&mut self, nodes: &[Node], n_bins: &[usize]) {
        let first = self.nodes.len();
        self.roots.push(first as u32);
        // The nodes whose right sides are still to come.
        let mut open = Vec::new();
        for (at, node) in nodes.iter().enumerate() {
            self.nodes.push(match node {
                Node::Leaf { value, .. } => Step::Leaf(*value),
                &Node::Number { input, cut, missing_left } => {
                    let missing = (n_bins[usize::from(input)] - 1) as u8;
                    Step::Number { input, cut, missing, missing_left, right: 0 }
                }
                Node::Category { input, .. } => {
                    let mut set = [0; 4];
                    let is_left = sides(node, n_bins[usize::from(*input)]);
                    for (bin, _) in is_left.iter().enumerate().filter(|(_, left)| **left) {
                        set[bin / 64] |= 1 << (bin % 64);
                    }
                    self.sets.push(set);
                    Step::Category { input: *input, set: self.sets.len() as u32 - 1, right: 0 }
                }
            });
            if node.input().is_some() {
                open.push(first + at);
            } else if let Some(parent) = open.pop() {
                let next = (at + 1) as u16;
                if let Step::Number { right, .. } | Step::Category { right, .. } =
                    &mut self.nodes[parent]
                {
                    *right = next;
                }
            }
        }
    }

    /// The sum of the leaves that a row reaches, by its bins.
    pub fn sum(&self, bins: &[u8]) -> i64 {
        self.roots.iter().map(|root| i64::from(self.leaf(*root as usize, bins))).sum()
    }

    fn leaf(&self, root: usize, bins: &[u8]) -> i32 {
        let mut at = root;
        loop {
            let (is_left, right) = match self.nodes[at] {
                Step::Leaf(value) => return value,
                Step::Number { input, cut, missing, missing_left, right } => {
                    let bin = bins[usize::from(input)];
                    (if bin == missing { missing_left } else { bin <= cut }, right)
                }
                Step::Category { input, set, right } => {
                    let bin = usize::from(bins[usize::from(input)]);
                    (self.sets[set as usize][bin / 64] >> (bin % 64) & 1 == 1, right)
                }
            };
            at = if is_left { at + 1 } else { root + usize::from(right) };
        }
    }
}
