//! Facts about fits of rows that lack a feature.

use super::*;
use crate::algo::frame::{Column, MISSING, Values};

/// Two groups of rows, with a number and a level missing here and there.
fn columns() -> Vec<Column> {
    let random = Random::new(8, 1);
    let number = |row: usize| {
        let at = crate::algo::random::unit(random.at(row as u64));
        if row % 10 == 3 { f64::NAN } else { at + if row.is_multiple_of(2) { 8.0 } else { 0.0 } }
    };
    let level = |row: usize| match row % 10 {
        5 => None,
        _ => Some(if row.is_multiple_of(2) { "web" } else { ["shop", "phone"][row / 2 % 2] }),
    };
    vec![
        Column::number("spend", (0..400).map(number).collect()),
        Column::text("channel", (0..400).map(level)),
        Column::number("n", (0..400).map(|row| f64::from(row % 3)).collect()),
    ]
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.filter(|value| !value.is_nan()).collect();
    values.iter().sum::<f64>() / values.len() as f64
}

fn features(columns: &[Column]) -> Features {
    Features::of(columns, &Default::default()).unwrap()
}

fn imputed(columns: &[Column]) -> Fit {
    let features = features(columns);
    let rows = features.dimensions().bind(columns).unwrap();
    let features = features.filled(&rows, &Watch::new()).unwrap();
    let rows = features.dimensions().bind(columns).unwrap();
    let params = Params::new(2).check(rows.n_rows(), features.len()).unwrap();
    fit(&rows, &features, &params, &Watch::new()).unwrap()
}

#[test]
fn means_and_shares_stand_for_what_is_missing_in_the_fit_and_in_its_model() {
    let columns = columns();
    let fit = imputed(&columns);
    let model = &fit.model;
    assert_eq!(model.check(), Ok(()));
    let Values::Number(spend) = &columns[0].values else { unreachable!() };
    assert!((model.fill[0] - mean(spend.iter().copied())).abs() < 1e-12);
    let Values::Text { codes, dictionary } = &columns[1].values else { unreachable!() };
    for (place, level) in ["channel=web", "channel=phone", "channel=shop"].iter().enumerate() {
        assert_eq!(model.features[1 + place], *level);
        let is = |code: &u32| match dictionary.get(*code as usize) {
            Some(name) => f64::from(u8::from(level.ends_with(name))),
            None => f64::NAN,
        };
        assert!((model.fill[1 + place] - mean(codes.iter().map(is))).abs() < 1e-12);
    }
    let prepared = model.prepare();
    let without = [f64::NAN, 1.0, 0.0, 0.0, 2.0];
    let filled = [model.fill[0], 1.0, 0.0, 0.0, 2.0];
    assert_eq!(prepared.nearest(&without), prepared.nearest(&filled));
    assert_eq!(prepared.anomaly(&without), prepared.anomaly(&filled));
    assert_eq!(prepared.second_segment(&without), prepared.second_segment(&filled));
    let rows = model.dimensions().bind(&columns).unwrap();
    assert_eq!(prepared.labels(&rows, &Watch::new()).unwrap(), fit.labels.to_vec());
}

#[test]
fn rows_that_weigh_more_count_more_in_what_is_filled() {
    let columns = vec![Column::number("x", vec![1.0, f64::NAN, 4.0, 9.0])];
    let features = features(&columns);
    let weights = [2.0, 5.0, 1.0, 0.0];
    let weights = RowWeights::new("w", weights[..].into()).unwrap();
    let rows = Weighted { rows: features.dimensions().bind(&columns).unwrap(), weights };
    let filled = features.clone().filled(&rows, &Watch::new()).unwrap();
    assert_eq!(filled.fill, [2.0]);
}

#[test]
fn only_whole_rows_are_kept_in_their_order() {
    let columns = columns();
    let features = features(&columns);
    let rows = features.dimensions().bind(&columns).unwrap();
    let order: Vec<u32> = (0..400).rev().collect();
    let kept = whole_rows(&rows, Some(&order), &Watch::new()).unwrap().unwrap();
    let expected: Vec<u32> = (0..400).rev().filter(|row| row % 10 != 3 && row % 10 != 5).collect();
    assert_eq!(kept, expected);
    let whole = vec![Column::number("x", vec![1.0, 2.0])];
    let features = self::features(&whole);
    let rows = features.dimensions().bind(&whole).unwrap();
    assert_eq!(whole_rows(&rows, None, &Watch::new()), Ok(None));
}

#[test]
fn a_column_without_any_value_is_refused_by_its_name() {
    let mut columns = columns();
    assert_eq!(check_present(&columns), Ok(()));
    columns[2] = Column::number("n", vec![f64::NAN; 400]);
    let refused = || Error::AllMissing { column: "n".into() };
    assert_eq!(check_present(&columns), Err(refused()));
    let features = features(&columns);
    let rows = features.dimensions().bind(&columns).unwrap();
    assert_eq!(features.clone().filled(&rows, &Watch::new()), Err(refused()));
    if let Values::Text { codes, .. } = &mut columns[1].values {
        codes.iter_mut().for_each(|code| *code = MISSING);
    }
    let channel = Error::AllMissing { column: "channel".into() };
    assert_eq!(check_present(&columns), Err(channel));
}
