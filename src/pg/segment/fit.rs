//! `fit_segments`: from a source to a version of a model, to rows, and to a table of labels. Also the fit of a refit.

use std::rc::Rc;

use pgrx::prelude::*;
use serde_json::{Value, json};

use crate::algo::memory;
use crate::algo::segment::params::KMEANS;
use crate::algo::segment::{self, Fit, Missing, Ordered, Seeding, original};
use crate::algo::stop::Watch;
use crate::algo::store::{Place, Store};
use crate::pg::error::{Report, report};
use crate::pg::fitting::{Done, Filed, Fitting, Run, columns, refuse_among, run, stored};
use crate::pg::kind::Kind;
use crate::pg::models::family::Fresh;
use crate::pg::models::publish;
use crate::pg::models::publish::table::{self, Stamp};
use crate::pg::models::publish::target;
use crate::pg::models::registry::{self, Filing, Version};
use crate::pg::sys::guc;
use crate::pg::sys::progress::Progress;
use crate::pg::sys::threads;
use crate::pg::types::options::{Json, one_of, required};
use crate::pg::types::value::Names;

use super::arguments::{Arguments, METRICS, STORAGES, Scaled, parse_weights};
use super::choose;
use super::data::{Data, Failure, read};
use super::labels::Labelled;
use super::model::{self, Described, KIND, Segments};
use super::moments::{MOMENTS, moments};
use super::names::{self, Known};

#[pg_extern]
#[allow(
    clippy::too_many_arguments,
    reason = "pgrx reads the arguments of the SQL function from the type"
)]
fn fit_segments(
    model: Option<&str>,
    source: Option<&str>,
    key: Option<&str>,
    k: Option<i64>,
    features: Option<Names>,
    scaling: Option<&str>,
    save_to: Option<&str>,
    seed: Option<i64>,
    max_iterations: Option<i64>,
    n_init: Option<i64>,
    activate: Option<bool>,
    weights: Option<Json>,
    storage: Option<&str>,
    metric: Option<&str>,
    seeding: Option<&str>,
    weight_column: Option<&str>,
    publish: Option<bool>,
    keep_versions: Option<i64>,
    missing: Option<&str>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(segment, i32),
            name!(name, Option<String>),
            name!(size, i64),
            name!(share, f64),
            name!(label, String),
            name!(words, String),
        ),
    >,
    Report,
> {
    let filing = Filing::of(activate, publish, keep_versions)?;
    if save_to.is_some() && !filing.activate {
        return Err(report(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "save_to needs activate => true",
        )
        .set_hint("A table shows the active version: activate this one later and publish it."));
    }
    let (model, source) = (required(model, "model")?, required(source, "source")?);
    let arguments = Arguments {
        key: required(key, "key")?.to_owned(),
        k: k.map_or(*choose::RANGE.start(), i64::from),
        features: features.map(columns).transpose()?,
        scaling: Scaled::parse(required(scaling, "scaling")?)?,
        seed: required(seed, "seed")?,
        max_iterations: required(max_iterations, "max_iterations")?,
        n_init: required(n_init, "n_init")?,
        weights: weights.map(parse_weights).transpose()?.unwrap_or_default(),
        storage: one_of("storage", required(storage, "storage")?, &STORAGES)?,
        metric: one_of("metric", required(metric, "metric")?, &METRICS)?,
        seeding: one_of("seeding", required(seeding, "seeding")?, &Seeding::ALL)?,
        missing: one_of("missing", required(missing, "missing")?, &Missing::ALL)?,
        weight_column: weight_column.map(str::to_owned),
    };
    arguments.params(&Place::Memory).check_alone()?;
    let taken = [
        ("key", Some(arguments.key.as_str())),
        ("weight column", arguments.weight_column.as_deref()),
    ];
    refuse_among(arguments.features.as_ref(), &taken)?;
    let mut fit = SegmentFit { arguments, chooses_k: k.is_none(), save_to, earlier: None };
    let done = run(&mut fit, &Run::new("fit_segments", model, source, filing))?;
    let Done { version, learnt, replaced, mut progress } = done;
    if let Some(replaced) = replaced {
        registry::fresh(|| names::carry(&replaced, &version))?;
    }
    let described = registry::fresh(|| model::describe(&version, &learnt.fit.model))?;
    let rows = learnt.labelled(&described)?;
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
pub(super) fn fit_again(live: &Version, source: &str, parameters: &Value) -> Result<Fresh, Report> {
    let arguments = stored(live, parameters)?;
    let earlier = Some((registry::load::<Segments>(live)?, Known::of(live)?));
    let mut fit = SegmentFit { arguments, chooses_k: false, save_to: None, earlier };
    let Done { version, learnt, .. } = run(&mut fit, &Run::again(live, source))?;
    let described = registry::fresh(|| model::describe(&version, &learnt.fit.model))?;
    let answers = learnt.labelled(&described)?;
    Ok(Fresh { version, answers: Some(Box::new(answers)) })
}

struct SegmentFit<'a> {
    arguments: Arguments,
    chooses_k: bool,
    /// A table that is written, and wants each key once.
    save_to: Option<&'a str>,
    /// The model to begin from, and what people know of it.
    earlier: Option<(Rc<Segments>, Known)>,
}

