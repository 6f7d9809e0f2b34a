//! What holds of boosted trees whatever the rows are, and what they learn where it is known.

mod damage;
mod odd;
mod same;

use proptest::prelude::*;

use super::*;
use crate::algo::frame::{Column, Frame};
use crate::algo::metrics::classification::roc_auc;
use crate::algo::random::Random;
use crate::algo::score::inputs::{Cell, Kind};
use crate::algo::score::learner::Learner;
use crate::algo::score::{Fit, Params, Scorer, fit};

/// Trees as many as are asked for, with these parameters.
fn params(given: &[(&str, &str)]) -> Params {
    let mut settings = ALGORITHM.defaults().with("patience", "0").unwrap();
    settings.set("n_trees", "30").unwrap();
    given.iter().for_each(|(name, json)| settings.set(name, json).unwrap());
    Params { settings, holdout: 0.0, ..Params::default() }
}

fn fitted(frame: &Frame, target: &Column, params: Params) -> Scorer {
    let Fit { scorer, .. } = fit(frame, target, &params.check().unwrap(), &Watch::new()).unwrap();
    assert_eq!(scorer.check(), Ok(()));
    scorer
}

fn trees(scorer: &Scorer) -> &BoostedTrees {
    let Learner::BoostedTrees(trees) = &scorer.learner else { panic!("another learner") };
    trees
}

fn scores(scorer: &Scorer, frame: &Frame) -> Vec<f64> {
    scorer.score_frame(frame, &Watch::new()).unwrap()
}

/// Two numbers, a text, whole numbers, and a target that hangs on all of them and on whether the first is missing.
fn sample(n_rows: usize) -> (Frame, Column) {
    let mut random = Random::new(5, 0);
    let (mut x, mut y, mut k, mut c, mut labels) = (vec![], vec![], vec![], vec![], vec![]);
    for _ in 0..n_rows {
        let level = random.below(7);
        x.push(if random.below(10) == 0 { f64::NAN } else { random.uniform() });
        y.push(random.uniform().powi(3));
        k.push(random.below(5) as i64);
        c.push((level > 0).then(|| ["a", "b", "c", "d", "e", "f"][level - 1]));
        let last = x.len() - 1;
        let odds = if x[last].is_nan() { 1.0 } else { 2.0 * x[last] - 1.5 }
            + if (y[last] > 0.2) == level.is_multiple_of(2) { 1.0 } else { -1.0 }
            + k[last] as f64 / 4.0;
        labels.push(i64::from(random.uniform() < 1.0 / (1.0 + (-2.0 * odds).exp())));
    }
    let columns = vec![
        Column::number("x", x),
        Column::number("y", y),
        Column::integer("k", k),
        Column::text("c", c),
    ];
    (Frame { n_rows, columns }, Column::integer("bought", labels))
}

fn labels(target: &Column) -> Vec<bool> {
    let crate::algo::frame::Values::Integer(values) = &target.values else { panic!("numbers") };
    values.iter().map(|value| *value == 1).collect()
}

#[test]
fn what_rows_of_another_draw_do_is_foreseen() {
    let (frame, target) = sample(6_000);
    let scorer = fitted(&frame, &target, params(&[("learning_rate", "0.1")]));
    let (mut other, labels) = sample(12_000);
    let kept = |row: &usize| *row >= 6_000;
    let labels: Vec<bool> =
        (0..12_000).filter(kept).map(|row| self::labels(&labels)[row]).collect();
    let found: Vec<f64> = scores(&scorer, &std::mem::take(&mut other))[6_000..].to_vec();
    let auc = roc_auc(&labels, &found).unwrap().unwrap();
    // The log-odds that the target was drawn from have 0.906; logistic regression has 0.76.
    assert!(auc > 0.88, "{auc}");
    let mean = found.iter().sum::<f64>() / found.len() as f64;
    let rate = labels.iter().filter(|label| **label).count() as f64 / labels.len() as f64;
    assert!((mean - rate).abs() < 0.02, "{mean} of {rate}");
}

