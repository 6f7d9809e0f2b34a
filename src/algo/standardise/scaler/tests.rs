use super::*;
use crate::algo::standardise::quantiles::Quantiles;
use crate::algo::standardise::stats::{PARTS, clear, observe};

fn stats(rows: &[[f64; 2]]) -> FeatureStats {
    let mut block = vec![0.0; 2 * PARTS];
    clear(&mut block);
    rows.iter().for_each(|row| observe(&mut block, row));
    FeatureStats::from_block(None, &block)
}

#[track_caller]
fn check_scaled(scaler: &Scaler, row: [f64; 2], expected: [f64; 2]) {
    let mut scaled = row;
    scaler.scale(&mut scaled);
    let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-12 || (a.is_nan() && b.is_nan());
    assert!(scaled.iter().zip(&expected).all(close), "{scaled:?} is not {expected:?}");
    scaler.unscale(&mut scaled);
    assert!(scaled.iter().zip(&row).all(close), "{scaled:?} is not {row:?}");
}

#[test]
fn standard_scaling_is_scikit_learns() {
    // sklearn.preprocessing.StandardScaler().fit([[0, 0], [0, 0], [1, 1], [1, 1]]).transform([[2, 2]]) -> [[3, 3]]
    let scaler =
        Scaler::standard(&stats(&[[0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [1.0, 1.0]])).unwrap();
    check_scaled(&scaler, [2.0, 2.0], [3.0, 3.0]);
}

#[test]
fn minmax_scaling_is_scikit_learns() {
    // MinMaxScaler().fit([[-1, 2], [-.5, 6], [0, 10], [1, 18]]).transform([[2, 2]]) -> [[1.5, 0]]
    let scaler =
        Scaler::minmax(&stats(&[[-1.0, 2.0], [-0.5, 6.0], [0.0, 10.0], [1.0, 18.0]]), 0.0, 1.0)
            .unwrap();
    check_scaled(&scaler, [2.0, 2.0], [1.5, 0.0]);
}

#[test]
fn a_constant_feature_has_scale_one() {
    let rows = [[0.1, 1e300], [0.1, 1e300], [0.1, 1e300]];
    assert_eq!(Scaler::standard(&stats(&rows)).unwrap().scale, [1.0, 1.0]);
    assert_eq!(Scaler::minmax(&stats(&rows), 0.0, 1.0).unwrap().scale, [1.0, 1.0]);
}

#[test]
fn a_missing_value_stays_missing_and_a_feature_without_values_scales_to_missing() {
    let scaler = Scaler::standard(&stats(&[[1.0, f64::NAN], [3.0, f64::NAN]])).unwrap();
    check_scaled(&scaler, [f64::NAN, f64::NAN], [f64::NAN, f64::NAN]);
    let mut row = [2.0, 2.0];
    scaler.scale(&mut row);
    assert_eq!(row[0], 0.0);
    assert!(row[1].is_nan());
}

#[test]
fn the_whole_range_of_floats_is_scaled() {
    let rows = [[-1e308, 0.0], [1e308, 1.0]];
    let mut quantiles = FeatureQuantiles::new(None, 2);
    quantiles.of[0].values = vec![(-1e308, 4), (0.0, 1), (1e308, 4)];
    quantiles.of[1].values = vec![(-2.0, 4), (0.0, 1), (2.0, 4)];
    for (scaler, low, middle, high) in [
        (Scaler::minmax(&stats(&rows), 0.0, 1.0).unwrap(), 0.0, 0.5, 1.0),
        (Scaler::minmax(&stats(&rows), -1.0, 3.0).unwrap(), -1.0, 1.0, 3.0),
        (Scaler::maxabs(&stats(&rows)), -1.0, 0.0, 1.0),
        (Scaler::robust(&quantiles), -0.5, 0.0, 0.5),
        (Scaler::quantile(&quantiles, Kind::Uniform), 0.0, 0.5, 1.0),
    ] {
        assert_eq!(scaler.check(), Ok(()));
        for (x, expected) in [(-1e308, low), (0.0, middle), (1e308, high)] {
            let mut row = [x, 0.5];
            scaler.scale(&mut row);
            assert!((row[0] - expected).abs() < 1e-15, "{:?} of {x}: {row:?}", scaler.kind);
            scaler.unscale(&mut row);
            assert!((row[0] - x).abs() <= 1e293, "{:?} of {x}: {row:?}", scaler.kind);
            assert!((row[1] - 0.5).abs() < 1e-15);
        }
    }
    // A range that is more than the floats of the range that it is to be scaled to.
    assert!(Scaler::minmax(&stats(&rows), 0.0, 0.1).is_err());
}

#[test]
fn a_value_far_from_the_center_is_scaled_although_its_distance_is_beyond_the_floats() {
    let scaler = Scaler::standard(&stats(&[[1e150, 0.0], [-1e150, 0.0]])).unwrap();
    let scaler = Scaler { center: vec![Some(-1e308), Some(0.0)], ..scaler };
    let mut row = [1e308, 0.0];
    scaler.scale(&mut row);
    assert!((row[0] / 2e158 - 1.0).abs() < 1e-15, "{row:?}");
}

/// [[0, 1], [0, 3], [1, 3], [2, 3], [5, 9], [NaN, -2], [7, 8]], the fit of the figures below.
fn rows() -> [[f64; 2]; 7] {
    [[0., 1.], [0., 3.], [1., 3.], [2., 3.], [5., 9.], [f64::NAN, -2.], [7., 8.]]
}

fn quantiles() -> FeatureQuantiles {
    let mut all = FeatureQuantiles::new(None, 2);
    for row in rows() {
        for (one, x) in all.of.iter_mut().zip(row) {
            if x.is_nan() { one.nulls += 1 } else { one.add(&mut [Quantiles::key(x)]).unwrap() }
        }
    }
    all
}

#[track_caller]
fn check_scikit_learn(scaler: &Scaler, tolerance: f64, expected: [[f64; 2]; 3]) {
    assert_eq!(scaler.check(), Ok(()));
    for (row, expected) in [[1.0, 4.0], [5.0, 3.0], [-3.0, 20.0]].into_iter().zip(expected) {
        let mut scaled = row;
        scaler.scale(&mut scaled);
        for (found, expected) in scaled.iter().zip(expected) {
            assert!(
                (found - expected).abs() <= tolerance * expected.abs().max(1.0),
                "{row:?}: {scaled:?}"
            );
        }
    }
    let mut missing = [f64::NAN; 2];
    scaler.scale(&mut missing);
    assert!(missing.iter().all(|x| x.is_nan()));
}

#[test]
fn other_scalers_of_a_summary_are_scikit_learns() {
    let stats = stats(&rows());
    let maxabs = [[1. / 7., 4. / 9.], [5. / 7., 3. / 9.], [-3. / 7., 20. / 9.]];
    check_scikit_learn(&Scaler::maxabs(&stats), 1e-15, maxabs);
    let minmax = [
        [-0.4285714285714286, 1.1818181818181819],
        [1.8571428571428568, 0.8181818181818181],
        [-2.7142857142857144, 7.000000000000001],
    ];
    check_scikit_learn(&Scaler::minmax(&stats, -1.0, 3.0).unwrap(), 1e-14, minmax);
}

#[test]
fn scalers_of_quantiles_are_scikit_learns() {
    let quantiles = quantiles();
    let robust = [[-0.125, 0.2857142857142857], [0.875, 0.0], [-1.125, 4.857142857142857]];
    check_scikit_learn(&Scaler::robust(&quantiles), 1e-15, robust);
    // 3 lies in the middle of the three values that equal it; scikit-learn gives 0.583, as rounding parts them there.
    let uniform = [[0.4, 0.7], [0.8095238095238095, 0.5], [0.0, 1.0]];
    check_scikit_learn(&Scaler::quantile(&quantiles, Kind::Uniform), 1e-14, uniform);
    let normal = [
        [-0.2533471031357997, 0.5244005127080407],
        [0.8761428492468408, 0.0],
        [-5.199337582605575, 5.19933758270342],
    ];
    check_scikit_learn(&Scaler::quantile(&quantiles, Kind::Normal), 1e-9, normal);
    let power = [
        [-0.26830570889446326, 0.1703590813426613],
        [1.054167042464603, -0.10424299735144563],
        [-13.05827275463024, 4.102151208572581],
    ];
    check_scikit_learn(&Scaler::yeo_johnson(&quantiles), 1e-6, power);
}

#[test]
fn a_feature_without_values_scales_to_missing_and_a_constant_one_to_its_middle() {
    let mut all = FeatureQuantiles::new(None, 2);
    all.of[0].values = vec![(4.0, 9)];
    all.of[1].nulls = 9;
    for scaler in [
        Scaler::robust(&all),
        Scaler::log1p(&all),
        Scaler::yeo_johnson(&all),
        Scaler::quantile(&all, Kind::Uniform),
        Scaler::quantile(&all, Kind::Normal),
    ] {
        assert_eq!(scaler.check(), Ok(()));
        let mut row = [4.0, 1.0];
        scaler.scale(&mut row);
        assert!(row[0].is_finite() && row[1].is_nan(), "{:?}: {row:?}", scaler.kind);
    }
}

#[test]
fn unscaling_takes_every_scaler_back() {
    let quantiles = quantiles();
    for scaler in [
        Scaler::minmax(&stats(&rows()), -1.0, 3.0).unwrap(),
        Scaler::maxabs(&stats(&rows())),
        Scaler::robust(&quantiles),
        Scaler::log1p(&quantiles),
        Scaler::yeo_johnson(&quantiles),
        Scaler::quantile(&quantiles, Kind::Uniform),
        Scaler::quantile(&quantiles, Kind::Normal),
    ] {
        let mut row = [1.5, 5.0];
        scaler.scale(&mut row);
        scaler.unscale(&mut row);
        assert!((row[0] - 1.5).abs() + (row[1] - 5.0).abs() < 1e-6, "{:?}: {row:?}", scaler.kind);
    }
}
