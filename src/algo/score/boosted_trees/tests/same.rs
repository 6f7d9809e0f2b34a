//! Rows, parameters and seed decide the model, bit for bit, and a row has one score.

use std::time::{Duration, Instant};

use super::*;
use crate::algo::score::inputs::{Cells, order};
use crate::algo::stop::Stopped;

/// Everything that is drawn is drawn.
const DRAWN: [(&str, &str); 5] = [
    ("row_share", "0.7"),
    ("column_share", "0.6"),
    ("patience", "10"),
    ("n_trees", "25"),
    ("class_weight", "\"balanced\""),
];

fn on_threads<T: Send>(n_threads: usize, run: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
    pool.install(run)
}

#[test]
fn threads_change_no_bit() {
    let (frame, target) = sample(40_000);
    let with = |n_threads| {
        on_threads(n_threads, || fitted(&frame, &target, params(&DRAWN)).to_bytes().unwrap())
    };
    let one = with(1);
    assert!(one == with(2) && one == with(3) && one == with(7));
}

#[test]
fn the_order_of_rows_changes_no_bit() {
    let n = 3_000;
    let (frame, target) = sample(n / 2);
    let bytes = |seed: Option<i64>| {
        // Each row twice.
        let mut places: Vec<usize> = (0..n).map(|place| place / 2).collect();
        if let Some(seed) = seed {
            Random::new(seed, 0).shuffle(&mut places);
        }
        let mut columns = frame.columns.clone();
        columns.push(target.clone());
        let mut frame = Frame {
            n_rows: n,
            columns: columns.iter().map(|column| picked(column, &places)).collect(),
        };
        order::by_content(&mut frame, &Watch::new()).unwrap();
        let target = frame.take("bought").unwrap();
        fitted(&frame, &target, params(&DRAWN)).to_bytes().unwrap()
    };
    let expected = bytes(None);
    assert!((0..3).all(|seed| bytes(Some(seed)) == expected));
}

fn picked(column: &Column, places: &[usize]) -> Column {
    use crate::algo::frame::Values;
    match &column.values {
        Values::Number(values) => {
            Column::number(&column.name, places.iter().map(|&place| values[place]).collect())
        }
        Values::Integer(values) => {
            Column::integer(&column.name, places.iter().map(|&place| values[place]).collect())
        }
        Values::Text { codes, dictionary } => {
            let level = |&place: &usize| dictionary.get(codes[place] as usize).map(String::as_str);
            Column::text(&column.name, places.iter().map(level))
        }
    }
}

#[test]
fn the_seed_draws() {
    let (frame, target) = sample(2_000);
    let with = |seed| fitted(&frame, &target, Params { seed, ..params(&DRAWN) });
    assert_eq!(with(1), with(1));
    assert_ne!(with(1), with(2));
}

#[test]
fn a_frame_scores_as_its_rows_bit_for_bit_on_any_number_of_threads() {
    let n = 3_000;
    let (frame, target) = sample(n);
    let scorer = fitted(&frame, &target, params(&[]));
    let prepared = scorer.prepare();
    let found = scores(&scorer, &frame);
    let crate::algo::frame::Values::Text { codes, dictionary } = &frame.columns[3].values else {
        panic!("no text")
    };
    let number = |column: usize, row: usize| match &frame.columns[column].values {
        crate::algo::frame::Values::Number(values) => Cell::Number(values[row]),
        crate::algo::frame::Values::Integer(values) => Cell::Number(values[row] as f64),
        _ => Cell::Category(None),
    };
    for (row, found) in found.iter().enumerate() {
        let text = Cell::Category(dictionary.get(codes[row] as usize).map(String::as_str));
        let cells = [number(0, row), number(1, row), number(2, row), text];
        let Ok(alone) = prepared.score(Cells(&cells, 4));
        assert_eq!(alone, *found);
    }
    for n_threads in [1, 2, 7] {
        assert!(on_threads(n_threads, || scores(&scorer, &frame)) == found);
    }
}

#[test]
fn trees_say_the_same_as_a_table_and_walked() {
    let n = 2_000;
    let (frame, target) = sample(n);
    let mut random = Random::new(2, 0);
    for max_leaves in ["2", "16", "17", "32", "33", "64"] {
        let given = [("max_leaves", max_leaves), ("min_rows_per_leaf", "3"), ("n_trees", "70")];
        let scorer = fitted(&frame, &target, params(&given));
        let trees = trees(&scorer);
        let n_bins = trees.cuts.iter().map(|cuts| cuts.len() + 2).take(3).chain([8]);
        let n_bins: Vec<usize> = n_bins.collect();
        let table = table::AnyTable::new(trees, &n_bins).expect("few leaves");
        let walk = walk::Walk::new(trees, &n_bins);
        for _ in 0..n {
            let bins: Vec<u8> = n_bins.iter().map(|n| random.below(*n) as u8).collect();
            assert_eq!(table.sum(&bins), walk.sum(&bins));
        }
    }
    // More leaves than a word has bits.
    let given = [("max_leaves", "65"), ("min_rows_per_leaf", "3")];
    let scorer = fitted(&frame, &target, params(&given));
    assert!(table::AnyTable::new(self::trees(&scorer), &[256; 4]).is_none());
    let auc = roc_auc(&labels(&target), &scores(&scorer, &frame)).unwrap();
    assert!(auc > Some(0.95), "{auc:?}");
}

#[test]
fn a_scorer_comes_back_as_it_was() {
    let (frame, target) = sample(2_000);
    let scorer = fitted(&frame, &target, params(&[]));
    let bytes = scorer.to_bytes().unwrap();
    assert_eq!(Scorer::from_bytes(&bytes), Ok(scorer.clone()));
    assert_eq!(Scorer::from_json(&scorer.to_json().unwrap()), Ok(scorer.clone()));
    let n_nodes: usize = trees(&scorer).trees.iter().map(|tree| tree.nodes.len()).sum();
    assert!(bytes.len() < 6 * n_nodes, "{} bytes for {n_nodes} nodes", bytes.len());
    let exported = crate::onnx::export::export(&scorer);
    assert_eq!(exported, Err(Error::NotExportable));
}

#[test]
fn a_stop_is_heard_soon() {
    let (frame, target) = sample(200_000);
    let settings = ALGORITHM.defaults().with("n_trees", "10000").unwrap();
    let settings = settings.with("patience", "0").unwrap();
    let params = Params { settings, holdout: 0.0, ..Params::default() }.check().unwrap();
    let watch = Watch::new();
    std::thread::scope(|scope| {
        let fit = scope.spawn(|| fit(&frame, &target, &params, &watch).map(|_| ()));
        std::thread::sleep(Duration::from_millis(700));
        watch.stop();
        let began = Instant::now();
        assert_eq!(fit.join().unwrap(), Err(Error::Stopped(Stopped)));
        assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
        assert!(watch.progress().0 > 0);
    });
}
