use std::f64::consts::PI;

use linfa::DatasetBase;
use linfa::traits::Fit;
use linfa_clustering::GaussianMixtureModel;
use ndarray::{Array2, Axis, array};

use super::*;
use crate::algo::random::Random;
use crate::algo::segment::{self, Ordered, order_by_content};
use crate::algo::shapes::Error;
use crate::algo::stop::{Stopped, Watch};

#[track_caller]
fn run(rows: &Array2<f64>, params: MixtureParams) -> Mixture {
    try_run(rows, params).unwrap()
}

fn try_run(rows: &Array2<f64>, params: MixtureParams) -> Result<Mixture, Error> {
    let names: Vec<String> = (1..=rows.ncols()).map(|feature| feature.to_string()).collect();
    let params = params.check(rows.nrows(), rows.ncols())?;
    let rows = rows.view();
    let rows = Ordered { order: order_by_content(&rows), rows };
    let mixture = fit_mixture(rows, &names, &params, &Watch::new())?;
    mixture.check().map(|()| mixture)
}

fn normal(random: &mut Random) -> f64 {
    // Box and Muller's.
    (-2.0 * (1.0 - random.uniform()).ln()).sqrt() * (2.0 * PI * random.uniform()).cos()
}

/// Two features: 60 % around (0, 0) with variances 1 and 4 and covariance 1.2, the rest around (distance, -distance).
fn two(n: usize, distance: f64, seed: i64) -> Array2<f64> {
    let mut random = Random::new(seed, 0);
    let mut rows = Array2::zeros((n, 2));
    for (row, mut values) in rows.rows_mut().into_iter().enumerate() {
        let (a, b) = (normal(&mut random), normal(&mut random));
        if row % 5 < 3 {
            values.assign(&array![a, 1.2 * a + 1.6 * b]);
        } else {
            values.assign(&array![distance + 0.5 * a, -distance + 0.5 * b]);
        }
    }
    rows
}

fn covariances(mixture: &Mixture) -> Vec<f64> {
    let d = mixture.features.len();
    let mut found = Vec::new();
    for packed in mixture.covariances.chunks_exact(d * (d + 1) / 2) {
        for i in 0..d {
            for j in 0..=i {
                found.push(packed[i * (i + 1) / 2 + j] * mixture.scale[i] * mixture.scale[j]);
            }
        }
    }
    found
}

fn means(mixture: &Mixture) -> Vec<f64> {
    mixture.components().map(|cell| cell.mean).collect()
}

#[track_caller]
fn check_near(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    let near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= tolerance);
    assert!(near, "{found:?} is not {expected:?}");
}

#[test]
fn what_rows_were_drawn_from_is_found() {
    let mixture = run(&two(20_000, 12.0, 1), MixtureParams::new(2));
    assert_eq!(mixture.k(), 2);
    check_near(&mixture.weights, &[0.6, 0.4], 1e-6);
    check_near(&means(&mixture), &[0.0, 0.0, 12.0, -12.0], 0.05);
    check_near(&covariances(&mixture), &[1.0, 1.2, 4.0, 0.25, 0.0, 0.25], 0.1);
    let diagonal = MixtureParams { covariance: Covariance::Diagonal, ..MixtureParams::new(2) };
    let cells: Vec<f64> =
        run(&two(20_000, 12.0, 1), diagonal).components().map(|cell| cell.sd).collect();
    check_near(&cells, &[1.0, 2.0, 0.5, 0.5], 0.03);
}

#[test]
fn overlapping_components_are_as_in_linfa() {
    let rows = two(4000, 2.5, 2);
    let params = MixtureParams {
        tolerance: 1e-10,
        max_iterations: 1000,
        regularization: 1e-9,
        ..MixtureParams::new(2)
    };
    let mixture = run(&rows, params);
    let other = GaussianMixtureModel::params(2)
        .tolerance(1e-10)
        .reg_covariance(1e-9)
        .max_n_iterations(1000)
        .fit(&DatasetBase::from(rows))
        .unwrap();
    let order = if other.weights()[0] > other.weights()[1] { [0, 1] } else { [1, 0] };
    check_near(&mixture.weights, &order.map(|component| other.weights()[component]), 1e-4);
    let expected: Vec<f64> =
        order.iter().flat_map(|&one| other.means().row(one).to_vec()).collect();
    check_near(&means(&mixture), &expected, 1e-3);
    let lower = |one: &usize| {
        let own = other.covariances().index_axis(Axis(0), *one);
        [own[(0, 0)], own[(1, 0)], own[(1, 1)]]
    };
    let expected: Vec<f64> = order.iter().flat_map(lower).collect();
    check_near(&covariances(&mixture), &expected, 1e-3);
}

