//! Facts about whole fits.

use ndarray::{Array2, array};

use super::*;
use crate::algo::frame::{Column, Values};
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
        (inertia - fit.inertia).abs() <= 1e-5 * inertia + rounding,
        "{inertia} {}",
        fit.inertia
    );
    if fit.ended == Ended::Converged {
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
        assert!((fit.inertia - optimum).abs() < 1e-5 * optimum, "k = {k}: {}", fit.inertia);
    }
}

#[test]
fn quality_is_scikit_learns() {
    // KMeans(3, n_init=10) on iris, raw: silhouette_score, davies_bouldin_score, calinski_harabasz_score.
    let quality =
        check_fit(&iris(), &Params { n_init: 10, quality: true, ..raw(3) }).quality.unwrap();
    let close = |found: Option<f64>, expected: f64| {
        assert!((found.unwrap() - expected).abs() < 1e-5 * expected, "{found:?} is not {expected}");
    };
    close(quality.silhouette, 0.552_819_012_356_410_2);
    close(quality.davies_bouldin, 0.661_971_546_500_746_5);
    close(quality.calinski_harabasz, 561.627_756_629_62);
    assert_eq!(quality.silhouette_rows, 150);
}

#[test]
fn quality_is_unknown_where_it_is_not_defined() {
    let points = blobs(100, 2, 3, 1.0, 1);
    let quality =
        |k| check_fit(&points, &Params { quality: true, ..Params::new(k) }).quality.unwrap();
    let one = quality(1);
    assert_eq!((one.silhouette, one.davies_bouldin, one.calinski_harabasz), (None, None, None));
    let each = quality(100);
    assert_eq!((each.silhouette, each.davies_bouldin), (Some(0.0), Some(0.0)));
    assert_eq!(each.calinski_harabasz, None);
}

#[test]
fn quality_is_the_same_bits_on_any_number_of_threads() {
    let points = blobs(20_000, 5, 6, 3.0, 4);
    let quality = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| fitted(&points, &Params { quality: true, ..Params::new(6) }))
            .unwrap()
            .quality
    };
    assert_eq!(quality(1).unwrap().silhouette_rows, 2_000);
    assert_eq!(quality(1), quality(3));
}

#[test]
fn as_many_segments_are_chosen_as_there_are() {
    let points = blobs(3_000, 4, 5, 0.5, 11);
    let params = Params::new(1);
    let candidates =
        choose_k(&points.view(), &names(4), &params, 1..=9, 1_000, &Watch::new()).unwrap();
    assert_eq!(candidates.iter().map(|one| one.k).collect::<Vec<_>>(), (1..=9).collect::<Vec<_>>());
    for (name, criterion) in Criterion::ALL {
        assert_eq!(best(&candidates, criterion), Some(5), "{name}: {candidates:?}");
    }
    assert_eq!(best(&candidates[..1], Criterion::Silhouette), None);
    assert!(candidates.is_sorted_by(|a, b| a.inertia >= b.inertia));
}

#[test]
fn no_k_is_chosen_beyond_the_distinct_rows() {
    let points = array![[0.0], [1.0], [5.0], [1.0], [5.0]];
    let choose = |range| {
        choose_k(&points.view(), &names(1), &Params::new(1), range, 100, &Watch::new())
            .map(|candidates| candidates.len())
    };
    assert_eq!(choose(2..=10), Ok(2));
    assert_eq!(choose(4..=10), Err(Error::TooFewDistinctRows { k: 4, distinct: 3 }));
}

#[test]
fn one_segment_is_the_mean_of_all() {
    let fit = check_fit(&array![[1.0, 5.0], [2.0, 5.0], [6.0, 5.0]], &raw(1));
    assert_eq!(*fit.labels, [1, 1, 1]);
    assert!((fit.model.centroids[0] - 3.0).abs() < 1e-6 && fit.model.centroids[1] == 5.0);
    assert_eq!(fit.ended, Ended::Converged);
    assert!((fit.inertia - 14.0).abs() < 1e-5);
}

#[test]
fn a_single_row_makes_a_single_segment() {
    for scaling in [Scaling::None, Scaling::Standard] {
        let fit = check_fit(&array![[7.0, -2.0]], &Params { scaling, ..Params::new(1) });
        assert_eq!((fit.labels, fit.inertia), (vec![1].into(), 0.0));
    }
}

