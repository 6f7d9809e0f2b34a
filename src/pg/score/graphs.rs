//! `import_onnx` and `export_onnx`: graphs made elsewhere come in, fitted scorers go out.

use pgrx::pg_sys::Oid;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::algo::memory;
use crate::onnx::{bind, export, scan};
use crate::pg::error::{Report, report};
use crate::pg::fitting::names;
use crate::pg::models::publish;
use crate::pg::models::registry::{self, Filing, NewVersion, Privilege, Stored};
use crate::pg::onnx as process;
use crate::pg::sys::query::spi_failed;
use crate::pg::sys::security::with_catalog_names;
use crate::pg::types::value::Names;

use super::onnx::Imported;
use super::scoring::{ONNX, Scoring};
use super::trial::Trial;
use crate::pg::types::options::required;

/// A bytea is in memory several times on its way; a large object comes in pieces.
const LARGEST_BYTEA: usize = 256 << 20;

type Answer = TableIterator<
    'static,
    (
        name!(model, String),
        name!(version, i32),
        name!(algorithm, String),
        name!(features, Vec<String>),
        name!(output_name, String),
        name!(output_reason, String),
    ),
>;

#[pg_extern]
fn import_onnx_bytes(
    model: Option<&str>,
    onnx: Option<&[u8]>,
    output: Option<&str>,
    features: Option<Names>,
    activate: Option<bool>,
    publish: Option<bool>,
    keep_versions: Option<i64>,
) -> Result<Answer, Report> {
    let onnx = required(onnx, "onnx")?;
    if onnx.len() > LARGEST_BYTEA {
        return Err(report(
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            format!("model has {} bytes, more than the {LARGEST_BYTEA} of a bytea", onnx.len()),
        )
        .set_hint("Load it as a large object and pass its oid: up to 1 GB."));
    }
    let filing = Filing::of(activate, publish, keep_versions)?;
    import(required(model, "model")?, onnx, output, features, filing)
}

#[pg_extern]
fn import_onnx_object(
    model: Option<&str>,
    onnx: Option<Oid>,
    output: Option<&str>,
    features: Option<Names>,
    activate: Option<bool>,
    publish: Option<bool>,
    keep_versions: Option<i64>,
) -> Result<Answer, Report> {
    let model = required(model, "model")?;
    let onnx = large_object(required(onnx, "onnx")?)?;
    import(model, &onnx, output, features, Filing::of(activate, publish, keep_versions)?)
}

fn import(
    model: &str,
    onnx: &[u8],
    output: Option<&str>,
    features: Option<Names>,
    filing: Filing,
) -> Result<Answer, Report> {
    registry::lock_for_fit(model, Scoring::KIND)?;
    let features = features.map(names).transpose()?;
    // A graph of many small nodes is larger once it is read than it was.
    memory::probe(onnx.len().saturating_mul(2))?;
    let summary = scan::scan(onnx)?;
    let mut bound = bind::bind(&summary, output, features.as_deref())?;
    let is_loaded = check_by_runtime(model, onnx)?;
    let opsets = summary.opsets.iter().map(|opset| (opset.domain.clone(), opset.version.into()));
    let opsets: serde_json::Map<_, _> = opsets.collect();
    let columns: Vec<String> = bound.columns().map(|(name, _)| name.to_owned()).collect();
    let version = registry::store(&NewVersion {
        model,
        kind: Scoring::KIND,
        algorithm: ONNX,
        payload: onnx,
        n_rows: 0,
        features: columns.clone(),
        parameters: json!({ "output": output, "features": features, "binding": bound }),
        metrics: json!({ "producer": summary.producer, "ir_version": summary.ir_version, "opsets": opsets }),
        source: None,
        filing,
    })?;
    let imported = Imported::new(&version, bound.clone());
    let trial = Trial::of(&imported, &summary, onnx);
    if is_loaded && let Some(doubt) = trial.run()? {
        bound.reason.push_str(&doubt);
    }
    if filing.publishes() {
        publish::follow(&version, None, None)?;
    }
    Ok(TableIterator::once((
        version.name,
        version.version,
        version.algorithm,
        columns,
        bound.output,
        bound.reason,
    )))
}

/// Refuses what ONNX Runtime does not take. Without ONNX Runtime a model is imported all the same, which is false here: it
/// may be there on the server that scores.
fn check_by_runtime(model: &str, onnx: &[u8]) -> Result<bool, Report> {
    use process::Error::*;
    match process::load(&Sha256::digest(onnx).into(), || onnx) {
        Ok(()) => Ok(true),
        Err(
            error @ (Unavailable { .. }
            | Library { .. }
            | Provider { .. }
            | WorkerSlotsFull
            | Timeout { .. }
            | System(_)),
        ) => {
            pgrx::warning!(
                "model \"{model}\" is imported without a check by ONNX Runtime: {error}"
            );
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// Read with the caller's rights, in pieces.
fn large_object(oid: Oid) -> Result<Vec<u8>, Report> {
    const PIECE: i32 = 1 << 20;
    let n_bytes = with_catalog_names(|| {
        Spi::get_one_with_args::<i64>(
            "SELECT CASE WHEN pg_catalog.lo_close(o.descriptor) = 0 THEN o.n_bytes END FROM (\
               SELECT d.descriptor, pg_catalog.lo_lseek64(d.descriptor, 0, 2) AS n_bytes \
               FROM (SELECT pg_catalog.lo_open($1, 262144) AS descriptor OFFSET 0) AS d OFFSET 0) AS o",
            &[oid.into()],
        )
    })
    .map_err(spi_failed)?;
    check_size(usize::try_from(n_bytes.unwrap_or(0)).unwrap_or(usize::MAX))?;
    let mut bytes = Vec::new();
    loop {
        let offset = bytes.len() as i64;
        let read = |client: &SpiClient| {
            let arguments = [oid.into(), offset.into(), PIECE.into()];
            let rows =
                client.select("SELECT pg_catalog.lo_get($1, $2, $3)", Some(1), &arguments)?;
            let piece = rows.first().get_one::<&[u8]>()?.unwrap_or_default();
            Ok(memory::extend(&mut bytes, piece).map(|()| piece.len()))
        };
        let n_read = with_catalog_names(|| Spi::connect(read)).map_err(spi_failed)??;
        check_size(bytes.len())?;
        if n_read < PIECE as usize {
            return Ok(bytes);
        }
    }
}

fn check_size(found: usize) -> Result<(), Report> {
    let allowed = scan::MAX_BYTES;
    if found > allowed {
        return Err(scan::Error::TooLarge { found, allowed }.into());
    }
    Ok(())
}

/// What a value of PostgreSQL's can hold, its header left out.
const LARGEST_VALUE: usize = 0x3fff_ffff - 4;

#[pg_extern]
fn export_onnx(model: Option<&str>) -> Result<Vec<u8>, Report> {
    let version = registry::active(required(model, "model")?, Scoring::KIND, Privilege::Read)?;
    let model = registry::load::<Scoring>(&version)?;
    let Scoring::Native(native) = &*model else {
        let bytes = registry::payload(&version)?;
        if bytes.len() > LARGEST_VALUE {
            return Err(report(
                PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                format!(
                    "model has {} bytes, more than the {LARGEST_VALUE} of a bytea",
                    bytes.len()
                ),
            )
            .set_hint("It can be scored here, but not be exported as one value."));
        }
        return Ok(bytes);
    };
    let scorer = &native.scorer;
    // Weights and levels are copied into each of the messages that they lie in.
    memory::probe_decoding(scorer.width().saturating_mul(size_of::<f64>()))?;
    Ok(export::export(scorer)?.onnx)
}
