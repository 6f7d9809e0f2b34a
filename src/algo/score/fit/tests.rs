use super::*;
use crate::algo::declared::Settings;
use crate::algo::random::Random;
use crate::algo::score::additive::sigmoid;
use crate::algo::score::inputs::{Cell, Kind};
use crate::algo::score::{logistic, naive_bayes};
use crate::algo::stop::Stopped;

/// Two numbers, one of them with missing values, a text with missing values, and what follows from them.
pub(crate) fn sample(n_rows: usize) -> (Frame, Column) {
    let mut random = Random::new(5, 0);
    let (mut x, mut y, mut c, mut target) = (vec![], vec![], vec![], vec![]);
    for _ in 0..n_rows {
        let value = 6.0 * random.uniform() - 3.0;
        let level = [Some("north"), Some("south"), Some(""), None][random.below(4)];
        let margin = value + if level == Some("south") { 1.5 } else { -0.5 };
        x.push(value);
        y.push(if random.below(3) == 0 { f64::NAN } else { 1e6 + random.uniform() });
        c.push(level);
        let bought = random.uniform() < sigmoid(margin);
        target.push(Some(if bought { "true" } else { "false" }));
    }
    let columns = vec![Column::number("x", x), Column::text("c", c), Column::number("y", y)];
    (Frame { n_rows, columns }, Column::text("bought", target))
}

fn fitted(frame: &Frame, target: &Column, params: Params) -> Result<Fit, Error> {
    fit(frame, target, &params.check()?, &Watch::new())
}

fn with(name: &str, value: &str) -> Settings {
    logistic::ALGORITHM.defaults().with(name, value).unwrap()
}

#[track_caller]
fn check_error(frame: &Frame, target: &Column, params: Params, expected: Error) {
    assert_eq!(fitted(frame, target, params).map(|_| ()), Err(expected));
}

fn one_column(column: Column, n_rows: usize) -> Frame {
    Frame { n_rows, columns: vec![column] }
}

#[test]
fn a_number_that_is_missing_says_so() {
    // A number is missing, nine times of ten, where the class is 1, and says nothing otherwise.
    let mut random = Random::new(9, 0);
    let labels: Vec<i64> = (0..4000).map(|_| random.below(2) as i64).collect();
    let mut value = |label: i64| {
        let missing = (random.below(10) > 0) == (label == 1);
        if missing { f64::NAN } else { random.uniform() }
    };
    let values = labels.iter().map(|&label| value(label)).collect();
    let frame = one_column(Column::number("x", values), 4000);
    let target = Column::integer("y", labels);
    let area = |settings| {
        let found = fitted(&frame, &target, Params { settings, ..Params::default() }).unwrap();
        assert_eq!(found.scorer.check(), Ok(()));
        let all = found.scorer.score_frame(&frame, &Watch::new()).unwrap();
        let alone = found.scorer.score_row(&[Cell::Number(f64::NAN)]);
        let Values::Number(values) = &frame.columns[0].values else { panic!("not a number") };
        let place = values.iter().position(|value| value.is_nan()).unwrap();
        assert_eq!(all[place].to_bits(), alone.to_bits());
        found.scorer.metrics.unwrap().roc_auc.unwrap()
    };
    for algorithm in [&logistic::ALGORITHM, &naive_bayes::ALGORITHM] {
        assert!(area(algorithm.defaults()) > 0.85);
        assert!(area(algorithm.defaults().with("missing_indicator", "false").unwrap()) < 0.6);
    }
}

#[test]
fn a_fit_ranks_held_out_rows_and_says_how_well() {
    let (frame, target) = sample(2000);
    let found = fitted(&frame, &target, Params::default()).unwrap();
    assert!(found.converged);
    assert_eq!(found.scorer.positive_class(), "true");
    assert_eq!(found.scorer.n_rows, 1600);
    assert_eq!(found.scorer.check(), Ok(()));
    let metrics = found.scorer.metrics.unwrap();
    assert_eq!((metrics.n_train, metrics.n_holdout), (1600, 400));
    let auc = metrics.roc_auc.unwrap();
    // With the true probabilities it is about 0.87.
    assert!((0.82..0.92).contains(&auc), "{auc}");
    assert!(metrics.log_loss < 0.5 && metrics.brier < 0.18 && metrics.accuracy > 0.7);
}