/// Fits one tree and sees whether the rows of each score are enough, and whether it is what they say.
fn check_one_tree(frame: &Frame, target: &Column, least: usize) {
    let given = [
        ("n_trees", "1"),
        ("learning_rate", "1"),
        ("l2", "0"),
        ("category_l2", "0"),
        ("min_rows_per_leaf", &least.to_string()),
    ];
    let scorer = fitted(frame, target, params(&given));
    let labels = labels(target);
    let n_positive = labels.iter().filter(|label| **label).count();
    let rate = n_positive as f64 / labels.len() as f64;
    let base = (rate / (1.0 - rate)).ln();
    let mut by_score = std::collections::BTreeMap::new();
    for (score, label) in scores(&scorer, frame).iter().zip(labels) {
        let (n, positive) = by_score.entry(score.to_bits()).or_insert((0, 0));
        *n += 1;
        *positive += usize::from(label);
    }
    for (score, (n, positive)) in &by_score {
        assert!(*n >= least || by_score.len() == 1, "a leaf of {n} rows");
        let share = *positive as f64 / *n as f64;
        let expected = base + (share - rate) / (rate * (1.0 - rate));
        let score = f64::from_bits(*score);
        let found = (score / (1.0 - score)).ln();
        // Gradients and curvatures are rounded by chance: each by less than a unit.
        assert!((found - expected).abs() < 0.03, "{found} instead of {expected} of {n} rows");
    }
}

