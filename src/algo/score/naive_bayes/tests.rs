use linfa::Dataset;
use linfa::traits::Fit as _;
use linfa_bayes::{GaussianNb, NaiveBayes as _};
use ndarray::{Array1, Array2};

use super::*;
use crate::algo::frame::{Column, Frame, Values};
use crate::algo::random::Random;
use crate::algo::score::inputs::{Cell, standardise};
use crate::algo::score::learner::Learner;
use crate::algo::score::{Fit, Params, Scorer, fit};
use crate::algo::stop::Stopped;

fn params(alpha: &str) -> Params {
    let settings = ALGORITHM.defaults().with("alpha", alpha).unwrap();
    Params { settings, holdout: 0.0, ..Params::default() }
}

fn fitted(frame: &Frame, target: &Column, params: Params) -> Scorer {
    let Fit { scorer, converged, .. } =
        fit(frame, target, &params.check().unwrap(), &Watch::new()).unwrap();
    assert!(converged);
    assert_eq!(scorer.check(), Ok(()));
    scorer
}

fn scores(scorer: &Scorer, frame: &Frame) -> Vec<f64> {
    scorer.score_frame(frame, &Watch::new()).unwrap()
}

/// Two numbers, a text, and a target that hangs on the first; a quarter of the first and a sixth of the texts may be missing.
fn sample(with_missing: bool) -> (Frame, Column) {
    let n = 60;
    let x = |i: usize| ((i * 37) % 101) as f64 / 10.0;
    let is_missing = |i: usize, every: usize, place: usize| with_missing && i % every == place;
    let columns = vec![
        Column::number(
            "x",
            (0..n).map(|i| if is_missing(i, 4, 1) { f64::NAN } else { x(i) }).collect(),
        ),
        Column::number("y", (0..n).map(|i| ((i * i) % 29) as f64 * 3.0 + 1e6).collect()),
        Column::text(
            "c",
            (0..n).map(|i| {
                Some(["a", "b", "c"][(i * 7 + i / 5) % 3]).filter(|_| !is_missing(i, 6, 2))
            }),
        ),
    ];
    let label = |i: usize| i64::from((i * 13 % 10) as f64 + x(i) > 9.0);
    (Frame { n_rows: n, columns }, Column::integer("bought", (0..n).map(label).collect()))
}

/// Where a missing number says nothing.
fn without_indicator() -> Params {
    let settings = ALGORITHM.defaults().with("missing_indicator", "false").unwrap();
    Params { settings, holdout: 0.0, ..Params::default() }
}

/// The first scores and the sum of all, as scikit-learn 1.9.1 has them.
#[track_caller]
fn check_peer(with_missing: bool, first: [f64; 8], sum: f64) {
    let (frame, target) = sample(with_missing);
    let found = scores(&fitted(&frame, &target, without_indicator()), &frame);
    for (found, expected) in found.iter().zip(first) {
        assert!((found - expected).abs() < 1e-8, "{found} instead of {expected}");
    }
    let total: f64 = found.iter().sum();
    assert!((total - sum).abs() < 1e-7, "{total} instead of {sum}");
}

#[test]
fn scores_are_those_of_scikit_learn() {
    // GaussianNB of both numbers, standardised, and CategoricalNB of the text, the prior once.
    let first = [
        0.10646312166967908,
        0.42675480529343385,
        0.8868639861513213,
        0.17788985098849686,
        0.686795022465313,
        0.9824962732875275,
        0.266417252594543,
        0.7278842397324149,
    ];
    check_peer(false, first, 37.19689562352889);
    // A GaussianNB for each number of the rows that have it, and missing as a category.
    let first = [
        0.10255751127384063,
        0.6204054642182956,
        0.9093611246534624,
        0.17974043051749938,
        0.7115682280162936,
        0.7082353686001871,
        0.28401778666070365,
        0.6506545950451019,
    ];
    check_peer(true, first, 36.87085390367886);
}

#[test]
fn scores_of_numbers_are_those_of_linfa() {
    let n_rows = 500;
    let mut random = Random::new(3, 0);
    let columns: Vec<Column> = (0..4)
        .map(|place| {
            let values = (0..n_rows).map(|_| 1e3 + random.uniform().powi(1 + place)).collect();
            Column::number(&format!("x{place}"), values)
        })
        .collect();
    let label = |_| random.below(3) as i64 / 2;
    let labels: Vec<i64> = (0..n_rows).map(label).collect();
    let frame = Frame { n_rows, columns };
    let scorer = fitted(&frame, &Column::integer("y", labels.clone()), params("1"));

    let mut matrix = Array2::zeros((n_rows, 4));
    for (place, input) in scorer.inputs.iter().enumerate() {
        let &Kind::Number { mean, center, scale, .. } = &input.kind else { panic!("not a number") };
        let Some(raw) = frame.matrix().ok() else { panic!("not numbers") };
        matrix
            .column_mut(place)
            .assign(&raw.column(place).mapv(|value| standardise(value, mean, center, scale)));
    }
    let targets = Array1::from_iter(labels.iter().map(|&label| label as usize));
    let peer = GaussianNb::params().fit(&Dataset::new(matrix.clone(), targets)).unwrap();
    let (expected, classes) = peer.predict_proba(matrix.view());
    assert_eq!(classes, [&0, &1]);
    for (found, expected) in scores(&scorer, &frame).iter().zip(expected.column(1)) {
        assert!((found - expected).abs() < 1e-9, "{found} instead of {expected}");
    }
}

