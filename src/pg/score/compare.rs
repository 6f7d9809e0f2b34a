//! `compare`: two versions of a scorer over the same rows, and whether chance explains their difference.

use pgrx::prelude::*;

use crate::algo::memory;
use crate::algo::metrics::{classification, delong};
use crate::pg::error::{Report, report};
use crate::pg::models::registry::{self, Privilege, Stored, Version};
use crate::pg::sys::progress::Progress;
use crate::pg::types::options::required;

use super::curves::no_rows;
use super::evaluate::read;
use super::fit::target_of;
use super::scoring::Scoring;

type Answer = TableIterator<
    'static,
    (
        name!(n_rows, i64),
        name!(roc_auc, Option<f64>),
        name!(other_roc_auc, Option<f64>),
        name!(difference, Option<f64>),
        name!(standard_error, Option<f64>),
        name!(z, Option<f64>),
        name!(p_value, Option<f64>),
        name!(log_loss, Option<f64>),
        name!(other_log_loss, Option<f64>),
    ),
>;

#[pg_extern]
fn compare(
    model: Option<&str>,
    version: Option<i64>,
    other_version: Option<i64>,
    source: Option<&str>,
    target: Option<&str>,
) -> Result<Answer, Report> {
    let model = registry::find(required(model, "model")?, Privilege::Read)?;
    model.check_kind(Scoring::KIND)?;
    let versions = [
        model.version(required(version, "version")?)?,
        model.version(required(other_version, "other_version")?)?,
    ];
    let source = required(source, "source")?;
    let target = match target {
        Some(target) => target.to_owned(),
        None => target_of(&versions)?.ok_or_else(|| required(target, "target").unwrap_err())?,
    };
    let scorings =
        [registry::load::<Scoring>(&versions[0])?, registry::load::<Scoring>(&versions[1])?];
    let mut progress = Progress::start("compare", &model.name);
    let inputs = scorings.iter().flat_map(|scoring| scoring.inputs()).collect();
    let (target, frame) = read(source, &target, inputs, &mut progress)?;
    if frame.n_rows == 0 {
        return Err(no_rows());
    }
    progress.phase("scoring");
    let labels = scorings[0].labels(&target)?;
    if labels != scorings[1].labels(&target)? {
        return Err(other_classes(&versions));
    }
    let scores = scorings[0].score_frame(&frame, &progress)?;
    let others = scorings[1].score_frame(&frame, &progress)?;
    let rows = Rows::scored_by_both(&labels, &scores, &others)?;
    rows.answer(scorings.iter().all(|scoring| scoring.may_be_probability()))
}

/// Rows that have both scores.
#[derive(Default)]
struct Rows {
    labels: Vec<bool>,
    scores: Vec<f64>,
    others: Vec<f64>,
}

impl Rows {
    fn scored_by_both(labels: &[bool], scores: &[f64], others: &[f64]) -> Result<Self, Report> {
        let mut rows = Self::default();
        for ((&label, &score), &other) in labels.iter().zip(scores).zip(others) {
            if score.is_finite() && other.is_finite() {
                memory::push(&mut rows.labels, label)?;
                memory::push(&mut rows.scores, score)?;
                memory::push(&mut rows.others, other)?;
            }
        }
        let n_without = labels.len() - rows.labels.len();
        if n_without > 0 {
            notice!("{n_without} of {} rows lack a score, and are left out", labels.len());
        }
        Ok(rows)
    }

    fn answer(&self, may_be_probabilities: bool) -> Result<Answer, Report> {
        let found = delong::compare(&self.labels, &self.scores, &self.others)?;
        let loss = |scores: &[f64]| {
            let are_probabilities = may_be_probabilities
                && !scores.is_empty()
                && scores.iter().copied().all(classification::is_probability);
            are_probabilities.then(|| classification::log_loss(&self.labels, scores))
        };
        Ok(TableIterator::once((
            self.labels.len() as i64,
            found.map(|found| found.roc_auc),
            found.map(|found| found.other_roc_auc),
            found.map(|found| found.difference()),
            found.map(|found| found.standard_error),
            found.and_then(|found| found.z()),
            found.map(|found| found.p_value()),
            loss(&self.scores),
            loss(&self.others),
        )))
    }
}

fn other_classes([version, other]: &[Version; 2]) -> Report {
    let message = format!(
        "versions {} and {} of model \"{}\" have different positive classes",
        version.version, other.version, version.name
    );
    report(PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        .set_hint("Fit both with the same positive class, as in positive => 'yes'.")
}
