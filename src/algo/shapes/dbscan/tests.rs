use linfa::traits::Transformer;
use linfa_clustering::Dbscan;
use ndarray::{Array2, array};

use super::*;
use crate::algo::random::Random;

fn run(rows: &Array2<f64>, eps: f64, min_points: i64) -> Vec<u32> {
    let params = DbscanParams { eps, min_points }.check().unwrap();
    dbscan(rows.view(), &params, &Watch::new()).unwrap()
}

/// The definition, pair by pair.
fn by_pairs(rows: &Array2<f64>, eps: f64, min_points: i64) -> Vec<u32> {
    let n = rows.nrows();
    let squares = |a: usize, b: usize| {
        (0..rows.ncols()).map(|j| (rows[[a, j]] - rows[[b, j]]).powi(2)).sum::<f64>()
    };
    let near = |a: usize, b: usize| squares(a, b) <= eps * eps;
    let is_core: Vec<bool> =
        (0..n).map(|a| (0..n).filter(|&b| near(a, b)).count() as i64 >= min_points).collect();
    let mut group: Vec<usize> = (0..n).collect();
    let mut changed = true;
    while changed {
        changed = false;
        for a in (0..n).filter(|&a| is_core[a]) {
            for b in (0..n).filter(|&b| is_core[b] && near(a, b)) {
                changed |= group[a] != group[b];
                group[a] = group[a].min(group[b]);
                group[b] = group[a];
            }
        }
    }
    let content = |row: usize| rows.row(row).to_vec();
    let nearest = |a: usize| {
        (0..n).filter(|&b| is_core[b] && near(a, b)).min_by(|&b, &c| {
            let by_content = content(b).partial_cmp(&content(c)).unwrap();
            squares(a, b).total_cmp(&squares(a, c)).then(by_content)
        })
    };
    let group: Vec<Option<usize>> =
        (0..n).map(|a| if is_core[a] { Some(a) } else { nearest(a) }.map(|b| group[b])).collect();
    let mut segments: Vec<(Reverse<usize>, Vec<f64>, usize)> = (0..n)
        .filter(|&a| group[a] == Some(a))
        .map(|a| {
            let members = (0..n).filter(|&b| group[b] == Some(a));
            let first = members.clone().map(content).min_by(|a, b| a.partial_cmp(b).unwrap());
            (Reverse(members.count()), first.unwrap(), a)
        })
        .collect();
    segments.sort_by(|a, b| a.partial_cmp(b).unwrap());
    let number = |a: usize| 1 + segments.iter().position(|segment| segment.2 == a).unwrap();
    group.into_iter().map(|group| group.map_or(0, |a| number(a) as u32)).collect()
}

/// Rows around `n_centres` centres, with noise between; on a grid when `step` is above 0, so that distances tie.
fn blobs(n: usize, d: usize, n_centres: usize, step: f64, seed: i64) -> Array2<f64> {
    let mut random = Random::new(seed, 0);
    let centres: Vec<f64> = (0..n_centres * d).map(|_| random.uniform() * 20.0).collect();
    Array2::from_shape_fn((n, d), |(row, feature)| {
        let value = if row % 10 == 0 {
            random.uniform() * 20.0
        } else {
            let spread = (0..4).map(|_| random.uniform() - 0.5).sum::<f64>();
            centres[row % n_centres * d + feature] + spread
        };
        if step > 0.0 { (value / step).round() * step } else { value }
    })
}

#[track_caller]
fn check_like_pairs(rows: &Array2<f64>, eps: f64, min_points: i64) {
    let found = run(rows, eps, min_points);
    assert_eq!(found, by_pairs(rows, eps, min_points), "eps {eps}, min_points {min_points}");
}

#[test]
fn every_row_is_where_comparing_all_pairs_puts_it() {
    for seed in 0..12 {
        let d = 1 + seed as usize % 6;
        for step in [0.0, 0.5, 1.0] {
            let rows = blobs(300, d, 1 + seed as usize % 4, step, seed);
            for (eps, min_points) in [(0.25, 3), (0.5, 5), (1.0, 4), (1.0, 1), (3.0, 20)] {
                check_like_pairs(&rows, eps, min_points);
            }
        }
    }
}

#[test]
fn many_features_are_compared_to_the_last_one() {
    // 70 features: two whole blocks of a sum and a rest.
    let rows = Array2::from_shape_fn((120, 70), |(row, feature)| {
        f64::from(u8::from(feature == 69)) * (row % 40) as f64
    });
    check_like_pairs(&rows, 1.0, 3);
    check_like_pairs(&blobs(200, 70, 3, 1.0, 5), 6.0, 4);
}

#[test]
fn a_distance_of_exactly_eps_is_within() {
    assert_eq!(run(&array![[0.0], [0.1], [0.2]], 0.1, 2), [1, 1, 1]);
    assert_eq!(run(&array![[0.0, 0.0], [3.0, 4.0]], 5.0, 2), [1, 1]);
    assert_eq!(run(&array![[0.0, 0.0], [3.0, 4.0]], 5.0_f64.next_down(), 2), [0, 0]);
}

