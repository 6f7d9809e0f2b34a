//! What a fit stands on: what its rows are like, and the space that follows from that.

use rayon::prelude::*;

use super::curve::Curve;
use super::features::Features;
use super::population::{Population, population};
use super::rows::{Rows, TOGETHER};
use super::space::Space;
use crate::algo::memory;
use crate::algo::segment::error::Error;
use crate::algo::segment::params::{Metric, Scaling};
use crate::algo::standardise::power;
use crate::algo::standardise::quantiles::Quantiles;
use crate::algo::stop::Watch;

#[derive(Debug, Clone)]
pub(crate) struct Ground {
    /// In the features' own units.
    pub(crate) population: Population,
    /// Behind the curves; none where there are none.
    bent: Option<Population>,
    pub(crate) space: Space,
}

impl Ground {
    /// Of rows whose values are to be within a limit.
    pub(crate) fn of(
        rows: &impl Rows,
        limit: f64,
        features: &Features,
        (scaling, metric): (Scaling, Metric),
        watch: &Watch,
    ) -> Result<Self, Error> {
        let population = population(rows, limit, features, watch)?;
        let scalings = features.scalings(scaling);
        let looked_up = looked_up(rows, &scalings, watch)?;
        let mut curves = vec![Curve::Straight; scalings.len()];
        for (place, curve) in curves.iter_mut().enumerate() {
            match (scalings[place], &looked_up[place]) {
                (Scaling::Log1p, _) => *curve = Curve::Log1p { sd: 0.0 },
                (Scaling::YeoJohnson, Some(Found::Lambda(lambda))) => {
                    *curve = Curve::YeoJohnson { lambda: *lambda, sd: 0.0 };
                }
                _ => (),
            }
        }
        let mut bent = None;
        if curves.iter().all(|curve| *curve == Curve::Straight) {
            curves.clear();
        } else {
            let behind = self::population(&Bent { rows, curves: &curves }, limit, features, watch)
                .map_err(|error| without_logarithm(rows, features, &curves, error))?;
            for (curve, behind) in curves.iter_mut().zip(&behind.sd) {
                if let Curve::Log1p { sd } | Curve::YeoJohnson { sd, .. } = curve {
                    *sd = *behind;
                }
            }
            bent = Some(behind);
        }
        let quartiles = looked_up.iter().map(|found| match found {
            Some(Found::Quartiles(quartiles)) => Some(*quartiles),
            _ => None,
        });
        let space = Space::new(
            bent.as_ref().unwrap_or(&population),
            (&scalings, curves),
            &quartiles.collect::<Vec<_>>(),
            metric,
            features,
        );
        Ok(Self { population, bent, space })
    }

    /// Of rows that are scaled already.
    pub(crate) fn identity(population: Population) -> Self {
        let space = Space::identity(population.mean.len());
        Self { population, bent: None, space }
    }

    /// What the rows are like where center and scale are applied.
    pub(crate) fn before_scaling(&self) -> &Population {
        self.bent.as_ref().unwrap_or(&self.population)
    }
}

/// Rows behind the curves.
struct Bent<'a, R> {
    rows: &'a R,
    curves: &'a [Curve],
}

impl<R: Rows> Rows for Bent<'_, R> {
    fn n_rows(&self) -> usize {
        self.rows.n_rows()
    }

    fn n_features(&self) -> usize {
        self.rows.n_features()
    }

    fn value(&self, row: usize, feature: usize) -> f64 {
        self.curves[feature].bent(self.rows.value(row, feature))
    }

    fn is_weighted(&self) -> bool {
        self.rows.is_weighted()
    }

    fn weight(&self, row: usize) -> f64 {
        self.rows.weight(row)
    }

    fn copy(&self, feature: usize, first: usize, out: &mut [f64]) {
        self.rows.copy(feature, first, out);
        out.iter_mut().for_each(|value| *value = self.curves[feature].bent(*value));
    }
}

