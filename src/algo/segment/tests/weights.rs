//! Facts about rows that count as several, or as none.

use ndarray::Axis;

use super::*;
use crate::algo::store::tests::disk;

fn weighted_fit(points: &Array2<f64>, weights: &[f64], params: &Params) -> Result<Fit, Error> {
    let weights = RowWeights::new("w", weights.into())?;
    let valid = params.check(points.nrows(), points.ncols())?;
    let rows = Weighted { rows: points.view(), weights };
    fit(rows, &names(points.ncols()), &valid, &Watch::new())
}

fn weighted_from(
    points: &Array2<f64>,
    weights: &[f64],
    earlier: &KMeans,
    params: &Params,
) -> Result<Fit, Error> {
    let weights = RowWeights::new("w", weights.into())?;
    let valid = params.check(points.nrows(), points.ncols())?;
    let rows = Weighted { rows: points.view(), weights };
    fit_from(rows, &names(points.ncols()), earlier, &valid, &Watch::new())
}

/// 0 to `most`, by row.
fn whole_weights(n_rows: usize, most: u64) -> Vec<f64> {
    let random = Random::new(4, 4);
    (0..n_rows as u64).map(|row| (random.at(row) % (most + 1)) as f64).collect()
}

/// The rows, each as often as it weighs.
fn duplicated(points: &Array2<f64>, weights: &[f64]) -> Array2<f64> {
    let rows: Vec<usize> =
        weights.iter().enumerate().flat_map(|(row, &n)| vec![row; n as usize]).collect();
    points.select(Axis(0), &rows)
}

#[track_caller]
fn check_close(what: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let difference = (found - expected).abs();
        assert!(difference <= 1e-9 * expected.abs().max(1.0), "{what}: {found} {expected}");
    }
}

#[track_caller]
fn check_counts_as_copies(points: &Array2<f64>, k: i64, params: &Params) {
    let weights = whole_weights(points.nrows(), 4);
    let copies = duplicated(points, &weights);
    let params =
        Params { k, quality: Some(SILHOUETTE_ROWS), max_iterations: 500, ..params.clone() };
    // Any centroids will do, as long as both start from them.
    let start = fitted(points, &Params { max_iterations: 2, ..params.clone() }).unwrap().model;
    let weighted = weighted_from(points, &weights, &start, &params).unwrap();
    let valid = params.check(copies.nrows(), copies.ncols()).unwrap();
    let copied =
        fit_from(copies.view(), &names(points.ncols()), &start, &valid, &Watch::new()).unwrap();
    assert_eq!(weighted.model.ended, Ended::Converged);
    // A row of weight 0 may be the last to find its label.
    assert!(weighted.model.iterations >= copied.model.iterations);
    let mut labels = copied.labels.iter();
    for (row, &weight) in weights.iter().enumerate() {
        let of_copies: Vec<u32> = labels.by_ref().take(weight as usize).copied().collect();
        assert_eq!(of_copies, vec![weighted.labels[row]; weight as usize], "row {row}");
    }
    let (weighted, copied, quality, expected) =
        (weighted.model, copied.model, weighted.quality.unwrap(), copied.quality.unwrap());
    check_close("mean", &weighted.population_mean, &copied.population_mean);
    check_close("sd", &weighted.population_sd, &copied.population_sd);
    check_close("centroids", &weighted.centroids, &copied.centroids);
    check_close("spread", &weighted.spread, &copied.spread);
    check_close("means", &weighted.means.unwrap_or_default(), &copied.means.unwrap_or_default());
    check_close("inertia", &[weighted.inertia], &[copied.inertia]);
    let figures = |quality: Quality| {
        let figures = [quality.davies_bouldin, quality.calinski_harabasz];
        figures.map(|figure| figure.unwrap_or(-1.0))
    };
    check_close("quality", &figures(quality), &figures(expected));
}

#[test]
fn a_row_of_weight_w_counts_as_w_rows() {
    let points = blobs(4_000, 3, 12, 2.0, 3);
    for k in [1, 5, 30] {
        check_counts_as_copies(&points, k, &Params::new(1));
        check_counts_as_copies(&points, k, &raw(1));
    }
    check_counts_as_copies(&(points + 1.0), 6, &Params { metric: Metric::Cosine, ..raw(1) });
}

#[test]
fn weights_of_1_change_no_bit() {
    let points = blobs(3_000, 3, 5, 2.0, 3);
    let fit = check_fit(&points, &Params::new(5));
    assert_eq!(weighted_fit(&points, &[1.0; 3_000], &Params::new(5)).unwrap(), fit);
}

