//! A trial of an imported graph, before it scores anybody's rows: rows of zeros, of ones and of other numbers, alone and beside others.
//!
//! What a graph says of its shapes may be wrong or nothing. It may turn rows into columns, reckon over all rows at once, draw
//! lots, or fail whatever it is given, and its answer would be wrong in silence where the numbers of rows happen to fit.

use std::time::{Duration, Instant};

use pgrx::prelude::*;

use crate::onnx::bind;
use crate::onnx::scan::Summary;
use crate::onnx::wire::ErrorKind;
use crate::pg::error::{Report, report};
use crate::pg::onnx as process;

use super::onnx::Imported;

/// Nodes that know some values, or so many rows of a table, and may know neither 0 nor 1.
const LOOK_UPS: [&str; 7] = [
    "Cast",
    "CategoryMapper",
    "DictVectorizer",
    "Gather",
    "GatherElements",
    "GatherND",
    "OneHotEncoder",
];
/// Numbers that columns have beyond 0 and 1: a share, an age, a price, a year, an amount. Not every graph can do with each of them.
const FURTHER: [i64; 5] = [7, 40, 300, 2000, 100_000];
/// The largest batch of a fixed size that is tried with one row more than it has.
const LARGEST_FILLED: i64 = 4096;
/// A trial ends where it has taken so long: the graph is slow, and nobody is to wait for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// As a share of the largest score: ONNX Runtime reckons with 32 bits, and adds in another order where it has several rows.
const TOLERANCE: f64 = 0.01;

/// Why a trial gave no scores.
enum Failure {
    /// ONNX Runtime could not score these rows.
    Run(process::Error),
    /// There was no time or no memory for it.
    Unknown(&'static str),
    Refused(Report),
}

impl<E: Into<Report>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

pub(super) struct Trial<'a> {
    imported: &'a Imported,
    graph: &'a Summary,
    onnx: &'a [u8],
    began: Instant,
}

impl<'a> Trial<'a> {
    /// Of the graph in these bytes, of which the summary is.
    pub(super) fn of(imported: &'a Imported, graph: &'a Summary, onnx: &'a [u8]) -> Self {
        Self { imported, graph, onnx, began: Instant::now() }
    }

    /// Refuses a graph that does not give a score for each row by itself. What could not be tried is said, for who reads the reason.
    pub(super) fn run(&self) -> Result<Option<String>, Report> {
        let mut last = None;
        // Zeros may be what a graph cannot do with, or ones.
        for [first, second] in [[0, 1], [0, 0], [1, 1]] {
            match self.try_rows(first, second) {
                Ok(alone) => return self.try_further(alone),
                Err(Failure::Refused(refused)) => return Err(refused),
                Err(Failure::Run(error)) => last = Some(error),
                Err(Failure::Unknown(why)) => return Ok(untried(why)),
            }
        }
        let Some(error) = last else { return Ok(None) };
        let told = error.to_string();
        if LOOK_UPS.iter().any(|operator| told.contains(&format!("running {operator} node"))) {
            return Ok(untried("it takes neither 0 nor 1"));
        }
        Err(report(PgSqlErrorCode::ERRCODE_DATA_EXCEPTION, format!("model cannot score a row: {told}"))
            .set_detail("Rows of zeros and rows of ones were tried.")
            .set_hint("The first dimension of its inputs and outputs must be the rows, and it must take as many columns as are named; else its exporter wrote what ONNX Runtime cannot run."))
    }

    fn try_rows(&self, first: i64, second: i64) -> Result<Vec<(i64, f64)>, Failure> {
        let alone = vec![(first, self.one_score_of(first)?), (second, self.one_score_of(second)?)];
        let again = self.one_score_of(second)?;
        if differ(alone[1].1, again, &[again]) {
            return Err(Failure::Refused(random(alone[1].1, again)));
        }
        self.try_batch(&[first, second], &alone)?;
        self.try_batch(&[first, second, first], &alone)?;
        self.try_batch(&[first, second, first, second, second], &alone)?;
        if let Some(n) = bind::rows_at_once(self.graph).filter(|n| *n <= LARGEST_FILLED) {
            let batch: Vec<i64> =
                (0..=n).map(|row| if row % 3 == 0 { first } else { second }).collect();
            self.try_batch(&batch, &alone)?;
        }
        self.try_many(second, &alone)?;
        Ok(alone)
    }

    /// A row many times, which in a graph that draws lots has many scores.
    fn try_many(&self, number: i64, alone: &[(i64, f64)]) -> Result<(), Failure> {
        let many = [number; 16];
        let (once, again) = (self.score_of(&many)?, self.score_of(&many)?);
        if let Some(row) = (0..many.len()).find(|&row| differ(once[row], again[row], &once)) {
            return Err(Failure::Refused(random(once[row], again[row])));
        }
        self.try_batch(&many, alone)
    }

