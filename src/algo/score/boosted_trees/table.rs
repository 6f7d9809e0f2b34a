//! Trees as a table of masks, after QuickScorer (Lucchese et al. 2015): for each bin of an input and each tree, which leaves a row can still
//! reach whose value is in this bin. What is reached is the first leaf that all inputs leave.
//!
//! So a row costs, whatever its way through the trees, one line of the table for each input, which is read from end to end.

use multiversion::multiversion;

use super::model::{BoostedTrees, Node};

/// Leaves are bits of a word.
const MOST_LEAVES: usize = 64;
/// Trees whose words are held at once.
const BLOCK: usize = 16;
/// Larger tables would not stay near the processor.
const MOST_BYTES: usize = 64 << 20;

#[derive(Debug, Clone)]
pub struct Table {
    /// Of each input that some tree asks for: its number, and the line of its first bin.
    inputs: Vec<(u32, u32)>,
    /// Line after line, one word for each tree.
    words: Vec<[u64; BLOCK]>,
    /// Blocks of a line.
    n_blocks: usize,
    /// Of each tree, in units of the model.
    leaves: Vec<[i32; MOST_LEAVES]>,
}

impl Table {
    /// None where trees have too many leaves, or are too many. An input has so many bins, by the number of its missing one for numbers.
    pub fn new(model: &BoostedTrees, n_bins: &[usize]) -> Option<Self> {
        let n_leaves = |nodes: &[Node]| nodes.len() / 2 + 1;
        if model.trees.iter().any(|tree| n_leaves(&tree.nodes) > MOST_LEAVES) {
            return None;
        }
        let mut is_used = vec![false; n_bins.len()];
        let nodes = model.trees.iter().flat_map(|tree| &tree.nodes);
        nodes.filter_map(Node::input).for_each(|input| is_used[input] = true);
        let mut n_lines = 0;
        let mut starts = vec![0; n_bins.len()];
        let mut inputs = Vec::new();
        for (input, n_bins) in n_bins.iter().enumerate().filter(|(input, _)| is_used[*input]) {
            starts[input] = n_lines;
            inputs.push((input as u32, n_lines as u32));
            n_lines += n_bins;
        }
        let n_blocks = model.trees.len().div_ceil(BLOCK);
        let n_words = n_lines * n_blocks;
        if n_words > MOST_BYTES / size_of::<[u64; BLOCK]>() {
            return None;
        }
        let mut table = Self {
            inputs,
            words: vec![[u64::MAX; BLOCK]; n_words],
            n_blocks,
            leaves: vec![[0; MOST_LEAVES]; n_blocks * BLOCK],
        };
        for (tree, nodes) in model.trees.iter().enumerate() {
            table.add(tree, &nodes.nodes, (&starts, n_bins));
        }
        Some(table)
    }

    fn add(&mut self, tree: usize, nodes: &[Node], (starts, n_bins): (&[usize], &[usize])) {
        // The splits whose left sides are not yet at their end, and the first leaf of each of those sides.
        let mut open: Vec<(&Node, u32)> = Vec::new();
        let mut n_leaves = 0;
        for node in nodes {
            let Node::Leaf(value) = node else {
                open.push((node, n_leaves));
                continue;
            };
            self.leaves[tree][n_leaves as usize] = *value;
            n_leaves += 1;
            if let Some((node, first)) = open.pop()
                && let Some(input) = node.input()
            {
                // Who goes right reaches no leaf of the left side.
                let left = !(u64::MAX << (n_leaves - first)) << first;
                let is_left = sides(node, n_bins[input]);
                for bin in (0..n_bins[input]).filter(|bin| !is_left[*bin]) {
                    let line = (starts[input] + bin) * self.n_blocks;
                    self.words[line + tree / BLOCK][tree % BLOCK] &= !left;
                }
            }
        }
    }

    /// The sum of the leaves that a row reaches, by its bins.
    #[inline]
    pub fn sum(&self, bins: &[u8]) -> i64 {
        sum(self, bins)
    }
}

/// Per bin whether a split sends it left.
pub fn sides(node: &Node, n_bins: usize) -> [bool; 256] {
    let mut is_left = [false; 256];
    match node {
        Node::Leaf(_) => {}
        Node::Number { cut, missing_left, .. } => {
            is_left[..=usize::from(*cut)].fill(true);
            is_left[n_bins - 1] = *missing_left;
        }
        Node::Category { left, .. } => {
            for (bin, is_left) in is_left.iter_mut().enumerate() {
                *is_left = left.get(bin / 8).is_some_and(|byte| byte >> (bin % 8) & 1 == 1);
            }
        }
    }
    is_left
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl+avx512cd", "x86_64+avx2+bmi1"))]
fn sum(table: &Table, bins: &[u8]) -> i64 {
    let mut sum = 0;
    for block in 0..table.n_blocks {
        let mut reached = [u64::MAX; BLOCK];
        for &(input, start) in &table.inputs {
            let line = start as usize + usize::from(bins[input as usize]);
            let words = &table.words[line * table.n_blocks + block];
            reached.iter_mut().zip(words).for_each(|(reached, word)| *reached &= word);
        }
        let leaves = table.leaves[block * BLOCK..(block + 1) * BLOCK].iter();
        for (leaves, reached) in leaves.zip(reached) {
            sum += i64::from(leaves[reached.trailing_zeros() as usize % MOST_LEAVES]);
        }
    }
    sum
}
