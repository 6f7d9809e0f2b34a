//! Facts about whole fits.

mod columns;
mod cosine;
mod missing;
mod quality;
mod scaling;
mod seeding;
mod warm;
mod weights;

use ndarray::{Array2, array};

use super::*;
use crate::algo::random::Random;
use crate::algo::stop::{Stopped, Watch};

fn names(n_features: usize) -> Features {
    Features::numbers((0..n_features).map(|feature| format!("f{feature}")).collect())
}

fn fitted(points: &Array2<f64>, params: &Params) -> Result<Fit, Error> {
    let valid = params.check(points.nrows(), points.ncols())?;
    fit(points.view(), &names(points.ncols()), &valid, &Watch::new())
}

fn raw(k: i64) -> Params {
    Params { scaling: Scaling::None, ..Params::new(k) }
}

/// Rows around `k` centres, `spread` wide, the centres up to 10 apart.
fn blobs(n_rows: usize, n_features: usize, k: usize, spread: f64, seed: i64) -> Array2<f64> {
    let centers = Random::new(seed, 1);
    let mut random = Random::new(seed, 2);
    let mut points = Array2::zeros((n_rows, n_features));
    for mut row in points.rows_mut() {
        let center = random.below(k);
        for (feature, value) in row.iter_mut().enumerate() {
            let at = crate::algo::random::unit(centers.at((center * n_features + feature) as u64));
            *value = 10.0 * at + spread * (random.uniform() + random.uniform() - 1.0);
        }
    }
    points
}

/// What holds of every fit: sizes count the labels, the model labels the rows as the fit did, centroids are means.
#[track_caller]
fn check_sound(points: &Array2<f64>, fit: &Fit) {
    let model = &fit.model;
    assert_eq!(model.check(), Ok(()));
    assert_eq!(model.sizes.iter().sum::<u64>(), points.nrows() as u64);
    assert!(model.sizes.is_sorted_by(|a, b| a >= b), "{:?}", model.sizes);
    let prepared = model.prepare();
    let (k, d) = (model.k(), points.ncols());
    let (mut sizes, mut sums) = (vec![0u64; k], Array2::<f64>::zeros((k, d)));
    let mut inertia = 0.0;
    for (row, &label) in points.rows().into_iter().zip(&fit.labels) {
        let (segment, distance) = prepared.nearest(&row.to_vec()).unwrap();
        assert_eq!(segment, label);
        inertia += distance * distance;
        sizes[label as usize - 1] += 1;
        sums.row_mut(label as usize - 1).zip_mut_with(&row, |sum, value| *sum += value);
    }
    assert_eq!(model.sizes, sizes);
    // A row that lies on its centroid is off by the rounding to f32.
    let variance: f64 = model.population_sd.iter().map(|sd| sd * sd).sum();
    let rounding = 1e-12
        * points.nrows() as f64
        * if model.scaling == Scaling::None { variance } else { d as f64 };
    assert!(
        (inertia - fit.model.inertia).abs() <= 1e-5 * inertia + rounding,
        "{inertia} {}",
        fit.model.inertia
    );
    if fit.model.ended == Ended::Converged {
        for ((segment, feature), sum) in sums.indexed_iter() {
            let column = points.column(feature);
            let rounding = 1e-12 * column[0].abs();
            let range = column.iter().fold(f64::MIN, |a, &b| a.max(b))
                - column.iter().fold(f64::MAX, |a, &b| a.min(b));
            let difference = sum / sizes[segment] as f64 - model.centroids[segment * d + feature];
            assert!(
                difference.abs() <= 1e-6 * range + rounding,
                "segment {segment} feature {feature}: {difference}"
            );
        }
    }
}

#[track_caller]
fn check_fit(points: &Array2<f64>, params: &Params) -> Fit {
    let fit = fitted(points, params).unwrap();
    check_sound(points, &fit);
    fit
}

fn iris() -> Array2<f64> {
    let text = include_str!("../../../tests/data/iris.csv");
    let rows: Vec<f64> = text
        .lines()
        .skip(1)
        .flat_map(|line| line.split(',').take(4))
        .flat_map(str::parse)
        .collect();
    Array2::from_shape_vec((150, 4), rows).unwrap()
}

#[test]
fn iris_reaches_its_known_optima() {
    let iris = iris();
    for (k, optimum) in [(2, 152.348), (3, 78.8514), (4, 57.2285), (5, 46.4462)] {
        let fit = check_fit(&iris, &Params { n_init: 10, ..raw(k) });
        assert!(
            (fit.model.inertia - optimum).abs() < 1e-5 * optimum,
            "k = {k}: {}",
            fit.model.inertia
        );
    }
}

