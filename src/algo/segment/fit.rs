//! From rows to a model: population statistics, scaling, the starts, and the best of them.

use ndarray::ArrayView2;
use rayon::prelude::*;

use super::error::Error;
use super::limits::MAX_MAGNITUDE;
use super::params::{Metric, Scaling, ValidParams};
use crate::algo::random::Random;
use crate::algo::segment::engine::lloyd::{Limits, Numbering, Run, lloyd};
use crate::algo::segment::input::curve::Curve;
use crate::algo::segment::input::features::Features;
use crate::algo::segment::input::ground::Ground;
use crate::algo::segment::input::points::Points;
use crate::algo::segment::input::population::population;
use crate::algo::segment::input::row_weights::{WEIGHTS, in_order};
use crate::algo::segment::input::rows::Rows;
use crate::algo::segment::input::space::{MAX_SCALED, Space};
use crate::algo::segment::model::fitted::{FORMAT, KMeans};
use crate::algo::segment::quality::{Quality, quality};
use crate::algo::segment::seeding::start::start;
use crate::algo::stop::{Stopped, Watch};
use crate::algo::store::Store;

#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    pub model: KMeans,
    /// One a row, from 1.
    pub labels: Store<u32>,
    /// None when the parameters do not ask for it.
    pub quality: Option<Quality>,
}

/// Fits k-means to rows in original units (n x d).
pub fn fit(
    points: impl Rows,
    features: &Features,
    params: &ValidParams,
    watch: &Watch,
) -> Result<Fit, Error> {
    fit_on(&points, ground(&points, features, params, watch)?, features, params, watch)
}

/// What the rows are like and the space that follows: the same for every k.
pub(crate) fn ground(
    points: &impl Rows,
    features: &Features,
    params: &ValidParams,
    watch: &Watch,
) -> Result<Ground, Error> {
    check_width(points, features, params)?;
    Ground::of(points, limit(points), features, (params.scaling, params.metric), watch)
}

fn check_width(points: &impl Rows, features: &Features, params: &ValidParams) -> Result<(), Error> {
    let expected = params.n_features;
    match [points.n_features(), features.len()].into_iter().find(|found| *found != expected) {
        Some(found) => Err(Error::DimensionMismatch { expected, found }),
        None => Ok(()),
    }
}

/// As [`fit`], on the ground of these very rows.
pub(crate) fn fit_on(
    points: &impl Rows,
    ground: Ground,
    features: &Features,
    params: &ValidParams,
    watch: &Watch,
) -> Result<Fit, Error> {
    fit_in(points, ground, features, params, Start::Seeds, watch)
}

/// Fits from the centroids of an earlier model, which must have the same k and the same features but for levels that came or
/// went, and keeps its segments' numbers; `n_init` does not matter.
pub fn fit_from(
    points: impl Rows,
    features: &Features,
    earlier: &KMeans,
    params: &ValidParams,
    watch: &Watch,
) -> Result<Fit, Error> {
    let centroids = earlier.centroids_among(features.dimensions())?;
    if earlier.k() != params.k {
        return Err(Error::DimensionMismatch { expected: params.k, found: earlier.k() });
    }
    let ground = ground(&points, features, params, watch)?;
    let centroids = ground.space.bend_all(centroids);
    fit_in(&points, ground, features, params, Start::Centroids(&centroids), watch)
}

/// Fits to rows (n x d) as they are, whatever the parameters' scaling: for callers that scaled them.
pub fn fit_points(
    points: ArrayView2<f32>,
    features: &Features,
    params: &ValidParams,
    watch: &Watch,
) -> Result<Fit, Error> {
    let ground = Ground::identity(population(&points, MAX_SCALED, features, watch)?);
    let params =
        ValidParams { scaling: Scaling::None, metric: Metric::Euclidean, ..params.clone() };
    fit_in(&points, ground, features, &params, Start::Seeds, watch)
}

/// Values up to here have sums of squares within f64, times any weight.
fn limit(points: &impl Rows) -> f64 {
    if points.is_weighted() { MAX_MAGNITUDE / WEIGHTS.end().sqrt() } else { MAX_MAGNITUDE }
}

#[derive(Clone, Copy)]
enum Start<'a> {
    Seeds,
    /// k x d, behind the curves of the space.
    Centroids(&'a [f64]),
}

/// Values of a feature on their way from f64 to f32: few enough to stay in the cache.
const SCALED_AT_ONCE: usize = 256;