struct Learnt {
    data: Data,
    fit: Fit,
    /// The rows that the labels are of: by key. A row that was left out has the label 0.
    order: Option<Vec<u32>>,
}

/// The labels of those rows that are whole as those of all rows, 0 for the others; both in one order.
fn among_all(
    labels: &Store<u32>,
    whole: &[u32],
    all: Option<&[u32]>,
    data: &Data,
) -> Result<Store<u32>, segment::Error> {
    let mut whole = whole.iter().zip(labels).peekable();
    let mut of_all = Store::<u32>::zeroed(&data.place, data.n_rows)?;
    for (place, to) in of_all.iter_mut().enumerate() {
        let row = original(all, place);
        if let Some((_, label)) = whole.next_if(|(kept, _)| **kept as usize == row) {
            *to = *label;
        }
    }
    Ok(of_all)
}

impl Learnt {
    fn labelled(self, described: &[Described]) -> Result<Labelled, Report> {
        Labelled::of(self.data.keys, self.order, self.fit.labels, described)
    }
}

/// A fresh start that is better by this part of the inertia is worth knowing of.
const BETTER: f64 = 0.05;

impl Fitting for SegmentFit<'_> {
    const KIND: Kind = KIND;
    type Read = Data;
    type Learnt = Learnt;

    fn read(&self, run: &Run, progress: &mut Progress) -> Result<Data, Report> {
        if let Some(target) = self.save_to {
            target::must_be_own(run.model, target)?;
        }
        read(run.source, &self.arguments, self.earlier.is_some(), progress)
    }

    fn learn(&mut self, data: Data, progress: &mut Progress) -> Result<Learnt, Report> {
        if self.chooses_k {
            self.arguments.k = data.choose_k(&self.arguments, progress)?;
            progress.phase("fitting");
        }
        let (rows, features) = (data.rows()?, &data.features);
        let params = self.arguments.params(&data.place).check(data.n_rows, features.len())?;
        memory::probe(params.segment_bytes(guc::threads()))?;
        let earlier = self.earlier.as_ref().map(|(earlier, _)| &earlier.model);
        let (fit, order, fresh, n_left_out) = threads::run(progress, |watch: &Watch| {
            let order = data.order(&rows);
            if self.save_to.is_some() {
                data.check_distinct(order.as_deref())?;
            }
            let (order, all) = match data.whole(&rows, order.as_deref(), watch)? {
                Some(whole) => (Some(whole), Some(order)),
                None => (order, None),
            };
            let rows = Ordered { rows, order };
            let fit = || segment::fit(&rows, features, &params, watch);
            let (mut fit, fresh) = match earlier {
                None => (fit()?, None),
                Some(earlier) => {
                    let warm = segment::fit_from(&rows, features, earlier, &params, watch)?;
                    (warm, fit().map(|fit| fit.model.inertia).ok())
                }
            };
            let n_left_out = data.n_rows - fit.labels.len();
            let order = match all {
                None => rows.order,
                Some(all) => {
                    let whole = rows.order.as_deref().unwrap_or_default();
                    fit.labels = among_all(&fit.labels, whole, all.as_deref(), &data)?;
                    all
                }
            };
            Ok::<_, Failure>((fit, order, fresh, n_left_out))
        })??;
        if n_left_out > 0 {
            notice!("{n_left_out} of {} rows are left out: a feature is missing", data.n_rows);
        }
        let inertia = fit.model.inertia;
        if let Some(fresh) = fresh.filter(|fresh| *fresh < (1.0 - BETTER) * inertia) {
            notice!(
                "a fresh start would lower the inertia by {:.0} %: fit_segments renumbers the segments",
                100.0 * (1.0 - fresh / inertia)
            );
        }
        Ok(Learnt { data, fit, order })
    }

    fn filed(&self, Learnt { data, fit, .. }: &Learnt) -> Result<Filed, Report> {
        let Fit { model, quality, .. } = fit;
        // Words may name a level that is gone, where the features are others.
        let words = |(earlier, known): &(Rc<Segments>, Known)| {
            let is_same = earlier.model.features == model.features;
            is_same.then(|| model::words(known, &earlier.model))
        };
        let mut arguments = self.arguments.clone();
        // The columns that were found are the ones to look for at a refit.
        arguments.features.get_or_insert_with(|| model.columns());
        let mut metrics = json!({
            "inertia": model.inertia, "iterations": model.iterations, "ended": model.ended, "k": arguments.k,
            "quality": quality, "on_disk": matches!(data.place, Place::Disk(_)),
            "numbering": self.earlier.as_ref().map(|(_, known)| known.numbering),
            "labels": self.earlier.as_ref().and_then(words),
        });
        if !data.moments.is_empty() {
            metrics[MOMENTS] = moments(&data.moments);
        }
        Ok(Filed {
            algorithm: KMEANS.name,
            payload: registry::encode(model)?,
            n_rows: model.n_rows as usize,
            features: model.features.clone(),
            parameters: json!(arguments),
            metrics,
        })
    }
}
