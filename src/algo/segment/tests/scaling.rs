//! Facts about fits in every scaling.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::algo::frame::Column;
use crate::algo::standardise::quantiles::{FeatureQuantiles, Quantiles};
use crate::algo::standardise::scaler::Scaler;

const ALL: [Scaling; 7] = [
    Scaling::Standard,
    Scaling::None,
    Scaling::Minmax,
    Scaling::Maxabs,
    Scaling::Robust,
    Scaling::Log1p,
    Scaling::YeoJohnson,
];

/// Days since, number and sum of purchases of a shop in which few buy most: both of the last span four decades.
fn purchases(n_rows: usize) -> Array2<f64> {
    let mut random = Random::new(11, 3);
    let mut normal = move || (0..12).map(|_| random.uniform()).sum::<f64>() - 6.0;
    let mut points = Array2::zeros((n_rows, 3));
    for mut row in points.rows_mut() {
        let (size, often) = (normal(), normal());
        row[0] = (60.0 * (0.9 * normal()).exp()).round();
        row[1] = (3.0 * (1.1 * often).exp()).ceil();
        row[2] = (row[1] * 40.0 * (1.2 * size).exp()).round();
    }
    points
}

fn scaled(k: i64, scaling: Scaling) -> Params {
    Params { scaling, n_init: 5, ..Params::new(k) }
}

#[test]
fn a_fit_of_any_scaling_labels_as_its_model_does_and_tells_the_rows_own_means() {
    let points = purchases(3000);
    for scaling in ALL {
        let fit = fitted(&points, &scaled(4, scaling)).unwrap();
        let model = &fit.model;
        assert_eq!(model.check(), Ok(()), "{scaling:?}");
        let prepared = model.prepare();
        let mut sums = Array2::<f64>::zeros((4, 3));
        let mut inertia = 0.0;
        for (row, &label) in points.rows().into_iter().zip(&fit.labels) {
            let (segment, distance) = prepared.nearest(&row.to_vec()).unwrap();
            assert_eq!(segment, label, "{scaling:?}");
            inertia += distance * distance;
            sums.row_mut(label as usize - 1).zip_mut_with(&row, |sum, value| *sum += value);
        }
        assert!((inertia - model.inertia).abs() <= 1e-5 * inertia, "{scaling:?}");
        for row in profile(model) {
            let feature = row.feature[1..].parse::<usize>().unwrap();
            let segment = row.segment as usize - 1;
            let mean = sums[[segment, feature]] / model.sizes[segment] as f64;
            let rounding = 1e-5 * mean.abs().max(1.0) + 1e-6 * model.scale[feature];
            assert!((row.mean - mean).abs() <= rounding, "{scaling:?} {row:?}");
        }
        for segment in 1..=4 {
            let centroid = model.centroid(segment).unwrap();
            assert_eq!(prepared.segment(&centroid), Some(segment), "{scaling:?}");
            for (feature, value) in centroid.iter().enumerate() {
                let shown = model.shown_centroid((segment as usize - 1) * 3 + feature);
                assert!((shown - value).abs() <= 1e-4 * value.abs(), "{scaling:?} {shown} {value}");
            }
        }
    }
}

#[test]
fn curves_balance_the_segments_of_heavy_tails() {
    let points = purchases(4000);
    let sizes = |scaling| fitted(&points, &scaled(4, scaling)).unwrap().model.sizes;
    let smallest = |scaling| *sizes(scaling).last().unwrap();
    assert!(smallest(Scaling::Standard) < 100, "{:?}", sizes(Scaling::Standard));
    for scaling in [Scaling::Log1p, Scaling::YeoJohnson] {
        assert!(smallest(scaling) > 400, "{scaling:?}: {:?}", sizes(scaling));
    }
}

#[test]
fn words_tell_what_is_far_behind_a_curve() {
    let points = purchases(4000);
    let columns: Vec<Column> = ["recency_days", "frequency", "monetary"]
        .into_iter()
        .enumerate()
        .map(|(feature, name)| Column::number(name, points.column(feature).to_vec()))
        .collect();
    let features = Features::of(&columns, &BTreeMap::new()).unwrap();
    let rows = features.dimensions().bind(&columns).unwrap();
    let params = scaled(4, Scaling::Log1p).check(4000, 3).unwrap();
    let model = fit(&rows, &features, &params, &Watch::new()).unwrap().model;
    let words = in_plain_words(&profile(&model));
    assert!(words.iter().any(|words| words.contains("high spend")), "{words:?}");
    assert!(words.iter().any(|words| words.contains("low spend")), "{words:?}");
    assert!(!words.iter().any(|words| words.starts_with("average")), "{words:?}");
}

