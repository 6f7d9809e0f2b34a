//! `persona.scaler`: fitted from a summary, used on arrays and records.

use pgrx::prelude::*;

use crate::algo::standardise::scaler::{Kind, Overflow, Scaler};
use crate::pg::error::{Error, Report, report};
use crate::pg::sys::call_site::CallSite;
use crate::pg::types::options::one_of;
use crate::pg::types::record::{Binding, Features, Record, Row};
use crate::pg::types::value::{Floats, FloatsOut, Kept, Stored, Value};
use crate::pg::types::value_type::value_type;

use super::quantiles::Sketch;
use super::stats::Stats;

value_type!(Scaler: "scaler", "a scaler", postcard; scaler_in, scaler_out, scaler_send, scaler_recv);

impl From<Overflow> for Report {
    fn from(error: Overflow) -> Self {
        report(PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, error.to_string())
            .set_hint("Divide the column by a constant first, or take persona.minmax_scaler.")
    }
}

#[pg_extern]
fn standard_scaler(summary: Stats) -> Result<Value<Scaler>, Report> {
    Ok(Value(Scaler::standard(&summary.0)?))
}

#[pg_extern]
fn minmax_scaler_to(summary: Stats, low: f64, high: f64) -> Result<Value<Scaler>, Report> {
    if !(low < high && (high - low).is_finite()) {
        return Err(report(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("low {low} and high {high} are no range to scale to"),
        )
        .set_hint("Give two finite numbers, low below high, as in low => 0, high => 1."));
    }
    Ok(Value(Scaler::minmax(&summary.0, low, high)?))
}

#[pg_extern]
fn minmax_scaler(summary: Stats) -> Result<Value<Scaler>, Report> {
    Ok(Value(Scaler::minmax(&summary.0, 0.0, 1.0)?))
}

#[pg_extern]
fn maxabs_scaler(summary: Stats) -> Value<Scaler> {
    Value(Scaler::maxabs(&summary.0))
}

#[pg_extern]
fn robust_scaler(quantiles: Sketch) -> Value<Scaler> {
    Value(Scaler::robust(&quantiles.0))
}

#[pg_extern]
fn log1p_scaler(quantiles: Sketch) -> Value<Scaler> {
    Value(Scaler::log1p(&quantiles.0))
}

#[pg_extern]
fn yeo_johnson_scaler(quantiles: Sketch) -> Value<Scaler> {
    Value(Scaler::yeo_johnson(&quantiles.0))
}

#[pg_extern]
fn quantile_scaler(quantiles: Sketch, distribution: &str) -> Result<Value<Scaler>, Report> {
    let kinds = [("uniform", Kind::Uniform), ("normal", Kind::Normal)];
    let kind = one_of("distribution", distribution, &kinds)?;
    Ok(Value(Scaler::quantile(&quantiles.0, kind)))
}

/// What a call site of `scale` keeps between rows.
struct Site {
    scaler: Kept<Scaler>,
    binding: Binding,
}

impl Site {
    fn of(site: &CallSite) -> Result<Self, Report> {
        Ok(Self { scaler: Kept::of(site, 0), binding: Binding::default() })
    }
}

#[pg_extern]
fn scale_array(scaler: Stored, features: Floats, site: CallSite) -> Result<FloatsOut, Report> {
    with_array(scaler, features, site, Scaler::scale)
}

#[pg_extern]
fn unscale_array(scaler: Stored, features: Floats, site: CallSite) -> Result<FloatsOut, Report> {
    with_array(scaler, features, site, Scaler::unscale)
}

#[pg_extern]
fn scale_record(scaler: Stored, features: Record, site: CallSite) -> Result<FloatsOut, Report> {
    with_row(scaler, features.into(), site, Scaler::scale)
}

#[pg_extern]
fn unscale_record(scaler: Stored, features: Record, site: CallSite) -> Result<FloatsOut, Report> {
    with_row(scaler, features.into(), site, Scaler::unscale)
}

#[pg_extern]
fn scale_text(scaler: Stored, features: &str, site: CallSite) -> Result<FloatsOut, Report> {
    with_text(scaler, features, site, Scaler::scale)
}

#[pg_extern]
fn unscale_text(scaler: Stored, features: &str, site: CallSite) -> Result<FloatsOut, Report> {
    with_text(scaler, features, site, Scaler::unscale)
}

/// A JSON object, or an array that is written as text.
fn with_text(
    scaler: Stored,
    features: &str,
    site: CallSite,
    change: fn(&Scaler, &mut [f64]),
) -> Result<FloatsOut, Report> {
    match Features::parse(features)? {
        Features::Array(numbers) => with_array(scaler, Floats(numbers), site, change),
        Features::Object(object) => with_row(scaler, Row::Object(&object), site, change),
    }
}

fn with_array(
    scaler: Stored,
    features: Floats,
    site: CallSite,
    change: fn(&Scaler, &mut [f64]),
) -> Result<FloatsOut, Report> {
    let site = site.remember(Site::of)?;
    let (scaler, _) = site.scaler.get(scaler, Ok)?;
    let Floats(mut row) = features;
    if row.len() != scaler.n_features() {
        let column = "the feature array".to_owned();
        return Err(Error::WrongDimension {
            column,
            expected: scaler.n_features(),
            found: row.len(),
        }
        .into());
    }
    change(scaler, &mut row);
    Ok(FloatsOut(row))
}

fn with_row(
    scaler: Stored,
    features: Row,
    site: CallSite,
    change: fn(&Scaler, &mut [f64]),
) -> Result<FloatsOut, Report> {
    let site = site.remember(Site::of)?;
    let (scaler, is_new) = site.scaler.get(scaler, Ok)?;
    if is_new {
        site.binding.forget();
    }
    let Some(names) = &scaler.features else {
        return Err(report(
            PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
            "the scaler was fitted on arrays, whose features have no names",
        )
        .set_hint("Pass an array with the features in the order of the fit."));
    };
    let mut row = site.binding.numbers(features, names)?.to_vec();
    change(scaler, &mut row);
    Ok(FloatsOut(row))
}