fn fit_in(
    points: &impl Rows,
    ground: Ground,
    features: &Features,
    params: &ValidParams,
    start: Start,
    watch: &Watch,
) -> Result<Fit, Error> {
    check_width(points, features, params)?;
    let n_rows = points.n_rows();
    if n_rows == 0 {
        return Err(Error::EmptyInput);
    }
    let space = &ground.space;
    let mut scaled = Points::collect(
        &params.place,
        n_rows,
        points.n_features(),
        watch,
        |feature, first, scaled| {
            let mut wide = [0f64; SCALED_AT_ONCE];
            for (place, scaled) in scaled.chunks_mut(SCALED_AT_ONCE).enumerate() {
                let wide = &mut wide[..scaled.len()];
                points.copy(feature, first + place * SCALED_AT_ONCE, wide);
                space.scale_all(feature, wide, scaled);
            }
        },
    )?;
    scaled.weights = in_order(points, &params.place, watch)?;
    if space.metric == Metric::Cosine {
        scaled.put_on_unit_sphere(watch)?;
    }
    let before_scaling = ground.before_scaling();
    let variance: f64 =
        before_scaling.sd.iter().zip(&space.scale).map(|(sd, scale)| (sd / scale).powi(2)).sum();
    let limits = Limits {
        max_iterations: params.max_iterations,
        shift: params.tolerance.map(|tolerance| tolerance * variance / params.n_features as f64),
        squares: Some(scaled.mass() * space.mean_square(before_scaling)),
        numbering: match start {
            Start::Seeds => Numbering::BySize,
            Start::Centroids(centroids) => Numbering::Of(centroids),
        },
    };
    let run = match start {
        Start::Centroids(centroids) => lloyd(&scaled, space, centroids.to_vec(), &limits, watch)?,
        Start::Seeds => best_run(&scaled, space, params, &limits, watch)?,
    };
    // Rows that the kernel does not tell apart count as equal.
    let distinct = run.masses.iter().filter(|mass| **mass > 0.0).count();
    if distinct < params.k {
        return Err(Error::TooFewDistinctRows { k: params.k, distinct });
    }
    let quality = match params.quality {
        Some(rows) => Some(quality(&scaled, space, &run, params.seed, rows, watch)?),
        None => None,
    };
    let means = match space.metric {
        Metric::Euclidean if !space.is_bent() => None,
        _ => Some(means(points, &run, &space.curves, watch)?),
    };
    let spread = run.inertias.iter().zip(&run.masses).map(|(&inertia, &mass)| {
        if mass > 0.0 { (inertia / mass).sqrt() * space.unit } else { 0.0 }
    });
    let spread = spread.collect();
    let Ground { population, space, .. } = ground;
    let model = KMeans {
        format: FORMAT,
        features: features.names.clone(),
        categories: features.categories.clone(),
        scaling: params.scaling,
        metric: space.metric,
        means,
        curves: space.curves,
        fill: space.fill,
        inertia: run.inertia * space.unit * space.unit,
        center: space.center,
        spread,
        scale: space.scale,
        unit: space.unit,
        centroids: run.centroids,
        sizes: run.sizes,
        population_mean: population.mean,
        population_sd: population.sd,
        iterations: run.iterations,
        ended: run.ended,
        seed: params.seed,
        n_rows: n_rows as u64,
    };
    let mut labels = Store::<u32>::zeroed(&params.place, n_rows)?;
    for (to, &label) in labels.iter_mut().zip(run.labels.iter()) {
        *to = u32::from(label) + 1;
    }
    Ok(Fit { model, labels, quality })
}

/// The mean of each segment's rows (k x d), in original units; that of an empty segment is its centroid.
fn means(
    points: &impl Rows,
    run: &Run,
    curves: &[Curve],
    watch: &Watch,
) -> Result<Vec<f64>, Stopped> {
    /// As many on any number of threads, added up in order.
    const PIECES: usize = 16;
    let d = points.n_features();
    let piece_rows = points.n_rows().div_ceil(PIECES);
    let sums: Vec<Vec<f64>> = (0..PIECES)
        .into_par_iter()
        .map(|piece| {
            let mut sums = vec![0f64; run.centroids.len()];
            for row in piece * piece_rows..points.n_rows().min((piece + 1) * piece_rows) {
                watch.check()?;
                let (weight, sums) =
                    (points.weight(row), &mut sums[usize::from(run.labels[row]) * d..][..d]);
                sums.iter_mut()
                    .enumerate()
                    .for_each(|(feature, sum)| *sum += weight * points.value(row, feature));
            }
            Ok(sums)
        })
        .collect::<Result<_, Stopped>>()?;
    let mut means = run.centroids.clone();
    for (idx, mean) in means.iter_mut().enumerate() {
        let mass = run.masses[idx / d];
        if mass > 0.0 {
            *mean = sums.iter().map(|sums| sums[idx]).sum::<f64>() / mass;
        } else if let Some(curve) = curves.get(idx % d) {
            *mean = curve.original(*mean);
        }
    }
    Ok(means)
}

/// The run with the least inertia of `n_init`; of equal ones, the first.
fn best_run(
    points: &Points,
    space: &Space,
    params: &ValidParams,
    limits: &Limits,
    watch: &Watch,
) -> Result<Run, Error> {
    let run = |number: u32| {
        let random = Random::new(params.seed, u64::from(number));
        lloyd(points, space, start(points, space, params, random, watch)?, limits, watch)
    };
    let mut best = run(0)?;
    for number in 1..params.n_init {
        let other = run(number)?;
        if other.inertia < best.inertia {
            best = other;
        }
    }
    Ok(best)
}
