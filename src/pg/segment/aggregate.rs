//! The `kmeans` aggregate: collects rows and fits at the end.
//!
//! The fit reads the rows in the order of their content, so that neither scan order nor a parallel scan below changes it.
#![allow(unsafe_code, reason = "functions that PostgreSQL calls without a layer between")]

use pgrx::IntoDatum;
use pgrx::pg_sys::panic::ErrorReportable;
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::prelude::*;

use crate::algo::segment::{
    self, Features, Metric, Ordered, Params, Scaling, Seeding, order_by_content,
};
use crate::pg::call_site::CallSite;
use crate::pg::error::Report;
use crate::pg::gathered::{self, State};
use crate::pg::ingest::Work;
use crate::pg::options::Given;
use crate::pg::progress::Progress;
use crate::pg::raw;
use crate::pg::threads::Pool;
use crate::pg::value::Value;

use super::arguments::{METRICS, SCALINGS};
use super::data::WORK;

raw::declare! {
    kmeans_add_array, pg_finfo_kmeans_add_array;
    kmeans_add_record, pg_finfo_kmeans_add_record;
    kmeans_final, pg_finfo_kmeans_final;
}

#[derive(Clone, Copy)]
struct Fit {
    scaling: Scaling,
    metric: Metric,
    max_iterations: i64,
    n_init: i64,
    seeding: Seeding,
    seed: i64,
}

impl gathered::Fit for Fit {
    const NAME: &'static str = "kmeans";
    const WORK: Work = WORK;
    const OPTIONS: &'static str = "seed, max_iterations, n_init, seeding, scaling, metric";

    fn default() -> Self {
        Self {
            scaling: Scaling::None,
            metric: Metric::Euclidean,
            max_iterations: 100,
            n_init: 1,
            seeding: Seeding::Auto,
            seed: 0,
        }
    }

    fn set(&mut self, given: &Given) -> Result<bool, Report> {
        match given.name {
            "seed" => self.seed = given.whole()?,
            "max_iterations" => self.max_iterations = given.count()?,
            "n_init" => self.n_init = given.count()?,
            "seeding" => self.seeding = given.one_of(&Seeding::ALL)?,
            "scaling" => self.scaling = given.one_of(&SCALINGS)?,
            "metric" => self.metric = given.one_of(&METRICS)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Adds a row given as float8[]: (internal, float8[], k integer [, options jsonb]).
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn kmeans_add_array(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares these arguments, as the transition function of an aggregate.
    unsafe { gathered::add_array::<Fit>(fcinfo) }
}

/// Adds a row given as a record, whose column names are kept.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn kmeans_add_record(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares (internal, record, integer [, jsonb]), as the transition function of an aggregate.
    unsafe { gathered::add_record::<Fit>(fcinfo) }
}

/// Fits; NULL when there was no row.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn kmeans_final(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares (internal), as the final function of the aggregates above.
    unsafe {
        let Some(state) = State::<Fit>::of(fcinfo) else { return raw::null(fcinfo) };
        let pool: &mut Pool = CallSite::of(fcinfo).remember(Pool::new).unwrap_or_report();
        let model = fit(state, pool).unwrap_or_report();
        model.into_datum().unwrap_or_else(|| raw::null(fcinfo))
    }
}

fn fit(state: &State<Fit>, pool: &Pool) -> Result<Value<segment::KMeans>, Report> {
    let Fit { scaling, metric, max_iterations, n_init, seeding, seed } = state.fit();
    let params =
        Params { scaling, metric, max_iterations, n_init, seeding, seed, ..Params::new(state.k()) };
    let (n_rows, n_features) = state.shape();
    let params = params.check(n_rows, n_features)?;
    let rows = state.rows()?;
    let features = Features::numbers(state.feature_names());
    let progress = Progress::start("kmeans", "");
    progress.rows(n_rows as u64);
    progress.phase("fitting");
    let fit = pool.run(&progress, |watch| {
        let rows = Ordered { order: order_by_content(&rows), rows };
        segment::fit(rows, &features, &params, watch)
    })??;
    Ok(Value(fit.model))
}
