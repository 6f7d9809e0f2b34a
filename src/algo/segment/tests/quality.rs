//! Facts about the figures of quality, and about the choice of k by them.

use super::*;

#[test]
fn quality_is_scikit_learns() {
    // KMeans(3, n_init=10) on iris, raw: silhouette_score, davies_bouldin_score, calinski_harabasz_score.
    let quality =
        check_fit(&iris(), &Params { n_init: 10, quality: Some(SILHOUETTE_ROWS), ..raw(3) })
            .quality
            .unwrap();
    let close = |found: Option<f64>, expected: f64| {
        assert!((found.unwrap() - expected).abs() < 1e-5 * expected, "{found:?} is not {expected}");
    };
    close(quality.silhouette, 0.552_819_012_356_410_2);
    close(quality.davies_bouldin, 0.661_971_546_500_746_5);
    close(quality.calinski_harabasz, 561.627_756_629_62);
    assert_eq!(quality.silhouette_rows, 150);
}

#[test]
fn quality_is_unknown_where_it_is_not_defined() {
    let points = blobs(100, 2, 3, 1.0, 1);
    let quality = |k| {
        check_fit(&points, &Params { quality: Some(SILHOUETTE_ROWS), ..Params::new(k) })
            .quality
            .unwrap()
    };
    let one = quality(1);
    assert_eq!((one.silhouette, one.davies_bouldin, one.calinski_harabasz), (None, None, None));
    let each = quality(100);
    assert_eq!((each.silhouette, each.davies_bouldin), (Some(0.0), Some(0.0)));
    assert_eq!(each.calinski_harabasz, None);
}

#[test]
fn quality_is_the_same_bits_on_any_number_of_threads() {
    let points = blobs(20_000, 5, 6, 3.0, 4);
    let quality = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            fitted(&points, &Params { quality: Some(SILHOUETTE_ROWS), ..Params::new(6) })
        })
        .unwrap()
        .quality
    };
    assert_eq!(quality(1).unwrap().silhouette_rows, 2_000);
    assert_eq!(quality(1), quality(3));
}

#[test]
fn as_many_segments_are_chosen_as_there_are() {
    let points = blobs(3_000, 4, 5, 0.5, 11);
    let params = Params::new(1);
    let candidates =
        choose_k(&points.view(), &names(4), &params, 1..=9, 1_000, &Watch::new()).unwrap();
    assert_eq!(candidates.iter().map(|one| one.k).collect::<Vec<_>>(), (1..=9).collect::<Vec<_>>());
    for (name, criterion) in Criterion::ALL {
        assert_eq!(best(&candidates, criterion), Some(5), "{name}: {candidates:?}");
    }
    assert_eq!(best(&candidates[..1], Criterion::Silhouette), None);
    assert!(candidates.is_sorted_by(|a, b| a.inertia >= b.inertia));
}

#[test]
fn no_k_is_chosen_beyond_the_distinct_rows() {
    let points = array![[0.0], [1.0], [5.0], [1.0], [5.0]];
    let choose = |range| {
        choose_k(&points.view(), &names(1), &Params::new(1), range, 100, &Watch::new())
            .map(|candidates| candidates.len())
    };
    assert_eq!(choose(2..=10), Ok(2));
    assert_eq!(choose(4..=10), Err(Error::TooFewDistinctRows { k: 4, distinct: 3 }));
}
