//! Columns and targets that hold next to nothing, and values at the ends of what a number can be.

use super::*;

const TARGET: [i64; 8] = [0, 1, 1, 1, 0, 1, 1, 1];

#[test]
fn columns_that_say_nothing_leave_the_base_rate() {
    let nothing = [
        Column::number("x", vec![f64::NAN; 8]),
        Column::number("x", vec![3.0; 8]),
        Column::number("x", vec![f64::MAX; 8]),
        Column::text("x", [None; 8]),
        Column::text("x", [Some("one"); 8]),
        Column::integer("x", vec![i64::MIN; 8]),
    ];
    for column in nothing {
        let frame = Frame { n_rows: 8, columns: vec![column] };
        let target = Column::integer("y", TARGET.to_vec());
        let scorer = fitted(&frame, &target, params(&[("min_rows_per_leaf", "1")]));
        let found = scores(&scorer, &frame);
        assert!(found.iter().all(|score| (score - 0.75).abs() < 2e-3), "{found:?}");
        let found = scorer.score_row(&[]);
        assert!((found - 0.75).abs() < 2e-3, "{found}");
    }
}

#[test]
fn a_row_of_each_class_is_enough() {
    let frame = Frame { n_rows: 2, columns: vec![Column::number("x", vec![1.0, 2.0])] };
    let target = Column::integer("y", vec![0, 1]);
    let with =
        |least| scores(&fitted(&frame, &target, params(&[("min_rows_per_leaf", least)])), &frame);
    assert_eq!(with("20"), [0.5, 0.5]);
    let found = with("1");
    assert!(found[0] < 0.5 && found[1] > 0.5, "{found:?}");
    // The defaults, which would keep rows aside.
    let defaults = Params { settings: ALGORITHM.defaults(), holdout: 0.0, ..Params::default() };
    assert_eq!(scores(&fitted(&frame, &target, defaults), &frame), [0.5, 0.5]);
}

#[test]
fn the_ends_of_what_a_number_can_be_are_told_apart() {
    let pairs = [
        (-1e308, 1e308),
        (f64::MIN, f64::MAX),
        (0.0, 5e-324),
        (-5e-324, 0.0),
        (1.0, 1.0 + f64::EPSILON),
        (1e308, f64::MAX),
    ];
    let target = Column::integer("y", (0..100).map(|i| i % 2).collect());
    for (low, high) in pairs {
        let x = (0..100).map(|i| if i % 2 == 0 { low } else { high }).collect();
        let frame = Frame { n_rows: 100, columns: vec![Column::number("x", x)] };
        let scorer = fitted(&frame, &target, params(&[("learning_rate", "0.5")]));
        let score = |value| scorer.score_row(&[Cell::Number(value)]);
        assert!(score(low) < 0.1 && score(high) > 0.9, "{low} {high}");
        assert!(score(f64::NEG_INFINITY) < 0.1 && score(f64::INFINITY) > 0.9);
    }
}

#[test]
fn zero_has_one_sign() {
    let x = (0..100).map(|i| [-0.0, 0.0, 1.0, -1.0][i % 4]).collect();
    let frame = Frame { n_rows: 100, columns: vec![Column::number("x", x)] };
    let target = Column::integer("y", (0..100).map(|i| i64::from(i % 4 == 2)).collect());
    let scorer = fitted(&frame, &target, params(&[]));
    let score = |value| scorer.score_row(&[Cell::Number(value)]);
    assert_eq!(score(-0.0), score(0.0));
}

#[test]
fn cells_of_the_other_type_are_missing() {
    let (frame, target) = sample(1_000);
    let scorer = fitted(&frame, &target, params(&[]));
    let odd = [
        Cell::Category(Some("text")),
        Cell::Category(None),
        Cell::Category(None),
        Cell::Number(1.0),
    ];
    assert_eq!(scorer.score_row(&odd), scorer.score_row(&[]));
}

#[test]
fn more_inputs_than_there_can_be_are_refused() {
    let columns = (0..=MAX_INPUTS).map(|i| Column::number(&format!("x{i}"), vec![1.0, 2.0]));
    let frame = Frame { n_rows: 2, columns: columns.collect() };
    let target = Column::integer("y", vec![0, 1]);
    let refused = fit(&frame, &target, &params(&[]).check().unwrap(), &Watch::new());
    let expected = Error::TooManyFeatures { found: MAX_INPUTS + 1, limit: MAX_INPUTS };
    assert_eq!(refused.unwrap_err(), expected);
}
