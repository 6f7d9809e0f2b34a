//! How good scores are: `evaluate` of a model on a source, and aggregates over labels and scores.

use pgrx::prelude::*;
use pgrx::spi::{quote_identifier, quote_literal};

use crate::algo::frame::{Column, Frame, base_name};
use crate::algo::memory;
use crate::algo::metrics::classification;
use crate::algo::score::{self, Figures, Kind, LabelsOfGraph, Scorer};
use crate::onnx::bind::Takes;
use crate::pg::error::{Error, Report, report};
use crate::pg::models::registry::{self, Privilege, Version};
use crate::pg::rows::ingest::{Ingested, Others, Request, Role, ingest};
use crate::pg::sys::call::{Call, Internal, OwnState, functions};
use crate::pg::sys::guc;
use crate::pg::sys::progress::Progress;
use crate::pg::sys::threads;
use crate::pg::types::datum::FloatArray;

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
    let inputs = native.scorer.inputs.iter().map(|input| {
        let role = match input.kind {
            Kind::Number { .. } => Role::Number,
            Kind::Category { .. } => Role::Category,
        };
        (input.name.as_str(), role)
    });
    let (target, frame) = read(source, target, inputs.collect(), progress)?;
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
    let inputs = imported.columns().map(|(name, takes)| match takes {
        Takes::Text => (name, Role::Category),
        Takes::Whole => (name, Role::Whole),
        Takes::Float | Takes::Double => (name, Role::Number),
    });
    let (target, frame) = read(source, target, inputs.collect(), progress)?;
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
fn read(
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

functions! {
    /// Adds a row: its label and its score. A NULL label or score is skipped.
    fn persona_scored_add(Internal<Scored>, bool, f64) -> Internal<Scored> = add;
    fn persona_scored_roc_auc(Internal<Scored>) -> f64 = |call| finish(call, classification::roc_auc);
    fn persona_scored_average_precision(Internal<Scored>) -> f64 = |call| finish(call, classification::average_precision);
    /// Adds the loss of a row to a mean: its label and its score. A NULL label or score is skipped.
    fn persona_log_loss_add(FloatArray, bool, f64) -> FloatArray = |call| add_loss(call, classification::log_loss_of);
    /// As `persona_log_loss_add`.
    fn persona_brier_add(FloatArray, bool, f64) -> FloatArray = |call| add_loss(call, classification::brier_of);
}

/// The rows of an aggregate: a metric that ranks needs all of them.
#[derive(Default)]
struct Scored {
    labels: Vec<bool>,
    scores: Vec<f64>,
}

fn add<'call>(
    Call { args, .. }: Call<'call, (Internal<Scored>, bool, f64)>,
) -> Result<OwnState<'call, Scored>, Report> {
    let row = args.get::<1>().zip(args.get::<2>());
    let mut state = args.internal_or_default()?;
    if let Some((label, score)) = row {
        state.add(label, score)?;
    }
    Ok(state)
}

impl Scored {
    fn add(&mut self, label: bool, score: f64) -> Result<(), Report> {
        if !score.is_finite() {
            return Err(
                Error::NotFiniteArgument { argument: "score".to_owned(), value: score }.into()
            );
        }
        if self.labels.len() == self.labels.capacity() {
            // Twice what there is, the old and the new together, and as much again for a metric's own order.
            let (wanted, budget) = (self.labels.len() * 2 * 9 * 2, guc::max_fit_memory());
            if wanted > budget {
                return Err(Error::OutOfMemoryBudget { wanted, budget }.into());
            }
        }
        memory::push(&mut self.labels, label)?;
        memory::push(&mut self.scores, score)?;
        Ok(())
    }
}

fn finish<E: Into<Report>>(
    Call { args, .. }: Call<(Internal<Scored>,)>,
    metric: fn(&[bool], &[f64]) -> Result<Option<f64>, E>,
) -> Result<Option<f64>, Report> {
    match args.internal()?.filter(|state| !state.labels.is_empty()) {
        Some(state) => metric(&state.labels, &state.scores).map_err(Into::into),
        None => Ok(None),
    }
}

/// The state is that of PostgreSQL's own `avg`, and so are the functions that merge and finish it.
fn add_loss<'call>(
    Call { args, site }: Call<'call, (FloatArray, bool, f64)>,
    loss: fn(bool, f64) -> f64,
) -> Result<Option<FloatArray<'call>>, Report> {
    // A state that somebody stored is packed.
    let Some(state) = args.get::<0>().map(FloatArray::unpacked) else { return Ok(None) };
    if state.plain().is_none_or(|state| state.len() != 3) {
        return Err(report(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "the state of a mean is an array of three numbers",
        )
        .set_hint("It is what the aggregate keeps between rows: call the aggregate."));
    }
    let (Some(label), Some(score)) = (args.get::<1>(), args.get::<2>()) else {
        return Ok(Some(state));
    };
    check_probability(score)?;
    Ok(Some(state.accumulate(&site, loss(label, score))))
}

fn check_probability(score: f64) -> Result<(), Report> {
    if !score.is_finite() {
        return Err(Error::NotFiniteArgument { argument: "score".to_owned(), value: score }.into());
    }
    if classification::is_probability(score) {
        return Ok(());
    }
    Err(report(
        PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
        format!("score {score} is not between 0 and 1"),
    )
    .set_hint("The metric is of probabilities: divide percentages by 100."))
}
