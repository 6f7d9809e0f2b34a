//! `choose_k`, and the choice that `fit_segments` makes when it is given none.

use std::ops::RangeInclusive;

use pgrx::prelude::*;

use crate::algo::segment::{
    self, Candidate, Columns, Criterion, Features, MAX_K, Missing, Ordered, Params, Rows, Seeding,
    Weighted, best, order_by_content, whole_rows,
};
use crate::algo::stop::Watch;
use crate::pg::error::{Report, report};
use crate::pg::fitting::{columns, refuse_among, warn_of_suspects_in};
use crate::pg::rows::ingest::{Ingested, Others, Request, Role, ingest_for};
use crate::pg::sys::progress::Progress;
use crate::pg::sys::threads;
use crate::pg::types::options::{Json, one_of, required, within};
use crate::pg::types::value::Names;

use super::arguments::{METRICS, Scaled, parse_weights};
use super::data::{dimensions, order_by_key, row_weights, work};

/// What `fit_segments` looks among, and by what, when it is given no k.
pub(super) const RANGE: RangeInclusive<i64> = 2..=10;
const CRITERION: Criterion = Criterion::Silhouette;
const SAMPLE_ROWS: usize = 10_000;
/// More than this is a matter of hours.
const MOST_FITS: i64 = 1_000;

#[pg_extern]
#[allow(
    clippy::too_many_arguments,
    reason = "pgrx reads the arguments of the SQL function from the type"
)]
fn choose_k(
    source: Option<&str>,
    k_min: Option<i64>,
    k_max: Option<i64>,
    features: Option<Names>,
    scaling: Option<&str>,
    criterion: Option<&str>,
    sample_rows: Option<i64>,
    seed: Option<i64>,
    weights: Option<Json>,
    metric: Option<&str>,
    seeding: Option<&str>,
    weight_column: Option<&str>,
    key: Option<&str>,
    missing: Option<&str>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(k, i32),
            name!(inertia, f64),
            name!(silhouette, Option<f64>),
            name!(silhouette_error, Option<f64>),
            name!(davies_bouldin, Option<f64>),
            name!(calinski_harabasz, Option<f64>),
            name!(stability, f64),
            name!(is_best, bool),
        ),
    >,
    Report,
> {
    let source = required(source, "source")?;
    let range = checked_range(required(k_min, "k_min")?, required(k_max, "k_max")?)?;
    let features = features.map(columns).transpose()?;
    let criterion = one_of("criterion", required(criterion, "criterion")?, &Criterion::ALL)?;
    let scaling = Scaled::parse(required(scaling, "scaling")?)?;
    let params = Params {
        scaling: scaling.of_others(),
        seed: required(seed, "seed")?,
        metric: one_of("metric", required(metric, "metric")?, &METRICS)?,
        seeding: one_of("seeding", required(seeding, "seeding")?, &Seeding::ALL)?,
        ..Params::new(*range.start())
    };
    params.check_alone()?;
    let missing = one_of("missing", required(missing, "missing")?, &Missing::ALL)?;
    let sample_rows = required(sample_rows, "sample_rows")?;
    let n_sample = within("sample_rows", sample_rows, 1.., "a whole number from 1")? as usize;
    refuse_among(features.as_ref(), &[("key", key), ("weight column", weight_column)])?;
    let mut progress = Progress::start("choose_k", "");
    let mut wanted: Vec<_> = key.map(|name| (name, Role::Key)).into_iter().collect();
    wanted.extend(weight_column.map(|name| (name, Role::Weight)));
    wanted.extend(features.iter().flatten().map(|name| (name.as_str(), Role::Feature)));
    let others = match features {
        Some(_) => Others::Ignore,
        None => Others::Numbers { except: &[] },
    };
    let request = Request { source, columns: wanted, others };
    let Ingested { frame, natures, .. } = ingest_for(work(weight_column), &request, &mut progress)?;
    let n_others = usize::from(key.is_some()) + usize::from(weight_column.is_some());
    warn_of_suspects_in(&frame, n_others, &natures)?;
    let (key, columns) = frame.columns.split_at(usize::from(key.is_some()));
    let (row_weights_column, columns) = columns.split_at(usize::from(weight_column.is_some()));
    let weights = weights.map(parse_weights).transpose()?.unwrap_or_default();
    let mut features = dimensions(columns, &weights, &scaling, missing)?;
    let weights = row_weights(row_weights_column.first())?;
    let mut rows = Weighted { rows: features.dimensions().bind(columns)?, weights };
    // By key as in a fit; without one by the rows' content: the order of a scan decides nothing.
    let ordered = |rows: &Weighted<Columns>| match key.first() {
        Some(key) => order_by_key(key, rows),
        None => order_by_content(rows),
    };
    if missing == Missing::Impute {
        features = threads::run(&progress, |watch: &Watch| {
            let order = ordered(&rows);
            features.clone().filled(&Ordered { order, rows: &rows }, watch)
        })??;
        rows = Weighted { rows: features.dimensions().bind(columns)?, weights };
    }
    progress.phase("fitting");
    let candidates = threads::run(&progress, |watch: &Watch| {
        let mut order = ordered(&rows);
        if missing == Missing::Skip {
            order = whole_rows(&rows, order.as_deref(), watch)?.or(order);
        }
        let rows = Ordered { order, rows };
        segment::choose_k(&rows, &features, &params, range, n_sample, watch)
    })??;
    let best = best(&candidates, criterion);
    Ok(TableIterator::new(candidates.into_iter().map(move |one| {
        let quality = one.quality;
        (
            one.k as i32,
            one.inertia,
            quality.silhouette,
            quality.silhouette_error,
            quality.davies_bouldin,
            quality.calinski_harabasz,
            one.stability,
            Some(one.k) == best,
        )
    })))
}

/// The candidates of a fit that was given no k.
pub(super) fn candidates(
    rows: &impl Rows,
    features: &Features,
    params: &Params,
    watch: &Watch,
) -> Result<Vec<Candidate>, segment::Error> {
    segment::choose_k(rows, features, params, RANGE, SAMPLE_ROWS, watch)
}

/// The best of them, told to the user.
pub(super) fn pick(candidates: &[Candidate], n_rows: usize) -> Result<i64, segment::Error> {
    let k = best(candidates, CRITERION)
        .ok_or(segment::Error::TooFewDistinctRows { k: 2, distinct: n_rows.min(1) })?;
    notice!(
        "k = {k} has the best silhouette of 2 to {} on {} rows",
        candidates.last().map_or(k, |last| last.k),
        n_rows.min(SAMPLE_ROWS)
    );
    Ok(k as i64)
}

fn checked_range(k_min: i64, k_max: i64) -> Result<RangeInclusive<i64>, Report> {
    for (argument, k) in [("k_min", k_min), ("k_max", k_max)] {
        within(argument, k, 1..=MAX_K as i64, format_args!("a whole number from 1 to {MAX_K}"))?;
    }
    if k_min > k_max || k_max - k_min >= MOST_FITS {
        return Err(report(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            match k_min > k_max {
                true => format!("k_max {k_max} is less than k_min {k_min}"),
                false => {
                    format!("k_min {k_min} to k_max {k_max} are more than {MOST_FITS} numbers")
                }
            },
        )
        .set_hint("Give k_min not above k_max, as in k_min => 2, k_max => 12."));
    }
    Ok(k_min..=k_max)
}
