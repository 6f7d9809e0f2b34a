//! How long a k-means fit takes and how good it is: 1 M x 8 by default, k = 8 and 64, two kinds of data.
//!
//! `cargo bench --bench kmeans -- [--rows N] [--features D] [--seeds S] [--write DIRECTORY]`; `--write` leaves the rows as
//! raw little-endian f64, row after row, for another program to fit.

use std::time::Instant;

use ndarray::Array2;
use pg_persona::algo::random::Random;
use pg_persona::algo::segment::{Features, Params, fit};
use pg_persona::algo::stop::Watch;

fn main() {
    let (rows, features, seeds) =
        (argument("--rows", 1_000_000), argument("--features", 8), argument("--seeds", 1));
    let names = (0..features).map(|feature| format!("f{feature}"));
    let dimensions = Features::numbers(names.collect());
    for (kind, points) in
        [("mixture", mixture(rows, features)), ("uniform", uniform(rows, features))]
    {
        if let Some(directory) = text_argument("--write") {
            let bytes: Vec<u8> = points.iter().flat_map(|value| value.to_le_bytes()).collect();
            let path = std::path::Path::new(&directory).join(format!("{kind}.f64"));
            if let Err(error) = std::fs::write(&path, bytes) {
                eprintln!("{}: {error}", path.display());
            }
        }
        for k in [8, 64] {
            for seed in 0..seeds as i64 {
                for max_iterations in [1, 100] {
                    let params = Params { seed, max_iterations, ..Params::new(k) };
                    let params = params.check(rows, features).expect("the parameters are valid");
                    let start = Instant::now();
                    let fit = fit(points.view(), &dimensions, &params, &Watch::new())
                        .expect("the fit succeeds");
                    let seconds = start.elapsed().as_secs_f64();
                    println!(
                        "{kind:8} k {k:3} seed {seed} iterations {:3} {:?} inertia {:.1} seconds {seconds:.3}",
                        fit.model.iterations, fit.model.ended, fit.model.inertia
                    );
                    if max_iterations == 100 && seed == 0 {
                        one_by_one(&points, &fit.model);
                    }
                }
            }
        }
    }
}

/// Labels every row by itself, as a SQL function does.
fn one_by_one(points: &Array2<f64>, model: &pg_persona::algo::segment::KMeans) {
    let prepared = model.prepare();
    let rows = points.as_slice().expect("standard layout").chunks_exact(points.ncols());
    let start = Instant::now();
    let sum: u64 = rows.map(|row| u64::from(prepared.segment(row).unwrap_or(0))).sum();
    let nanoseconds = start.elapsed().as_secs_f64() * 1e9 / points.nrows() as f64;
    println!("         one row at a time: {nanoseconds:.0} ns a row (sum {sum})");
}

/// An overlapping mixture of 64 normal distributions; every fourth feature is exponentiated into a log-normal tail.
fn mixture(rows: usize, features: usize) -> Array2<f64> {
    let centers = Random::new(11, 0);
    let draws = Random::new(11, 1);
    Array2::from_shape_fn((rows, features), |(row, feature)| {
        let component = draws.at((row * (features + 1)) as u64) % 64;
        let center = 4.0 * normal(&centers, component * features as u64 + feature as u64);
        let noise = normal(&draws, (row * (features + 1) + feature + 1) as u64);
        let value = center + 1.5 * noise;
        if feature % 4 == 3 { (value / 4.0).exp() } else { value }
    })
}

fn uniform(rows: usize, features: usize) -> Array2<f64> {
    let draws = Random::new(12, 0);
    Array2::from_shape_fn((rows, features), |(row, feature)| {
        pg_persona::algo::random::unit(draws.at((row * features + feature) as u64))
    })
}

/// Box and Muller's transform of two halves of a draw.
fn normal(random: &Random, index: u64) -> f64 {
    let draw = random.at(index);
    let (first, second) = ((draw >> 32) as f64 + 0.5, (draw as u32) as f64);
    (-2.0 * (first / 2f64.powi(32)).ln()).sqrt()
        * (std::f64::consts::TAU * second / 2f64.powi(32)).cos()
}

fn argument(name: &str, default: usize) -> usize {
    text_argument(name).and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn text_argument(name: &str) -> Option<String> {
    let arguments: Vec<String> = std::env::args().collect();
    let position = arguments.iter().position(|argument| argument == name)?;
    arguments.get(position + 1).cloned()
}
