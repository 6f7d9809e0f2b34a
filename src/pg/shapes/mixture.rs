//! The `gaussian_mixture` aggregate: collects rows and fits at the end, in the order of the rows' content.

use crate::algo::declared::{Algorithm, Settings};
use crate::algo::segment::{Ordered, order_by_content};
use crate::algo::shapes::{GAUSSIAN_MIXTURE, Mixture, MixtureParams, fit_mixture, work_bytes};
use crate::pg::error::Report;
use crate::pg::rows::gathered::{self, State};
use crate::pg::rows::ingest::Work;
use crate::pg::sys::call::{Call, Internal, Maybe, Of, functions};
use crate::pg::sys::progress::Progress;
use crate::pg::sys::threads::Pool;
use crate::pg::types::datum::FloatArray;
use crate::pg::types::record::Record;
use crate::pg::types::value::{Jsonb, Value};

functions! {
    /// Adds a row given as an array.
    fn mixture_add_array(Internal<State<Fit>>, FloatArray, i64, Maybe<Jsonb>) -> Internal<State<Fit>> = gathered::add_array::<Fit>;
    /// Adds a row given as a record, whose column names are kept.
    fn mixture_add_record(Internal<State<Fit>>, Record, i64, Maybe<Jsonb>) -> Internal<State<Fit>> = gathered::add_record::<Fit>;
    /// Fits; NULL when there was no row.
    fn mixture_final(Internal<State<Fit>>) -> Of<Mixture> = finish;
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

fn finish(
    Call { args, site }: Call<(Internal<State<Fit>>,)>,
) -> Result<Option<Value<Mixture>>, Report> {
    let Some(state) = args.internal()? else { return Ok(None) };
    fit(state, site.remember(|_| Pool::new())?).map(Some)
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
