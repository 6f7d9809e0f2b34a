//! `segment_flow`: how the customers of a model's source lie in the segments of two versions.

use pgrx::prelude::*;
use rayon::prelude::*;

use crate::algo::frame::Frame;
use crate::algo::memory;
use crate::algo::segment::{KMeans, Rows};
use crate::algo::stop::Watch;
use crate::pg::error::{Report, report};
use crate::pg::models::registry::{self, Privilege, Version};
use crate::pg::rows::ingest::{Ingested, Others, Request, Role, ingest};
use crate::pg::sys::guc;
use crate::pg::sys::progress::Progress;
use crate::pg::sys::security::{as_role, with_search_path};
use crate::pg::sys::threads;
use crate::pg::types::options::required;

use super::model::{KIND, Segments};

/// Rows that one thread labels between two looks at the watch.
const ROWS: usize = 4096;

/// segment_flow(model, from_version, to_version)
#[pg_extern]
fn segment_flow(
    model: Option<&str>,
    from_version: Option<i64>,
    to_version: Option<i64>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(from_segment, Option<i32>),
            name!(to_segment, Option<i32>),
            name!(n_rows, i64),
            name!(share, f64),
        ),
    >,
    Report,
> {
    let model = required(model, "model")?;
    let found = registry::find(model, Privilege::Own)?;
    found.check_kind(KIND)?;
    found.check_owner()?;
    let live = found.live()?;
    let to = match to_version {
        Some(version) => found.version(version)?,
        None => live.clone(),
    };
    let from = match from_version {
        Some(version) => found.version(version)?,
        None => registry::before(&found, &to)?.ok_or_else(|| no_version_before(&to))?,
    };
    let versions = [registry::load::<Segments>(&from)?, registry::load::<Segments>(&to)?];
    let mut progress = Progress::start("segment_flow", model);
    let frame = read_as_owner(&live, &[&versions[0].model, &versions[1].model], &mut progress)?;
    progress.phase("labelling");
    let flows = count(&frame, [&versions[0], &versions[1]], &progress)?;
    let mut rows = Vec::with_capacity(flows.len());
    for part in flows.chunk_by(|a, b| a.0 == b.0) {
        let n_from: u64 = part.iter().map(|flow| flow.2).sum();
        rows.extend(
            part.iter().map(|&(from, to, n)| (from, to, n as i64, n as f64 / n_from as f64)),
        );
    }
    Ok(TableIterator::new(rows))
}

/// The rows that the source of a model has now, in the columns of these versions of it; read as the owner, as a refit does.
pub(super) fn read_as_owner(
    live: &Version,
    models: &[&KMeans],
    progress: &mut Progress,
) -> Result<Frame, Report> {
    let mut columns: Vec<String> = models.iter().flat_map(|model| model.columns()).collect();
    columns.sort();
    columns.dedup();
    let recipe = registry::recipe(live)?;
    let columns = columns.iter().map(|name| (name.as_str(), Role::Feature)).collect();
    let request = Request { source: &recipe.source, columns, others: Others::Ignore };
    let read = || ingest(&request, progress);
    let Ingested { frame, .. } =
        as_role(live.owner, || with_search_path(&recipe.search_path, read))?;
    Ok(frame)
}

/// How many rows are in each pair of segments of two versions, by the first and then the second; None is no segment, of a row with a
/// NULL feature.
pub(super) fn count(
    frame: &Frame,
    versions: [&Segments; 2],
    progress: &Progress,
) -> Result<Vec<(Option<i32>, Option<i32>, u64)>, Report> {
    let bind = |segments: &Segments| segments.model.dimensions().bind(&frame.columns);
    let rows = [bind(versions[0])?, bind(versions[1])?];
    let prepared = [&versions[0].prepared, &versions[1].prepared];
    let k = [0, 1].map(|which| versions[which].model.k());
    // A table for each thread, and the sums.
    let cells = (k[0] + 1) * (k[1] + 1) * size_of::<u64>();
    memory::probe(cells.saturating_mul(2 * guc::threads() + 1))?;
    let counts = threads::run(progress, |watch: &Watch| {
        let none = || vec![0u64; (k[0] + 1) * (k[1] + 1)];
        let pieces = (0..frame.n_rows.div_ceil(ROWS)).into_par_iter().map(|piece| {
            watch.check()?;
            let mut counts = none();
            let [mut before, mut after] = [0, 1].map(|which| vec![0f64; rows[which].n_features()]);
            for row in piece * ROWS..((piece + 1) * ROWS).min(frame.n_rows) {
                // 0 for a row that has no segment: a feature is NULL.
                let segment = |which: usize, values: &mut Vec<f64>| {
                    for (feature, value) in values.iter_mut().enumerate() {
                        *value = rows[which].value(row, feature);
                    }
                    prepared[which].segment(values).unwrap_or(0) as usize
                };
                counts[segment(0, &mut before) * (k[1] + 1) + segment(1, &mut after)] += 1;
            }
            Ok(counts)
        });
        pieces.try_reduce(none, |mut all, counts| {
            all.iter_mut().zip(counts).for_each(|(all, count)| *all += count);
            Ok(all)
        })
    })?
    .map_err(crate::algo::segment::Error::Stopped)?;
    let segment = |number: usize| (number > 0).then_some(number as i32);
    let cells = counts.into_iter().enumerate().filter(|(_, count)| *count > 0);
    Ok(cells
        .map(|(cell, count)| (segment(cell / (k[1] + 1)), segment(cell % (k[1] + 1)), count))
        .collect())
}

fn no_version_before(version: &Version) -> Report {
    report(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        format!("model \"{}\" has no version before {}", version.name, version.version),
    )
    .set_hint("Refit it, or name two versions of persona.model_versions.")
}