#[test]
fn centers_and_scales_are_those_of_the_scalers() {
    let points = purchases(900);
    let mut quantiles = FeatureQuantiles::new(None, 3);
    for (feature, of) in quantiles.of.iter_mut().enumerate() {
        let mut keys: Vec<u64> =
            points.column(feature).iter().map(|x| Quantiles::key(*x)).collect();
        of.add(&mut keys).unwrap();
    }
    let scalers = [
        (Scaling::Robust, Scaler::robust(&quantiles)),
        (Scaling::Log1p, Scaler::log1p(&quantiles)),
        (Scaling::YeoJohnson, Scaler::yeo_johnson(&quantiles)),
    ];
    for (scaling, scaler) in scalers {
        let model = fitted(&points, &scaled(3, scaling)).unwrap().model;
        for feature in 0..3 {
            let (center, scale) = (scaler.center[feature].unwrap(), scaler.scale[feature]);
            assert!((model.center[feature] - center).abs() <= 1e-9 * scale, "{scaling:?}");
            assert!((model.scale[feature] - scale).abs() <= 1e-9 * scale, "{scaling:?}");
        }
    }
    let model = fitted(&points, &scaled(3, Scaling::Minmax)).unwrap().model;
    let least = points.column(2).iter().copied().fold(f64::MAX, f64::min);
    let most = points.column(2).iter().copied().fold(f64::MIN, f64::max);
    assert_eq!((model.center[2], model.scale[2]), (least, most - least));
    let model = fitted(&points, &scaled(3, Scaling::Maxabs)).unwrap().model;
    assert_eq!((model.center[2], model.scale[2]), (0.0, most));
}

#[test]
fn equal_quartiles_leave_a_feature_its_deviation() {
    let mut points = purchases(400);
    points.column_mut(1).iter_mut().enumerate().for_each(|(row, x)| *x = f64::from(row % 9 == 0));
    let model = fitted(&points, &scaled(2, Scaling::Robust)).unwrap().model;
    assert_eq!((model.center[1], model.scale[1]), (0.0, model.population_sd[1]));
}

#[test]
fn a_constant_feature_harms_no_scaling() {
    let mut points = purchases(300);
    points.column_mut(0).fill(7.5);
    for scaling in ALL {
        let fit = fitted(&points, &scaled(3, scaling)).unwrap();
        assert_eq!(fit.model.check(), Ok(()), "{scaling:?}");
        assert!((fit.model.centroid(1).unwrap()[0] - 7.5).abs() < 1e-5, "{scaling:?}");
    }
}

fn columns() -> Vec<Column> {
    let points = purchases(500);
    let mut columns: Vec<Column> = (0..2)
        .map(|feature| {
            Column::number(["recency", "monetary"][feature], points.column(feature * 2).to_vec())
        })
        .collect();
    columns.push(Column::text("shop", (0..500).map(|row| Some(["a", "b", "c"][row % 3]))));
    columns
}

#[test]
fn columns_are_scaled_each_in_its_way_and_indicators_in_none() {
    let columns = columns();
    let ways = BTreeMap::from([("monetary".to_owned(), Scaling::Log1p)]);
    let features = Features::of(&columns, &BTreeMap::new()).unwrap().scaled_by(&ways).unwrap();
    let rows = features.dimensions().bind(&columns).unwrap();
    let params = Params::new(3).check(500, 5).unwrap();
    let model = fit(&rows, &features, &params, &Watch::new()).unwrap().model;
    assert_eq!((model.curve(0), model.curve(2)), (Curve::Straight, Curve::Straight));
    assert!(matches!(model.curve(1), Curve::Log1p { .. }));
    assert_eq!(
        (model.center[0], model.scale[0]),
        (model.population_mean[0], model.population_sd[0])
    );
    assert_eq!((&model.center[2..], &model.scale[2..]), (&[0.0; 3][..], &[1.0; 3][..]));
    for scaling in ALL {
        let params = Params { scaling, ..Params::new(3) }.check(500, 5).unwrap();
        let features = Features::of(&columns, &BTreeMap::new()).unwrap();
        let model = fit(&rows, &features, &params, &Watch::new()).unwrap().model;
        assert_eq!((&model.center[2..], &model.scale[2..]), (&[0.0; 3][..], &[model.unit; 3][..]));
    }
}

