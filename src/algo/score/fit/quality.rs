//! The logistic scorer against published figures and clocks. None of it runs in an ordinary `cargo test`:
//!
//!     PERSONA_DATA=dir cargo test --release --lib quality -- --ignored --nocapture
//!
//! where dir holds adult.data.gz and adult.test.gz (UCI Adult, CC BY 4.0).

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::{Metrics, Params, fit};
use crate::algo::frame::{Column, Frame, TextBuilder, Values};
use crate::algo::random::Random;
use crate::algo::score::additive::sigmoid;
use crate::algo::score::inputs::{Cell, Cells};
use crate::algo::score::logistic;
use crate::algo::stop::Watch;

const NUMBERS: [usize; 6] = [0, 2, 4, 10, 11, 12];
const LABEL: usize = 14;

/// The lines of one file of Adult as fields.
fn read(dir: &Path, file: &str) -> Vec<Vec<String>> {
    let output = Command::new("gzip").arg("-dc").arg(dir.join(file)).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let fields = |line: &str| line.split(", ").map(str::to_owned).collect::<Vec<_>>();
    text.lines().map(fields).filter(|fields| fields.len() == LABEL + 1).collect()
}

/// Adult, its target, and which rows are those of the test.
fn adult() -> Option<(Frame, Column, Vec<bool>)> {
    let dir = std::env::var_os("PERSONA_DATA")?;
    let train = read(dir.as_ref(), "adult.data.gz");
    let test = read(dir.as_ref(), "adult.test.gz");
    let rows: Vec<&Vec<String>> = train.iter().chain(&test).collect();
    assert_eq!((train.len(), test.len()), (32_561, 16_281));
    let columns = (0..LABEL).map(|field| {
        let cells = rows.iter().map(|row| row[field].as_str());
        let name = format!("c{field}");
        if NUMBERS.contains(&field) {
            return Column::number(&name, cells.map(|cell| cell.parse().unwrap()).collect());
        }
        let mut builder = TextBuilder::default();
        for cell in cells {
            builder.push(Some(cell).filter(|cell| *cell != "?")).unwrap();
        }
        Column { name, values: builder.finish() }
    });
    let frame = Frame { n_rows: rows.len(), columns: columns.collect() };
    let label = |row: &&Vec<String>| i64::from(row[LABEL].starts_with(">50K"));
    let target = Column::integer("income", rows.iter().map(label).collect());
    let holdout = (0..rows.len()).map(|i| i >= train.len()).collect();
    Some((frame, target, holdout))
}

#[test]
#[ignore = "needs data or quiet: run by hand, as the comment says"]
fn adult_reaches_scikit_learn_figures() {
    let Some((frame, target, holdout)) = adult() else { return };
    let params = Params {
        // native-country has 41 levels, and the published figures are with one weight each.
        settings: logistic::ALGORITHM.defaults().with("max_categories", "100").unwrap(),
        holdout_rows: Some(holdout),
        ..Params::default()
    };
    let start = Instant::now();
    let found = fit(&frame, &target, &params.check().unwrap(), &Watch::new()).unwrap();
    let Metrics { roc_auc, log_loss, .. } = found.scorer.metrics.clone().unwrap();
    let width = found.scorer.learner.linear().unwrap().coefficients.len();
    println!("{:?}: {width} columns, {} steps", start.elapsed(), found.iterations);
    println!("AUC {:.5}, log-loss {log_loss:.5}", roc_auc.unwrap());
    assert!((roc_auc.unwrap() - 0.9055).abs() < 0.0003);
    assert!((log_loss - 0.31753).abs() < 0.0003);
}

#[test]
#[ignore = "needs data or quiet: run by hand, as the comment says"]
fn newton_on_100_000_rows_of_20_numbers() {
    let n_rows = 100_000;
    let random = Random::new(0, 0);
    let value = |i: usize| crate::algo::random::unit(random.at(i as u64)) * 2.0 - 1.0;
    let number = |column: usize| (0..n_rows).map(|i| value(20 * i + column)).collect::<Vec<f64>>();
    let columns: Vec<Column> =
        (0..20).map(|column| Column::number(&format!("x{column}"), number(column))).collect();
    let mut draws = Random::new(0, 1);
    let margin = |i: usize| (0..20).map(|c| value(20 * i + c) * (c as f64 * 0.3).sin()).sum();
    let labels = (0..n_rows).map(|i| i64::from(draws.uniform() < sigmoid(margin(i)))).collect();
    let frame = Frame { n_rows, columns };
    let target = Column::integer("y", labels);
    let params = Params { holdout: 0.0, ..Params::default() }.check().unwrap();
    for _ in 0..5 {
        let start = Instant::now();
        let found = fit(&frame, &target, &params, &Watch::new()).unwrap();
        println!("fit: {:?}, {} steps", start.elapsed(), found.iterations);
        let start = Instant::now();
        let scores = found.scorer.score_frame(&frame, &Watch::new()).unwrap();
        println!("score_frame: {:?} ({})", start.elapsed(), scores[0]);
    }
    let scorer = fit(&frame, &target, &params, &Watch::new()).unwrap().scorer;
    let rows: Vec<Vec<Cell>> = (0..1000)
        .map(|i| {
            let cell = |column: &Column| match &column.values {
                Values::Number(values) => Cell::Number(values[i]),
                _ => Cell::Category(None),
            };
            frame.columns.iter().map(cell).collect()
        })
        .collect();
    let prepared = scorer.prepare();
    let start = Instant::now();
    let sum: f64 =
        (0..1000).flat_map(|_| &rows).map(|row| prepared.score(Cells(row, 20)).unwrap()).sum();
    println!("score_row, 20 numbers: {:?} a row ({sum})", start.elapsed() / 1_000_000);
}
