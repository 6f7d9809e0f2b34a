//! Binary logistic regression with an L2 penalty by Newton's method (iteratively reweighted least squares).
//!
//! Minimises  sum_i log(1 + exp(-s_i x_i w)) + l2 / 2 |w|²  with s_i = ±1 and the intercept, column 0, unpenalised. With
//! p_i = sigmoid(x_i w), r_i = p_i - y_i and v_i = p_i (1 - p_i) the gradient is X'r + l2 w, the Hessian X'VX + l2 I. Both
//! and the loss come from one pass over the rows. The pass is cut into chunks that depend on the shape alone, and their
//! sums are added in order, so the result has the same bits on any number of threads.

#[cfg(test)]
mod tests;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, s};
use rayon::prelude::*;

use crate::algo::cholesky::{back_substitute, factorise};
use crate::algo::score::Error;
use crate::algo::score::inputs::{Design, NO_COLUMN};
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
    let chunk_size = labels.len().div_ceil(n_chunks(n_columns)).max(1024);
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

/// At most 64 MB of Hessians at once, and chunks of some size: both from the shape alone.
fn n_chunks(n_columns: usize) -> usize {
    (8_000_000 / (n_columns * n_columns)).clamp(4, 64)
}

/// What a solution takes beside the design: the Hessian of each chunk, and as much for its products.
pub fn work_bytes(n_columns: usize) -> usize {
    2 * n_chunks(n_columns) * n_columns * n_columns * size_of::<f64>()
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
