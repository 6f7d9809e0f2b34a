//! Binary logistic regression with an L2 penalty by Newton's method (iteratively reweighted least squares).
//!
//! Minimises  sum_i log(1 + exp(-s_i x_i w)) + l2 / 2 |w|²  with s_i = ±1 and the intercept, column 0, unpenalised. With
//! p_i = sigmoid(x_i w), r_i = p_i - y_i and v_i = p_i (1 - p_i) the gradient is X'r + l2 w, the Hessian X'VX + l2 I. Both
//! and the loss come from one pass over the rows. The pass is cut into chunks that depend on the shape alone, and their
//! sums are added in order, so the result has the same bits on any number of threads.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, s};
use rayon::prelude::*;

use super::Error;
use super::pipeline::{Design, NO_COLUMN};
use crate::algo::cholesky::{back_substitute, factorise};
use crate::algo::stop::{Stopped, Watch};

/// Above this the Hessian alone would take more than 32 MB, and there is one for each of several chunks.
pub const MAX_COLUMNS: usize = 2048;

#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// One for each column of the design, the intercept first.
    pub weights: Vec<f64>,
    pub iterations: usize,
    /// Whether the gradient came down to [`TOLERANCE`] per row, or as near as rounding lets it.
    pub converged: bool,
    /// The largest component of the gradient at the solution.
    pub gradient: f64,
    /// The minimised sum.
    pub loss: f64,
}

/// The gradient's largest component, per row, below which the fit is done.
pub const TOLERANCE: f64 = 1e-11;

pub fn solve(
    design: &Design,
    labels: &[bool],
    l2: f64,
    max_iterations: usize,
    watch: &Watch,
) -> Result<Solution, Error> {
    let n_rows = labels.len();
    if n_rows == 0 {
        return Err(Error::EmptyInput);
    }
    if design.dense.nrows() != n_rows {
        return Err(Error::DimensionMismatch { expected: design.dense.nrows(), found: n_rows });
    }
    if design.n_columns > MAX_COLUMNS {
        return Err(Error::TooManyFeatures { found: design.n_columns, limit: MAX_COLUMNS });
    }
    let mut weights = vec![0.0; design.n_columns];
    weights[0] = log_odds(labels);
    let mut here = evaluate(design, labels, &weights, l2, watch)?;
    let mut iterations = 0;
    let mut converged = here.gradient_size() <= TOLERANCE * n_rows as f64;
    let mut largest_change = 0.0;
    while !converged && iterations < max_iterations {
        // A finite optimum does not exist once a plane parts the classes: growing weights would always do better.
        if l2 == 0.0 && here.separates {
            return Err(Error::Separated { iterations });
        }
        let step = newton_step(&here, l2, watch)?;
        let Some((trial, evaluated)) = descend(design, labels, l2, watch, &weights, &here, &step)?
        else {
            // No step descends any more: rounding, unless the gradient says otherwise.
            converged = here.gradient_size() <= 1e5 * TOLERANCE * n_rows as f64;
            break;
        };
        largest_change = weights.iter().zip(&trial).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        (weights, here) = (trial, evaluated);
        iterations += 1;
        converged = here.gradient_size() <= TOLERANCE * n_rows as f64;
        watch.report(iterations as u64, max_iterations as u64, here.loss / n_rows as f64);
    }
    // Towards a finite optimum the last steps shrink quadratically; towards infinity each adds about 1 to the margin,
    // while the gradient dies away just the same.
    if l2 == 0.0 && (here.separates || (converged && largest_change > 0.1 && iterations > 5)) {
        return Err(Error::Separated { iterations });
    }
    Ok(Solution { weights, iterations, converged, gradient: here.gradient_size(), loss: here.loss })
}

pub fn sigmoid(x: f64) -> f64 {
    // exp of a negative number alone, so that neither end overflows.
    let e = (-x.abs()).exp();
    if x >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}

fn log_odds(labels: &[bool]) -> f64 {
    let n_positive = labels.iter().filter(|&&label| label).count() as f64;
    let n_negative = labels.len() as f64 - n_positive;
    // Half a row each keeps it finite for one class alone.
    ((n_positive + 0.5) / (n_negative + 0.5)).ln()
}

