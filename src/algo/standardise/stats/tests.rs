use super::*;
use proptest::prelude::*;

fn summarise(rows: &[f64]) -> Vec<f64> {
    let mut block = vec![0.0; PARTS];
    clear(&mut block);
    rows.iter().for_each(|&x| observe(&mut block, &[x]));
    block
}

#[track_caller]
fn check_close(found: f64, expected: f64, relative: f64) {
    let scale = expected.abs().max(1e-300);
    assert!((found - expected).abs() <= relative * scale, "{found} is not {expected}");
}

#[test]
fn no_rows_have_no_mean() {
    let stats = FeatureStats::from_block(None, &summarise(&[]));
    assert_eq!((stats.n[0], stats.mean[0], stats.min[0], stats.max[0]), (0, None, None, None));
    assert_eq!(stats.stddev_pop(), [None]);
    assert_eq!(stats.check(), Ok(()));
    assert_eq!(FeatureStats::from_block(None, &stats.to_block()), stats);
}

#[test]
fn moments_equal_their_definition() {
    let rows: Vec<f64> = (0..1000).map(|i| ((i * 7919) % 1000) as f64 / 10.0 + 1e3).collect();
    let block = summarise(&rows);
    let mean = rows.iter().sum::<f64>() / 1000.0;
    let moment = |k| rows.iter().map(|x| (x - mean).powi(k)).sum::<f64>();
    check_close(part(&block, Part::Mean)[0], mean, 1e-14);
    check_close(part(&block, Part::M2)[0], moment(2), 1e-12);
    assert!((part(&block, Part::M3)[0] - moment(3)).abs() < 1e-6 * moment(4));
    check_close(part(&block, Part::M4)[0], moment(4), 1e-11);
}

/// Eight correct digits (a log relative error of 8), of one summary and of one merged out of seven.
#[track_caller]
fn check_certified(name: &str, rows: &[f64], mean: f64, sd: f64) {
    let mut merged = summarise(&[]);
    for part in 0..7 {
        let part: Vec<f64> = rows.iter().skip(part).step_by(7).copied().collect();
        merge(&mut merged, &summarise(&part));
    }
    for block in [summarise(rows), merged] {
        let stats = FeatureStats::from_block(None, &block);
        let found = [stats.mean[0].unwrap(), stats.stddev_samp()[0].unwrap()];
        for (found, certified) in found.into_iter().zip([mean, sd]) {
            let error = ((found - certified) / certified).abs();
            assert!(error <= 1e-8, "{name}: {found} is not {certified}");
        }
    }
}

#[test]
fn summaries_reach_the_certified_values_of_nist() {
    let text = include_str!("../../../../tests/data/nist_univariate.txt");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.len(), 10);
    let numbers = |line: &str| -> Vec<f64> {
        line.split_whitespace().map(|number| number.parse().unwrap()).collect()
    };
    for set in lines.chunks(2) {
        let (name, certified) = set[0].split_once(' ').unwrap();
        let certified = numbers(certified);
        check_certified(name, &numbers(set[1]), certified[0], certified[1]);
    }
    // NumAcc1 to 4 are made by rule: a large middle and values about it in turn, whose deviation is 0.1 (1 of the first).
    check_certified("NumAcc1", &[10_000_001.0, 10_000_003.0, 10_000_002.0], 10_000_002.0, 1.0);
    for (name, low, middle, high) in [
        ("NumAcc2", 1.1, 1.2, 1.3),
        ("NumAcc3", 1_000_000.1, 1_000_000.2, 1_000_000.3),
        ("NumAcc4", 10_000_000.1, 10_000_000.2, 10_000_000.3),
    ] {
        let mut rows = vec![middle];
        rows.extend((0..500).flat_map(|_| [low, high]));
        check_certified(name, &rows, middle, 0.1);
    }
}

#[test]
fn merging_in_any_split_gives_the_serial_result() {
    let rows: Vec<f64> =
        (0..500).map(|i| (f64::from(i) * 0.37).sin() * 50.0 + f64::from(i)).collect();
    let serial = summarise(&rows);
    for split in [0, 1, 17, 250, 499, 500] {
        let mut merged = summarise(&rows[..split]);
        merge(&mut merged, &summarise(&rows[split..]));
        // But for the low part of the mean, which is below its last digit.
        for (found, expected) in merged[..PARTS - 1].iter().zip(&serial) {
            check_close(*found, *expected, 1e-12);
        }
    }
}

#[test]
fn deviations_keep_their_digits_far_from_zero() {
    // The deviation of 0, 1, 3, 4 and of 0, 1, 3, 4.25: both are floats at 1.7e12 (milliseconds since 1970) as well.
    for (offsets, sd) in [
        ([0.0, 1.0, 3.0, 4.0], 1.5811388300841898),
        ([0.0, 1.0, 3.0, 4.25], 1.661_841_975_038_541_3),
    ] {
        for base in [0.0, 1.7e12, -1.7e12, 1.7e9] {
            let rows: Vec<f64> = (0..4000).map(|i| base + offsets[i % 4]).collect();
            let mut merged = summarise(&rows[..7]);
            rows[7..].chunks(3).for_each(|part| merge(&mut merged, &summarise(part)));
            for block in [summarise(&rows), merged] {
                let found = FeatureStats::from_block(None, &block);
                check_close(found.stddev_pop()[0].unwrap(), sd, 1e-14);
                let back: FeatureStats =
                    serde_json::from_str(&serde_json::to_string(&found).unwrap()).unwrap();
                assert_eq!(back, found);
            }
        }
    }
    // Nor does the first value decide, when it is far from all others.
    let rows: Vec<f64> = (0..1000).map(|i| 1.7e12 + f64::from(i % 3)).chain([0.0]).collect();
    let backward: Vec<f64> = rows.iter().rev().copied().collect();
    let sds = [rows, backward]
        .map(|rows| FeatureStats::from_block(None, &summarise(&rows)).stddev_samp()[0]);
    sds.iter().for_each(|sd| check_close(sd.unwrap(), 53_731_861_005.517_76, 1e-13));
}

