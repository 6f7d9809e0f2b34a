//! `fit_segments`: from a source to a version of a model, to rows, and to a table of labels. Also the fit of a refit.

use pgrx::prelude::*;

use crate::algo::memory;
use crate::algo::segment::{self, Fit, KMeans, Ordered, Seeding};
use crate::algo::stop::Watch;
use crate::algo::store::Place;
use crate::pg::error::{Error, Report, report};
use crate::pg::guc;
use crate::pg::models::family::Fresh;
use crate::pg::models::publish;
use crate::pg::models::publish::table::{self, Stamp};
use crate::pg::models::publish::target;
use crate::pg::models::registry::{self, Filing, NewVersion, Version};
use crate::pg::options::{Json, one_of};
use crate::pg::progress::Progress;
use crate::pg::threads;
use crate::pg::value::Names;

use super::arguments::{Arguments, METRICS, SCALINGS, STORAGES, feature_names, parse_weights};
use super::choose;
use super::data::{Data, Failure, read};
use super::labels::Labelled;
use super::model::{self, Described, KIND, Segments};
use super::names::{self, Known};

const ALGORITHM: &str = "kmeans";

#[pg_extern]
#[allow(
    clippy::too_many_arguments,
    reason = "pgrx reads the arguments of the SQL function from the type"
)]
fn fit_segments(
    model: Option<&str>,
    source: Option<&str>,
    key: Option<&str>,
    k: Option<i32>,
    features: Option<Names>,
    scaling: Option<&str>,
    save_to: Option<&str>,
    seed: Option<i64>,
    max_iterations: Option<i32>,
    n_init: Option<i32>,
    activate: Option<bool>,
    weights: Option<Json>,
    storage: Option<&str>,
    metric: Option<&str>,
    seeding: Option<&str>,
    weight_column: Option<&str>,
    publish: Option<bool>,
    keep_versions: Option<i32>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(segment, i32),
            name!(name, Option<String>),
            name!(size, i64),
            name!(share, f64),
            name!(label, String),
        ),
    >,
    Report,
> {
    let missing = |argument| Report::from(Error::NullArgument { argument });
    let model = model.ok_or_else(|| missing("model"))?;
    let source = source.ok_or_else(|| missing("source"))?;
    let mut arguments = Arguments {
        key: key.ok_or_else(|| missing("key"))?.to_owned(),
        k: k.map_or(*choose::RANGE.start(), i64::from),
        features: features.map(feature_names).transpose()?,
        scaling: one_of("scaling", scaling.ok_or_else(|| missing("scaling"))?, &SCALINGS)?,
        seed: seed.ok_or_else(|| missing("seed"))?,
        max_iterations: max_iterations.ok_or_else(|| missing("max_iterations"))?.into(),
        n_init: n_init.ok_or_else(|| missing("n_init"))?.into(),
        weights: weights.map(parse_weights).transpose()?.unwrap_or_default(),
        storage: one_of("storage", storage.ok_or_else(|| missing("storage"))?, &STORAGES)?,
        metric: one_of("metric", metric.ok_or_else(|| missing("metric"))?, &METRICS)?,
        seeding: one_of("seeding", seeding.ok_or_else(|| missing("seeding"))?, &Seeding::ALL)?,
        weight_column: weight_column.map(str::to_owned),
    };
    let filing = Filing::of(activate, publish, keep_versions)?;
    if save_to.is_some() && !filing.activate {
        return Err(report(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "save_to needs activate => true",
        )
        .set_hint("A table shows the active version: activate this one later and publish it."));
    }
    arguments.params(&Place::Memory).check(1, 1)?;
    let before = registry::lock_for_fit(model, KIND)?;
    let before = registry::fresh(|| before.map_or(Ok(None), |before| before.active()))?;
    if let Some(target) = save_to {
        target::must_be_own(model, target)?;
    }
    let mut progress = Progress::start("fit_segments", model);
    let data = read(source, &arguments, &mut progress)?;
    if k.is_none() {
        arguments.k = data.choose_k(&arguments, &mut progress)?;
    }
    let fitted = fit(&data, &arguments, save_to.is_some(), None, &mut progress)?;
    let version = store(model, source, arguments, &data, &fitted.fit, filing, None)?;
    if let Some(before) = before {
        registry::fresh(|| names::carry(&before, &version))?;
    }
    let described = registry::fresh(|| model::describe(&version, &fitted.fit.model))?;
    let rows = fitted.labelled(data, &described)?;
    if let Some(target) = save_to {
        progress.phase("writing");
        let stamp = Stamp::of(&version);
        let written = rows.write(&version, target, &stamp, &mut progress)?;
        rows.remember(&version, target, written.n_rows, &stamp)?;
    }
    drop(progress);
    if filing.publishes() {
        let written = save_to.map(table::qualified_name).transpose()?;
        publish::follow(&version, written.as_deref(), Some(&rows))?;
    }
    Ok(TableIterator::new(model::rows(described)))
}

