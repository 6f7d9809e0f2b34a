//! A trial of an imported graph, before it scores anybody's rows: rows of zeros and of ones, alone and beside others.
//!
//! What a graph says of its shapes may be wrong or nothing. It may turn rows into columns, reckon over all rows at once, draw
//! lots, or fail whatever it is given, and its answer would be wrong in silence where the numbers of rows happen to fit.

use pgrx::prelude::*;

use crate::onnx::bind;
use crate::onnx::scan::Summary;
use crate::onnx::wire::ErrorKind;
use crate::pg::error::{Report, report};
use crate::pg::onnx as process;

use super::onnx::Imported;

/// Nodes that know some values and may know neither "0" nor "1".
const LOOK_UPS: [&str; 4] = ["Cast", "CategoryMapper", "DictVectorizer", "OneHotEncoder"];
/// The largest batch of a fixed size that is tried with one row more than it has.
const LARGEST_FILLED: i64 = 4096;
/// As a share of the largest score: ONNX Runtime reckons with 32 bits, and adds in another order where it has several rows.
const TOLERANCE: f64 = 0.01;

/// Why a trial gave no scores.
enum Failure {
    /// ONNX Runtime could not score these rows.
    Run(process::Error),
    NoMemory,
    Refused(Report),
}

impl<E: Into<Report>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

pub(super) struct Trial<'a> {
    pub(super) imported: &'a Imported,
    pub(super) graph: &'a Summary,
    pub(super) onnx: &'a [u8],
}

impl Trial<'_> {
    /// Refuses a graph that does not give a score for each row by itself. What could not be tried is said, for who reads the reason.
    pub(super) fn run(&self) -> Result<Option<String>, Report> {
        let mut last = None;
        // Zeros may be what a graph cannot do with, or ones.
        for (is_one, other_is_one) in [(false, true), (false, false), (true, true)] {
            match self.try_rows(is_one, other_is_one) {
                Ok(()) => return Ok(None),
                Err(Failure::Refused(refused)) => return Err(refused),
                Err(Failure::Run(error)) => last = Some(error),
                Err(Failure::NoMemory) => return Ok(untried("there was no memory for it")),
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

    fn try_rows(&self, first: bool, second: bool) -> Result<(), Failure> {
        let alone = [self.score_of(&[first])?, self.score_of(&[second])?].concat();
        let mut batches = vec![
            vec![first, second],
            vec![first, second, first],
            vec![first, second, first, second, second],
        ];
        if let Some(n) = bind::rows_at_once(self.graph).filter(|n| *n <= LARGEST_FILLED) {
            batches.push((0..=n).map(|row| if row % 3 == 0 { first } else { second }).collect());
        }
        let many = [second; 16];
        let (once, again) = (self.score_of(&many)?, self.score_of(&many)?);
        if let Some(row) = (0..many.len()).find(|&row| differ(once[row], again[row], &once)) {
            return Err(Failure::Refused(random(once[row], again[row])));
        }
        batches.push(many.to_vec());
        for batch in batches {
            let scores = self.score_of(&batch)?;
            for (is_one, score) in batch.iter().zip(&scores) {
                let by_itself = alone[usize::from(*is_one != first)];
                let among = [&alone[..], &scores].concat();
                if !self.graph.quantises_batches && differ(by_itself, *score, &among) {
                    return Err(Failure::Refused(mixed(by_itself, *score, batch.len() - 1)));
                }
            }
        }
        Ok(())
    }

    fn score_of(&self, are_ones: &[bool]) -> Result<Vec<f64>, Failure> {
        let asked = self.imported.ask(self.imported.plain_rows(are_ones)?)?;
        let Some(sent) = asked.sent else { return Ok(Vec::new()) };
        match sent.outputs(|| self.onnx) {
            Ok(outputs) => Ok(self.imported.scores_of(&outputs, asked.n_rows)?.0),
            Err(error @ process::Error::Refused { kind: ErrorKind::RunFailed, .. }) => {
                Err(Failure::Run(error))
            }
            Err(process::Error::Refused { kind: ErrorKind::OutOfMemory, .. }) => {
                Err(Failure::NoMemory)
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
