use super::*;
use crate::algo::frame::Column;
use crate::algo::score::additive::sigmoid;
use crate::algo::score::logistic::Linear;

pub(crate) fn sample() -> Scorer {
    let number = |name: &str, missing| Input {
        name: name.into(),
        missing_share: 0.25,
        kind: Kind::Number { mean: 2.0, center: 2.0, scale: 4.0, missing },
    };
    let levels = vec!["a".into(), "".into()];
    let text = Kind::Category { levels, missing: true, other: true };
    Scorer {
        format: FORMAT,
        inputs: vec![
            number("x", true),
            Input { name: "c".into(), missing_share: 0.5, kind: text },
            number("y", false),
        ],
        learner: Learner::Linear(Linear {
            coefficients: vec![1.0, 0.7, 0.1, 0.2, 0.3, 0.4, -0.5],
            intercept: 0.05,
        }),
        classes: ["no".into(), "yes".into()],
        positive: 1,
        metrics: None,
        n_rows: 10,
    }
}

fn change(scorer: &mut Scorer, change: impl Fn(&mut Linear)) {
    let mut linear = scorer.learner.linear().unwrap().clone();
    change(&mut linear);
    scorer.learner = Learner::Linear(linear);
}

#[track_caller]
fn check_score(row: &[Cell], log_odds: f64) {
    let found = sample().score_row(row);
    assert!((found - sigmoid(log_odds)).abs() < 1e-15, "{found}");
}

#[track_caller]
fn check_refused(spoil: impl Fn(&mut Scorer), reason: &str) {
    let mut scorer = sample();
    spoil(&mut scorer);
    assert_eq!(scorer.check(), Err(bad_model(reason)));
    let bytes = scorer.to_bytes().unwrap();
    assert_eq!(Scorer::from_bytes(&bytes), Err(bad_model(reason)));
}

#[test]
fn a_row_adds_up_its_parts() {
    let (x, y) = (Cell::Number(6.0), Cell::Number(2.0));
    check_score(&[x, Cell::Category(Some("a")), y], 0.05 + 1.0 + 0.1);
    check_score(&[x, Cell::Category(Some("")), y], 0.05 + 1.0 + 0.2);
    check_score(&[x, Cell::Category(None), y], 0.05 + 1.0 + 0.3);
    check_score(&[x, Cell::Category(Some("unseen")), y], 0.05 + 1.0 + 0.4);
}

#[test]
fn missing_numbers_and_missing_cells_count_as_the_mean_and_what_the_indicator_says() {
    let level = Cell::Category(Some("a"));
    check_score(&[Cell::Number(f64::NAN), level, Cell::Number(6.0)], 0.05 + 0.7 + 0.1 - 0.5);
    check_score(&[Cell::Number(6.0), level, Cell::Number(f64::NAN)], 0.05 + 1.0 + 0.1);
    check_score(&[Cell::Category(Some("text")), level], 0.05 + 0.7 + 0.1);
    check_score(&[], 0.05 + 0.7 + 0.3);
}

#[test]
fn huge_values_of_both_signs_still_give_a_probability() {
    let row = [Cell::Number(f64::MAX), Cell::Category(None), Cell::Number(f64::INFINITY)];
    assert_eq!(sample().score_row(&row), 1.0);
    let row = [Cell::Number(f64::NEG_INFINITY), Cell::Category(None), Cell::Number(f64::MIN)];
    assert_eq!(sample().score_row(&row), 0.0);
}

#[test]
fn a_frame_scores_as_its_rows_bit_for_bit_on_any_number_of_threads() {
    let n_rows = 10_000;
    let x = |i: usize| if i.is_multiple_of(7) { f64::NAN } else { (i as f64).sin() * 9.0 };
    let y = |i: usize| i as i64 % 11;
    let c = |i: usize| [Some("a"), Some(""), None, Some("z")][i % 4];
    let columns = vec![
        Column::integer("y", (0..n_rows).map(y).collect()),
        Column::text("beside", (0..n_rows).map(|_| None)),
        Column::number("x", (0..n_rows).map(x).collect()),
        Column::text("c", (0..n_rows).map(c)),
    ];
    let frame = Frame { n_rows, columns };
    let scorer = sample();
    let prepared = scorer.prepare();
    let rows: Vec<f64> = (0..n_rows)
        .map(|i| [Cell::Number(x(i)), Cell::Category(c(i)), Cell::Number(y(i) as f64)])
        .map(|row| prepared.score(Cells(&row, 3)).unwrap())
        .collect();
    for n_threads in [1, 2, 7] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        let scores = pool.install(|| scorer.score_frame(&frame, &Watch::new()).unwrap());
        assert!(scores == rows);
    }
}

