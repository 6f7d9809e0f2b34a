//! `report`: a page about a model of segments, with what its rows look like for those who may read them.

use pgrx::prelude::*;

use crate::algo::memory;
use crate::algo::report::{
    Flow, FlowView, MapPoint, MapView, QualityView, SegmentView, SegmentsReport, SilhouetteView,
    segments_page,
};
use crate::algo::segment::{Ended, KMeans, Ordered, Picture, order_by_content, picture, profile};
use crate::algo::stop::Watch;
use crate::pg::error::Report;
use crate::pg::models::registry::{self, Model, Privilege, Version};
use crate::pg::sys::progress::Progress;
use crate::pg::sys::threads;
use crate::pg::types::options::required;

use super::flow::{count, read_as_owner};
use super::model::{KIND, Segments, describe, quality};

/// report(model, with_rows)
#[pg_extern]
fn report(model: Option<&str>, with_rows: Option<bool>) -> Result<String, Report> {
    let model = required(model, "model")?;
    let with_rows = required(with_rows, "with_rows")?;
    let found = registry::find(model, Privilege::Use)?;
    found.check_kind(KIND)?;
    let version = found.live()?;
    let segments = registry::load::<Segments>(&version)?;
    let mut page = of_model(&version, &segments.model)?;
    if with_rows && found.privilege() == Some(Privilege::Own) {
        found.check_owner()?;
        add_rows(&mut page, &found, &version, &segments)?;
    }
    // The page is text of each cell, of which parts are put together into larger ones.
    memory::probe((page.segments.len() * page.features.len()).saturating_mul(512))?;
    Ok(segments_page(&page))
}

/// What the model alone says.
fn of_model(version: &Version, model: &KMeans) -> Result<SegmentsReport, Report> {
    let rows = profile(model);
    let d = model.features.len();
    let segments = describe(version, model)?.into_iter().zip(rows.chunks_exact(d));
    let segments = segments.map(|(one, rows)| SegmentView {
        segment: one.segment as u32,
        name: one.name,
        words: one.words,
        size: one.size as u64,
        share: one.share,
        mean: rows.iter().map(|row| row.mean).collect(),
        z: rows.iter().map(|row| row.z).collect(),
    });
    let quality = quality(version)?;
    Ok(SegmentsReport {
        model: version.name.clone(),
        version: version.version,
        fitted_at: registry::fitted_at(version)?,
        n_rows: model.n_rows,
        features: model.features.clone(),
        population_mean: model.population_mean.clone(),
        segments: segments.collect(),
        quality: QualityView {
            inertia: model.inertia,
            iterations: model.iterations,
            is_converged: model.ended == Ended::Converged,
            silhouette: quality.and_then(|quality| quality.silhouette),
            davies_bouldin: quality.and_then(|quality| quality.davies_bouldin),
            calinski_harabasz: quality.and_then(|quality| quality.calinski_harabasz),
        },
        map: None,
        silhouette: None,
        flow: None,
    })
}

/// What the rows that the source has now say.
fn add_rows(
    page: &mut SegmentsReport,
    found: &Model,
    version: &Version,
    segments: &Segments,
) -> Result<(), Report> {
    let mut progress = Progress::start("report", &version.name);
    let earlier = match registry::before(found, version)? {
        Some(earlier) => Some((registry::load::<Segments>(&earlier)?, earlier.version)),
        None => None,
    };
    // One of other columns had its segments by what the source may no longer have.
    let columns = segments.model.columns();
    let earlier = earlier.filter(|(earlier, _)| {
        earlier.model.columns().iter().all(|column| columns.contains(column))
    });
    let mut models = vec![&segments.model];
    models.extend(earlier.iter().map(|(earlier, _)| &earlier.model));
    let frame = read_as_owner(version, &models, &mut progress)?;
    progress.phase("picturing");
    let rows = segments.model.dimensions().bind(&frame.columns)?;
    let Picture { points, centroids, explained, silhouettes } =
        threads::run(&progress, |watch: &Watch| {
            let rows = Ordered { order: order_by_content(&rows), rows: &rows };
            picture(&segments.model, &rows, watch)
        })??;
    page.map = Some(MapView {
        n_rows: points.len() as u64,
        points: points.iter().map(|&(segment, [x, y])| MapPoint { x, y, segment }).collect(),
        centroids: centroids.iter().map(|&[x, y]| (x, y)).collect(),
        explained,
    });
    page.silhouette =
        silhouettes.map(|widths| SilhouetteView { n_rows: widths.len() as u64, widths });
    let earlier =
        earlier.filter(|(earlier, _)| earlier.model.dimensions().bind(&frame.columns).is_ok());
    if let Some((earlier, from_version)) = earlier {
        let flows = count(&frame, [&earlier, segments], &progress)?;
        let segment = |segment: Option<i32>| segment.map(|segment| segment as u32);
        let flow = |(from, to, n_rows): (Option<i32>, Option<i32>, u64)| Flow {
            from: segment(from),
            to: segment(to),
            n_rows,
        };
        page.flow = Some(FlowView {
            from_version,
            to_version: version.version,
            flows: flows.into_iter().map(flow).collect(),
        });
    }
    Ok(())
}