#[test]
fn all_weights_times_a_number_change_the_inertia_alone() {
    let points = blobs(3_000, 3, 8, 2.0, 3);
    let weights: Vec<f64> = whole_weights(3_000, 9).iter().map(|weight| weight + 0.5).collect();
    let once = weighted_fit(&points, &weights, &Params::new(8)).unwrap();
    for factor in [1e-12, 1e12] {
        let scaled: Vec<f64> = weights.iter().map(|weight| weight * factor).collect();
        let times = weighted_fit(&points, &scaled, &Params::new(8)).unwrap();
        assert_eq!(times.labels, once.labels);
        check_close("centroids", &times.model.centroids, &once.model.centroids);
        check_close("spread", &times.model.spread, &once.model.spread);
        check_close("inertia", &[times.model.inertia / factor], &[once.model.inertia]);
        assert_eq!(times.model.check(), Ok(()));
    }
}

#[test]
fn a_row_of_weight_0_has_a_label_and_changes_nothing() {
    let points = blobs(2_000, 2, 6, 1.0, 5);
    let mut more = points.clone();
    let mut weights = vec![2.0; 2_000];
    for row in 0..500 {
        // Far away from all others, where each would be a segment of its own.
        more.push_row(array![1e6 + row as f64, -1e9].view()).unwrap();
        weights.push(0.0);
    }
    for (_, seeding) in Seeding::ALL {
        let params = Params { seeding, ..Params::new(6) };
        let start = fitted(&points, &params).unwrap().model;
        let without = weighted_from(&points, &[2.0; 2_000], &start, &params).unwrap();
        let with = weighted_from(&more, &weights, &start, &params).unwrap();
        assert_eq!(with.labels[..2_000], without.labels[..]);
        check_close("centroids", &with.model.centroids, &without.model.centroids);
        assert_eq!(with.model.sizes.iter().sum::<u64>(), 2_500);
        let fresh = weighted_fit(&more, &weights, &params).unwrap();
        assert!(fresh.model.centroids.iter().all(|&value| value.abs() < 100.0), "{seeding:?}");
        let prepared = fresh.model.prepare();
        for (row, &label) in more.rows().into_iter().zip(&fresh.labels) {
            assert_eq!(prepared.segment(&row.to_vec()), Some(label));
        }
    }
}

#[test]
fn seeds_are_distinct_rows_that_weigh_something() {
    let points = Array2::from_shape_fn((80_000, 1), |(row, _)| (row % 9) as f64);
    let weights: Vec<f64> = (0..80_000).map(|row| f64::from(u8::from(row % 9 < 3))).collect();
    for (_, seeding) in Seeding::ALL {
        let fit = weighted_fit(&points, &weights, &Params { seeding, ..raw(3) }).unwrap();
        let mut centroids = fit.model.centroids.clone();
        centroids.sort_by(f64::total_cmp);
        let differences = centroids.iter().zip([0.0, 1.0, 2.0]).map(|(a, b)| (a - b).abs());
        assert!(differences.fold(0.0, f64::max) < 1e-6, "{seeding:?}: {centroids:?}");
        let refused = weighted_fit(&points, &weights, &Params { seeding, ..raw(4) });
        assert_eq!(refused, Err(Error::TooFewDistinctRows { k: 4, distinct: 3 }), "{seeding:?}");
    }
}

#[test]
fn a_segment_whose_rows_all_weigh_0_is_filled_anew() {
    let points = array![[0.0], [1.0], [10.0], [11.0], [500.0], [501.0]];
    let start = check_fit(&points, &raw(3)).model;
    assert_eq!(start.sizes, [2; 3]);
    let fit = weighted_from(&points, &[1.0, 1.0, 1.0, 1.0, 0.0, 0.0], &start, &raw(3)).unwrap();
    let mut labels: Vec<u32> = fit.labels[..4].to_vec();
    labels.sort_unstable();
    labels.dedup();
    assert_eq!(labels, [1, 2, 3], "the rows that weigh something have all three segments");
    assert!(fit.model.centroids.iter().all(|&centroid| centroid < 12.0));
}

