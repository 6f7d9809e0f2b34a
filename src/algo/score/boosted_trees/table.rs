//! Trees as a table of masks, after QuickScorer (Lucchese et al. 2015): for each bin of an input and each tree, which leaves a row can still
//! reach whose value is in this bin. What is reached is the first leaf that all inputs leave.
//!
//! So a row costs, whatever its way through the trees, one line of the table for each input, which is read from end to end.

use multiversion::multiversion;

use super::model::{BoostedTrees, Node};

/// Larger tables would not stay near the processor.
const MOST_BYTES: usize = 64 << 20;
/// Words of two lines of the processor's memory are held at once.
const BLOCK_BYTES: usize = 128;

/// A bit for each leaf of a tree.
pub trait Word: Copy + Default + Send + Sync {
    const LEAVES: usize = 8 * size_of::<Self>();
    const ALL: Self;

    fn and(self, other: Self) -> Self;
    fn without(self, leaves: u64) -> Self;
    /// The number of the first leaf; of no leaf any.
    fn first(self) -> usize;
}

macro_rules! words {
    ($($word:ty),*) => {$(
        impl Word for $word {
            const ALL: Self = Self::MAX;

            #[inline(always)]
            fn and(self, other: Self) -> Self {
                self & other
            }

            fn without(self, leaves: u64) -> Self {
                self & !(leaves as Self)
            }

            #[inline(always)]
            fn first(self) -> usize {
                self.trailing_zeros() as usize % Self::LEAVES
            }
        }
    )*};
}

words!(u16, u32, u64);

#[derive(Debug, Clone)]
pub struct Table<W, const BLOCK: usize> {
    /// Of each input that some tree asks for: its number, and the line of its first bin.
    inputs: Vec<(u32, u32)>,
    /// Line after line, one word for each tree.
    words: Vec<[W; BLOCK]>,
    /// Blocks of a line.
    n_blocks: usize,
    /// Of each tree as many as a word has bits, in units of the model.
    leaves: Vec<i32>,
}

/// The narrowest words that have a bit for each leaf.
#[derive(Debug, Clone)]
pub enum AnyTable {
    Narrow(Table<u16, { BLOCK_BYTES / 2 }>),
    Middle(Table<u32, { BLOCK_BYTES / 4 }>),
    Wide(Table<u64, { BLOCK_BYTES / 8 }>),
}

impl AnyTable {
    /// None where trees have too many leaves, or are too many. `n_bins` is how many bins each input has; the last one of a number is
    /// missing.
    pub fn new(model: &BoostedTrees, n_bins: &[usize]) -> Option<Self> {
        let n_leaves = model.trees.iter().map(|tree| tree.nodes.len() / 2 + 1).max();
        match n_leaves.unwrap_or(0) {
            0..=16 => Table::new(model, n_bins).map(Self::Narrow),
            17..=32 => Table::new(model, n_bins).map(Self::Middle),
            33..=64 => Table::new(model, n_bins).map(Self::Wide),
            _ => None,
        }
    }

    /// The sum of the leaves that a row reaches, by its bins.
    #[inline]
    pub fn sum(&self, bins: &[u8]) -> i64 {
        match self {
            Self::Narrow(table) => sum(table, bins),
            Self::Middle(table) => sum(table, bins),
            Self::Wide(table) => sum(table, bins),
        }
    }
}

impl<W: Word, const BLOCK: usize> Table<W, BLOCK> {
    fn new(model: &BoostedTrees, n_bins: &[usize]) -> Option<Self> {
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
        if n_words > MOST_BYTES / BLOCK_BYTES {
            return None;
        }
        let mut table = Self {
            inputs,
            words: vec![[W::ALL; BLOCK]; n_words],
            n_blocks,
            leaves: vec![0; n_blocks * BLOCK * W::LEAVES],
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
            let Node::Leaf { value, .. } = node else {
                open.push((node, n_leaves));
                continue;
            };
            self.leaves[tree * W::LEAVES + n_leaves as usize] = *value;
            n_leaves += 1;
            if let Some((node, first)) = open.pop()
                && let Some(input) = node.input()
            {
                // Who goes right reaches no leaf of the left side.
                let left = !(u64::MAX << (n_leaves - first)) << first;
                let is_left = sides(node, n_bins[input]);
                for bin in (0..n_bins[input]).filter(|bin| !is_left[*bin]) {
                    let line = (starts[input] + bin) * self.n_blocks;
                    let word = &mut self.words[line + tree / BLOCK][tree % BLOCK];
                    *word = word.without(left);
                }
            }
        }
    }
}

/// Per bin whether a split sends it left.
pub fn sides(node: &Node, n_bins: usize) -> [bool; 256] {
    let mut is_left = [false; 256];
    match node {
        Node::Leaf { .. } => {}
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

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2+bmi1"))]
fn sum<W: Word, const BLOCK: usize>(table: &Table<W, BLOCK>, bins: &[u8]) -> i64 {
    let mut sum = 0;
    for (block, leaves) in table.leaves.chunks_exact(BLOCK * W::LEAVES).enumerate() {
        let mut reached = [W::ALL; BLOCK];
        for &(input, start) in &table.inputs {
            let line = start as usize + usize::from(bins[input as usize]);
            let words = &table.words[line * table.n_blocks + block];
            reached.iter_mut().zip(words).for_each(|(reached, word)| *reached = reached.and(*word));
        }
        for (leaves, reached) in leaves.chunks_exact(W::LEAVES).zip(reached) {
            sum += i64::from(leaves[reached.first()]);
        }
    }
    sum
}