/// The sums of one pass over the rows.
struct Evaluated {
    loss: f64,
    gradient: Vec<f64>,
    /// Columns x columns; only the lower triangle counts.
    hessian: Array2<f64>,
    /// Whether every row lies strictly on its side.
    separates: bool,
}

impl Evaluated {
    fn gradient_size(&self) -> f64 {
        self.gradient.iter().fold(0.0, |size, g| g.abs().max(size))
    }
}

/// Halves the step until the loss falls: at most 30 times, the last step being 1e-9 of Newton's.
fn descend(
    design: &Design,
    labels: &[bool],
    l2: f64,
    watch: &Watch,
    weights: &[f64],
    here: &Evaluated,
    step: &[f64],
) -> Result<Option<(Vec<f64>, Evaluated)>, Stopped> {
    let mut share = 1.0;
    for _ in 0..30 {
        let trial: Vec<f64> = weights.iter().zip(step).map(|(w, s)| w - share * s).collect();
        let evaluated = evaluate(design, labels, &trial, l2, watch)?;
        // Near the optimum the loss no longer shows progress in its last bits, but the gradient does.
        let level = evaluated.loss <= here.loss * (1.0 + 1e-12)
            && evaluated.gradient_size() < here.gradient_size();
        if evaluated.loss < here.loss || level {
            return Ok(Some((trial, evaluated)));
        }
        share /= 2.0;
    }
    Ok(None)
}

fn evaluate(
    design: &Design,
    labels: &[bool],
    weights: &[f64],
    l2: f64,
    watch: &Watch,
) -> Result<Evaluated, Stopped> {
    let n_columns = design.n_columns;
    // At most 64 MB of Hessians at once, and chunks of some size: both from the shape alone.
    let n_chunks = (8_000_000 / (n_columns * n_columns)).clamp(4, 64);
    let chunk_size = labels.len().div_ceil(n_chunks).max(1024);
    let starts: Vec<usize> = (0..labels.len()).step_by(chunk_size).collect();
    let parts: Vec<Evaluated> = starts
        .into_par_iter()
        .map(|start| {
            let end = (start + chunk_size).min(labels.len());
            evaluate_chunk(design, labels, weights, start..end, watch)
        })
        .collect::<Result<_, _>>()?;
    let mut parts = parts.into_iter();
    let mut sum = parts.next().unwrap_or_else(|| Evaluated::zero(n_columns));
    for part in parts {
        sum.loss += part.loss;
        sum.gradient.iter_mut().zip(&part.gradient).for_each(|(a, b)| *a += b);
        sum.hessian += &part.hessian;
        sum.separates &= part.separates;
    }
    for (column_idx, weight) in weights.iter().enumerate().skip(1) {
        sum.loss += l2 / 2.0 * weight * weight;
        sum.gradient[column_idx] += l2 * weight;
        sum.hessian[(column_idx, column_idx)] += l2;
    }
    Ok(sum)
}

impl Evaluated {
    fn zero(n_columns: usize) -> Self {
        Self {
            loss: 0.0,
            gradient: vec![0.0; n_columns],
            hessian: Array2::zeros((n_columns, n_columns)),
            separates: true,
        }
    }
}

/// Rows whose weighted copy stays in the first-level cache for some twenty columns.
const BLOCK: usize = 128;

