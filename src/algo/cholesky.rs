//! Symmetric positive definite matrices by Cholesky's factorisation: Newton's linear systems, covariances of a mixture.

use ndarray::{Array2, s};

use crate::algo::stop::{Stopped, Watch};

/// Cholesky in place, lower triangle; false where the matrix is not positive definite.
pub(super) fn factorise(matrix: &mut Array2<f64>, watch: &Watch) -> Result<bool, Stopped> {
    let n = matrix.nrows();
    for i in 0..n {
        watch.check()?;
        let (above, mut rest) = matrix.view_mut().split_at(ndarray::Axis(0), i);
        let mut row = rest.row_mut(0);
        for j in 0..i {
            let factor = above.row(j);
            let inner = row.slice(s![..j]).dot(&factor.slice(s![..j]));
            row[j] = (row[j] - inner) / factor[j];
        }
        let before = row.slice(s![..i]);
        let pivot = row[i] - before.dot(&before);
        // The second test refuses a pivot that is rounding noise alone.
        if pivot.is_nan() || pivot <= row[i] * 1e-15 {
            return Ok(false);
        }
        row[i] = pivot.sqrt();
    }
    Ok(true)
}

/// x with L L' x = b.
pub(super) fn back_substitute(lower: &Array2<f64>, b: &[f64]) -> Vec<f64> {
    let n = b.len();
    let mut x = b.to_vec();
    for i in 0..n {
        let inner: f64 = (0..i).map(|j| lower[(i, j)] * x[j]).sum();
        x[i] = (x[i] - inner) / lower[(i, i)];
    }
    for i in (0..n).rev() {
        let inner: f64 = (i + 1..n).map(|j| lower[(j, i)] * x[j]).sum();
        x[i] = (x[i] - inner) / lower[(i, i)];
    }
    x
}

/// The inverse of L, transposed: upper triangular, the rest 0. Row j of it is column j of the inverse, found by substitution.
pub(super) fn inverse_transposed(
    lower: &Array2<f64>,
    watch: &Watch,
) -> Result<Array2<f64>, Stopped> {
    let n = lower.nrows();
    let mut inverse = Array2::zeros((n, n));
    for j in 0..n {
        watch.check()?;
        let mut column = inverse.row_mut(j);
        column[j] = 1.0 / lower[(j, j)];
        for i in j + 1..n {
            let inner = lower.slice(s![i, j..i]).dot(&column.slice(s![j..i]));
            column[i] = -inner / lower[(i, i)];
        }
    }
    Ok(inverse)
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;

    #[test]
    fn a_definite_system_is_solved() {
        // The upper triangle is never read.
        let mut matrix = arr2(&[[4.0, f64::NAN, f64::NAN], [2.0, 5.0, f64::NAN], [1.0, 3.0, 6.0]]);
        assert!(factorise(&mut matrix, &Watch::new()).unwrap());
        // [4 2 1; 2 5 3; 1 3 6] (1, -2, 3) = (3, 1, 13)
        let x = back_substitute(&matrix, &[3.0, 1.0, 13.0]);
        let near = x.iter().zip([1.0, -2.0, 3.0]).all(|(a, b): (&f64, f64)| (a - b).abs() < 1e-12);
        assert!(near, "{x:?}");
    }

    #[test]
    fn the_inverse_of_a_factor_times_the_factor_is_one() {
        let mut lower = arr2(&[[4.0, 0.0, 0.0], [2.0, 5.0, 0.0], [1.0, 3.0, 6.0]]);
        assert!(factorise(&mut lower, &Watch::new()).unwrap());
        let product = lower.dot(&inverse_transposed(&lower, &Watch::new()).unwrap().t());
        let near = |(index, x): ((usize, usize), &f64)| {
            (x - f64::from(u8::from(index.0 == index.1))).abs() < 1e-14
        };
        assert!(product.indexed_iter().all(near), "{product}");
    }

    #[test]
    fn a_singular_or_indefinite_matrix_is_told() {
        for mut matrix in [arr2(&[[1.0, 0.0], [1.0, 1.0]]), arr2(&[[1.0, 0.0], [2.0, 1.0]])] {
            assert!(!factorise(&mut matrix, &Watch::new()).unwrap());
        }
    }

    #[test]
    fn a_stop_is_heard() {
        let watch = Watch::new();
        watch.stop();
        assert_eq!(factorise(&mut arr2(&[[1.0]]), &watch), Err(Stopped));
    }
}