#[test]
fn a_feature_that_tells_the_classes_apart_alone_is_named() {
    let (mut frame, target) = sample(2000);
    assert_eq!(fitted(&frame, &target, Params::default()).unwrap().leaks, [""; 0]);
    let Values::Text { codes, dictionary } = &target.values else { unreachable!() };
    let is_true = |row: usize| dictionary[codes[row] as usize] == "true";
    let paid = (0..2000).map(|row| if is_true(row) { -3.0 - row as f64 } else { f64::NAN });
    frame.columns.push(Column::number("paid", paid.collect()));
    let state =
        (0..2000).map(|row| Some(if is_true(row) { ["won", "paid"][row % 2] } else { "open" }));
    frame.columns.push(Column::text("state", state));
    // One row in 20 is told wrongly.
    let near = (0..2000).map(|row| f64::from(u8::from(is_true(row) != (row % 20 == 0))));
    frame.columns.push(Column::number("near", near.collect()));
    let leaks = |params| fitted(&frame, &target, params).unwrap().leaks;
    assert_eq!(leaks(Params::default()), ["paid", "state"]);
    assert_eq!(leaks(Params { holdout: 0.0, ..Params::default() }), [""; 0]);
    // Fewer than 50 rows of a class say nothing.
    assert_eq!(leaks(Params { holdout: 0.02, ..Params::default() }), [""; 0]);
}

#[test]
fn naming_the_other_class_turns_the_scores_around() {
    let (frame, target) = sample(500);
    let with = |positive: &str| {
        let params = Params { positive: Some(positive.into()), ..Params::default() };
        let scorer = fitted(&frame, &target, params).unwrap().scorer;
        assert_eq!(scorer.positive_class(), positive);
        scorer.score_frame(&frame, &Watch::new()).unwrap()
    };
    for (a, b) in with("true").iter().zip(with("false")) {
        assert!((a + b - 1.0).abs() < 1e-9);
    }
}

#[test]
fn the_model_is_the_one_that_was_measured_unless_all_rows_are_asked_for() {
    let (frame, target) = sample(400);
    let mask: Vec<bool> = (0..400).map(|i| i >= 300).collect();
    let with = |refit_on_all| Params {
        holdout_rows: Some(mask.clone()),
        refit_on_all,
        ..Params::default()
    };
    let all = fitted(&frame, &target, with(true)).unwrap();
    let train = fitted(&frame, &target, with(false)).unwrap();
    assert_eq!((all.scorer.n_rows, train.scorer.n_rows), (400, 300));
    assert_eq!(all.scorer.metrics, train.scorer.metrics);
    assert_eq!(all.holdout, train.holdout);
    assert_ne!(all.scorer.learner, train.scorer.learner);
    let none = fitted(&frame, &target, Params { holdout: 0.0, ..Params::default() }).unwrap();
    assert_eq!(none.scorer.metrics, None);
    assert_eq!(none.scorer.learner, all.scorer.learner);
    assert_eq!(none.holdout, Holdout::default());
}

#[test]
fn the_figures_are_those_of_the_scores_that_are_kept() {
    let (frame, target) = sample(1000);
    let Fit { scorer, holdout, .. } = fitted(&frame, &target, Params::default()).unwrap();
    let metrics = scorer.metrics.clone().unwrap();
    let again = Metrics::new(&holdout.labels, &holdout.scores, 800).unwrap();
    assert_eq!((again, holdout.is_whole()), (metrics, true));
    // The model that is returned gives them.
    let scores = scorer.score_frame(&frame, &Watch::new()).unwrap();
    assert!(holdout.scores.iter().all(|score| scores.contains(score)));
}

#[test]
fn a_holdout_of_one_class_has_no_ranking_metric() {
    let (frame, target) = sample(100);
    let labels = inputs::code(&target, None).unwrap().labels;
    let first = labels.iter().position(|&label| label).unwrap();
    let mask = (0..100).map(|i| i == first).collect();
    let params = Params { holdout_rows: Some(mask), ..Params::default() };
    let metrics = fitted(&frame, &target, params).unwrap().scorer.metrics.unwrap();
    assert_eq!((metrics.roc_auc, metrics.average_precision), (None, None));
    assert_eq!((metrics.n_holdout, metrics.base_rate), (1, 1.0));
}

#[test]
fn the_held_out_rows_teach_the_encoding_nothing() {
    // The level "late" occurs in held-out rows alone.
    let column = Column::text("c", ["a", "b", "a", "b", "late", "late"].map(Some));
    let target = Column::integer("y", vec![0, 1, 1, 0, 0, 1]);
    let mask = vec![false, false, false, false, true, true];
    let params = Params { holdout_rows: Some(mask), ..Params::default() };
    let scorer = fitted(&one_column(column, 6), &target, params).unwrap().scorer;
    let Kind::Category { levels, .. } = &scorer.inputs[0].kind else { panic!("not text") };
    assert_eq!(levels, &["a", "b"]);
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
    ];
    for column in nothing {
        let params = Params { holdout: 0.0, ..Params::default() };
        let frame = one_column(column, 8);
        let scorer = fitted(&frame, &target, params).unwrap().scorer;
        let scores = scorer.score_frame(&frame, &Watch::new()).unwrap();
        assert!(scores.iter().all(|score| (score - 0.75).abs() < 1e-9), "{scores:?}");
    }
}

