//! Quality on MovieLens-100K and speed on synthetic events.
//!
//! `PERSONA_MOVIELENS=path/to/ml-100k.inter cargo bench --bench recommend` prints both; without the variable, speed
//! alone. The file's rows are user, item, rating, time, tab-separated (or GroupLens's `u.data`).

use pg_persona::algo::{
    frame::Column,
    random::Random,
    recommend::{Interactions, Method, Params, Recommender, Split, Stratum, algorithms, fit},
    stop::Watch,
};
use std::time::Instant;

fn main() {
    match std::env::var("PERSONA_MOVIELENS") {
        Ok(path) => quality(&path),
        Err(_) => println!("PERSONA_MOVIELENS is not set: no quality on MovieLens"),
    }
    speed();
}

/// 75/25 within each item, mean of five seeds, seen removed, every other item ranked.
fn quality(path: &str) {
    let text = std::fs::read_to_string(path).expect("the file of PERSONA_MOVIELENS is readable");
    let rows: Vec<Vec<f64>> = text
        .lines()
        .map(|line| line.split('\t').filter_map(|field| field.parse().ok()).collect())
        .filter(|row: &Vec<f64>| row.len() == 4)
        .collect();
    let users = Column::integer("user_id", rows.iter().map(|row| row[0] as i64).collect());
    let items = Column::integer("item_id", rows.iter().map(|row| row[1] as i64).collect());
    let ratings: Vec<f64> = rows.iter().map(|row| row[2]).collect();
    println!("MovieLens, {} ratings: nDCG / precision / recall / MAP @10, coverage", rows.len());
    let methods = || algorithms().into_iter().map(|algorithm| algorithm.defaults());
    let by_ratings = methods().map(|settings| (settings, "ratings", Some(&ratings[..])));
    for (settings, of, weights) in methods().map(|one| (one, "seen or not", None)).chain(by_ratings)
    {
        let name = format!("{}, {of}", settings.algorithm().name);
        let method = Method::try_from(&settings).expect("a method of recommenders");
        let interactions = Interactions::from_columns(&users, &items, weights, None, &Watch::new())
            .expect("sound rows");
        let mut sums = [0.0; 5];
        for seed in 0..5 {
            let by = Split::Random { share: 0.25, seed, by: Stratum::Item };
            let params = Params { method, holdout: Some(by), ..Params::default() }
                .check()
                .expect("valid parameters");
            let (_, evaluation) = fit(&interactions, &params, &Watch::new()).expect("rows");
            let quality = evaluation.and_then(|found| found.quality).expect("held-out rows");
            let values =
                [quality.ndcg, quality.precision, quality.recall, quality.map, quality.coverage];
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value / 5.0);
        }
        println!(
            "  {name:<22} {:.4} / {:.4} / {:.4} / {:.4}, {:.3}",
            sums[0], sums[1], sums[2], sums[3], sums[4]
        );
    }
    let interactions =
        Interactions::from_columns(&users, &items, None, None, &Watch::new()).expect("sound rows");
    timed("  fit of all rows with holdout", || fit_all(&interactions, true));
}

/// 2 M events of 100 k users on 20 k items of which some are far more popular, on two threads.
fn speed() {
    let mut random = Random::new(0, 0);
    let n_events = 2_000_000;
    let users =
        Column::integer("user_id", (0..n_events).map(|_| random.below(100_000) as i64).collect());
    let items = Column::integer(
        "item_id",
        (0..n_events).map(|_| (random.uniform().powi(3) * 20_000.0) as i64).collect(),
    );
    println!("{n_events} events, 100 k users, 20 k items, two threads");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("a pool");
    pool.install(|| {
        let interactions = timed("  interactions", || {
            Interactions::from_columns(&users, &items, None, None, &Watch::new())
                .expect("sound rows")
        });
        let model = timed("  fit without holdout", || fit_all(&interactions, false));
        timed("  fit with holdout", || fit_all(&interactions, true));
        timed("  recommend_all, n = 10", || {
            model.recommend_all(10, true, &Watch::new()).expect("pages")
        });
        let bytes = timed("  to_bytes", || model.to_bytes().expect("bytes"));
        timed("  from_bytes", || Recommender::from_bytes(&bytes).expect("a sound model"));
        println!("  stored {:.1} MB", bytes.len() as f64 / 1e6);
        let mut times: Vec<f64> = (0..2000u32)
            .map(|i| {
                let start = Instant::now();
                std::hint::black_box(
                    model.recommend(Some(i * 49), 10, true, &Watch::new()).expect("a page"),
                );
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!(
            "  recommend one user, n = 10: p50 {:.3} ms, p99 {:.3} ms",
            times[1000], times[1980]
        );
    });
}

fn fit_all(interactions: &Interactions, holdout: bool) -> Recommender {
    let mut params = Params::default();
    params.holdout = params.holdout.filter(|_| holdout);
    fit(interactions, &params.check().expect("valid parameters"), &Watch::new()).expect("rows").0
}

fn timed<T>(name: &str, run: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = run();
    println!("{name:<32} {:.3} s", start.elapsed().as_secs_f64());
    result
}
