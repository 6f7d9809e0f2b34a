//! From trees over the bins of a fit to the form that is stored, with the thresholds that some tree uses.

use super::boost::Boosted;
use super::grow::GrownNode;
use super::model::{BoostedTrees, Node, Tree};
use super::split::Sides;

/// `gain_unit` is what a gain of 1 is in log-loss.
pub fn to_model(boosted: Boosted, gain_unit: f64) -> BoostedTrees {
    let Boosted { base, trees, bins } = boosted;
    let mut used: Vec<Vec<bool>> =
        bins.inputs.iter().map(|input| vec![false; input.cuts.len()]).collect();
    let mut gains = vec![0.0; bins.n_inputs()];
    for node in trees.iter().flatten() {
        if let GrownNode::Split { input, gain, .. } = node {
            gains[*input] += gain * gain_unit;
        }
        if let GrownNode::Split { input, sides: Sides::Number { cut, .. }, .. } = node
            && let Some(used) = used[*input].get_mut(usize::from(*cut))
        {
            *used = true;
        }
    }
    let cuts = bins.inputs.iter().zip(&used).map(|(input, used)| {
        input.cuts.iter().zip(used).filter(|(_, used)| **used).map(|(cut, _)| *cut).collect()
    });
    let trees = trees.iter().map(|tree| {
        let mut nodes = Vec::with_capacity(tree.len());
        let mut open = vec![0];
        while let Some(at) = open.pop() {
            nodes.push(match &tree[at] {
                &GrownNode::Leaf { value, rows } => Node::Leaf { value, rows },
                GrownNode::Split { input, sides, left, right, .. } => {
                    open.extend([*right, *left]);
                    node(*input, sides, &used[*input], bins.inputs[*input].n_bins)
                }
            });
        }
        Tree { nodes }
    });
    BoostedTrees { base, cuts: cuts.collect(), gains, trees: trees.collect() }
}

fn node(input: usize, sides: &Sides, used: &[bool], n_bins: usize) -> Node {
    let input = input as u16;
    match sides {
        Sides::Number { cut, missing_left } => {
            // The cut beyond the last one stays beyond the last one.
            let before = used[..usize::from(*cut).min(used.len())].iter().filter(|used| **used);
            Node::Number { input, cut: before.count() as u8, missing_left: *missing_left }
        }
        Sides::Category(bits) => {
            let bytes = bits.iter().flat_map(|word| word.to_le_bytes());
            let mut left: Vec<u8> = bytes.take(n_bins.div_ceil(8)).collect();
            if let (Some(last), used @ 1..) = (left.last_mut(), n_bins % 8) {
                *last &= (1 << used) - 1;
            }
            Node::Category { input, left }
        }
    }
}
