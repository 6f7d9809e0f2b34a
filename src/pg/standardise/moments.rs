//! What is read off summaries: moments and quantiles as arrays, bins, missing values filled in, outliers.

use pgrx::prelude::*;

use crate::algo::standardise::outliers;
use crate::algo::standardise::quantiles::{FeatureQuantiles, Ready};
use crate::algo::standardise::stats::FeatureStats;
use crate::pg::error::{Error, Report};
use crate::pg::sys::call_site::CallSite;
use crate::pg::types::options::{invalid, within};
use crate::pg::types::value::{Floats, FloatsOut, Kept, Stored};

use super::quantiles::Sketch;
use super::stats::Stats;

/// NaN, which becomes NULL, for a feature that has none.
fn array(numbers: Vec<Option<f64>>) -> FloatsOut {
    FloatsOut(numbers.into_iter().map(|number| number.unwrap_or(f64::NAN)).collect())
}

#[pg_extern]
fn stats_mean(stats: Stats) -> FloatsOut {
    array(stats.0.mean)
}

#[pg_extern]
fn stats_stddev_pop(stats: Stats) -> FloatsOut {
    array(stats.0.stddev_pop())
}

#[pg_extern]
fn stats_stddev_samp(stats: Stats) -> FloatsOut {
    array(stats.0.stddev_samp())
}

#[pg_extern]
fn stats_skewness(stats: Stats) -> FloatsOut {
    array(stats.0.skewness())
}

#[pg_extern]
fn stats_kurtosis(stats: Stats) -> FloatsOut {
    array(stats.0.kurtosis())
}

/// One number a feature; NULL for a feature without a value.
fn each(sketch: &FeatureQuantiles, ask: impl Fn(&Ready) -> Option<f64>) -> FloatsOut {
    FloatsOut(sketch.of.iter().map(|one| ask(&one.ready()).unwrap_or(f64::NAN)).collect())
}

#[pg_extern]
fn quantile(sketch: Sketch, q: f64) -> Result<FloatsOut, Report> {
    within("q", q, 0.0..=1.0, "0 to 1")?;
    Ok(each(&sketch.0, |ready| ready.quantile(q)))
}

#[pg_extern]
fn median(sketch: Sketch) -> FloatsOut {
    each(&sketch.0, |ready| ready.quantile(0.5))
}

/// The inner edges of n bins of equally many rows, for width_bucket; equal edges, of values that repeat, are one.
#[pg_extern]
fn quantile_bins(
    sketch: Sketch,
    n: i64,
) -> Result<TableIterator<'static, (name!(feature, String), name!(edges, Vec<f64>))>, Report> {
    within("n", n, 2..=10_000, "2 to 10000")?;
    let mut rows = Vec::new();
    for (feature, one) in sketch.0.of.iter().enumerate() {
        let ready = one.ready();
        let edges = (1..n).filter_map(|bin| ready.quantile(bin as f64 / n as f64));
        let mut edges: Vec<f64> = edges.collect();
        edges.dedup();
        rows.push((sketch.0.name(feature), edges));
    }
    Ok(TableIterator::new(rows))
}

/// The features with each missing one replaced.
#[pg_extern]
fn impute(features: Floats, fill: Floats) -> Result<FloatsOut, Report> {
    let (Floats(mut features), Floats(fill)) = (features, fill);
    check_width(features.len(), fill.len())?;
    for (x, fill) in features.iter_mut().zip(fill) {
        if x.is_nan() {
            *x = fill;
        }
    }
    Ok(FloatsOut(features))
}

#[pg_extern]
fn zscore_outliers(
    features: Floats,
    stats: Stored,
    threshold: f64,
    site: CallSite,
) -> Result<Vec<Option<bool>>, Report> {
    let site: &mut Kept<FeatureStats> = site.remember(|site| Ok(Kept::of(site, 1)))?;
    let (stats, _) = site.get(stats, Ok)?;
    check_width(features.0.len(), stats.n.len())?;
    check_positive("threshold", threshold)?;
    Ok(outliers::by_zscore(&features.0, stats, threshold))
}

#[pg_extern]
fn iqr_outliers(
    features: Floats,
    quantiles: Stored,
    factor: f64,
    site: CallSite,
) -> Result<Vec<Option<bool>>, Report> {
    let site: &mut Kept<Vec<_>> = site.remember(|site| Ok(Kept::of(site, 1)))?;
    let quartiles = |quantiles: FeatureQuantiles| Ok(outliers::quartiles(&quantiles));
    let (quartiles, _) = site.get(quantiles, quartiles)?;
    check_width(features.0.len(), quartiles.len())?;
    check_positive("factor", factor)?;
    Ok(outliers::by_iqr(&features.0, quartiles, factor))
}

fn check_width(found: usize, expected: usize) -> Result<(), Report> {
    let column = "the feature array".to_owned();
    if found == expected {
        Ok(())
    } else {
        Err(Error::WrongDimension { column, expected, found }.into())
    }
}

fn check_positive(option: &str, value: f64) -> Result<(), Report> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(invalid(option, value, "a positive number"))
}