fn evaluate_chunk(
    design: &Design,
    labels: &[bool],
    weights: &[f64],
    rows: std::ops::Range<usize>,
    watch: &Watch,
) -> Result<Evaluated, Stopped> {
    let n_dense = design.dense.ncols();
    // A view: an encoded design has the standard layout already.
    let dense = design.dense.as_standard_layout();
    let cells = dense.as_slice().unwrap_or_default();
    let mut sum = Evaluated::zero(design.n_columns);
    // X'VX of the dense columns and, as one more column, X'r: one product of matrices gives both.
    let mut products = Array2::zeros((n_dense, n_dense + 1));
    let mut weighted = Array2::zeros((BLOCK, n_dense + 1));
    for start in rows.clone().step_by(BLOCK) {
        watch.check()?;
        let end = (start + BLOCK).min(rows.end);
        let weighted_cells = weighted.as_slice_mut().unwrap_or_default();
        for (row_idx, weighted_row) in
            (start..end).zip(weighted_cells.chunks_exact_mut(n_dense + 1))
        {
            let row = &cells[row_idx * n_dense..][..n_dense];
            let active = design.active.row(row_idx);
            let active = active.iter().map(|&column| column as usize);
            let active = active.filter(|&column| column != NO_COLUMN as usize);
            let margin = dot(row, &weights[..n_dense])
                + active.clone().map(|column| weights[column]).sum::<f64>();
            let side = Side::new(margin, labels[row_idx]);
            sum.loss += side.loss;
            sum.separates &= side.right;
            weighted_row[n_dense] = side.residual;
            let weighted_row = &mut weighted_row[..n_dense];
            for (out, x) in weighted_row.iter_mut().zip(row) {
                *out = side.curvature * x;
            }
            for (position, column) in active.clone().enumerate() {
                sum.gradient[column] += side.residual;
                let mut hessian_row = sum.hessian.row_mut(column);
                for (h, x) in hessian_row.iter_mut().zip(weighted_row.iter()) {
                    *h += x;
                }
                // Text inputs come in the order of their columns, so these lie in the lower triangle.
                for other in active.clone().take(position + 1) {
                    hessian_row[other] += side.curvature;
                }
            }
        }
        let block = dense.slice(s![start..end, ..]);
        let weighted = weighted.slice(s![..end - start, ..]);
        general_mat_mul(1.0, &block.t(), &weighted, 1.0, &mut products);
    }
    sum.hessian.slice_mut(s![..n_dense, ..n_dense]).assign(&products.slice(s![.., ..n_dense]));
    sum.gradient.iter_mut().zip(products.column(n_dense)).for_each(|(g, product)| *g = *product);
    Ok(sum)
}

/// Four sums side by side, which the processor can add at once.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a_quads, a_rest) = a.as_chunks::<4>();
    let (b_quads, b_rest) = b.as_chunks::<4>();
    let mut sums = [0.0; 4];
    for (a, b) in a_quads.iter().zip(b_quads) {
        for lane in 0..4 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}

/// What one row adds, from its margin x w.
struct Side {
    loss: f64,
    /// p - y
    residual: f64,
    /// p (1 - p)
    curvature: f64,
    /// Whether the margin lies strictly on the side of the label.
    right: bool,
}

impl Side {
    #[inline]
    fn new(margin: f64, label: bool) -> Self {
        let e = (-margin.abs()).exp();
        // The smaller of p and 1 - p, which the difference from 1 would cost its digits.
        let small = e / (1.0 + e);
        let residual = match (label, margin >= 0.0) {
            (true, true) => -small,
            (true, false) => small - 1.0,
            (false, true) => 1.0 - small,
            (false, false) => small,
        };
        let wrong = if label { -margin } else { margin };
        let loss = wrong.max(0.0) + e.ln_1p();
        Self { loss, residual, curvature: small * (1.0 - small), right: wrong < 0.0 }
    }
}

/// Solves Hessian · step = gradient. Without a penalty one-hot columns depend on each other, and any step along the
/// dependence is as good: a trace of the diagonal makes the matrix definite without moving the optimum.
fn newton_step(at: &Evaluated, l2: f64, watch: &Watch) -> Result<Vec<f64>, Stopped> {
    let n = at.gradient.len();
    let trace: f64 = at.hessian.diag().sum();
    let mut damping = if l2 > 0.0 { 0.0 } else { 1e-12 * trace / n as f64 };
    loop {
        let mut lower = at.hessian.clone();
        lower.diag_mut().iter_mut().for_each(|d| *d += damping);
        if factorise(&mut lower, watch)? {
            return Ok(back_substitute(&lower, &at.gradient));
        }
        damping = (damping * 100.0).max(1e-12 * (trace / n as f64)).max(f64::MIN_POSITIVE * 1e10);
        if !damping.is_finite() {
            // Cannot come about with finite rows; the gradient is a descent direction whatever the Hessian is.
            return Ok(at.gradient.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use linfa::Dataset;
    use linfa::traits::Fit;
    use linfa_logistic::LogisticRegression;
    use ndarray::{Array1, Axis};

    use super::*;
    use crate::algo::random::Random;

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
                let margin: f64 =
                    row.iter().enumerate().map(|(i, x)| x * (i as f64 * 0.7).cos()).sum();
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
}