#[test]
fn a_border_row_goes_to_the_nearest_core_row() {
    // 4 is within 2 of the core rows 2 and 5.9, and nearer to the latter.
    let rows = array![[4.0], [0.0], [1.0], [2.0], [5.9], [6.9], [7.9], [8.9]];
    assert_eq!(run(&rows, 2.0, 4), [1, 2, 2, 2, 1, 1, 1, 1]);
    // 1 alone is core.
    let rows = array![[0.0], [0.0], [0.0], [1.0], [2.0], [2.0], [2.0], [2.0]];
    assert_eq!(run(&rows, 1.0, 6), [1; 8]);
    // 2 is no core row, and as near to 1 as to 3.
    let rows = array![[2.0], [0.0], [0.0], [0.0], [0.0], [1.0], [3.0], [4.0], [4.0], [4.0], [4.0]];
    assert_eq!(run(&rows, 1.0, 5), [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2]);
}

#[test]
fn segments_are_numbered_by_size_and_then_by_content() {
    let rows = array![[9.0], [9.1], [5.0], [5.1], [5.2], [1.0], [1.1], [100.0]];
    assert_eq!(run(&rows, 0.15, 2), [3, 3, 1, 1, 1, 2, 2, 0]);
}

#[test]
fn neither_the_order_of_rows_nor_the_number_of_threads_matters() {
    let rows = blobs(3000, 3, 5, 0.25, 3);
    let expected = run(&rows, 0.5, 6);
    let mut order: Vec<usize> = (0..rows.nrows()).collect();
    Random::new(1, 1).shuffle(&mut order);
    let shuffled = rows.select(ndarray::Axis(0), &order);
    for n_threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        let found = pool.install(|| run(&shuffled, 0.5, 6));
        assert!(order.iter().zip(&found).all(|(&row, label)| expected[row] == *label));
    }
    assert!(expected.contains(&0) && expected.contains(&3), "the data is too plain");
}

#[test]
fn core_rows_and_noise_are_as_in_linfa() {
    for (seed, d) in [(1, 2), (2, 3), (3, 5)] {
        let rows = blobs(800, d, 4, 0.0, seed);
        let (eps, min_points) = (0.4 * (d as f64).sqrt(), 5);
        let found = run(&rows, eps, min_points);
        let other = Dbscan::params(min_points as usize).tolerance(eps).transform(&rows).unwrap();
        let near = |a: usize, b: usize| {
            let difference = &rows.row(a) - &rows.row(b);
            difference.dot(&difference) <= eps * eps
        };
        let core: Vec<usize> = (0..800)
            .filter(|&a| (0..800).filter(|&b| near(a, b)).count() as i64 >= min_points)
            .collect();
        for &a in &core {
            for &b in &core {
                assert_eq!(found[a] == found[b], other[a] == other[b], "{a} and {b}");
            }
        }
        assert!((0..800).all(|row| (found[row] == 0) == other[row].is_none()));
    }
}

#[test]
fn edges_have_answers() {
    assert_eq!(run(&Array2::zeros((0, 2)), 1.0, 1), Vec::<u32>::new());
    assert_eq!(run(&array![[7.0]], 1.0, 1), [1]);
    assert_eq!(run(&array![[7.0]], 1.0, 2), [0]);
    assert_eq!(run(&Array2::zeros((5000, 3)), 1e-300, 5000), vec![1; 5000]);
    assert_eq!(run(&Array2::zeros((5000, 3)), 1e-300, 5001), vec![0; 5000]);
    assert_eq!(run(&array![[0.0], [-0.0]], 1.0, i64::MAX), [0, 0]);
}

#[test]
fn numbers_of_any_size_are_compared() {
    assert_eq!(run(&array![[1e308], [-1e308], [1e307]], 1e308, 2), [1, 0, 1]);
    assert_eq!(run(&array![[f64::MAX], [-f64::MAX]], f64::MAX, 1), [2, 1]);
    assert_eq!(run(&array![[0.0], [5e-324], [1e-322]], 5e-324, 2), [1, 1, 0]);
    assert_eq!(run(&array![[0.0], [1e-200], [3e-200]], 1e-200, 2), [1, 1, 0]);
    assert_eq!(run(&array![[1e300, 1.0], [1e300, 1.5], [-1e300, 1.0]], 0.5, 2), [1, 1, 0]);
}

#[test]
fn what_no_run_can_do_is_refused() {
    for eps in [0.0, -1.0, f64::INFINITY] {
        let params = DbscanParams { eps, min_points: 1 };
        assert_eq!(params.check(), Err(Error::InvalidEps { eps }));
    }
    assert!(DbscanParams { eps: f64::NAN, min_points: 1 }.check().is_err());
    let params = DbscanParams { eps: 1.0, min_points: 0 };
    assert_eq!(params.check(), Err(Error::InvalidMinPoints { min_points: 0 }));
}

#[test]
fn a_stop_is_heard() {
    let watch = Watch::new();
    watch.stop();
    let params = DbscanParams { eps: 1.0, min_points: 1 }.check().unwrap();
    assert_eq!(dbscan(array![[0.0]].view(), &params, &watch), Err(Stopped.into()));
}