    /// Other numbers, as far as the graph takes them: to 0 and 1 a graph of prices may say the same.
    fn try_further(&self, mut alone: Vec<(i64, f64)>) -> Result<Option<String>, Report> {
        for number in FURTHER {
            match self.one_score_of(number) {
                Ok(score) => alone.push((number, score)),
                Err(Failure::Refused(refused)) => return Err(refused),
                Err(Failure::Run(_) | Failure::Unknown(_)) => {}
            }
        }
        let batch: Vec<i64> = alone.iter().map(|one| one.0).collect();
        let Some(&last) = batch.last() else { return Ok(None) };
        match self.try_batch(&batch, &alone).and_then(|()| self.try_many(last, &alone)) {
            Err(Failure::Refused(refused)) => return Err(refused),
            Err(Failure::Unknown(why)) => return Ok(untried(why)),
            Ok(()) | Err(Failure::Run(_)) => {}
        }
        let is_flat = alone.iter().all(|one| !differ(one.1, alone[0].1, &[one.1, alone[0].1]));
        let doubt = "; the rows of its trial score alike, so whether rows change each other's score was not seen";
        Ok(is_flat.then(|| doubt.to_owned()))
    }

    /// Whether each row of a batch has the score that it has alone.
    fn try_batch(&self, batch: &[i64], alone: &[(i64, f64)]) -> Result<(), Failure> {
        let scores = self.score_of(batch)?;
        // A batch of equal rows has the range of one of them.
        let is_of_one = batch.iter().all(|number| *number == batch[0]);
        if self.graph.quantises_batches && !is_of_one {
            return Ok(());
        }
        for (number, &score) in batch.iter().zip(&scores) {
            let Some(&(_, by_itself)) = alone.iter().find(|one| one.0 == *number) else { continue };
            let among: Vec<f64> =
                alone.iter().map(|one| one.1).chain(scores.iter().copied()).collect();
            if differ(by_itself, score, &among) {
                return Err(Failure::Refused(mixed(by_itself, score, batch.len() - 1)));
            }
        }
        Ok(())
    }

    fn one_score_of(&self, number: i64) -> Result<f64, Failure> {
        let scores = self.score_of(&[number])?;
        Ok(scores.first().copied().unwrap_or(f64::NAN))
    }

    fn score_of(&self, numbers: &[i64]) -> Result<Vec<f64>, Failure> {
        if self.began.elapsed() > PATIENCE {
            return Err(Failure::Unknown("it takes seconds"));
        }
        let asked = self.imported.ask(self.imported.plain_rows(numbers)?)?;
        let Some(sent) = asked.sent else { return Ok(Vec::new()) };
        match sent.outputs(|| self.onnx) {
            Ok(outputs) => Ok(self.imported.scores_of(&outputs, asked.n_rows)?.0),
            Err(
                error @ process::Error::Refused {
                    kind: ErrorKind::RunFailed | ErrorKind::ValueOutOfRange,
                    ..
                },
            ) => Err(Failure::Run(error)),
            Err(process::Error::Refused { kind: ErrorKind::OutOfMemory, .. }) => {
                Err(Failure::Unknown("there was no memory for it"))
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn untried(why: &str) -> Option<String> {
    Some(format!("; it was not tried out, for {why}"))
}

/// Whether two scores of a row are not the same, among these.
fn differ(a: f64, b: f64, among: &[f64]) -> bool {
    let finite = among.iter().filter(|score| score.is_finite());
    let largest = finite.fold(0.0, |largest: f64, score| largest.max(score.abs()));
    let is_same = a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= TOLERANCE * largest;
    !is_same
}

fn random(once: f64, again: f64) -> Report {
    let message = "model gives the same row another score each time";
    report(PgSqlErrorCode::ERRCODE_DATA_EXCEPTION, message)
        .set_detail(format!("A row has the score {once}, and {again} the next time."))
        .set_hint("Export it for inference: without nodes that draw lots, and without dropout.")
}

fn mixed(alone: f64, beside: f64, n_others: usize) -> Report {
    let message = "model gives a row another score beside other rows than alone";
    report(PgSqlErrorCode::ERRCODE_DATA_EXCEPTION, message)
        .set_detail(format!("A row has the score {alone} alone, and {beside} beside {n_others} others."))
        .set_hint("Export what scores each row by itself: without a mean, softmax, normalisation or order over the first dimension, the rows.")
}