#[test]
fn the_likelihood_never_falls() {
    let rows = two(2000, 2.0, 3);
    for covariance in [Covariance::Full, Covariance::Diagonal] {
        let mut before = f64::NEG_INFINITY;
        for max_iterations in 1..40 {
            let mixture = run(
                &rows,
                MixtureParams {
                    max_iterations,
                    tolerance: 0.0,
                    covariance,
                    ..MixtureParams::new(3)
                },
            );
            assert!(mixture.log_likelihood >= before - 1e-9, "{max_iterations} iterations");
            before = mixture.log_likelihood;
        }
    }
}

#[test]
fn one_component_is_the_normal_distribution_of_the_rows() {
    let rows = array![[1.0, 10.0], [2.0, 30.0], [4.0, 20.0], [5.0, 60.0]];
    let params = MixtureParams { regularization: 0.0, ..MixtureParams::new(1) };
    let mixture = run(&rows, params);
    check_near(&means(&mixture), &[3.0, 30.0], 1e-12);
    // Sums of squares over 4: (4 + 1 + 1 + 4) / 4, (40 + 0 - 10 + 60) / 4, (400 + 0 + 100 + 900) / 4.
    check_near(&covariances(&mixture), &[2.5, 22.5, 350.0], 1e-10);
    let prepared = mixture.prepare().unwrap();
    let determinant: f64 = 2.5 * 350.0 - 22.5 * 22.5;
    let peak = -(2.0 * PI).ln() - 0.5 * determinant.ln();
    check_near(&[prepared.log_density(&[3.0, 30.0]).unwrap()], &[peak], 1e-12);
    // (1, 0) from the mean: the inverse's first element is 350 over the determinant.
    let aside = peak - 0.5 * 350.0 / determinant;
    check_near(&[prepared.log_density(&[4.0, 30.0]).unwrap()], &[aside], 1e-12);
    let mean = rows.rows().into_iter().map(|row| prepared.log_density(&row.to_vec()).unwrap());
    check_near(&[mixture.log_likelihood], &[mean.sum::<f64>() / 4.0], 1e-12);
}

#[test]
fn memberships_add_up_to_one_and_the_segment_is_the_most_probable() {
    let rows = two(3000, 2.0, 4);
    for covariance in [Covariance::Full, Covariance::Diagonal] {
        let params = MixtureParams { covariance, ..MixtureParams::new(3) };
        let prepared = run(&rows, params).prepare().unwrap();
        let far = [[1e308, -1e308], [1e12, 3.0], [f64::MAX, f64::MAX]];
        let all = rows.rows().into_iter().map(|row| [row[0], row[1]]).chain(far);
        let mut soft = 0;
        for row in all {
            let shares = prepared.membership(&row).unwrap();
            assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{row:?}: {shares:?}");
            let segment = prepared.segment(&row).unwrap() as usize;
            assert!(shares.iter().all(|share| *share <= shares[segment - 1]));
            assert!(prepared.log_density(&row).unwrap().is_finite());
            soft += usize::from(shares[segment - 1] < 0.9);
        }
        assert!(soft > 100, "{soft} rows between components");
        assert_eq!(prepared.membership(&[1.0, f64::NAN]), None);
        assert_eq!(prepared.segment(&[1.0]), None);
    }
}

#[test]
fn neither_the_order_of_rows_nor_the_number_of_threads_matters() {
    let rows = two(10_000, 2.0, 5);
    let expected = run(&rows, MixtureParams::new(4));
    let mut order: Vec<usize> = (0..rows.nrows()).collect();
    Random::new(1, 1).shuffle(&mut order);
    let shuffled = rows.select(Axis(0), &order);
    for n_threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        let found = pool.install(|| run(&shuffled, MixtureParams::new(4)));
        assert_eq!(found, expected, "{n_threads} threads");
    }
}

#[test]
fn features_of_any_size_are_fitted() {
    let rows = two(2000, 10.0, 6);
    let plain = run(&rows, MixtureParams::new(2));
    for (factor, shift) in [(1e-140, 0.0), (1e140, 0.0), (1e-3, 1e6)] {
        let moved = rows.mapv(|value| value * factor + shift);
        let mixture = run(&moved, MixtureParams::new(2));
        check_near(&mixture.weights, &plain.weights, 1e-6);
        check_near(&mixture.means, &plain.means, 1e-4);
        let log_density = plain.log_likelihood - 2.0 * f64::ln(factor);
        check_near(&[mixture.log_likelihood], &[log_density], 1e-3);
    }
}

