//! `refit`: runs the fit of the live version again, as the owner alone, and publishes what changed.
//!
//! As REFRESH MATERIALIZED VIEW does, the source runs with the owner's rights in a security-restricted operation, and its
//! names resolve in the schemas of the fit: whoever calls, the owner gains nothing and loses nothing.

use std::ffi::CString;

use pgrx::JsonB;
use pgrx::prelude::*;

use crate::pg::error::{Error, Report, report};
use crate::pg::registry::{self, Version, spi_failed};
use crate::pg::security::{as_role, with_catalog_names, with_search_path};
use crate::pg::{recommend, score, segment};

use super::publish;

/// Refits the model and returns its new version; NULL when another session is refitting it.
#[pg_extern]
fn refit(model: &str, force: bool) -> Result<Option<i32>, Report> {
    if !registry::lock(model, None, false)? {
        pgrx::notice!("model \"{model}\" is being refitted by another session, skipped");
        return Ok(None);
    }
    let live = registry::find(model, None)?;
    let fit = Fit::of(&live)?;
    let path = CString::new(fit.search_path.as_str()).unwrap_or_default();
    let fresh = as_role(live.owner, true, || {
        with_search_path(&path, || {
            let fresh = again(&live, &fit)?;
            check_rows(&fresh, &fit, force)?;
            for publication in publish::publications(live.model_id)? {
                let path = CString::new(publication.search_path.as_str()).unwrap_or_default();
                with_search_path(&path, || publish::publish_again(&fresh, &publication))?;
            }
            Ok::<_, Report>(fresh)
        })
    })?;
    Ok(Some(fresh.version))
}

/// How the live version was fitted.
struct Fit {
    source: String,
    search_path: String,
    parameters: serde_json::Value,
    n_rows: i64,
}

impl Fit {
    fn of(live: &Version) -> Result<Self, Report> {
        let (source, search_path, parameters, n_rows) = with_catalog_names(|| {
            Spi::connect(|client| {
                let rows = client.select(
                    "SELECT source, search_path, parameters, n_rows FROM persona.model_version \
                     WHERE model_id = $1 AND version = $2",
                    Some(1),
                    &[live.model_id.into(), live.version.into()],
                )?;
                let row = rows.first();
                Ok((
                    row.get::<String>(1)?,
                    row.get::<String>(2)?,
                    row.get::<JsonB>(3)?,
                    row.get::<i64>(4)?,
                ))
            })
        })
        .map_err(spi_failed)?;
        let Some(source) = source else {
            return Err(report(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!(
                    "model \"{}\" was imported and has no source to be refitted from",
                    live.name
                ),
            )
            .set_hint("Import a new version with persona.import_onnx."));
        };
        Ok(Self {
            source,
            search_path: search_path.unwrap_or_default(),
            parameters: parameters.map(|JsonB(parameters)| parameters).unwrap_or_default(),
            n_rows: n_rows.unwrap_or(0),
        })
    }
}

fn again(live: &Version, fit: &Fit) -> Result<Version, Report> {
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

/// A source that lost most of its rows is a broken load, not news: the live version stays.
fn check_rows(fresh: &Version, fit: &Fit, force: bool) -> Result<(), Report> {
    let n_rows = with_catalog_names(|| {
        Spi::connect(|client| {
            client
                .select(
                    "SELECT n_rows FROM persona.model_version WHERE model_id = $1 AND version = $2",
                    Some(1),
                    &[fresh.model_id.into(), fresh.version.into()],
                )?
                .first()
                .get_one::<i64>()
        })
    })
    .map_err(spi_failed)?
    .unwrap_or(0);
    if force || n_rows * 2 >= fit.n_rows {
        return Ok(());
    }
    Err(report(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!(
            "the source of model \"{}\" has {n_rows} rows, under half of the {} of the fit",
            fresh.name, fit.n_rows
        ),
    )
    .set_hint("The live version is kept. Use force => true if the source is right."))
}
