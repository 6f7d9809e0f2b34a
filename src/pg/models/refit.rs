//! `refit`: runs the fit of the live version again, as the owner alone, and publishes what changed.
//!
//! As REFRESH MATERIALIZED VIEW does, the source runs with the owner's rights in a security-restricted operation, and its
//! names resolve in the schemas of the fit: whoever calls, the owner gains nothing and loses nothing.

use pgrx::datum::clock_timestamp;
use pgrx::prelude::*;

use super::family::{Fresh, Headline, family};
use super::publish;
use crate::pg::error::{Report, report};
use crate::pg::models::registry::{self, Model, Privilege, Version};
use crate::pg::sys::security::{
    as_role, is_transaction_block, refuse_read_only, session_role, with_search_path,
};
use crate::pg::types::options::within;

/// Refits the model and returns its new version; NULL when another session is refitting it and this one does not wait.
#[pg_extern]
fn refit(
    model: &str,
    force: bool,
    max_loss: f64,
    wait: bool,
    publish: bool,
) -> Result<Option<i32>, Report> {
    within("max_loss", max_loss, 0.0.., "0 and more, as 0.1")?;
    let started_at = clock_timestamp();
    let check = |model: &Model| {
        model.allow(Privilege::Own)?;
        model.check_owner()
    };
    let found = if wait {
        Some(registry::lock_existing(model, check)?)
    } else {
        registry::try_lock_existing(model, check)?
    };
    let Some(found) = found else {
        pgrx::notice!("model \"{model}\" is being refitted by another session, skipped");
        return Ok(None);
    };
    let (live, fit, before) = registry::fresh(|| {
        let live = found.live()?;
        let (fit, before) = (registry::recipe(&live)?, Found::of(&live)?);
        Ok::<_, Report>((live, fit, before))
    })?;
    let fresh = as_role(live.owner, || {
        with_search_path(&fit.search_path, || {
            let again = || family(live.kind)?.fit_again(&live, &fit.source, &fit.parameters);
            let Fresh { version: fresh, answers } = registry::fresh(again)?;
            let found = registry::fresh(|| Found::of(&fresh))?;
            if !force {
                check_rows(&fresh, before.n_rows, found.n_rows)?;
                check_metric(&live, &before, &found, max_loss)?;
            }
            let n_changed =
                if publish { publish::follow(&fresh, None, answers.as_deref())? } else { 0 };
            let run = Run {
                started_at,
                from_version: live.version,
                done: Some((&fresh, found.n_rows, n_changed)),
                failure: None,
            };
            log(&live, &run)?;
            Ok::<_, Report>(fresh)
        })
    })?;
    Ok(Some(fresh.version))
}

/// For `refit_job`: keeps what a refit failed of, where the caller has the owner's rights. Others have no place in the log.
#[pg_extern]
fn log_refit_failure(
    model: &str,
    started_at: TimestampWithTimeZone,
    sqlstate: &str,
    error: &str,
) -> Result<(), Report> {
    refuse_read_only(|| format!("model \"{model}\""))?;
    let Ok(found) = registry::find(model, Privilege::Own) else { return Ok(()) };
    let Some(live) = found.active()? else { return Ok(()) };
    let from_version = live.version;
    log(&live, &Run { started_at, from_version, done: None, failure: Some((sqlstate, error)) })
}

/// For `refit_job`, which commits what it logs.
#[pg_extern]
fn in_transaction_block() -> bool {
    is_transaction_block()
}

/// What a fit found.
struct Found {
    n_rows: i64,
    metrics: serde_json::Value,
}

impl Found {
    fn of(version: &Version) -> Result<Self, Report> {
        Ok(Self { n_rows: registry::n_rows(version)?, metrics: registry::metrics(version)? })
    }

    /// The measure by which versions are compared; None where it is not known.
    fn metric(&self, headline: &Headline) -> Option<f64> {
        self.metrics.pointer(headline.pointer)?.as_f64()
    }
}

/// A source that lost most of its rows is a broken load, not news: the live version stays.
fn check_rows(fresh: &Version, before: i64, n_rows: i64) -> Result<(), Report> {
    if n_rows * 2 >= before {
        return Ok(());
    }
    Err(report(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!(
            "the source of model \"{}\" has {n_rows} rows, under half of the {before} of the fit",
            fresh.name
        ),
    )
    .set_hint("The live version is kept. Use force => true if the source is right."))
}

/// A model that became much worse by its own measure is not put in the place of one that is good.
fn check_metric(
    live: &Version,
    before: &Found,
    after: &Found,
    max_loss: f64,
) -> Result<(), Report> {
    let headline = family(live.kind)?.headline();
    let (Some(before), Some(after)) = (before.metric(&headline), after.metric(&headline)) else {
        return Ok(());
    };
    if before - after <= max_loss {
        return Ok(());
    }
    Err(report(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!(
            "{} of model \"{}\" would fall from {before:.3} to {after:.3}, by more than {max_loss}",
            headline.name, live.name
        ),
    )
    .set_hint("The live version is kept. Use a larger max_loss, or force => true."))
}

/// How many runs of a model's refits the log keeps.
const LOGGED: i64 = 1_000;

/// A line of the log.
struct Run<'a> {
    started_at: TimestampWithTimeZone,
    from_version: i32,
    /// The new version, the rows of its fit, and the rows that were changed in published tables.
    done: Option<(&'a Version, i64, u64)>,
    /// SQLSTATE and message.
    failure: Option<(&'a str, &'a str)>,
}

fn log(live: &Version, run: &Run) -> Result<(), Report> {
    // Where the model is gone meanwhile, nothing is kept of it.
    registry::change(
        "INSERT INTO persona.refit_run \
         (model_id, started_at, run_by, from_version, version, n_rows, n_changed, sqlstate, error) \
         SELECT id, $2, $3, $4, $5, $6, $7, $8, $9 FROM persona.model WHERE id = $1 FOR KEY SHARE",
        &[
            live.model_id.into(),
            run.started_at.into(),
            session_role().into(),
            run.from_version.into(),
            run.done.map(|(fresh, ..)| fresh.version).into(),
            run.done.map(|(_, n_rows, _)| n_rows).into(),
            run.done.map(|(_, _, n_changed)| n_changed as i64).into(),
            run.failure.map(|(sqlstate, _)| sqlstate).into(),
            run.failure.map(|(_, error)| error).into(),
        ],
    )?;
    registry::change(
        "DELETE FROM persona.refit_run WHERE id IN \
         (SELECT id FROM persona.refit_run WHERE model_id = $1 ORDER BY id DESC OFFSET $2)",
        &[live.model_id.into(), LOGGED.into()],
    )
}