#[test]
fn weighted_fits_are_the_same_bits_on_any_number_of_threads_and_on_disk() {
    let points = blobs(70_000, 4, 20, 3.0, 9);
    let weights: Vec<f64> =
        whole_weights(70_000, 1000).iter().map(|weight| weight.powi(3) / 7.0).collect();
    for (_, seeding) in Seeding::ALL {
        let params = Params {
            seeding,
            quality: Some(SILHOUETTE_ROWS),
            max_iterations: 10,
            ..Params::new(24)
        };
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| weighted_fit(&points, &weights, &params).unwrap())
        };
        let alone = on(1);
        assert_eq!(on(2), alone, "{seeding:?}");
        assert_eq!(on(5), alone, "{seeding:?}");
        let on_disk = Params { place: disk(1 << 30), ..params.clone() };
        assert_eq!(weighted_fit(&points, &weights, &on_disk).unwrap(), alone, "{seeding:?}");
    }
}

#[test]
fn a_sample_has_a_row_as_often_as_it_weighs() {
    let weights: Vec<f64> = (0..1000).map(|row| f64::from(row % 4)).collect();
    let mut random = Random::new(1, 1);
    let sample =
        input::row_weights::even_sample_by_weight(&weights, 60_000, &mut random, &Watch::new())
            .unwrap();
    assert_eq!(sample.len(), 60_000);
    assert!(sample.is_sorted());
    let mut counts = [0usize; 1000];
    sample.iter().for_each(|&row| counts[row] += 1);
    for (row, &count) in counts.iter().enumerate() {
        // 1,500 in all: forty draws for each unit of weight, give or take the ends of its stretch.
        assert!(count.abs_diff(40 * (row % 4)) <= 2, "row {row}: {count}");
    }
}

#[test]
fn a_weight_must_be_0_or_a_number_within_bounds() {
    let points = array![[1.0], [2.0]];
    let refused = |weight: f64| weighted_fit(&points, &[1.0, weight], &raw(1)).unwrap_err();
    for weight in [-1.0, f64::INFINITY, 1e16, 1e-16] {
        let invalid = Error::InvalidRowWeight { column: "w".into(), weight };
        assert_eq!(refused(weight), invalid);
    }
    assert!(matches!(refused(f64::NAN), Error::InvalidRowWeight { .. }));
    let none = weighted_fit(&points, &[0.0, -0.0], &raw(1));
    assert_eq!(none, Err(Error::NoRowWeight { column: "w".into() }));
}

#[test]
fn rows_of_weight_0_have_no_say_in_how_many_segments_there_are() {
    let near = blobs(2_000, 3, 4, 0.5, 11);
    let mut points = near.clone();
    points.append(Axis(0), (blobs(20_000, 3, 9, 0.5, 12) + 100.0).view()).unwrap();
    let weights: Vec<f64> = (0..22_000).map(|row| f64::from(u8::from(row < 2_000))).collect();
    let choose = |rows: Weighted<ndarray::ArrayView2<f64>>| {
        choose_k(&rows, &names(3), &Params::new(1), 2..=6, 1_000, &Watch::new()).unwrap()
    };
    let alone = choose(Weighted { rows: near.view(), weights: RowWeights::NONE });
    let weights = RowWeights::new("w", weights.as_slice().into()).unwrap();
    let among = choose(Weighted { rows: points.view(), weights });
    for (alone, among) in alone.iter().zip(&among) {
        check_close("inertia", &[among.inertia], &[alone.inertia]);
    }
    assert_eq!(best(&among, Criterion::Silhouette), Some(4));
}

#[test]
fn rows_of_equal_content_are_in_the_order_of_their_weights() {
    let points = array![[1.0, 5.0], [1.0, 5.0], [0.0, 9.0]];
    let weights = [3.0, 2.0, 7.0];
    let weights = RowWeights::new("w", (&weights[..]).into()).unwrap();
    let rows = Weighted { rows: points.view(), weights };
    assert_eq!(order_by_content(&rows), Some(vec![2, 1, 0]));
}

#[test]
fn rows_without_a_column_keep_the_others_in_their_order() {
    let points = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
    let of = |column| {
        let rows = Without { rows: points.view(), column };
        let mut copied = [0.0; 2];
        rows.copy(rows.n_features() - 1, 0, &mut copied);
        (0..rows.n_features()).map(|feature| rows.value(1, feature)).chain(copied).collect()
    };
    let check = |column, expected: &[f64]| {
        let found: Vec<f64> = of(column);
        assert_eq!(found, expected);
    };
    check(Some(0), &[5.0, 6.0, 3.0, 6.0]);
    check(Some(1), &[4.0, 6.0, 3.0, 6.0]);
    check(Some(2), &[4.0, 5.0, 2.0, 5.0]);
    check(None, &[4.0, 5.0, 6.0, 3.0, 6.0]);
}