#[test]
fn as_many_segments_as_rows_leave_no_distance() {
    let points = blobs(40, 3, 40, 1.0, 3);
    let fit = check_fit(&points, &raw(40));
    assert!(fit.inertia < 1e-9);
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
    assert_eq!(with.inertia, without.inertia);
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
        assert_eq!(fit.ended, Ended::Converged);
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
    assert_eq!((fit.iterations, fit.ended), (2, Ended::MaxIterations));
    let loose =
        fitted(&points, &Params { max_iterations: 1000, tolerance: Some(1e-2), ..raw(9) }).unwrap();
    let strict = check_fit(&points, &Params { max_iterations: 1000, ..raw(9) });
    assert_eq!(strict.ended, Ended::Converged);
    assert!(loose.iterations < strict.iterations);
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
    let inertia = |n_init| fitted(&points, &Params { n_init, ..Params::new(12) }).unwrap().inertia;
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
fn a_fit_from_its_own_result_ends_at_once() {
    let points = blobs(3000, 3, 6, 2.0, 2);
    let first = check_fit(&points, &Params { max_iterations: 1000, ..Params::new(6) });
    let params = Params::new(6).check(3000, 3).unwrap();
    let again = fit_from(points.view(), &names(3), &first.model, &params, &Watch::new()).unwrap();
    assert_eq!((again.labels, again.ended), (first.labels, Ended::Converged));
    assert!(again.iterations <= 2);
}

#[test]
fn a_warm_fit_keeps_the_numbers_of_its_segments() {
    let points = blobs(2000, 2, 4, 0.2, 4);
    let first = check_fit(&points, &Params { n_init: 5, ..Params::new(4) });
    // Most rows of the largest segment are gone: by size it would come last.
    let kept: Vec<usize> =
        (0..2000).filter(|&row| first.labels[row] != 1 || row % 10 == 0).collect();
    let fewer = points.select(ndarray::Axis(0), &kept);
    let params = Params::new(4).check(kept.len(), 2).unwrap();
    let again = fit_from(fewer.view(), &names(2), &first.model, &params, &Watch::new()).unwrap();
    assert!(again.model.sizes[0] < again.model.sizes[1]);
    assert!(kept.iter().zip(&again.labels).all(|(&row, &label)| first.labels[row] == label));
    let prepared = again.model.prepare();
    for (row, &label) in fewer.rows().into_iter().zip(&again.labels) {
        assert_eq!(prepared.segment(&row.to_vec()), Some(label));
    }
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

/// A number and a text column of a few levels, the level deciding the number.
fn mixed(levels: &[&str]) -> Vec<Column> {
    let random = Random::new(5, 5);
    let codes: Vec<u32> = (0..600).map(|row| row % levels.len() as u32).collect();
    let numbers = codes.iter().enumerate().map(|(row, &code)| {
        f64::from(code) * 10.0 + crate::algo::random::unit(random.at(row as u64))
    });
    let dictionary = levels.iter().map(|level| (*level).to_owned()).collect();
    vec![
        Column::number("spend", numbers.collect()),
        Column { name: "region".into(), values: Values::Text { codes: codes.into(), dictionary } },
    ]
}

fn fitted_columns(columns: &[Column], weights: &[(&str, f64)], k: i64) -> Result<Fit, Error> {
    let weights = weights.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect();
    let features = Features::of(columns, &weights)?;
    let rows = bind(columns, &features.names, &features.categories)?;
    let params = Params::new(k).check(rows.n_rows(), features.len())?;
    fit(&rows, &features, &params, &Watch::new())
}

#[test]
fn a_text_column_becomes_an_indicator_for_each_level() {
    let fit = fitted_columns(&mixed(&["north", "south", "west"]), &[], 3).unwrap();
    let model = &fit.model;
    assert_eq!(model.features, ["spend", "region=north", "region=south", "region=west"]);
    assert_eq!((&model.scale[1..], model.sizes.as_slice()), (&[1.0; 3][..], &[200; 3][..]));
    for segment in 1..=3 {
        let shares = &model.centroid(segment).unwrap()[1..];
        assert_eq!(shares.iter().filter(|share| **share == 1.0).count(), 1, "{shares:?}");
    }
    assert_eq!(model.check(), Ok(()));
}

#[test]
fn levels_beyond_the_most_frequent_share_an_indicator() {
    let names: Vec<String> = (0..MAX_LEVELS + 6).map(|level| format!("l{level:02}")).collect();
    let columns = mixed(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let features = Features::of(&columns, &Default::default()).unwrap();
    assert_eq!(features.len(), 1 + MAX_LEVELS + 1);
    assert_eq!(features.names.last().unwrap(), "region=(other)");
    let encoder = features.categories[0].encoder();
    assert_eq!(encoder.place("never seen"), Some(MAX_LEVELS));
}

#[test]
fn a_missing_level_is_refused_by_the_name_of_its_column() {
    let mut columns = mixed(&["north", "south"]);
    if let Values::Text { codes, .. } = &mut columns[1].values {
        codes[7] = crate::algo::frame::MISSING;
    }
    let missing = Error::MissingValue { feature: "region".into(), row: 7 };
    assert_eq!(fitted_columns(&columns, &[], 2), Err(missing));
}

#[test]
fn a_weight_counts_as_so_many_copies_of_its_column() {
    let points = blobs(2000, 2, 5, 2.0, 9);
    let copied =
        ndarray::concatenate![ndarray::Axis(1), points, points.slice(ndarray::s![.., 1..])];
    let expected = check_fit(&copied, &Params { max_iterations: 1000, ..Params::new(5) });
    let columns: Vec<Column> = points
        .columns()
        .into_iter()
        .enumerate()
        .map(|(idx, column)| Column {
            name: format!("f{idx}"),
            values: Values::Number(column.to_vec().into()),
        })
        .collect();
    let weighted = fitted_columns(&columns, &[("f1", 2.0)], 5).unwrap();
    assert!(
        (weighted.inertia / expected.inertia - 1.0).abs() < 0.02,
        "{} {}",
        weighted.inertia,
        expected.inertia
    );
    let own = weighted.model.centroid(1).unwrap();
    let distance = |x: f64, y: f64| weighted.model.distance(&[x, y]).unwrap();
    let (aside, up) = (distance(own[0] + 1e-3, own[1]), distance(own[0], own[1] + 1e-3));
    let sd = &weighted.model.population_sd;
    assert!((up * sd[1] / (aside * sd[0]) - 2f64.sqrt()).abs() < 1e-3);
}

#[test]
fn a_weight_must_be_of_a_feature_and_positive() {
    let columns = mixed(&["north", "south"]);
    let refused =
        |name: &str, weight: f64| fitted_columns(&columns, &[(name, weight)], 2).unwrap_err();
    assert_eq!(refused("city", 1.0), Error::UnknownWeight { column: "city".into() });
    for weight in [0.0, -1.0, f64::INFINITY] {
        let invalid = Error::InvalidWeight { column: "region".into(), weight };
        assert_eq!(refused("region", weight), invalid);
    }
    assert!(matches!(refused("spend", f64::NAN), Error::InvalidWeight { .. }));
}

#[test]
fn a_warm_fit_goes_on_when_levels_come_and_go() {
    let first = fitted_columns(&mixed(&["north", "south", "west"]), &[], 3).unwrap().model;
    let columns = mixed(&["north", "east", "west"]);
    let features = Features::of(&columns, &Default::default()).unwrap();
    let rows = bind(&columns, &features.names, &features.categories).unwrap();
    let params = Params::new(3).check(600, features.len()).unwrap();
    let again = fit_from(&rows, &features, &first, &params, &Watch::new()).unwrap().model;
    assert_eq!(again.features, ["spend", "region=east", "region=north", "region=west"]);
    for segment in 1..=3 {
        let spend = |model: &KMeans| model.centroid(segment).unwrap()[0];
        assert!((spend(&again) - spend(&first)).abs() < 1e-9, "segment {segment} is another");
    }
    let mut renamed = features.clone();
    renamed.names[0] = "age".into();
    assert!(fit_from(&rows, &renamed, &first, &params, &Watch::new()).is_err());
}

#[test]
fn an_odd_row_is_far_by_the_measure_of_its_own_segment() {
    let points =
        array![[0.0, 0.0], [2.0, 0.0], [100.0, 0.0], [140.0, 0.0], [500.0, 3.0], [500.0, 3.0]];
    let model = check_fit(&points, &raw(3)).model;
    let prepared = model.prepare();
    let spread: Vec<f64> = (1..=3)
        .map(|s| model.spread[prepared.segment(model.centroid(s).unwrap()).unwrap() as usize - 1])
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

fn cosine(k: i64) -> Params {
    Params { metric: Metric::Cosine, ..raw(k) }
}

#[test]
fn directions_make_segments_whatever_the_lengths_of_the_rows() {
    let random = Random::new(8, 8);
    let directions = [[3.0, 0.1], [0.2, 5.0], [-1.0, -1.0]];
    let points = Array2::from_shape_fn((900, 2), |(row, feature)| {
        let length = 10f64.powi((random.at(row as u64) % 7) as i32 - 3);
        let noise = crate::algo::random::unit(random.at((1000 + row * 2 + feature) as u64)) - 0.5;
        length * (directions[row % 3][feature] + 0.1 * noise)
    });
    let fit = fitted(&points, &cosine(3)).unwrap();
    let prepared = fit.model.prepare();
    for (row, values) in points.rows().into_iter().enumerate() {
        assert_eq!(fit.labels[row], fit.labels[row % 3], "row {row}");
        assert_eq!(prepared.segment(&values.to_vec()), Some(fit.labels[row]));
        assert_eq!(prepared.segment(&(1e6 * &values).to_vec()), Some(fit.labels[row]));
    }
    assert_eq!((fit.model.sizes.as_slice(), fit.model.check()), (&[300; 3][..], Ok(())));
    // A quarter turn from a centroid is the square root of 2 away.
    let centroid = fit.model.centroid(1).unwrap();
    let [x, y] = [centroid[0], centroid[1]];
    let turned = [-y, x];
    let apart = (0..3).map(|_| prepared.distance(&[x, y]).unwrap()).fold(0.0, f64::max);
    assert!(apart < 1e-6);
    let nearest = prepared.distance(&turned).unwrap();
    let cos = (1..=3)
        .map(|s| fit.model.centroid(s).unwrap())
        .map(|c| (c[0] * turned[0] + c[1] * turned[1]) / (c[0].hypot(c[1]) * x.hypot(y)));
    let expected = (2.0 - 2.0 * cos.fold(-1.0, f64::max)).sqrt();
    assert!((nearest - expected).abs() < 1e-5, "{nearest} {expected}");
    // The means are of the rows themselves.
    let means = fit.model.means.as_ref().unwrap();
    let rows: Vec<usize> = (0..900).filter(|&row| fit.labels[row] == 1).collect();
    let mean = rows.iter().map(|&row| points[[row, 0]]).sum::<f64>() / rows.len() as f64;
    assert!((means[0] - mean).abs() < 1e-9 * mean.abs());
}

#[test]
fn a_cosine_fit_labels_its_rows_as_its_model_does() {
    for (k, scaling) in [(30, Scaling::None), (5, Scaling::Standard)] {
        let points = blobs(5_000, 6, 40, 3.0, 11);
        let fit = fitted(&points, &Params { scaling, ..cosine(k) }).unwrap();
        let prepared = fit.model.prepare();
        for (row, &label) in points.rows().into_iter().zip(&fit.labels) {
            assert_eq!(prepared.segment(&row.to_vec()), Some(label));
        }
        let distances =
            points.rows().into_iter().map(|row| prepared.distance(&row.to_vec()).unwrap());
        let inertia: f64 = distances.map(|distance| distance * distance).sum();
        assert!((inertia / fit.inertia - 1.0).abs() < 1e-4, "{inertia} {}", fit.inertia);
    }
}

#[test]
fn a_row_without_a_direction_is_refused_and_has_no_segment() {
    let points = array![[1.0, 0.0], [0.0, 0.0], [0.0, 2.0]];
    assert_eq!(fitted(&points, &cosine(2)), Err(Error::NoDirection { row: 1 }));
    let fit = fitted(&array![[1.0, 0.0], [0.0, 2.0]], &cosine(2)).unwrap();
    assert_eq!(fit.model.segment(&[0.0, 0.0]), None);
    assert_eq!(fit.model.distance(&[0.0, 0.0]), None);
}

#[test]
fn a_fit_with_its_arrays_on_disk_is_the_one_in_memory() {
    for (n_rows, k) in [(1, 1), (70_003, 30), (3_000, 5)] {
        let points = blobs(n_rows, 3, 7, 2.0, 3);
        let mut params = Params { n_init: 2, quality: true, ..Params::new(k) };
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
        let ours = check_fit(&points, &Params { n_init: 10, ..raw(8) }).inertia;
        assert!(ours <= 1.02 * linfa, "{ours} {linfa}");
    }
}