/// Fits a model again, from its live version: warm, with each segment's number kept. The caller holds the model's lock.
pub(super) fn fit_again(
    live: &Version,
    source: &str,
    parameters: &serde_json::Value,
) -> Result<Fresh, Report> {
    let corrupt = |why: String| {
        Report::from(Error::CorruptModel { name: live.name.clone(), version: live.version, why })
    };
    let arguments: Arguments =
        serde_json::from_value(parameters.clone()).map_err(|error| corrupt(error.to_string()))?;
    let earlier = registry::load::<Segments>(live)?;
    let mut progress = Progress::start("refit", &live.name);
    let data = read(source, &arguments, &mut progress)?;
    let fitted = fit(&data, &arguments, false, Some(&earlier.model), &mut progress)?;
    let mut known = Known::of(live)?;
    // Words may name a level that is gone, where the features are others.
    let is_same = earlier.model.features == fitted.fit.model.features;
    known.labels = is_same.then(|| model::words(&known, &earlier.model));
    let version =
        store(&live.name, source, arguments, &data, &fitted.fit, Filing::REFIT, Some(known))?;
    let described = registry::fresh(|| model::describe(&version, &fitted.fit.model))?;
    let answers = fitted.labelled(data, &described)?;
    Ok(Fresh { version, answers: Some(Box::new(answers)) })
}

struct Fitted {
    fit: Fit,
    /// The rows that the labels are of: by key.
    order: Option<Vec<u32>>,
}

impl Fitted {
    fn labelled(self, data: Data, described: &[Described]) -> Result<Labelled, Report> {
        Labelled::of(data.keys, self.order, self.fit.labels, described)
    }
}

/// A fresh start that is better by this part of the inertia is worth knowing of.
const BETTER: f64 = 0.05;

fn fit(
    data: &Data,
    arguments: &Arguments,
    distinct: bool,
    earlier: Option<&KMeans>,
    progress: &mut Progress,
) -> Result<Fitted, Report> {
    let (rows, features) = (data.rows()?, &data.features);
    let params = arguments.params(&data.place).check(data.n_rows, features.len())?;
    memory::probe(params.segment_bytes(guc::threads()))?;
    progress.phase("fitting");
    let (fitted, fresh) = threads::run(progress, |watch: &Watch| {
        let order = data.order(&rows);
        if distinct {
            data.check_distinct(order.as_deref())?;
        }
        let rows = Ordered { rows, order };
        let (fit, fresh) = match earlier {
            None => (segment::fit(&rows, features, &params, watch)?, None),
            Some(earlier) => {
                let warm = segment::fit_from(&rows, features, earlier, &params, watch)?;
                let fresh =
                    segment::fit(&rows, features, &params, watch).map(|fit| fit.model.inertia);
                (warm, fresh.ok())
            }
        };
        Ok::<_, Failure>((Fitted { fit, order: rows.order }, fresh))
    })??;
    if let Some(fresh) = fresh.filter(|fresh| *fresh < (1.0 - BETTER) * fitted.fit.model.inertia) {
        notice!(
            "a fresh start would lower the inertia by {:.0} %: fit_segments renumbers the segments",
            100.0 * (1.0 - fresh / fitted.fit.model.inertia)
        );
    }
    Ok(fitted)
}

fn store(
    model: &str,
    source: &str,
    arguments: Arguments,
    data: &Data,
    fit: &Fit,
    filing: Filing,
    known: Option<Known>,
) -> Result<Version, Report> {
    let json = |error: serde_json::Error| {
        report(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, format!("arguments cannot be kept: {error}"))
    };
    // The columns that were found are the ones to look for at a refit.
    let columns = fit.model.columns();
    let arguments = Arguments { features: arguments.features.or(Some(columns)), ..arguments };
    let new = NewVersion {
        model,
        kind: KIND,
        algorithm: ALGORITHM,
        payload: &registry::encode(&fit.model)?,
        n_rows: data.n_rows,
        features: fit.model.features.clone(),
        parameters: serde_json::to_value(&arguments).map_err(json)?,
        metrics: serde_json::json!({
            "inertia": fit.model.inertia, "iterations": fit.model.iterations, "ended": fit.model.ended, "k": arguments.k,
            "quality": fit.quality, "on_disk": matches!(data.place, Place::Disk(_)),
            "numbering": known.as_ref().map(|known| known.numbering), "labels": known.and_then(|known| known.labels),
        }),
        source: Some(source),
        filing,
    };
    registry::store(&new)
}