#[test]
fn what_is_missing_or_new_says_nothing_that_was_not_learnt() {
    let (frame, target) = sample(false);
    let scorer = fitted(&frame, &target, params("1"));
    let prior = 37.0 / 60.0;
    let nothing = scorer.score_row(&[]);
    assert!((nothing - prior).abs() < 1e-12, "{nothing}");
    let new = [Cell::Number(f64::NAN), Cell::Number(f64::NAN), Cell::Category(Some("new"))];
    assert_eq!(scorer.score_row(&new), nothing);
    // Where the fit saw missing texts it knows whose they are.
    let (frame, target) = sample(true);
    let scorer = fitted(&frame, &target, params("1"));
    assert_ne!(scorer.score_row(&[]), scorer.score_row(&new));
}

#[test]
fn columns_that_say_nothing_leave_the_base_rate() {
    let target = Column::integer("y", vec![0, 1, 1, 1, 0, 1, 1, 1]);
    let nothing = [
        Column::number("x", vec![f64::NAN; 8]),
        Column::number("x", vec![3.0; 8]),
        Column::number("x", vec![f64::MAX; 8]),
        Column::text("x", [None; 8]),
        Column::integer("x", vec![i64::MIN; 8]),
        // One class has no value at all.
        Column::number(
            "x",
            vec![1.0, f64::NAN, f64::NAN, f64::NAN, 2.0, f64::NAN, f64::NAN, f64::NAN],
        ),
    ];
    for column in nothing {
        let frame = Frame { n_rows: 8, columns: vec![column] };
        let found = scores(&fitted(&frame, &target, without_indicator()), &frame);
        assert!(found.iter().all(|score| (score - 0.75).abs() < 1e-9), "{found:?}");
    }
}

/// As a CategoricalNB of whether the number is there, beside everything else.
#[test]
fn a_number_that_is_missing_says_what_its_share_in_each_class_says() {
    let (frame, target) = sample(true);
    let found = scores(&fitted(&frame, &target, params("1")), &frame);
    let nothing = scores(&fitted(&frame, &target, without_indicator()), &frame);
    let Values::Number(x) = &frame.columns[0].values else { panic!("not a number") };
    let Values::Integer(labels) = &target.values else { panic!("not a label") };
    let share = |is_missing: bool, label: i64| {
        let of_class = x.iter().zip(&**labels).filter(|(_, found)| **found == label);
        let (n, those) = of_class.fold((0.0, 0.0), |(n, those), (value, _)| {
            (n + 1.0, those + f64::from(value.is_nan() == is_missing))
        });
        (those + 1.0) / (n + 2.0)
    };
    let log_odds = |score: f64| (score / (1.0 - score)).ln();
    for ((value, score), without) in x.iter().zip(found).zip(nothing) {
        let is_missing = value.is_nan();
        let expected = (share(is_missing, 1) / share(is_missing, 0)).ln();
        let said = log_odds(score) - log_odds(without);
        assert!((said - expected).abs() < 1e-9, "{said} instead of {expected}");
    }
}

#[test]
fn a_number_that_one_class_always_misses_tells_the_classes_apart() {
    let target = Column::integer("y", vec![0, 1, 1, 1, 0, 1, 1, 1]);
    let none = f64::NAN;
    let column = Column::number("x", vec![1.0, none, none, none, 2.0, none, none, none]);
    let frame = Frame { n_rows: 8, columns: vec![column] };
    let found = scores(&fitted(&frame, &target, params("1")), &frame);
    // Shares of the missing are (6 + 1) / 8 and (0 + 1) / 4, and of those that are there 1 / 8 and 3 / 4.
    let expected = [0.75 * 0.125, 0.25 * 0.75, 0.75 * 0.875, 0.25 * 0.25];
    assert!((found[0] - expected[0] / (expected[0] + expected[1])).abs() < 1e-12, "{found:?}");
    assert!((found[1] - expected[2] / (expected[2] + expected[3])).abs() < 1e-12, "{found:?}");
}