#[test]
fn an_empty_string_is_not_a_missing_one() {
    let values = [Some(""), None, Some(""), None, Some(""), None];
    let frame = one_column(Column::text("c", values), 6);
    let target = Column::integer("y", vec![1, 0, 1, 0, 1, 0]);
    let params = Params { holdout: 0.0, ..Params::default() };
    let scorer = fitted(&frame, &target, params).unwrap().scorer;
    assert!(scorer.score_row(&[Cell::Category(Some(""))]) > 0.6);
    assert!(scorer.score_row(&[Cell::Category(None)]) < 0.4);
    // Unseen and no level was rare: all zero, the intercept alone.
    let unseen = scorer.score_row(&[Cell::Category(Some("new"))]);
    assert_eq!(unseen, sigmoid(scorer.learner.linear().unwrap().intercept));
}

#[test]
fn huge_values_are_learnt_from() {
    let frame = one_column(Column::number("x", vec![-1e308, 1e308, -1e308, 1e308]), 4);
    let target = Column::integer("y", vec![0, 1, 0, 1]);
    let params = Params { holdout: 0.0, ..Params::default() };
    let scores = fitted(&frame, &target, params).unwrap().scorer.score_frame(&frame, &Watch::new());
    let scores = scores.unwrap();
    assert!(scores[0] < 0.3 && scores[1] > 0.7, "{scores:?}");
}

#[test]
fn inputs_that_cannot_be_learnt_from_are_refused() {
    let number = |values: Vec<f64>| {
        let n_rows = values.len();
        one_column(Column::number("x", values), n_rows)
    };
    let target = |values| Column::integer("y", values);
    let default = Params::default;
    check_error(&number(vec![]), &target(vec![]), default(), Error::EmptyInput);
    check_error(
        &number(vec![1.0]),
        &target(vec![1]),
        default(),
        Error::OneClass { value: "1".into() },
    );
    check_error(
        &number(vec![1.0, 2.0]),
        &target(vec![1]),
        default(),
        Error::DimensionMismatch { expected: 2, found: 1 },
    );
    check_error(
        &number(vec![1.0, 2.0]),
        &target(vec![0, 1]),
        default(),
        Error::TooFewRows { class: "0".into(), rows: 1 },
    );
    let no_columns = Frame { n_rows: 4, columns: vec![] };
    check_error(&no_columns, &target(vec![0, 1, 0, 1]), default(), Error::NoInputs);
    let params = Params { settings: with("l2", "0"), ..default() };
    let error = fitted(&number(vec![1.0, 2.0, 3.0, 4.0]), &target(vec![0, 0, 1, 1]), params);
    assert!(matches!(error, Err(Error::Separated { .. })));
}

#[test]
fn too_wide_an_encoding_is_refused_before_it_is_built() {
    let n_rows = 2100;
    let levels: Vec<String> = (0..n_rows).map(|i| format!("level {i}")).collect();
    let column = |name| Column::text(name, levels.iter().map(|level| Some(level.as_str())));
    let frame = Frame { n_rows, columns: vec![column("a"), column("b"), column("c")] };
    let target = Column::integer("y", (0..n_rows as i64).map(|i| i % 2).collect());
    let params = Params { settings: with("max_categories", "1000"), ..Params::default() };
    // Each: 1000 levels and one for the others.
    let expected = Error::TooManyFeatures { found: 3004, limit: logistic::MAX_COLUMNS };
    check_error(&frame, &target, params, expected);
}

#[test]
fn a_stop_is_heard() {
    let (frame, target) = sample(100);
    let watch = Watch::new();
    watch.stop();
    let params = Params::default().check().unwrap();
    let error = fit(&frame, &target, &params, &watch).unwrap_err();
    assert_eq!(error, Error::Stopped(Stopped));
}

#[test]
fn the_bits_depend_on_rows_parameters_and_seed_alone() {
    let (frame, target) = sample(5000);
    let with = |n, seed| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        let params = Params { seed, ..Params::default() };
        pool.install(|| fitted(&frame, &target, params).unwrap().scorer.to_bytes().unwrap())
    };
    let one = with(1, 3);
    assert!(one == with(2, 3) && one == with(7, 3));
    assert!(one != with(1, 4));
}