#[test]
fn frames_that_do_not_fit_are_refused_by_column() {
    let score =
        |columns| sample().score_frame(&Frame { n_rows: 1, columns }, &Watch::new()).unwrap_err();
    assert_eq!(score(vec![]), Error::MissingColumn { name: "x".into() });
    let text = Column::text("x", [None]);
    let expected = Error::ColumnType { name: "x".into(), expected: "a number" };
    assert_eq!(score(vec![text]), expected);
    let number = |name| Column::number(name, vec![1.0]);
    let expected = Error::ColumnType { name: "c".into(), expected: "text" };
    assert_eq!(score(vec![number("x"), number("c")]), expected);
}

#[test]
fn bytes_and_json_give_the_same_scorer_back() {
    let mut scorer = sample();
    scorer.metrics = Some(Metrics::new(&[true, false, true], &[0.3, 0.1, 0.9], 7).unwrap());
    change(&mut scorer, |l| l.intercept = 0.1 + 0.2);
    assert_eq!(Scorer::from_bytes(&scorer.to_bytes().unwrap()), Ok(scorer.clone()));
    assert_eq!(Scorer::from_json(&scorer.to_json().unwrap()), Ok(scorer));
}

#[test]
fn parts_that_do_not_fit_together_are_refused() {
    check_refused(|s| s.format = 2, "its format is 2, this version reads 3");
    check_refused(|s| s.inputs.clear(), "it has no inputs");
    check_refused(|s| s.inputs[1].name = "x".into(), "an input name appears twice");
    check_refused(
        |s| change(s, |l| l.coefficients.truncate(6)),
        "coefficients and inputs differ in number",
    );
    check_refused(
        |s| change(s, |l| l.coefficients[0] = f64::NAN),
        "a coefficient is not finite or huge",
    );
    check_refused(
        |s| change(s, |l| l.coefficients[1] = -1e300),
        "a coefficient is not finite or huge",
    );
    check_refused(
        |s| change(s, |l| l.intercept = f64::INFINITY),
        "a coefficient is not finite or huge",
    );
    check_refused(|s| s.inputs[0].missing_share = 2.0, "a missing share is not a share");
    let number = |mean, scale| Kind::Number { mean, center: 0.0, scale, missing: true };
    check_refused(|s| s.inputs[0].kind = number(f64::NAN, 1.0), "a mean is not finite");
    check_refused(|s| s.inputs[0].kind = number(0.0, 0.0), "a scale is not positive");
    let text = |levels| Kind::Category { levels, missing: false, other: false };
    check_refused(
        |s| s.inputs[1].kind = text(["a"; 4].map(String::from).to_vec()),
        "a level appears twice",
    );
    check_refused(|s| s.classes[0] = "yes".into(), "its classes are one");
    check_refused(|s| s.positive = 2, "its positive class is not one of its classes");
    let metrics = Metrics::new(&[], &[], 0).unwrap();
    check_refused(|s| s.metrics = Some(metrics.clone()), "a metric is not finite");
}

#[test]
fn damaged_bytes_are_refused_or_harmless() {
    let bytes = sample().to_bytes().unwrap();
    for length in 0..bytes.len() {
        assert!(Scorer::from_bytes(&bytes[..length]).is_err());
    }
    for position in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[position] ^= 1 << bit;
            if let Ok(scorer) = Scorer::from_bytes(&damaged) {
                let score = scorer.score_row(&[Cell::Number(1.0), Cell::Category(None)]);
                assert!((0.0..=1.0).contains(&score));
            }
        }
    }
}

/// Not a test of anything but speed: `cargo test --release -- --ignored --nocapture score_row_speed`.
#[test]
#[ignore = "needs data or quiet: run by hand, as the comment says"]
fn score_row_speed() {
    let mut scorer = sample();
    let number = scorer.inputs[2].clone();
    scorer.inputs = (0..8).map(|i| Input { name: format!("x{i}"), ..number.clone() }).collect();
    change(&mut scorer, |l| l.coefficients = vec![0.1; 8]);
    let prepared = scorer.prepare();
    let start = std::time::Instant::now();
    let n = 1_000_000;
    let sum: f64 = (0..n)
        .map(|i| prepared.score(Cells(&[Cell::Number(f64::from(i % 100)); 8], 8)).unwrap())
        .sum();
    println!("{:?} a row ({sum})", start.elapsed() / n as u32);
}