#[test]
fn edges_have_answers() {
    let one = run(&array![[7.0, 8.0]], MixtureParams::new(1));
    assert_eq!((means(&one), one.weights.clone()), (vec![7.0, 8.0], vec![1.0]));
    // A feature that never varies, and one component for each distinct row.
    let rows = array![[1.0, 5.0], [2.0, 5.0], [1.0, 5.0], [9.0, 5.0]];
    let mixture = run(&rows, MixtureParams::new(3));
    check_near(&mixture.weights, &[0.5, 0.25, 0.25], 1e-6);
    check_near(&means(&mixture), &[1.0, 5.0, 2.0, 5.0, 9.0, 5.0], 1e-6);
    let wide = Array2::from_shape_fn((50, 300), |(row, feature)| ((row * 7 + feature) % 13) as f64);
    assert_eq!(run(&wide, MixtureParams::new(2)).k(), 2);
}

#[test]
fn what_no_fit_can_do_is_refused() {
    let rows = array![[1.0], [1.0], [2.0]];
    let new = MixtureParams::new;
    let error = |params| try_run(&rows, params).unwrap_err();
    assert_eq!(error(new(0)), segment::Error::InvalidK { k: 0 }.into());
    assert_eq!(error(new(3)), segment::Error::TooFewDistinctRows { k: 3, distinct: 2 }.into());
    assert_eq!(
        error(MixtureParams { regularization: -1.0, ..new(1) }),
        Error::InvalidRegularization { regularization: -1.0 }
    );
    assert_eq!(error(MixtureParams { regularization: 0.0, ..new(2) }), Error::Collapsed);
    assert_eq!(
        error(MixtureParams { tolerance: -1.0, ..new(1) }),
        segment::Error::InvalidTolerance { tolerance: -1.0 }.into()
    );
    assert_eq!(
        error(MixtureParams { max_iterations: 0, ..new(1) }),
        segment::Error::InvalidIterations { max_iterations: 0 }.into()
    );
    assert!(matches!(new(5).check(9, 4096), Err(Error::TooManyParameters { .. })));
    assert_eq!(
        try_run(&Array2::zeros((0, 1)), new(1)).unwrap_err(),
        segment::Error::EmptyInput.into()
    );
}

#[test]
fn a_model_that_does_not_fit_together_is_refused() {
    let mixture = run(&two(100, 9.0, 7), MixtureParams::new(2));
    let changes: [fn(&mut Mixture); 9] = [
        |mixture| mixture.format = 2,
        |mixture| mixture.weights.truncate(1),
        |mixture| mixture.weights[0] = 0.9,
        |mixture| mixture.scale[1] = 0.0,
        |mixture| mixture.means[0] = f64::NAN,
        |mixture| mixture.covariances[1] = 1e6,
        |mixture| mixture.covariances[0] = 0.0,
        |mixture| mixture.covariance = Covariance::Diagonal,
        |mixture| mixture.log_likelihood = f64::INFINITY,
    ];
    for (idx, change) in changes.iter().enumerate() {
        let mut changed = mixture.clone();
        change(&mut changed);
        assert!(matches!(changed.check(), Err(Error::Malformed { .. })), "change {idx}");
    }
}

#[test]
fn a_stop_is_heard() {
    let watch = Watch::new();
    watch.stop();
    let params = MixtureParams::new(1).check(1, 1).unwrap();
    let found = fit_mixture(array![[1.0]].view(), &["1".to_owned()], &params, &watch);
    let stopped = [Error::Stopped(Stopped), Error::Segment(segment::Error::Stopped(Stopped))];
    assert!(stopped.contains(&found.unwrap_err()));
}

#[test]
fn more_starts_find_a_likelihood_that_is_no_less() {
    let mut random = Random::new(21, 4);
    // Without groups there are many ways to divide them.
    let points = Array2::from_shape_fn((240, 2), |_| random.uniform());
    let names = ["x".to_owned(), "y".to_owned()];
    let fitted = |n_init, seed| {
        let params = MixtureParams { n_init, seed, ..MixtureParams::new(9) };
        let params = params.check(240, 2).unwrap();
        fit_mixture(points.view(), &names, &params, &Watch::new()).unwrap()
    };
    let alone: Vec<f64> = (0..8).map(|seed| fitted(1, seed).log_likelihood).collect();
    let best = alone.iter().copied().fold(f64::MIN, f64::max);
    assert_eq!(fitted(8, 0).log_likelihood, best);
    assert!(alone.iter().any(|likelihood| *likelihood < best), "{alone:?}");
}