#[test]
fn one_segment_is_the_mean_of_all() {
    let fit = check_fit(&array![[1.0, 5.0], [2.0, 5.0], [6.0, 5.0]], &raw(1));
    assert_eq!(*fit.labels, [1, 1, 1]);
    assert!((fit.model.centroids[0] - 3.0).abs() < 1e-6 && fit.model.centroids[1] == 5.0);
    assert_eq!(fit.model.ended, Ended::Converged);
    assert!((fit.model.inertia - 14.0).abs() < 1e-5);
}

#[test]
fn a_single_row_makes_a_single_segment() {
    for scaling in [Scaling::None, Scaling::Standard] {
        let fit = check_fit(&array![[7.0, -2.0]], &Params { scaling, ..Params::new(1) });
        assert_eq!((fit.labels, fit.model.inertia), (vec![1].into(), 0.0));
    }
}

#[test]
fn as_many_segments_as_rows_leave_no_distance() {
    let points = blobs(40, 3, 40, 1.0, 3);
    let fit = check_fit(&points, &raw(40));
    assert!(fit.model.inertia < 1e-9);
    assert_eq!(fit.model.sizes, vec![1; 40]);
}

#[test]
fn more_segments_than_distinct_rows_are_refused() {
    let points = array![[1.0], [2.0], [1.0], [2.0], [1.0]];
    assert_eq!(fitted(&points, &raw(3)), Err(Error::TooFewDistinctRows { k: 3, distinct: 2 }));
    assert_eq!(fitted(&points, &raw(9)), Err(Error::TooFewDistinctRows { k: 9, distinct: 2 }));
    assert_eq!(check_fit(&points, &raw(2)).model.sizes, [3, 2]);
    assert_eq!(
        fitted(&array![[1.0], [1.0]], &raw(2)),
        Err(Error::TooFewDistinctRows { k: 2, distinct: 1 })
    );
}

#[test]
fn rare_values_that_a_sample_misses_still_make_segments() {
    let mut points = Array2::zeros((200_000, 1));
    points[[77_777, 0]] = 1.0;
    points[[150_001, 0]] = -3.0;
    assert_eq!(check_fit(&points, &raw(3)).model.sizes, [199_998, 1, 1]);
}

#[test]
fn a_constant_column_changes_nothing() {
    let mut points = blobs(500, 2, 4, 1.0, 1);
    let without = check_fit(&points, &Params::new(4));
    points.push_column(ndarray::Array1::from_elem(500, 0.1).view()).unwrap();
    let with = check_fit(&points, &Params::new(4));
    assert_eq!(with.labels, without.labels);
    assert_eq!(with.model.inertia, without.model.inertia);
    assert_eq!((with.model.scale[2], with.model.population_sd[2]), (1.0, 0.0));
}

#[test]
fn what_is_not_a_number_is_refused_by_name() {
    let refused = |value: f64| fitted(&array![[1.0, 2.0], [3.0, value]], &raw(1)).unwrap_err();
    assert_eq!(refused(f64::NAN), Error::MissingValue { feature: "f1".into(), row: 1 });
    for value in [f64::INFINITY, 1e308, -1e308] {
        assert_eq!(
            refused(value),
            Error::TooLarge { feature: "f1".into(), row: 1, value, limit: MAX_MAGNITUDE }
        );
    }
}

#[test]
fn any_magnitude_that_is_accepted_keeps_its_shape() {
    let base = blobs(300, 2, 3, 0.5, 5);
    for scaling in [Scaling::None, Scaling::Standard] {
        let expected = check_fit(&base, &Params { scaling, ..Params::new(3) });
        for magnitude in [1e-300, 1e-150, 1e-40, 1e40, 1e147] {
            let fit = fitted(&(&base * magnitude), &Params { scaling, ..Params::new(3) }).unwrap();
            assert_eq!(fit.model.check(), Ok(()), "{magnitude:e}");
            assert_eq!(fit.labels, expected.labels, "{scaling:?} {magnitude:e}");
        }
    }
    let fit = fitted(&array![[5e-324], [0.0], [5e-324]], &Params::new(2)).unwrap();
    assert_eq!(*fit.labels, [1, 2, 1]);
}

#[test]
fn heavy_tails_and_equal_rows_make_no_empty_segment() {
    for (seed, k) in [(1, 5), (2, 20), (3, 50)] {
        let mut points =
            blobs(3000, 3, 30, 2.0, seed).mapv(|value: f64| (value / 2.0).exp().round());
        points.slice_mut(ndarray::s![..1000, ..]).fill(1.0);
        let fit = check_fit(&points, &Params { max_iterations: 1000, ..Params::new(k) });
        assert_eq!(fit.model.ended, Ended::Converged);
        assert!(fit.model.sizes.iter().all(|&size| size > 0));
    }
}

