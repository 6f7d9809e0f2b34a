use linfa::Dataset;
use linfa::traits::Fit;
use linfa_logistic::LogisticRegression;
use ndarray::{Array1, Axis};

use super::*;
use crate::algo::random::Random;
use crate::algo::score::additive::sigmoid;

/// `n_texts` text inputs of three levels each beside the numbers.
fn sample(n_rows: usize, n_numbers: usize, n_texts: usize) -> (Design, Vec<bool>) {
    let mut random = Random::new(1, 0);
    let n_dense = 1 + n_numbers;
    let mut dense = Array2::from_shape_fn((n_rows, n_dense), |_| 4.0 * random.uniform() - 2.0);
    dense.column_mut(0).fill(1.0);
    let active = Array2::from_shape_fn((n_rows, n_texts), |(_, text)| {
        let slot = random.below(4);
        if slot == 3 { NO_COLUMN } else { (n_dense + 3 * text + slot) as u32 }
    });
    let design = Design { dense, active, n_columns: n_dense + 3 * n_texts };
    let matrix = full(&design);
    let labels = matrix
        .rows()
        .into_iter()
        .map(|row| {
            let margin: f64 = row.iter().enumerate().map(|(i, x)| x * (i as f64 * 0.7).cos()).sum();
            random.uniform() < sigmoid(margin)
        })
        .collect();
    (design, labels)
}

/// The design as an ordinary matrix.
fn full(design: &Design) -> Array2<f64> {
    let mut matrix = Array2::zeros((design.dense.nrows(), design.n_columns));
    matrix.slice_mut(s![.., ..design.dense.ncols()]).assign(&design.dense);
    for ((row_idx, _), &column) in design.active.indexed_iter() {
        if column != NO_COLUMN {
            matrix[(row_idx, column as usize)] = 1.0;
        }
    }
    matrix
}

fn solved(design: &Design, labels: &[bool], l2: f64) -> Solution {
    solve(design, labels, l2, 100, &Watch::new()).unwrap()
}

/// The gradient computed anew, as X'(p - y) + l2 w on the ordinary matrix.
#[track_caller]
fn check_optimal(design: &Design, labels: &[bool], l2: f64) {
    let solution = solved(design, labels, l2);
    assert!(solution.converged);
    let matrix = full(design);
    let weights = Array1::from(solution.weights);
    let outcome = Array1::from_iter(labels.iter().map(|&label| f64::from(u8::from(label))));
    let mut penalty = &weights * l2;
    penalty[0] = 0.0;
    let gradient = matrix.t().dot(&(matrix.dot(&weights).mapv(sigmoid) - outcome)) + penalty;
    let worst = gradient.iter().fold(0.0, |worst: f64, g| worst.max(g.abs()));
    assert!(worst < 1e-8, "gradient {worst}, said {}", solution.gradient);
}

#[test]
fn the_gradient_vanishes_at_the_solution() {
    let (design, labels) = sample(3000, 5, 2);
    check_optimal(&design, &labels, 1.0);
    check_optimal(&design, &labels, 100.0);
    check_optimal(&design, &labels, 0.0);
    let (design, labels) = sample(500, 0, 3);
    check_optimal(&design, &labels, 1.0);
    let (design, labels) = sample(500, 3, 0);
    check_optimal(&design, &labels, 0.0);
}

#[test]
fn one_number_at_two_values_has_the_closed_form() {
    // Without a penalty the fit meets the share of each group: 1/4 at 0 and 3/4 at 1, log-odds -ln 3 and ln 3.
    let dense = ndarray::arr2(&[[1.0, 0.0], [1.0, 1.0]]);
    let dense = ndarray::concatenate![Axis(0), dense, dense, dense, dense];
    let active = Array2::zeros((8, 0));
    let design = Design { dense, active, n_columns: 2 };
    let labels = [true, true, false, true, false, true, false, false];
    let weights = solved(&design, &labels, 0.0).weights;
    assert!((weights[0] + 3f64.ln()).abs() < 1e-10, "{weights:?}");
    assert!((weights[1] - 2.0 * 3f64.ln()).abs() < 1e-10, "{weights:?}");
}

#[test]
fn linfa_finds_the_same_weights() {
    let (design, labels) = sample(2000, 4, 1);
    let found = solved(&design, &labels, 1.0).weights;
    let inputs = full(&design).slice_move(s![.., 1..]);
    let targets = Array1::from_iter(labels.iter().map(|&label| usize::from(label)));
    let oracle = LogisticRegression::default()
        .alpha(1.0)
        .gradient_tolerance(1e-9)
        .max_iterations(1000)
        .fit(&Dataset::new(inputs, targets))
        .unwrap();
    // It takes the class that it met first as positive.
    let sign = if oracle.labels().pos.class == 1 { 1.0 } else { -1.0 };
    assert!((sign * oracle.intercept() - found[0]).abs() < 1e-3);
    for (theirs, ours) in oracle.params().iter().zip(&found[1..]) {
        assert!((sign * theirs - ours).abs() < 1e-3, "{theirs} {ours}");
    }
}

#[test]
fn the_bits_do_not_depend_on_the_threads() {
    let (design, labels) = sample(10_000, 6, 2);
    let on = |n| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        pool.install(|| solved(&design, &labels, 1.0))
    };
    let one = on(1);
    assert_eq!(one, on(2));
    assert_eq!(one, on(7));
}

#[track_caller]
fn check_separated(x: &[f64], labels: &[bool]) {
    let mut dense = Array2::ones((x.len(), 2));
    dense.column_mut(1).assign(&Array1::from(x.to_vec()));
    let active = Array2::zeros((x.len(), 0));
    let design = Design { dense, active, n_columns: 2 };
    let found = solve(&design, labels, 0.0, 100, &Watch::new());
    assert!(matches!(found, Err(Error::Separated { .. })), "{found:?}");
    assert!(solved(&design, labels, 1.0).converged);
}

#[test]
fn separated_classes_without_a_penalty_are_refused() {
    check_separated(&[-2.0, -1.0, 1.0, 2.0], &[false, false, true, true]);
    // Separated but for a tie on the border.
    check_separated(&[-1.0, 0.0, 0.0, 1.0], &[false, false, true, true]);
    check_separated(&[-1.0, 0.0, 0.0, 1.0], &[true, true, false, false]);
}

#[test]
fn a_stop_is_heard_and_steps_are_limited() {
    let (design, labels) = sample(500, 3, 1);
    let watch = Watch::new();
    watch.stop();
    assert_eq!(solve(&design, &labels, 1.0, 100, &watch), Err(Error::Stopped(Stopped)));
    let found = solve(&design, &labels, 1.0, 1, &Watch::new()).unwrap();
    assert_eq!((found.iterations, found.converged), (1, false));
}
