//! How good a model's scores are on a source of which the outcome is known.

use pgrx::prelude::*;
use pgrx::spi::{quote_identifier, quote_literal};

use crate::algo::frame::{Column, Frame, base_name};
use crate::algo::score::{self, Figures, LabelsOfGraph, Scorer};
use crate::pg::error::{Report, report};
use crate::pg::models::registry::{self, Privilege, Version};
use crate::pg::rows::ingest::{Ingested, Others, Request, Role, ingest};
use crate::pg::sys::progress::Progress;
use crate::pg::sys::threads;

use super::data::name_classes;
use super::holdout;
use super::native::Native;
use super::onnx::Imported;
use super::scoring::Scoring;
use crate::pg::types::options::required;

#[pg_extern]
fn evaluate(
    model: Option<&str>,
    source: Option<&str>,
    target: Option<&str>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(n_rows, i64),
            name!(roc_auc, Option<f64>),
            name!(average_precision, Option<f64>),
            name!(log_loss, Option<f64>),
            name!(brier, Option<f64>),
            name!(accuracy, Option<f64>),
            name!(base_rate, Option<f64>),
        ),
    >,
    Report,
> {
    let (model, source) = (required(model, "model")?, required(source, "source")?);
    let target = required(target, "target")?;
    let found = registry::current::<Scoring>(model, Privilege::Use)?;
    let mut progress = Progress::start("evaluate", model);
    let figures = match &*found.model {
        Scoring::Native(native) => {
            let (frame, labels, figures) = measure(native, source, target, &mut progress)?;
            warn_of_rows_of_the_fit(&found.version, &native.scorer, &frame, &labels)?;
            figures
        }
        Scoring::Onnx(imported) => measure_imported(imported, source, target, &mut progress)?,
    };
    Ok(TableIterator::once((
        figures.n_rows as i64,
        figures.roc_auc,
        figures.average_precision,
        figures.log_loss,
        figures.brier,
        figures.accuracy,
        figures.base_rate,
    )))
}

/// The inputs, which rows are positive, and the figures.
fn measure(
    native: &Native,
    source: &str,
    target: &str,
    progress: &mut Progress,
) -> Result<(Frame, Vec<bool>, Figures), Report> {
    let (target, frame) = read(source, target, native.inputs().collect(), progress)?;
    if frame.n_rows == 0 {
        return Err(score::Error::EmptyInput.into());
    }
    progress.phase("scoring");
    let scorer = &native.scorer;
    let (labels, figures) = threads::run(progress, |watch| {
        let labels = scorer.labels(&target)?;
        let scores = scorer.score_frame(&frame, watch)?;
        let figures = Figures::new(&labels, &scores, true)?;
        Ok::<_, score::Error>((labels, figures))
    })??;
    Ok((frame, labels, figures))
}

/// Figures of rows that the model has learnt from flatter it. Whether a row was among them is told to those alone who may read the
/// model.
fn warn_of_rows_of_the_fit(
    version: &Version,
    scorer: &Scorer,
    frame: &Frame,
    labels: &[bool],
) -> Result<(), Report> {
    if registry::find(&version.name, Privilege::Read).is_err() {
        return Ok(());
    }
    let Some(seen) = holdout::rows_of_the_fit(version)? else { return Ok(()) };
    let Some(share) = seen.share_of(&scorer.inputs, frame, labels)? else { return Ok(()) };
    let percent = (100.0 * share).round().max(1.0);
    pgrx::warning!(
        "about {percent} % of the rows of the source were in the fit of model \"{}\", which flatters it; \
         persona.holdout_scores has scores of rows that were not",
        version.name
    );
    Ok(())
}

fn measure_imported(
    imported: &Imported,
    source: &str,
    target: &str,
    progress: &mut Progress,
) -> Result<Figures, Report> {
    let (target, frame) = read(source, target, imported.inputs().collect(), progress)?;
    if frame.n_rows == 0 {
        return Err(score::Error::EmptyInput.into());
    }
    let LabelsOfGraph { labels, ordered, unseen } = imported.labels(&target)?;
    if let Some([other, positive]) = ordered {
        // Which of two texts a client calls positive nobody can know: churned comes before kept.
        report(
            PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION,
            format!(
                "\"{positive}\" is taken for the positive class and \"{other}\" for the other one, by their order: the graph has no names for its classes"
            ),
        )
        .set_hint(format!(
            "To name another, make the target a boolean that is true for it, as in ({} = {}) AS {}.",
            quote_identifier(target.name.as_str()),
            quote_literal(&other),
            quote_identifier(target.name.as_str())
        ))
        .report(PgLogLevel::NOTICE);
    }
    if let Some(class) = unseen {
        let name = quote_identifier(target.name.as_str());
        report(
            PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION,
            format!("no row is of class \"{class}\": the graph has only numbers for its classes, which may be others than those of the target"),
        )
        .set_hint(format!(
            "If an encoder numbered the classes, make the target a boolean that is true for the positive one, as in ({name} = 'value') AS {name}."
        ))
        .report(PgLogLevel::NOTICE);
    }
    progress.phase("scoring");
    let scores = imported.score_frame(&frame)?;
    let figures = Figures::new(&labels, &scores, imported.may_be_probability())?;
    let n_without = frame.n_rows - figures.n_rows;
    if n_without > 0 {
        notice!("{n_without} of {} rows have no score, and are left out", frame.n_rows);
    }
    Ok(figures)
}

/// The target, and the inputs under the names that the model has for them: `v[3]` is read with its array `v`.
pub(super) fn read(
    source: &str,
    target: &str,
    inputs: Vec<(&str, Role)>,
    progress: &mut Progress,
) -> Result<(Column, Frame), Report> {
    let mut columns = vec![(target, Role::Target)];
    for (name, role) in inputs {
        let column = base_name(name);
        if !columns.iter().skip(1).any(|(known, _)| *known == column) {
            columns.push((column, role));
        }
    }
    let request = Request { source, columns, others: Others::Ignore };
    let Ingested { mut frame, types, .. } = ingest(&request, progress)?;
    name_classes(&mut frame, &types)?;
    let target = frame.columns.remove(0);
    Ok((target, frame))
}
