//! The `gaussian_mixture` aggregate: collects rows and fits at the end, in the order of the rows' content.
#![allow(unsafe_code, reason = "functions that PostgreSQL calls without a layer between")]

use pgrx::IntoDatum;
use pgrx::pg_sys::panic::ErrorReportable;
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::prelude::*;

use crate::algo::declared::{Algorithm, Settings};
use crate::algo::segment::{Ordered, order_by_content};
use crate::algo::shapes::{GAUSSIAN_MIXTURE, Mixture, MixtureParams, fit_mixture, work_bytes};
use crate::pg::error::Report;
use crate::pg::rows::gathered::{self, State};
use crate::pg::rows::ingest::Work;
use crate::pg::sys::call_site::CallSite;
use crate::pg::sys::progress::Progress;
use crate::pg::sys::raw;
use crate::pg::sys::threads::Pool;
use crate::pg::types::value::Value;

raw::declare! {
    mixture_add_array, pg_finfo_mixture_add_array;
    mixture_add_record, pg_finfo_mixture_add_record;
    mixture_final, pg_finfo_mixture_final;
}

#[derive(Clone, Copy)]
struct Fit(MixtureParams);

impl gathered::Fit for Fit {
    const ALGORITHM: &'static Algorithm = &GAUSSIAN_MIXTURE;
    /// What the start takes: the rest goes through the rows where they are.
    const WORK: Work = crate::pg::segment::WORK;

    fn of(settings: &Settings) -> Self {
        Self(MixtureParams::of(1, settings))
    }

    fn fixed_bytes(&self, k: i64, n_rows: usize, n_features: usize) -> usize {
        let n_components = usize::try_from(k).unwrap_or(0).min(n_rows);
        match (MixtureParams { k, ..self.0 }).check(n_rows.max(1), n_features) {
            Ok(_) => work_bytes(n_components, n_features, self.0.covariance),
            // What the fit refuses before it begins.
            Err(_) => 0,
        }
    }
}

/// Adds a row given as float8[]: (internal, float8[], k bigint [, options jsonb]).
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn mixture_add_array(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares these arguments, as the transition function of an aggregate.
    unsafe { gathered::add_array::<Fit>(fcinfo) }
}

/// Adds a row given as a record, whose column names are kept.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn mixture_add_record(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares (internal, record, bigint [, jsonb]), as the transition function of an aggregate.
    unsafe { gathered::add_record::<Fit>(fcinfo) }
}

/// Fits; NULL when there was no row.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn mixture_final(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares (internal), as the final function of the aggregates above.
    unsafe {
        let state = State::<Fit>::of(fcinfo).unwrap_or_report();
        let Some(state) = state else { return raw::null(fcinfo) };
        let pool: &mut Pool = CallSite::of(fcinfo).remember(Pool::new).unwrap_or_report();
        let mixture = fit(state, pool).unwrap_or_report();
        mixture.into_datum().unwrap_or_else(|| raw::null(fcinfo))
    }
}

fn fit(state: &State<Fit>, pool: &Pool) -> Result<Value<Mixture>, Report> {
    let (n_rows, n_features) = state.shape();
    let params = MixtureParams { k: state.k(), ..state.fit().0 }.check(n_rows, n_features)?;
    let rows = state.rows()?;
    let names = state.feature_names();
    let progress = Progress::start("gaussian_mixture", "");
    progress.rows(n_rows as u64);
    progress.phase("fitting");
    let mixture = pool.run(&progress, |watch| {
        let rows = Ordered { order: order_by_content(&rows), rows };
        fit_mixture(rows, &names, &params, watch)
    })??;
    Ok(Value(mixture))
}
