//! Lloyd's iterations alone, from given centroids, for `benches/segment.py` to set beside scikit-learn and faiss; and what the
//! machine could do at most.
//!
//! `lloyd POINTS CENTROIDS FEATURES ITERATIONS [TOLERANCE]` reads raw little-endian f32, row after row, fits on two threads and
//! prints `seconds inertia iterations` of the second of two fits; reading the files is not timed. `lloyd seeded POINTS K FEATURES
//! ITERATIONS [SEEDING [SEED]]` does the same from seeds of its own. `lloyd peak` prints the multiply-adds of f32 that one thread
//! and two can do, and the bytes that two can read, each in billions a second.
#![allow(unsafe_code, reason = "instructions that only some processors have")]

use std::time::Instant;

use pg_persona::algo::segment::{
    Cells, Columns, Ended, FORMAT, Features, KMeans, Metric, Params, Scaling, Seeding, fit,
    fit_from,
};
use pg_persona::algo::stop::Watch;
use pg_persona::algo::store::{Place, Store};
use rayon::prelude::*;

const THREADS: usize = 2;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|one| one != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    rayon::ThreadPoolBuilder::new().num_threads(THREADS).build_global().expect("a pool starts");
    match arguments[..] {
        ["peak"] => peak(),
        ["seeded", points, k, features, iterations, ref how @ ..] => {
            let features = features.parse().expect("FEATURES is a number");
            let iterations = iterations.parse().expect("ITERATIONS is a number");
            let seeding = *how.first().unwrap_or(&"auto");
            let seeding = Seeding::ALL.iter().find(|(name, _)| *name == seeding);
            let start = Start::Seeds {
                k: k.parse().expect("K is a number"),
                seeding: seeding.expect("SEEDING is one").1,
                seed: how.get(1).map_or(0, |seed| seed.parse().expect("SEED is a number")),
            };
            run(&columns(points, features), &start, iterations, None);
        }
        [points, centroids, features, iterations, ref tolerance @ ..] => {
            let features = features.parse().expect("FEATURES is a number");
            let iterations = iterations.parse().expect("ITERATIONS is a number");
            let tolerance =
                tolerance.first().map(|one| one.parse().expect("TOLERANCE is a number"));
            let start = Start::Centroids(read(centroids));
            run(&columns(points, features), &start, iterations, tolerance);
        }
        _ => eprintln!(
            "lloyd POINTS CENTROIDS FEATURES ITERATIONS [TOLERANCE] | \
             lloyd seeded POINTS K FEATURES ITERATIONS [SEEDING [SEED]] | lloyd peak"
        ),
    }
}

enum Start {
    /// k x d.
    Centroids(Vec<f32>),
    /// The fit's own.
    Seeds { k: usize, seeding: Seeding, seed: i64 },
}

fn run(columns: &[Store<f64>], start: &Start, max_iterations: i64, tolerance: Option<f64>) {
    let names = (0..columns.len()).map(|feature| format!("f{feature}"));
    let features = Features::numbers(names.collect());
    let (k, seeding, seed, model) = match start {
        Start::Centroids(centroids) => {
            let model = start_model(&features, centroids);
            (centroids.len() / columns.len(), Seeding::Auto, 0, Some(model))
        }
        Start::Seeds { k, seeding, seed } => (*k, *seeding, *seed, None),
    };
    let params = Params {
        scaling: Scaling::None,
        max_iterations,
        seeding,
        seed,
        tolerance,
        ..Params::new(k as i64)
    };
    let params = params.check(columns[0].len(), columns.len()).expect("the parameters are valid");
    let watch = Watch::new();
    let rows = || Columns(columns.iter().map(|column| Cells::Numbers(column)).collect());
    let fitted = || match &model {
        Some(model) => fit_from(rows(), &features, model, &params, &watch),
        None => fit(rows(), &features, &params, &watch),
    };
    // The first time the system makes the pages, which a backend that has worked before has.
    drop(fitted());
    let began = Instant::now();
    let fit = fitted();
    let seconds = began.elapsed().as_secs_f64();
    let fit = fit.expect("it fits");
    println!("{seconds} {} {}", fit.model.inertia, fit.model.iterations);
}

