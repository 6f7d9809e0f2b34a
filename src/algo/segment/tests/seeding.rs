//! Facts about what a fit begins from.

use super::*;
use crate::algo::store::tests::disk;

const OVER_ALL_ROWS: [Seeding; 2] = [Seeding::PlusPlus, Seeding::Parallel];

fn seeded(k: i64, seeding: Seeding) -> Params {
    Params { seeding, max_iterations: 300, ..Params::new(k) }
}

#[test]
fn every_seeding_finds_segments_that_lie_apart() {
    // Sixteen corners of a cube, the rows of each within a tenth of a side.
    let random = Random::new(1, 1);
    let points = Array2::from_shape_fn((100_000, 4), |(row, feature)| {
        let noise = crate::algo::random::unit(random.at((row * 4 + feature) as u64));
        ((row % 16) >> feature & 1) as f64 + 0.1 * noise
    });
    for (name, seeding) in Seeding::ALL {
        for seed in 0..5 {
            let fit = check_fit(&points, &Params { seed, ..seeded(16, seeding) });
            assert_eq!(fit.model.sizes, [6250; 16], "{name} {seed}");
        }
    }
}

#[test]
fn a_seeding_over_all_rows_is_the_same_bits_on_any_number_of_threads() {
    let points = blobs(30_000, 5, 20, 3.0, 9);
    for metric in [Metric::Euclidean, Metric::Cosine] {
        for seeding in OVER_ALL_ROWS {
            let params = Params { n_init: 2, max_iterations: 3, metric, ..seeded(50, seeding) };
            let on = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| fitted(&points, &params).unwrap())
            };
            let alone = on(1);
            assert_eq!(on(2), alone, "{seeding:?} {metric:?}");
            assert_eq!(on(5), alone, "{seeding:?} {metric:?}");
            let on_disk = fitted(&points, &Params { place: disk(1 << 30), ..params.clone() });
            assert_eq!(on_disk.unwrap(), alone, "{seeding:?} {metric:?}");
        }
    }
}

#[test]
fn seedings_over_all_rows_begin_about_as_well_as_the_refined_sample() {
    // One iteration, which is all that a start shows of itself.
    let points = blobs(80_000, 4, 40, 2.0, 5);
    let inertia = |seeding| {
        let fits = (0..5).map(|seed| {
            let params = Params { max_iterations: 1, seed, ..seeded(40, seeding) };
            fitted(&points, &params).unwrap().model.inertia
        });
        fits.sum::<f64>()
    };
    let refined = inertia(Seeding::Auto);
    for seeding in OVER_ALL_ROWS {
        let ratio = inertia(seeding) / refined;
        assert!((0.9..1.4).contains(&ratio), "{seeding:?}: {ratio}");
    }
}

#[test]
fn every_seeding_refuses_more_segments_than_distinct_rows() {
    let points = Array2::from_shape_fn((5000, 2), |(row, _)| (row % 7) as f64);
    for (_, seeding) in Seeding::ALL {
        for k in [8, 4000] {
            let refused = Error::TooFewDistinctRows { k, distinct: 7 };
            assert_eq!(fitted(&points, &seeded(k as i64, seeding)), Err(refused), "{seeding:?}");
        }
        assert_eq!(check_fit(&points, &seeded(7, seeding)).model.sizes.len(), 7);
        let one = check_fit(&points, &seeded(1, seeding));
        assert_eq!(one.model.sizes, [5000]);
    }
}

#[test]
fn every_row_is_a_seed_where_there_are_as_many_segments() {
    let points = blobs(600, 3, 600, 1.0, 3);
    for (_, seeding) in Seeding::ALL {
        assert_eq!(check_fit(&points, &seeded(600, seeding)).model.sizes, [1; 600]);
        let nearly = check_fit(&points, &seeded(597, seeding));
        assert!(nearly.model.sizes.iter().all(|&size| size > 0));
    }
}

#[test]
fn a_rare_value_among_equal_rows_becomes_a_seed() {
    let mut points = Array2::zeros((100_000, 1));
    points[[77_777, 0]] = 1.0;
    points[[50_001, 0]] = -3.0;
    for seeding in OVER_ALL_ROWS {
        assert_eq!(check_fit(&points, &seeded(3, seeding)).model.sizes, [99_998, 1, 1]);
    }
}

#[test]
fn a_seeding_stops_when_it_is_asked_to() {
    let points = blobs(200_000, 16, 64, 5.0, 2);
    for seeding in OVER_ALL_ROWS {
        let params = seeded(20_000, seeding).check(200_000, 16).unwrap();
        let watch = Watch::new();
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| {
                std::thread::sleep(std::time::Duration::from_millis(300));
                watch.stop();
                std::time::Instant::now()
            });
            let stopped = fit(points.view(), &names(16), &params, &watch);
            let late = asked.join().unwrap().elapsed();
            assert_eq!(stopped, Err(Error::Stopped(Stopped)));
            assert!(late.as_millis() < 500, "{seeding:?}: {late:?}");
        });
    }
}
