//! The `kmeans` aggregate: collects rows and fits at the end.
//!
//! The fit reads the rows in the order of their content, so that neither scan order nor a parallel scan below changes it.

use ndarray::Axis;
use pgrx::prelude::PgSqlErrorCode;

use crate::algo::declared::{Algorithm, Settings};
use crate::algo::memory;
use crate::algo::segment::params::{self, KMEANS};
use crate::algo::segment::{
    self, Features, Metric, Ordered, Params, RowWeights, Scaling, Seeding, Weighted, Without,
    order_by_content,
};
use crate::pg::error::{Error, Report, report};
use crate::pg::rows::gathered::{self, State};
use crate::pg::rows::ingest::Work;
use crate::pg::sys::call::{Call, Internal, Maybe, Of, functions};
use crate::pg::sys::guc;
use crate::pg::sys::progress::Progress;
use crate::pg::sys::threads::Pool;
use crate::pg::types::datum::FloatArray;
use crate::pg::types::options::Given;
use crate::pg::types::record::Record;
use crate::pg::types::value::{Jsonb, Value};

use super::data::WORK;

functions! {
    /// Adds a row given as an array.
    fn kmeans_add_array(Internal<State<Fit>>, FloatArray, i64, Maybe<Jsonb>) -> Internal<State<Fit>> = gathered::add_array::<Fit>;
    /// Adds a row given as a record, whose column names are kept.
    fn kmeans_add_record(Internal<State<Fit>>, Record, i64, Maybe<Jsonb>) -> Internal<State<Fit>> = gathered::add_record::<Fit>;
    /// Fits; NULL when there was no row.
    fn kmeans_final(Internal<State<Fit>>) -> Of<segment::KMeans> = finish;
}

#[derive(Clone, Copy)]
struct Fit {
    scaling: Scaling,
    metric: Metric,
    max_iterations: i64,
    n_init: i64,
    seeding: Seeding,
    seed: i64,
    /// Not a feature: what each row weighs.
    weight_column: Option<ColumnName>,
}

/// As PostgreSQL has it: at most 63 bytes, and NUL behind them.
#[derive(Clone, Copy)]
struct ColumnName([u8; NAME_BYTES]);

const NAME_BYTES: usize = pgrx::pg_sys::NAMEDATALEN as usize;

impl ColumnName {
    fn new(name: &str) -> Option<Self> {
        let mut bytes = [0; NAME_BYTES];
        bytes[..NAME_BYTES - 1].get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        Some(Self(bytes))
    }

    fn is(&self, name: &str) -> bool {
        self.to_string() == name
    }
}

impl std::fmt::Display for ColumnName {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let name = self.0.split(|byte| *byte == 0).next().unwrap_or_default();
        f.write_str(&String::from_utf8_lossy(name))
    }
}

impl gathered::Fit for Fit {
    const ALGORITHM: &'static Algorithm = &KMEANS;
    const OWN: &'static [&'static str] = &["weight_column"];
    const WORK: Work = WORK;

    fn of(settings: &Settings) -> Self {
        Self {
            scaling: settings.meant(&params::SCALING, &Scaling::ALL),
            metric: settings.meant(&params::METRIC, &Metric::ALL),
            max_iterations: settings.whole(&params::MAX_ITERATIONS),
            n_init: settings.whole(&params::N_INIT),
            seeding: settings.meant(&params::SEEDING, &Seeding::ALL),
            seed: settings.whole(&params::SEED),
            weight_column: None,
        }
    }

    /// What each row weighs: of the rows, and so no parameter of the algorithm.
    fn set(&mut self, given: &Given) -> Result<(), Report> {
        let name = given.read::<String>().and_then(|name| ColumnName::new(&name));
        self.weight_column = Some(name.ok_or_else(|| given.invalid("the name of a column"))?);
        Ok(())
    }

    fn check_names(&self, names: &[String]) -> Result<(), Report> {
        let Some(weight_column) = self.weight_column else { return Ok(()) };
        if names.is_empty() {
            return Err(report(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                "weight_column needs rows whose columns have names, which arrays have not",
            )
            .set_hint("Give the rows as records, as in kmeans(t, 3, '{\"weight_column\": \"n\"}') FROM t."));
        }
        if !names.iter().any(|name| weight_column.is(name)) {
            let (column, available) = (weight_column.to_string(), names.to_vec());
            return Err(Error::MissingColumn { column, available }.into());
        }
        Ok(())
    }

    fn missing(&self, column: String) -> Report {
        match self.weight_column {
            Some(weights) if weights.is(&column) => {
                Error::InvalidRowWeight { column, value: None }.into()
            }
            _ => Error::MissingValue { column }.into(),
        }
    }

    fn fixed_bytes(&self, _k: i64, n_rows: usize, _n_features: usize) -> usize {
        // The fit has the weights once more, in its order.
        if self.weight_column.is_some() { n_rows * size_of::<f64>() } else { 0 }
    }
}

fn finish(
    Call { args, site }: Call<(Internal<State<Fit>>,)>,
) -> Result<Option<Value<segment::KMeans>>, Report> {
    let Some(state) = args.internal()? else { return Ok(None) };
    fit(state, site.remember(|_| Pool::new())?).map(Some)
}

fn fit(state: &State<Fit>, pool: &Pool) -> Result<Value<segment::KMeans>, Report> {
    let Fit { scaling, metric, max_iterations, n_init, seeding, seed, weight_column } = state.fit();
    let params =
        Params { scaling, metric, max_iterations, n_init, seeding, seed, ..Params::new(state.k()) };
    let (n_rows, _) = state.shape();
    let mut names = state.feature_names();
    let column = names.iter().position(|name| weight_column.is_some_and(|column| column.is(name)));
    let weight_column = column.map(|place| (place, names.remove(place)));
    let params = params.check(n_rows, names.len())?;
    let rows = state.rows()?;
    memory::probe(params.segment_bytes(guc::threads()))?;
    let weights = match &weight_column {
        Some((place, name)) => RowWeights::new(name, rows.index_axis_move(Axis(1), *place))?,
        None => RowWeights::NONE,
    };
    let features = Features::numbers(names);
    let progress = Progress::start("kmeans", "");
    progress.rows(n_rows as u64);
    progress.phase("fitting");
    let fit = pool.run(&progress, |watch| {
        let rows = Weighted { rows: Without { rows, column }, weights };
        let rows = Ordered { order: order_by_content(&rows), rows };
        segment::fit(rows, &features, &params, watch)
    })??;
    Ok(Value(fit.model))
}
