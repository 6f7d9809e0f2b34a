use super::*;
use crate::algo::score::logistic;

fn settings(max_categories: usize) -> Settings {
    let settings = logistic::ALGORITHM.defaults();
    settings.with("max_categories", &max_categories.to_string()).unwrap()
}

fn inputs_of(columns: Vec<Column>, n_rows: usize, max_categories: usize) -> Vec<Input> {
    let rows: Vec<usize> = (0..n_rows).collect();
    fit_inputs(&Frame { n_rows, columns }, &rows, &settings(max_categories)).unwrap()
}

#[track_caller]
fn check_number(values: &[f64], mean: f64, scale: f64, missing_share: f64) {
    let column = Column::number("x", values.to_vec());
    let input = inputs_of(vec![column], values.len(), 32).remove(0);
    let Kind::Number { mean: found_mean, center, scale: found_scale, missing } = input.kind else {
        panic!("not a number")
    };
    assert_eq!(missing, missing_share > 0.0 && missing_share < 1.0);
    assert_eq!(found_mean, center);
    assert!((found_mean - mean).abs() <= 1e-12 * mean.abs(), "mean {found_mean}");
    assert!((found_scale - scale).abs() <= 1e-12 * scale, "scale {found_scale}");
    assert_eq!(input.missing_share, missing_share);
}

#[track_caller]
fn check_category(values: &[Option<&str>], cap: usize, expected: (&[&str], bool, bool)) {
    let column = Column::text("c", values.iter().copied());
    let input = inputs_of(vec![column], values.len(), cap).remove(0);
    let Kind::Category { levels, missing, other } = input.kind else { panic!("not text") };
    let levels: Vec<&str> = levels.iter().map(String::as_str).collect();
    assert_eq!((levels.as_slice(), missing, other), expected);
}

#[test]
fn missing_numbers_take_the_mean_and_shrink_the_deviation() {
    check_number(&[1.0, 3.0], 2.0, 1.0, 0.0);
    check_number(&[1.0, f64::NAN, 3.0, f64::NAN], 2.0, 0.5f64.sqrt(), 0.5);
}

#[test]
fn a_constant_or_empty_column_keeps_the_scale_one() {
    check_number(&[7.0; 5], 7.0, 1.0, 0.0);
    check_number(&[0.1; 3], 0.1, 1.0, 0.0);
    check_number(&[f64::NAN; 3], 0.0, 1.0, 1.0);
    check_number(&[4.0], 4.0, 1.0, 0.0);
}

#[test]
fn huge_and_tiny_values_keep_a_finite_scale() {
    check_number(&[f64::MAX, f64::MAX], f64::MAX, 1.0, 0.0);
    check_number(&[1e308, -1e308], 0.0, 1e308, 0.0);
    check_number(&[1e-200, -1e-200], 0.0, 1e-200, 0.0);
    assert_eq!(standardise(f64::MAX, 0.0, -f64::MAX, 1.0), STANDARDISED_LIMIT);
}

#[test]
fn levels_are_ordered_by_frequency_then_value() {
    let values = ["b", "a", "c", "c", "a", "d"].map(Some);
    check_category(&values, 32, (&["a", "c", "b", "d"], false, false));
    check_category(&values, 4, (&["a", "c", "b", "d"], false, false));
    check_category(&values, 2, (&["a", "c"], false, true));
}

#[test]
fn missing_text_is_a_level_of_its_own_and_not_the_empty_string() {
    check_category(&[Some(""), None, Some("")], 32, (&[""], true, false));
    check_category(&[None, None], 32, (&[], true, false));
}

#[test]
fn an_unseen_level_is_a_rare_one_or_nothing() {
    let kind = |other| Kind::Category { levels: vec!["a".into()], missing: true, other };
    let slot = |other, value| Slots::new(&kind(other)).of(value);
    assert_eq!(slot(false, Some("a")), Some(0));
    assert_eq!(slot(false, None), Some(1));
    assert_eq!(slot(false, Some("new")), None);
    assert_eq!(slot(true, Some("new")), Some(2));
}

#[test]
fn rows_are_encoded_dense_first_then_text() {
    let columns = vec![
        Column::text("c", [Some("a"), None, Some("a")]),
        Column::number("x", vec![1.0, f64::NAN, 3.0]),
        Column::text("d", ["u", "v", "u"].map(Some)),
    ];
    let frame = Frame { n_rows: 3, columns };
    let inputs = fit_inputs(&frame, &[0, 1, 2], &settings(1)).unwrap();
    let design = encode(&frame, &inputs, &[0, 1], &Watch::new()).unwrap();
    let z = 1.5f64.sqrt();
    assert_eq!(design.n_columns, 7);
    let standard = design.dense.iter().zip([1.0, -z, 1.0, 0.0]);
    assert!(standard.into_iter().all(|(a, b)| (a - b).abs() < 1e-12), "{}", design.dense);
    assert_eq!(design.active, ndarray::arr2(&[[2, NO_COLUMN, 5], [3, 4, 6]]));
    let weights = in_input_order(&inputs, &[9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(weights, [2.0, 3.0, 1.0, 4.0, 5.0, 6.0]);
    let off = settings(1).with("missing_indicator", "false").unwrap();
    let inputs = fit_inputs(&frame, &[0, 1, 2], &off).unwrap();
    let design = encode(&frame, &inputs, &[0, 1], &Watch::new()).unwrap();
    assert_eq!((design.n_columns, design.active.ncols()), (6, 2));
    let weights = in_input_order(&inputs, &[9.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(weights, [2.0, 3.0, 1.0, 4.0, 5.0]);
}

#[test]
fn frames_without_rows_or_columns_are_refused() {
    let empty = Frame::default();
    assert_eq!(fit_inputs(&empty, &[], &settings(32)), Err(Error::NoInputs));
    let frame = Frame { n_rows: 0, columns: vec![Column::number("x", vec![])] };
    assert_eq!(fit_inputs(&frame, &[], &settings(32)), Err(Error::EmptyInput));
    let columns = vec![Column::number("x", vec![1.0]), Column::number("x", vec![1.0])];
    let frame = Frame { n_rows: 1, columns };
    let expected = Error::DuplicateColumn { name: "x".into() };
    assert_eq!(fit_inputs(&frame, &[0], &settings(32)), Err(expected));
}
