//! `persona.mixture`: what the aggregate returns, and the functions that use it on arrays and records.

use pgrx::prelude::*;

use crate::algo::shapes::{Mixture, PreparedMixture};
use crate::pg::error::Report;
use crate::pg::rows::applied::{Applied, answers};
use crate::pg::types::value::{FloatsOut, Value};
use crate::pg::types::value_type::value_type;

value_type!(Mixture: "mixture", "a mixture", postcard; mixture_in, mixture_out, mixture_send, mixture_recv);

impl Applied for Mixture {
    type Prepared = PreparedMixture;

    fn prepared(self) -> Result<(Vec<String>, PreparedMixture), Report> {
        let prepared = self.prepare()?;
        Ok((self.features, prepared))
    }
}

answers! {
    Mixture:
    mixture_membership_array, mixture_membership_record, mixture_membership_text => membership -> FloatsOut;
    mixture_segment_array, mixture_segment_record, mixture_segment_text => segment -> i32;
    mixture_log_density_array, mixture_log_density_record, mixture_log_density_text => log_density -> f64;
}

fn membership(prepared: &PreparedMixture, row: &[f64]) -> Option<FloatsOut> {
    prepared.membership(row).map(FloatsOut)
}

fn segment(prepared: &PreparedMixture, row: &[f64]) -> Option<i32> {
    prepared.segment(row).map(|segment| segment as i32)
}

fn log_density(prepared: &PreparedMixture, row: &[f64]) -> Option<f64> {
    prepared.log_density(row)
}

#[pg_extern]
fn mixture_components(
    mixture: Value<Mixture>,
) -> TableIterator<
    'static,
    (
        name!(segment, i32),
        name!(weight, f64),
        name!(feature, String),
        name!(mean, f64),
        name!(stddev, f64),
    ),
> {
    let cells: Vec<_> = mixture.0.components().collect();
    TableIterator::new(
        cells
            .into_iter()
            .map(|cell| (cell.segment as i32, cell.weight, cell.feature, cell.mean, cell.sd)),
    )
}