/// The least model that carries centroids.
fn start_model(features: &Features, centroids: &[f32]) -> KMeans {
    let d = features.len();
    let k = centroids.len() / d;
    KMeans {
        format: FORMAT,
        features: features.names.clone(),
        categories: Vec::new(),
        scaling: Scaling::None,
        metric: Metric::Euclidean,
        means: None,
        curves: Vec::new(),
        fill: Vec::new(),
        center: vec![0.0; d],
        scale: vec![1.0; d],
        unit: 1.0,
        centroids: centroids.iter().copied().map(f64::from).collect(),
        sizes: vec![1; k],
        spread: vec![0.0; k],
        population_mean: vec![0.0; d],
        population_sd: vec![1.0; d],
        inertia: 0.0,
        iterations: 0,
        ended: Ended::MaxIterations,
        seed: 0,
        n_rows: k as u64,
    }
}

fn read(path: &str) -> Vec<f32> {
    let bytes = std::fs::read(path).expect("the file can be read");
    bytes.as_chunks().0.iter().map(|word| f32::from_le_bytes(*word)).collect()
}

/// The rows of a file as the extension's ingest hands them to a fit: column by column, f64.
fn columns(path: &str, n_features: usize) -> Vec<Store<f64>> {
    let values = read(path);
    let column = |feature: usize| {
        let mut column = Store::new(&Place::Memory);
        column.reserve_exact(values.len() / n_features).expect("there is memory");
        let values = values.iter().skip(feature).step_by(n_features);
        values.for_each(|&value| column.push(f64::from(value)));
        column
    };
    (0..n_features).map(column).collect()
}

fn peak() {
    let best = |measure: &dyn Fn() -> f64| (0..5).map(|_| measure()).fold(0.0, f64::max);
    let one = best(&|| multiply_adds(1));
    let two = best(&|| multiply_adds(THREADS));
    let values = vec![1f32; 64 << 20];
    let bytes = best(&|| {
        let began = Instant::now();
        let sum: f32 = values
            .par_chunks(1 << 20)
            .map(|part| {
                part.chunks_exact(16)
                    .fold([0f32; 16], |mut sums, part| {
                        sums.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
                        sums
                    })
                    .iter()
                    .sum::<f32>()
            })
            .sum();
        std::hint::black_box(sum);
        4e-9 * values.len() as f64 / began.elapsed().as_secs_f64()
    });
    println!("{one} {two} {bytes}");
}

/// Billions of multiply-adds a second over all threads, twelve independent chains of the widest vectors each.
fn multiply_adds(threads: usize) -> f64 {
    const ROUNDS: usize = 4_000_000;
    let began = Instant::now();
    (0..threads).into_par_iter().for_each(|_| {
        let mut sums = [[0f32; LANES]; CHAINS];
        fma_rounds(&mut sums, &std::hint::black_box([1.000_001; LANES]), ROUNDS);
        std::hint::black_box(sums);
    });
    1e-9 * (threads * CHAINS * LANES * ROUNDS) as f64 / began.elapsed().as_secs_f64()
}

const CHAINS: usize = 12;
const LANES: usize = 16;
type Sums = [[f32; LANES]; CHAINS];

/// The widest vectors that the fit's kernel would take too.
fn fma_rounds(sums: &mut Sums, factor: &[f32; LANES], rounds: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: the processor has the instructions.
        if std::is_x86_feature_detected!("avx512f") {
            return unsafe { fma_avx512(sums, factor, rounds) };
        }
        // SAFETY: as above.
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            return unsafe { fma_avx2(sums, factor, rounds) };
        }
    }
    fma_portable(sums, factor, rounds);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn fma_avx512(sums: &mut Sums, factor: &[f32; LANES], rounds: usize) {
    fma_portable(sums, factor, rounds);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn fma_avx2(sums: &mut Sums, factor: &[f32; LANES], rounds: usize) {
    fma_portable(sums, factor, rounds);
}

#[inline(always)]
fn fma_portable(sums: &mut Sums, factor: &[f32; LANES], rounds: usize) {
    let mut local = *sums;
    for _ in 0..rounds {
        for chain in &mut local {
            for (sum, factor) in chain.iter_mut().zip(factor) {
                *sum = sum.mul_add(*factor, 1.0);
            }
        }
    }
    *sums = local;
}