#[test]
fn a_scaling_of_no_column_of_numbers_is_refused_with_those_there_are() {
    for column in ["shop", "shop=a", "price"] {
        let ways = BTreeMap::from([(column.to_owned(), Scaling::Robust)]);
        let known = vec!["recency".to_owned(), "monetary".to_owned()];
        let refused = Features::of(&columns(), &BTreeMap::new()).unwrap().scaled_by(&ways);
        assert_eq!(refused, Err(Error::UnknownScaling { column: column.into(), known }));
    }
}

#[test]
fn log1p_refuses_what_has_no_logarithm_and_a_model_leaves_it_without_a_segment() {
    let mut points = purchases(300);
    let model = fitted(&points, &scaled(3, Scaling::Log1p)).unwrap().model;
    for value in [-1.0, -20.0] {
        assert_eq!(model.segment(&[1.0, value, 1.0]), None);
        points[[41, 1]] = value;
        let expected = Error::NoLogarithm { feature: "f1".into(), row: 41, value };
        assert_eq!(fitted(&points, &scaled(3, Scaling::Log1p)), Err(expected));
    }
    points[[41, 1]] = f64::NAN;
    let missing = Error::MissingValue { feature: "f1".into(), row: 41 };
    assert_eq!(fitted(&points, &scaled(3, Scaling::Log1p)), Err(missing));
}

#[test]
fn a_warm_fit_goes_on_from_centroids_behind_other_curves() {
    let points = purchases(3000);
    for (before, after) in
        [(Scaling::YeoJohnson, Scaling::YeoJohnson), (Scaling::Log1p, Scaling::YeoJohnson)]
    {
        let first = fitted(&points, &scaled(4, before)).unwrap();
        let params = scaled(4, after).check(3000, 3).unwrap();
        let again =
            fit_from(points.view(), &names(3), &first.model, &params, &Watch::new()).unwrap();
        let same = first.labels.iter().zip(&again.labels).filter(|(a, b)| a == b).count();
        assert!(same > 2700, "{before:?} {after:?}: {same}");
        let expected: Vec<_> = (1..=4).map(Some).collect();
        assert_eq!(successors(&first.model, &again.model), expected);
    }
}

#[test]
fn threads_decide_nothing_in_any_scaling() {
    let points = purchases(20_000);
    for scaling in ALL {
        let on = |n_threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            pool.install(|| fitted(&points, &scaled(4, scaling)).unwrap())
        };
        assert_eq!(on(1), on(5), "{scaling:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_whole_weight_counts_as_so_many_rows(
        weights in proptest::collection::vec(0u8..4, 60..90), which in 0usize..7, offset in -50.0..50.0,
    ) {
        let scaling = if which == 5 { Scaling::YeoJohnson } else { ALL[which] };
        let points = purchases(weights.len()).mapv(|x| x + offset);
        let weighing: Vec<f64> = weights.iter().map(|&weight| f64::from(weight)).collect();
        let rows: Vec<usize> = (0..weights.len())
            .flat_map(|row| std::iter::repeat_n(row, usize::from(weights[row])))
            .collect();
        prop_assume!(rows.len() > 20);
        let repeated = points.select(ndarray::Axis(0), &rows);
        let params = |n: usize| Params { scaling, ..Params::new(1) }.check(n, 3).unwrap();
        let weights = RowWeights::new("n", weighing[..].into()).unwrap();
        let weighted = Weighted { rows: points.view(), weights };
        let one = fit(weighted, &names(3), &params(weighing.len()), &Watch::new()).unwrap().model;
        let other = fit(repeated.view(), &names(3), &params(rows.len()), &Watch::new()).unwrap().model;
        for feature in 0..3 {
            let scale = other.scale[feature];
            prop_assert!((one.scale[feature] - scale).abs() <= 1e-6 * scale, "{scaling:?}");
            prop_assert!((one.center[feature] - other.center[feature]).abs() <= 1e-6 * scale, "{scaling:?}");
        }
    }
}

#[test]
fn choosing_k_takes_any_scaling() {
    let points = purchases(1500);
    for scaling in ALL {
        let params = Params { scaling, ..Params::new(2) };
        let candidates =
            choose_k(&points.view(), &names(3), &params, 2..=4, 800, &Watch::new()).unwrap();
        assert_eq!(candidates.len(), 3, "{scaling:?}");
        assert!(candidates.iter().all(|one| one.quality.silhouette.is_some()), "{scaling:?}");
    }
}
