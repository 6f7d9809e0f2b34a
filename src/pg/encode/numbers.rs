//! Encodings without a fit: `hash_features`, `cyclic`, `interactions`, `polynomial`.

use pgrx::prelude::*;

use crate::algo::encode::numbers::{self, MAX_ELEMENTS};
use crate::pg::error::{Error, Report, report};
use crate::pg::types::options::{invalid, within};
use crate::pg::types::value::{Floats, FloatsOut};

#[pg_extern]
fn hash_features(texts: Array<&str>, n: i64) -> Result<FloatsOut, Report> {
    let valid = format_args!("a whole number from 1 to {MAX_ELEMENTS}");
    let n = within("n", n, 1..=MAX_ELEMENTS as i64, valid)?;
    Ok(FloatsOut(numbers::hash_features(texts.iter().flatten(), n as usize)))
}

#[pg_extern]
fn cyclic(value: f64, period: f64) -> Result<FloatsOut, Report> {
    if !value.is_finite() {
        return Err(Error::NotFiniteArgument { argument: "value".into(), value }.into());
    }
    if !(period.is_finite() && period > 0.0) {
        return Err(invalid("period", period, "a number above 0, as 24 for hours of the day"));
    }
    Ok(FloatsOut(numbers::cyclic(value, period).to_vec()))
}

#[pg_extern]
fn interactions(features: Floats) -> Result<FloatsOut, Report> {
    let n = features.0.len();
    products(&features.0, n * n.saturating_sub(1) / 2, numbers::interactions)
}

#[pg_extern]
fn polynomial(features: Floats) -> Result<FloatsOut, Report> {
    let n = features.0.len();
    products(&features.0, n + n * (n + 1) / 2, numbers::polynomial)
}

fn products(row: &[f64], found: usize, of: fn(&[f64]) -> Vec<f64>) -> Result<FloatsOut, Report> {
    if found > MAX_ELEMENTS {
        return Err(Error::TooManyFeatures { found, limit: MAX_ELEMENTS }.into());
    }
    let products = of(row);
    if products.iter().any(|product| product.is_infinite()) {
        return Err(report(
            PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
            "a product of two features is beyond the range of double precision",
        )
        .set_hint("Scale the features first."));
    }
    Ok(FloatsOut(products))
}