/// A value that is missing behind a curve and was not before has no logarithm.
fn without_logarithm(
    rows: &impl Rows,
    features: &Features,
    curves: &[Curve],
    error: Error,
) -> Error {
    let Error::MissingValue { row, .. } = error else { return error };
    let place =
        (0..curves.len()).find(|&place| curves[place].bent(rows.value(row, place)).is_nan());
    let place = place.unwrap_or(0);
    let feature = features.column(place).to_owned();
    Error::NoLogarithm { feature, row, value: rows.value(row, place) }
}

/// What a scaling needs to know of the order of a feature's values.
enum Found {
    Quartiles([f64; 3]),
    Lambda(f64),
}

/// One a feature, where its scaling needs it. Values are added in the order of the rows, so that threads decide nothing.
fn looked_up(
    rows: &impl Rows,
    scalings: &[Scaling],
    watch: &Watch,
) -> Result<Vec<Option<Found>>, Error> {
    if !scalings.iter().any(|one| matches!(one, Scaling::Robust | Scaling::YeoJohnson)) {
        return Ok(scalings.iter().map(|_| None).collect());
    }
    let counts = Counts::of(rows, watch)?;
    let found = scalings.par_iter().enumerate().map(|(feature, scaling)| match scaling {
        Scaling::Robust => {
            let ready = quantiles(rows, feature, &counts, watch)?.ready();
            let at = |q: f64| ready.quantile(q).ok_or(Error::EmptyInput);
            Ok(Some(Found::Quartiles([at(0.25)?, at(0.5)?, at(0.75)?])))
        }
        Scaling::YeoJohnson => {
            let values = quantiles(rows, feature, &counts, watch)?.representatives();
            watch.check()?;
            Ok(Some(Found::Lambda(power::most_likely(&values))))
        }
        _ => Ok(None),
    });
    found.collect()
}

fn quantiles(
    rows: &impl Rows,
    feature: usize,
    counts: &Counts,
    watch: &Watch,
) -> Result<Quantiles, Error> {
    const AT_ONCE: usize = 4 * TOGETHER;
    let n_rows = rows.n_rows();
    let mut values = memory::filled(0f64, AT_ONCE.min(n_rows))?;
    let (mut each, mut counted) = (Vec::new(), Vec::new());
    let mut quantiles = Quantiles::default();
    for first in (0..n_rows).step_by(AT_ONCE) {
        watch.check()?;
        let values = &mut values[..AT_ONCE.min(n_rows - first)];
        rows.copy(feature, first, values);
        let added = if rows.is_weighted() {
            counted.clear();
            let weighing = (first..).zip(&*values).filter(|(row, _)| rows.weight(*row) > 0.0);
            counted.extend(
                weighing.map(|(row, value)| (Quantiles::key(*value), counts.of_row(rows, row))),
            );
            quantiles.add_weighted(&mut counted)
        } else {
            each.clear();
            each.extend(values.iter().map(|value| Quantiles::key(*value)));
            quantiles.add(&mut each)
        };
        added.map_err(|_| Error::TooManyRows { n_rows })?;
    }
    Ok(quantiles)
}

/// Weights as whole numbers, which quantiles count by: as they are, where they are whole, else as multiples of some 1e-12 of their sum.
struct Counts {
    unit: f64,
}

impl Counts {
    const MOST: f64 = (1u64 << 40) as f64;

    fn of(rows: &impl Rows, watch: &Watch) -> Result<Self, Error> {
        if !rows.is_weighted() {
            return Ok(Self { unit: 1.0 });
        }
        let (mut sum, mut is_whole) = (0.0, true);
        for row in 0..rows.n_rows() {
            if row % TOGETHER == 0 {
                watch.check()?;
            }
            let weight = rows.weight(row);
            sum += weight;
            is_whole &= weight.fract() == 0.0;
        }
        Ok(Self { unit: if is_whole && sum <= Self::MOST { 1.0 } else { sum / Self::MOST } })
    }

    /// At least 1, for a row that weighs anything.
    fn of_row(&self, rows: &impl Rows, row: usize) -> u64 {
        (rows.weight(row) / self.unit).round().max(1.0) as u64
    }
}