#[test]
fn a_leaf_says_what_its_rows_say() {
    let (frame, target) = sample(5_000);
    for least in [1_000, 100, 20] {
        check_one_tree(&frame, &target, least);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_the_rows_are_leaves_are_large_enough_and_say_what_their_rows_do(
        rows in proptest::collection::vec(
            (proptest::option::of(-3i8..3), proptest::option::of(0usize..6), any::<f64>(), any::<bool>()),
            40..300,
        ),
        least in 5usize..30,
    ) {
        let words = ["a", "b", "c", "d", "e", "f"];
        let finite = |x: f64| if x.is_finite() { x } else { f64::NAN };
        let columns = vec![
            Column::number("x", rows.iter().map(|row| row.0.map_or(f64::NAN, f64::from)).collect()),
            Column::text("c", rows.iter().map(|row| row.1.map(|level| words[level]))),
            Column::number("y", rows.iter().map(|row| finite(row.2)).collect()),
        ];
        let frame = Frame { n_rows: rows.len(), columns };
        let label = |(row, place): (&(_, _, _, bool), usize)| match place {
            0..10 => (place % 2) as i64,
            _ => i64::from(row.3),
        };
        let labels: Vec<i64> = rows.iter().zip(0..).map(label).collect();
        check_one_tree(&frame, &Column::integer("z", labels), least);
    }
}

#[test]
fn leaves_and_gains_say_what_was_learnt_from() {
    let n_rows = 4_000;
    let (mut frame, target) = sample(n_rows);
    let mut random = Random::new(9, 0);
    frame.columns.push(Column::number("noise", (0..n_rows).map(|_| random.uniform()).collect()));
    let scorer = fitted(&frame, &target, params(&[("column_share", "1")]));
    let trees = trees(&scorer);
    for tree in &trees.trees {
        let rows = tree.nodes.iter().map(|node| match node {
            Node::Leaf { rows, .. } => u64::from(*rows),
            _ => 0,
        });
        assert_eq!(rows.sum::<u64>(), n_rows as u64);
    }
    let [x, y, k, c, noise] = trees.gains[..] else { panic!("not one for each input") };
    assert!([x, y, k, c].iter().all(|gain| *gain > 5.0 * noise), "{:?}", trees.gains);
    // At a rate of r a tree lowers the loss by 1 - (1 - r)² of what its splits gain.
    let given = [("n_trees", "1"), ("learning_rate", "0.1"), ("column_share", "1")];
    let scorer = fitted(&frame, &target, params(&given));
    let labels = labels(&target);
    let loss = |score: f64, label: bool| -(if label { score } else { 1.0 - score }).ln();
    let rate = labels.iter().filter(|label| **label).count() as f64 / n_rows as f64;
    let before: f64 = labels.iter().map(|label| loss(rate, *label)).sum();
    let found = scores(&scorer, &frame);
    let after: f64 = found.iter().zip(&labels).map(|(score, label)| loss(*score, *label)).sum();
    let gain = 0.19 * self::trees(&scorer).gains.iter().sum::<f64>();
    assert!((gain / (before - after) - 1.0).abs() < 0.04, "{gain} of {before} to {after}");
}

#[test]
fn a_missing_number_is_told_from_all_others() {
    let n = 400;
    let x = (0..n).map(|i| if i % 4 == 0 { f64::NAN } else { f64::from(i % 10) }).collect();
    let frame = Frame { n_rows: n as usize, columns: vec![Column::number("x", x)] };
    let target = Column::integer("y", (0..n).map(|i| i64::from(i % 4 == 0)).collect());
    let scorer = fitted(&frame, &target, params(&[("learning_rate", "0.3")]));
    assert!(scorer.score_row(&[Cell::Number(f64::NAN)]) > 0.95);
    assert!(scorer.score_row(&[]) > 0.95);
    for value in [-1e308, 0.0, 4.5, 9.0, f64::INFINITY] {
        assert!(scorer.score_row(&[Cell::Number(value)]) < 0.05, "{value}");
    }
}

#[test]
fn what_the_fit_never_saw_goes_with_most_rows() {
    // Nothing is missing, three quarters of the rows are large, and all of those are positive.
    let n = 400;
    let frame = Frame {
        n_rows: n as usize,
        columns: vec![
            Column::number("x", (0..n).map(|i| f64::from(i % 4)).collect()),
            Column::text("c", (0..n).map(|i| Some(["u", "v", "w", "w"][i as usize % 4]))),
        ],
    };
    let target = Column::integer("y", (0..n).map(|i| i64::from(i % 4 > 0)).collect());
    for column in 0..2 {
        let frame = Frame { columns: vec![frame.columns[column].clone()], ..frame };
        let scorer = fitted(&frame, &target, params(&[("learning_rate", "0.3")]));
        let unseen = [Cell::Number(f64::NAN), Cell::Category(Some("new"))];
        assert!(scorer.score_row(&[unseen[column]]) > 0.95, "{column}");
        assert!(scorer.score_row(&[]) > 0.95, "{column}");
    }
}

#[test]
fn sets_of_levels_are_found_among_three_hundred() {
    let n = 30_000;
    let level = |i: usize| i * 7919 % 300;
    let names: Vec<String> = (0..300).map(|level| format!("level {level}")).collect();
    let frame = Frame {
        n_rows: n,
        columns: vec![Column::text("c", (0..n).map(|i| Some(names[level(i)].as_str())))],
    };
    // Odd levels are positive. Forty-six levels have no bin of their own.
    let target = Column::integer("y", (0..n).map(|i| (level(i) % 2) as i64).collect());
    let scorer = fitted(&frame, &target, params(&[("learning_rate", "0.3")]));
    let Kind::Category { levels, other: true, .. } = &scorer.inputs[0].kind else {
        panic!("no rare levels")
    };
    assert_eq!(levels.len(), MAX_LEVELS);
    let mut random = Random::new(1, 0);
    for _ in 0..100 {
        let level = &levels[random.below(levels.len())];
        let score = scorer.score_row(&[Cell::Category(Some(level))]);
        let is_odd = level.ends_with(['1', '3', '5', '7', '9']);
        assert!(if is_odd { score > 0.9 } else { score < 0.1 }, "{level}: {score}");
    }
    // Those share one, as does what is new.
    let rare = names.iter().find(|name| !levels.contains(name)).unwrap();
    let score = scorer.score_row(&[Cell::Category(Some(rare))]);
    assert!((0.2..0.8).contains(&score), "{score}");
    assert_eq!(scorer.score_row(&[Cell::Category(Some("new"))]), score);
}

#[test]
fn balanced_classes_count_alike() {
    let n = 2_000;
    let x: Vec<f64> = (0..n).map(|i| f64::from(i % 100)).collect();
    let frame = Frame { n_rows: n as usize, columns: vec![Column::number("x", x)] };
    // A tenth is positive, and x says nothing.
    let target = Column::integer("y", (0..n).map(|i| i64::from(i / 100 % 10 == 3)).collect());
    let mean = |class_weight| {
        let scorer = fitted(&frame, &target, params(&[("class_weight", class_weight)]));
        scores(&scorer, &frame).iter().sum::<f64>() / f64::from(n)
    };
    assert!((mean("\"none\"") - 0.1).abs() < 0.01);
    assert!((mean("\"balanced\"") - 0.5).abs() < 0.02);
}

#[test]
fn trees_end_where_rows_kept_aside_gain_nothing() {
    let n = 3_000;
    let mut random = Random::new(8, 0);
    let x = (0..n).map(|_| random.uniform()).collect();
    let frame = Frame { n_rows: n, columns: vec![Column::number("x", x)] };
    let noise = Column::integer("y", (0..n).map(|_| random.below(2) as i64).collect());
    let n_trees = |target: &Column, patience: &str| {
        let given = [("patience", patience), ("n_trees", "200"), ("learning_rate", "0.2")];
        trees(&fitted(&frame, target, params(&given))).trees.len()
    };
    assert!(n_trees(&noise, "10") < 20);
    assert_eq!(n_trees(&noise, "0"), 200);
}
