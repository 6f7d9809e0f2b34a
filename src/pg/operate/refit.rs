//! `refit`: runs the fit of the live version again, as the owner alone, and publishes what changed.
//!
//! As REFRESH MATERIALIZED VIEW does, the source runs with the owner's rights in a security-restricted operation, and its
//! names resolve in the schemas of the fit: whoever calls, the owner gains nothing and loses nothing.

use std::ffi::CString;

use pgrx::datum::clock_timestamp;
use pgrx::prelude::*;

use crate::pg::error::{Error, Report, report};
use crate::pg::registry::{self, Recipe, Version, spi_failed};
use crate::pg::security::{as_role, is_transaction_block, with_catalog_names, with_search_path};
use crate::pg::{recommend, score, segment};

use super::publish;

/// Refits the model and returns its new version; NULL when another session is refitting it.
#[pg_extern]
fn refit(model: &str, force: bool, max_loss: f64) -> Result<Option<i32>, Report> {
    if max_loss.is_nan() || max_loss < 0.0 {
        return Err(Error::InvalidOption {
            option: "max_loss".into(),
            value: max_loss.to_string(),
            valid: "0 and more, as 0.1".into(),
        }
        .into());
    }
    let started_at = clock_timestamp();
    if !registry::lock(model, None, false)? {
        pgrx::notice!("model \"{model}\" is being refitted by another session, skipped");
        return Ok(None);
    }
    let live = registry::find(model, None)?;
    let fit = registry::recipe(&live)?;
    let fresh = as_role(live.owner, true, || {
        with_search_path(&fit.search_path, || {
            let fresh = again(&live, &fit)?;
            let found = Found::of(&fresh)?;
            if !force {
                check_rows(&fresh, fit.n_rows, found.n_rows)?;
                check_metric(&live, &Found::of(&live)?, &found, max_loss)?;
            }
            let mut n_changed = 0;
            for publication in publish::publications(live.model_id)? {
                let path = CString::new(publication.search_path.as_str()).unwrap_or_default();
                let publish = || publish::publish_again(&fresh, &publication);
                n_changed += with_search_path(&path, publish)?.n_changed();
            }
            log(&live, &fresh, found.n_rows, n_changed, started_at)?;
            Ok::<_, Report>(fresh)
        })
    })?;
    Ok(Some(fresh.version))
}

/// For `refit_job`, which commits what it logs.
#[pg_extern]
fn in_transaction_block() -> bool {
    is_transaction_block()
}

fn again(live: &Version, fit: &Recipe) -> Result<Version, Report> {
    match live.kind.as_str() {
        "segments" => segment::fit_again(live, &fit.source, &fit.parameters),
        "scorer" => score::fit_again(live, &fit.source, &fit.parameters),
        "recommender" => recommend::fit_again(live, &fit.source, &fit.parameters),
        _ => Err(Error::WrongKind {
            name: live.name.clone(),
            is: live.kind.clone(),
            wanted: "model that can be refitted",
        }
        .into()),
    }
}

/// What a fit found.
struct Found {
    n_rows: i64,
    metrics: serde_json::Value,
}

impl Found {
    fn of(version: &Version) -> Result<Self, Report> {
        let n_rows = with_catalog_names(|| {
            Spi::connect(|client| {
                client
                    .select(
                        "SELECT n_rows FROM persona.model_version WHERE model_id = $1 AND version = $2",
                        Some(1),
                        &[version.model_id.into(), version.version.into()],
                    )?
                    .first()
                    .get_one::<i64>()
            })
        })
        .map_err(spi_failed)?;
        Ok(Self { n_rows: n_rows.unwrap_or(0), metrics: registry::metrics(version)? })
    }

    /// The measure by which versions of a kind are compared, more being better; None where it is not known.
    fn metric(&self, kind: &str) -> Option<(&'static str, f64)> {
        let (name, value) = match kind {
            "segments" => ("silhouette", &self.metrics["quality"]["silhouette"]),
            "scorer" => ("roc_auc", &self.metrics["roc_auc"]),
            _ => ("ndcg_at_10", &self.metrics["ndcg_at_10"]),
        };
        value.as_f64().map(|value| (name, value))
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
    let (Some((name, before)), Some((_, after))) =
        (before.metric(&live.kind), after.metric(&live.kind))
    else {
        return Ok(());
    };
    if before - after <= max_loss {
        return Ok(());
    }
    Err(report(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!(
            "{name} of model \"{}\" would fall from {before:.3} to {after:.3}, by more than {max_loss}",
            live.name
        ),
    )
    .set_hint("The live version is kept. Use a larger max_loss, or force => true."))
}

/// How many runs of a model's refits the log keeps.
const LOGGED: i64 = 1_000;

fn log(
    live: &Version,
    fresh: &Version,
    n_rows: i64,
    n_changed: u64,
    started_at: TimestampWithTimeZone,
) -> Result<(), Report> {
    with_catalog_names(|| {
        Spi::connect_mut(|client| {
            client.update(
                "INSERT INTO persona.refit_run (model_id, started_at, from_version, version, n_rows, n_changed) \
                 VALUES ($1, $2, $3, $4, $5, $6)",
                None,
                &[
                    live.model_id.into(),
                    started_at.into(),
                    live.version.into(),
                    fresh.version.into(),
                    n_rows.into(),
                    (n_changed as i64).into(),
                ],
            )?;
            client.update(
                "DELETE FROM persona.refit_run WHERE id IN \
                 (SELECT id FROM persona.refit_run WHERE model_id = $1 ORDER BY id DESC OFFSET $2)",
                None,
                &[live.model_id.into(), LOGGED.into()],
            )?;
            Ok(())
        })
    })
    .map_err(spi_failed)
}