#[test]
fn ties_on_a_grid_keep_the_labels_of_the_fit() {
    let grid =
        Array2::from_shape_fn((1024, 2), |(row, feature)| ((row >> (5 * feature)) % 32) as f64);
    for seed in 0..20 {
        check_fit(&grid, &Params { seed, ..raw(7) });
    }
}

#[test]
fn a_fit_that_ran_out_of_iterations_says_so() {
    let points = blobs(5000, 2, 1, 5.0, 8);
    let fit = check_fit(&points, &Params { max_iterations: 2, ..raw(9) });
    assert_eq!((fit.model.iterations, fit.model.ended), (2, Ended::MaxIterations));
    let loose =
        fitted(&points, &Params { max_iterations: 1000, tolerance: Some(1e-2), ..raw(9) }).unwrap();
    let strict = check_fit(&points, &Params { max_iterations: 1000, ..raw(9) });
    assert_eq!(strict.model.ended, Ended::Converged);
    assert!(loose.model.iterations < strict.model.iterations);
}

#[test]
fn the_same_seed_gives_the_same_bits_on_any_number_of_threads() {
    let points = blobs(70_000, 5, 20, 3.0, 9);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            fitted(&points, &Params { n_init: 2, max_iterations: 15, ..Params::new(12) }).unwrap()
        })
    };
    let alone = on(1);
    for threads in [2, 3, 7] {
        assert_eq!(on(threads), alone, "{threads} threads");
    }
}

#[test]
fn rows_in_another_order_make_the_same_segments() {
    let points = blobs(2000, 2, 4, 0.2, 4);
    let mut order: Vec<usize> = (0..2000).collect();
    Random::new(1, 1).shuffle(&mut order);
    let params = Params { n_init: 5, ..Params::new(4) };
    let (fit, other) =
        (check_fit(&points, &params), check_fit(&points.select(ndarray::Axis(0), &order), &params));
    assert_eq!(fit.model.sizes, other.model.sizes);
    assert!(order.iter().zip(&other.labels).all(|(&row, label)| fit.labels[row] == *label));
}

#[test]
fn another_seed_numbers_the_same_segments_alike() {
    let points = blobs(2000, 2, 4, 0.2, 4);
    let fit = |seed| check_fit(&points, &Params { n_init: 5, seed, ..Params::new(4) });
    assert_eq!(fit(1).labels, fit(2).labels);
}

#[test]
fn more_starts_are_never_worse() {
    let points = blobs(2000, 3, 30, 2.0, 6);
    let inertia =
        |n_init| fitted(&points, &Params { n_init, ..Params::new(12) }).unwrap().model.inertia;
    assert!(inertia(8) <= inertia(1));
}

#[test]
fn scaled_points_give_the_fit_of_the_original_ones() {
    let points = blobs(500, 3, 4, 1.0, 2);
    let standard = check_fit(&points, &Params::new(4));
    let (center, scale) = (&standard.model.center, &standard.model.scale);
    let scaled = Array2::from_shape_fn(points.dim(), |(row, f)| {
        ((points[[row, f]] - center[f]) / scale[f]) as f32
    });
    let params = Params::new(4).check(500, 3).unwrap();
    let fit = fit_points(scaled.view(), &names(3), &params, &Watch::new()).unwrap();
    assert_eq!(fit.labels, standard.labels);
    check_sound(&scaled.mapv(f64::from), &fit);
}

#[test]
fn columns_in_an_order_give_the_fit_of_the_rows_in_that_order() {
    let points = blobs(3000, 3, 5, 1.0, 7);
    let mut order: Vec<u32> = (0..3000).collect();
    Random::new(1, 1).shuffle(&mut order);
    let rows: Vec<usize> = order.iter().map(|&row| row as usize).collect();
    let expected = check_fit(&points.select(ndarray::Axis(0), &rows), &Params::new(5));
    let columns: Vec<Vec<f64>> = points.columns().into_iter().map(|c| c.to_vec()).collect();
    let columns = Columns(columns.iter().map(|column| Cells::Numbers(column)).collect());
    let params = Params::new(5).check(3000, 3).unwrap();
    let rows = Ordered { rows: columns, order: Some(order) };
    assert_eq!(fit(rows, &names(3), &params, &Watch::new()).unwrap(), expected);
}