#[test]
fn scores_are_finite_however_odd_the_values() {
    let target = Column::integer("y", vec![0, 1, 0, 1, 0, 1]);
    let odd = [
        [-1e308, 1e308, -1e308, 1e308, 0.0, 1.0],
        [5e-324, 0.0, 5e-324, 0.0, 5e-324, 0.0],
        [0.0, 1.0, 0.0, 1.0, 0.0, 1.0],
        [f64::NAN, 1e300, f64::NAN, f64::NAN, 1.0, 2.0],
    ];
    for smoothing in ["1e-12", "1e3"] {
        let settings = ALGORITHM.defaults().with("var_smoothing", smoothing).unwrap();
        let params = Params { settings, holdout: 0.0, ..Params::default() };
        for values in odd {
            let frame = Frame { n_rows: 6, columns: vec![Column::number("x", values.to_vec())] };
            let scorer = fitted(&frame, &target, params.clone());
            for value in values.into_iter().chain([f64::MAX, f64::MIN, 1e-300, 0.5]) {
                let score = scorer.score_row(&[Cell::Number(value)]);
                assert!((0.0..=1.0).contains(&score), "{value} of {values:?}: {score}");
            }
        }
    }
}

#[test]
fn naming_the_other_class_turns_the_scores_around() {
    let (frame, target) = sample(true);
    let with = |positive: &str| {
        let params = Params { positive: Some(positive.into()), ..params("0.5") };
        scores(&fitted(&frame, &target, params), &frame)
    };
    for (a, b) in with("0").iter().zip(with("1")) {
        assert!((a + b - 1.0).abs() < 1e-12);
    }
}

#[test]
fn a_rare_level_says_less_the_more_it_is_smoothed() {
    let text = Column::text("c", ["a", "a", "a", "b", "b", "b", "b", "c"].map(Some));
    let frame = Frame { n_rows: 8, columns: vec![text] };
    let target = Column::integer("y", vec![0, 1, 0, 1, 0, 1, 0, 1]);
    let of_c =
        |alpha| fitted(&frame, &target, params(alpha)).score_row(&[Cell::Category(Some("c"))]);
    let (sure, default, unsure) = (of_c("1e-10"), of_c("1"), of_c("1e9"));
    assert!(sure > 0.999 && default < sure && unsure < default, "{sure} {default} {unsure}");
    assert!((unsure - 0.5).abs() < 1e-6);
}

#[test]
fn the_bits_depend_on_rows_and_parameters_alone() {
    let n_rows = 40_000;
    let mut random = Random::new(4, 0);
    let x: Vec<f64> = (0..n_rows).map(|_| random.uniform()).collect();
    let labels: Vec<i64> = x.iter().map(|x| i64::from(x + random.uniform() > 1.0)).collect();
    let text = |i: usize| Some(["u", "v", "w"][i % 3]);
    let columns = vec![Column::number("x", x), Column::text("c", (0..n_rows).map(text))];
    let frame = Frame { n_rows, columns };
    let target = Column::integer("y", labels);
    let with = |n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| fitted(&frame, &target, params("1")).to_bytes().unwrap())
    };
    let one = with(1);
    assert!(one == with(2) && one == with(7));
}

#[test]
fn a_stop_is_heard_and_a_graph_is_refused() {
    let (frame, target) = sample(true);
    let watch = Watch::new();
    watch.stop();
    let stopped = fit(&frame, &target, &params("1").check().unwrap(), &watch).unwrap_err();
    assert_eq!(stopped, Error::Stopped(Stopped));
    let exported = crate::onnx::export::export(&fitted(&frame, &target, params("1")));
    assert_eq!(exported, Err(Error::NotExportable));
}

#[test]
fn what_comes_back_is_checked() {
    let (frame, target) = sample(true);
    let scorer = fitted(&frame, &target, params("1"));
    assert_eq!(Scorer::from_bytes(&scorer.to_bytes().unwrap()), Ok(scorer.clone()));
    let check_refused = |spoil: fn(&mut NaiveBayes), reason: &str| {
        let mut spoilt = scorer.clone();
        let Learner::NaiveBayes(bayes) = &mut spoilt.learner else { panic!("another learner") };
        spoil(bayes);
        assert_eq!(spoilt.check(), Err(Error::BadModel { reason: reason.into() }));
    };
    check_refused(|bayes| bayes.weights.truncate(2), "log-odds and inputs differ in number");
    check_refused(|bayes| bayes.bells.truncate(1), "log-odds and inputs differ in number");
    check_refused(|bayes| bayes.prior = f64::NAN, "log-odds are not finite or huge");
    check_refused(|bayes| bayes.weights[2] = -1e300, "log-odds are not finite or huge");
    let reason = "a mean or a variance is out of range";
    check_refused(|bayes| bayes.bells[1][0].variance = 0.0, reason);
    check_refused(|bayes| bayes.bells[1][1].variance = f64::NAN, reason);
    check_refused(|bayes| bayes.bells[0][0].mean = f64::INFINITY, reason);
    let bytes = scorer.to_bytes().unwrap();
    for position in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[position] ^= 1 << bit;
            if let Ok(scorer) = Scorer::from_bytes(&damaged) {
                let row = [Cell::Number(1.0), Cell::Number(f64::MAX), Cell::Category(None)];
                assert!((0.0..=1.0).contains(&scorer.score_row(&row)));
            }
        }
    }
}
