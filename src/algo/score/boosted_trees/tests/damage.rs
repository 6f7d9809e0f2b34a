//! What comes back from storage need not be what was stored.

use super::*;

#[track_caller]
fn check_refused(spoil: impl Fn(&mut BoostedTrees), reason: &str) {
    let (frame, target) = sample(2_000);
    let mut scorer = fitted(&frame, &target, params(&[("n_trees", "2")]));
    let Learner::BoostedTrees(trees) = &mut scorer.learner else { panic!("another learner") };
    spoil(trees);
    assert_eq!(scorer.check(), Err(Error::BadModel { reason: reason.into() }));
}

#[test]
fn trees_that_no_fit_leaves_are_refused() {
    check_refused(|trees| trees.base = f64::NAN, "the base of the trees is not finite or huge");
    check_refused(|trees| trees.base = 1e9, "the base of the trees is not finite or huge");
    check_refused(|trees| trees.cuts.truncate(3), "thresholds and inputs differ in number");
    let gains = "gains are not finite, or not one for each input";
    check_refused(|trees| trees.gains.truncate(3), gains);
    check_refused(|trees| trees.gains[0] = f64::NAN, gains);
    check_refused(|trees| trees.gains[1] = -1.0, gains);
    check_refused(|trees| trees.cuts[0] = vec![0.0; 255], "an input has too many thresholds");
    check_refused(|trees| trees.cuts[3].push(1.0), "an input has too many thresholds");
    check_refused(|trees| trees.cuts[0][0] = f64::NAN, "thresholds do not ascend");
    check_refused(|trees| trees.cuts[0].reverse(), "thresholds do not ascend");
    let unfit = "a node does not fit the inputs, or a leaf is huge or of no rows";
    let number = |input, cut| Node::Number { input, cut, missing_left: false };
    check_refused(|trees| trees.trees[0].nodes[0] = number(4, 0), unfit);
    check_refused(|trees| trees.trees[0].nodes[0] = number(3, 0), unfit);
    check_refused(|trees| trees.trees[0].nodes[0] = number(0, 255), unfit);
    let category = |input, n| Node::Category { input, left: vec![0; n] };
    check_refused(|trees| trees.trees[0].nodes[0] = category(0, 1), unfit);
    check_refused(|trees| trees.trees[0].nodes[0] = category(3, 33), unfit);
    let leaf = |value| Node::Leaf { value, rows: 1 };
    let last = |trees: &BoostedTrees| trees.trees[0].nodes.len() - 1;
    check_refused(
        |trees| {
            let last = last(trees);
            trees.trees[0].nodes[last] = leaf(i32::MIN);
        },
        unfit,
    );
    check_refused(
        |trees| {
            let last = last(trees);
            trees.trees[0].nodes[last] = Node::Leaf { value: 1, rows: 0 };
        },
        unfit,
    );
    check_refused(
        |trees| {
            trees.trees[0].nodes.pop();
        },
        "a tree ends before its last leaf",
    );
    check_refused(|trees| trees.trees[0].nodes.clear(), "a tree ends before its last leaf");
    check_refused(|trees| trees.trees[0].nodes.push(leaf(0)), "a tree has nodes below no other");
    let deep = |depth: usize| {
        let mut nodes = vec![number(0, 0); depth];
        nodes.extend(vec![leaf(1); depth + 1]);
        nodes
    };
    check_refused(|trees| trees.trees[0].nodes = deep(65), "a tree is too deep");
    let wide = |n: usize| (0..n).flat_map(|_| [number(0, 0), leaf(1)]).chain([leaf(1)]).collect();
    check_refused(|trees| trees.trees[0].nodes = wide(5_000), "a tree has too many nodes");
    let many = |trees: &mut BoostedTrees| {
        trees.trees = vec![Tree { nodes: vec![leaf(1)] }; MAX_TREES + 1];
    };
    check_refused(many, "there are too many trees");
}

#[test]
fn damaged_bytes_are_refused_or_harmless() {
    let (frame, target) = sample(2_000);
    let bytes = fitted(&frame, &target, params(&[("n_trees", "2")])).to_bytes().unwrap();
    for position in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[position] ^= 1 << bit;
            if let Ok(scorer) = Scorer::from_bytes(&damaged) {
                let text = Cell::Category(Some("b"));
                let row = [Cell::Number(1.0), Cell::Number(f64::MAX), Cell::Number(2.0), text];
                for row in [&row[..], &[]] {
                    assert!((0.0..=1.0).contains(&scorer.score_row(row)));
                }
            }
        }
    }
}