#[test]
fn an_odd_row_is_far_by_the_measure_of_its_own_segment() {
    let points =
        array![[0.0, 0.0], [2.0, 0.0], [100.0, 0.0], [140.0, 0.0], [500.0, 3.0], [500.0, 3.0]];
    let model = check_fit(&points, &raw(3)).model;
    let prepared = model.prepare();
    let spread: Vec<f64> = (1..=3)
        .map(|s| model.spread[prepared.segment(&model.centroid(s).unwrap()).unwrap() as usize - 1])
        .collect();
    let mut sorted = spread.clone();
    sorted.sort_by(f64::total_cmp);
    assert!(
        sorted
            .iter()
            .zip([0.0, 1.0, 20.0])
            .all(|(found, expected)| (found - expected).abs() < 1e-4),
        "{spread:?}"
    );
    let anomaly = |x: f64, y: f64| prepared.anomaly(&[x, y]).unwrap();
    assert!((anomaly(4.0, 0.0) - 3.0).abs() < 1e-4 && (anomaly(180.0, 0.0) - 3.0).abs() < 1e-4);
    // Where all rows of the segment are equal, all rows together say what is ordinary.
    let overall = (model.inertia / 6.0).sqrt();
    assert!((anomaly(500.0, 4.0) - 1.0 / overall).abs() < 1e-6);
    assert_eq!(anomaly(500.0, 3.0), 0.0);
    let second = prepared.second_segment(&[0.0, 0.0]);
    assert_eq!(second, prepared.segment(&[120.0, 0.0]));
    let shares = prepared.distance_shares(&[1.0 + 3.0, 4.0]).unwrap();
    assert_eq!(shares.iter().map(|share| share.0).collect::<Vec<_>>(), [1, 0]);
    assert!((shares[0].1 - 0.64).abs() < 1e-5 && (shares[1].1 - 0.36).abs() < 1e-5);
    let alone = check_fit(&array![[1.0], [1.0]], &raw(1)).model.prepare();
    assert_eq!((alone.second_segment(&[1.0]), alone.anomaly(&[2.0])), (None, Some(f64::INFINITY)));
    assert_eq!(prepared.anomaly(&[f64::NAN, 0.0]), None);
}

#[test]
fn a_fit_with_its_arrays_on_disk_is_the_one_in_memory() {
    for (n_rows, k) in [(1, 1), (70_003, 30), (3_000, 5)] {
        let points = blobs(n_rows, 3, 7, 2.0, 3);
        let mut params = Params { n_init: 2, quality: Some(SILHOUETTE_ROWS), ..Params::new(k) };
        let expected = check_fit(&points, &params);
        params.place = crate::algo::store::tests::disk(1 << 30);
        assert_eq!(fitted(&points, &params).unwrap(), expected);
    }
    let params = Params { place: crate::algo::store::tests::disk(1000), ..Params::new(2) };
    let refused = fitted(&blobs(500, 3, 2, 1.0, 1), &params);
    assert!(matches!(refused, Err(Error::Disk { kind: std::io::ErrorKind::QuotaExceeded, .. })));
}

#[test]
fn a_stop_ends_the_fit() {
    let points = blobs(1000, 2, 4, 1.0, 2);
    let params = Params::new(4).check(1000, 2).unwrap();
    let watch = Watch::new();
    watch.stop();
    assert_eq!(fit(points.view(), &names(2), &params, &watch), Err(Error::Stopped(Stopped)));
    let wide = blobs(100_000, 16, 64, 5.0, 2);
    let params = Params { max_iterations: 1_000_000, n_init: 1000, ..Params::new(64) }
        .check(100_000, 16)
        .unwrap();
    let watch = Watch::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(100));
            watch.stop();
        });
        assert_eq!(fit(wide.view(), &names(16), &params, &watch), Err(Error::Stopped(Stopped)));
    });
}

#[test]
fn names_and_columns_must_agree() {
    let params = Params::new(1).check(1, 2).unwrap();
    let wrong = fit(array![[1.0, 2.0]].view(), &names(3), &params, &Watch::new());
    assert_eq!(wrong, Err(Error::DimensionMismatch { expected: 2, found: 3 }));
}

#[test]
fn the_inertia_is_not_above_that_of_linfa() {
    use linfa::prelude::*;
    for seed in [1, 2, 3] {
        let points = blobs(600, 3, 8, 2.0, seed);
        let dataset = linfa::DatasetBase::from(points.clone());
        let theirs =
            linfa_clustering::KMeans::params(8).n_runs(10).tolerance(1e-9).fit(&dataset).unwrap();
        let own = |row: ndarray::ArrayView1<f64>| {
            let squares =
                theirs.centroids().rows().into_iter().map(|c| (&row - &c).mapv(|x| x * x).sum());
            squares.fold(f64::INFINITY, f64::min)
        };
        let linfa: f64 = points.rows().into_iter().map(own).sum();
        let ours = check_fit(&points, &Params { n_init: 10, ..raw(8) }).model.inertia;
        assert!(ours <= 1.02 * linfa, "{ours} {linfa}");
    }
}