#[test]
fn the_mean_of_the_greatest_floats_is_a_float_and_comes_back_from_text() {
    for (rows, mean) in [
        (vec![1e308, -1e308], 0.0),
        (vec![-1e308, 1e308, 1e308, 1e308], 5e307),
        (vec![f64::MAX, f64::MAX, f64::MIN], f64::MAX / 3.0),
        (vec![1e308, 1e308, 1e308], 1e308),
    ] {
        let mut merged = summarise(&rows[..1]);
        merge(&mut merged, &summarise(&rows[1..]));
        for block in [summarise(&rows), merged] {
            let stats = FeatureStats::from_block(None, &block);
            assert!((stats.mean[0].unwrap() - mean).abs() < 1e294, "{stats:?}");
            assert_eq!(stats.check(), Ok(()));
            let text = serde_json::to_string(&stats).unwrap();
            let back: FeatureStats = serde_json::from_str(&text).unwrap();
            assert_eq!((&back, back.check()), (&stats, Ok(())));
            assert_eq!(FeatureStats::from_block(None, &back.to_block()), stats);
        }
    }
}

#[test]
fn a_missing_value_is_counted_and_skipped_for_its_feature_alone() {
    let mut block = vec![0.0; 2 * PARTS];
    clear(&mut block);
    observe(&mut block, &[1.0, f64::NAN]);
    observe(&mut block, &[3.0, 5.0]);
    let stats = FeatureStats::from_block(None, &block);
    assert_eq!((stats.n, stats.nulls), (vec![2, 1], vec![0, 1]));
    assert_eq!(stats.mean, [Some(2.0), Some(5.0)]);
}

#[test]
fn moments_beyond_the_range_of_floats_are_unknown_and_the_mean_stays() {
    let stats = FeatureStats::from_block(None, &summarise(&[1e300, -1e300, 1e300]));
    assert_eq!((stats.m2[0], stats.m4[0]), (None, None));
    assert!(stats.mean[0].unwrap().is_finite());
    assert_eq!((stats.min[0], stats.max[0]), (Some(-1e300), Some(1e300)));
}

#[test]
fn a_constant_feature_has_no_spread() {
    let stats = FeatureStats::from_block(None, &summarise(&[4.2; 100]));
    assert_eq!(stats.m2, [Some(0.0)]);
    assert_eq!((stats.skewness(), stats.kurtosis()), (vec![None], vec![None]));
}

#[test]
fn skewness_and_kurtosis_are_scipys() {
    // scipy.stats.skew and kurtosis of [2, 8, 0, 4, 1, 9, 9, 0]
    let stats = FeatureStats::from_block(None, &summarise(&[2., 8., 0., 4., 1., 9., 9., 0.]));
    check_close(stats.skewness()[0].unwrap(), 0.2650554122698573, 1e-12);
    check_close(stats.kurtosis()[0].unwrap(), -1.6660010752838508, 1e-12);
}

proptest! {
    #[test]
    fn merging_is_associative_and_an_empty_summary_changes_nothing(
        rows in proptest::collection::vec(-1e6f64..1e6, 0..60), first in 0usize..60, second in 0usize..60,
    ) {
        let (first, second) = (first.min(rows.len()), second.min(rows.len()));
        let (low, high) = (first.min(second), first.max(second));
        let parts = [&rows[..low], &rows[low..high], &rows[high..]].map(summarise);
        let mut left = parts[0].clone();
        merge(&mut left, &parts[1]);
        merge(&mut left, &parts[2]);
        let mut right = parts[1].clone();
        merge(&mut right, &parts[2]);
        let mut both = parts[0].clone();
        merge(&mut both, &right);
        // Beside the moments' own size: a third moment may be nearly 0.
        let m2 = part(&both, Part::M2)[0].max(1.0);
        let n = rows.len().max(1) as f64;
        let sizes = [1.0, 1.0, 1e6, m2, m2.powf(1.5), m2 * m2, 1e6, 1e6];
        for (place, size) in sizes.into_iter().enumerate() {
            let (a, b) = (left[place], both[place]);
            prop_assert!(a == b || (a - b).abs() <= 1e-12 * size * n, "{} {} {}", place, a, b);
        }
        let empty = summarise(&[]);
        let mut same = both.clone();
        merge(&mut same, &empty);
        prop_assert_eq!(&same, &both);
        let mut same = empty;
        merge(&mut same, &both);
        prop_assert_eq!(&same, &both);
    }

    #[test]
    fn text_gives_the_same_again(rows in proptest::collection::vec(proptest::num::f64::NORMAL, 0..20)) {
        let stats = FeatureStats::from_block(Some(vec!["x".into()]), &summarise(&rows));
        let text = serde_json::to_string(&stats).unwrap();
        prop_assert_eq!(serde_json::from_str::<FeatureStats>(&text).unwrap(), stats);
    }
}
