//! Facts about fits that start from an earlier model.

use super::*;

#[test]
fn a_fit_from_its_own_result_ends_at_once() {
    let points = blobs(3000, 3, 6, 2.0, 2);
    let first = check_fit(&points, &Params { max_iterations: 1000, ..Params::new(6) });
    let params = Params::new(6).check(3000, 3).unwrap();
    let again = fit_from(points.view(), &names(3), &first.model, &params, &Watch::new()).unwrap();
    assert_eq!((again.labels, again.model.ended), (first.labels, Ended::Converged));
    assert!(again.model.iterations <= 2);
}

#[test]
fn a_warm_fit_keeps_the_numbers_of_its_segments() {
    let points = blobs(2000, 2, 4, 0.2, 4);
    let first = check_fit(&points, &Params { n_init: 5, ..Params::new(4) });
    // Most rows of the largest segment are gone: by size it would come last.
    let kept: Vec<usize> =
        (0..2000).filter(|&row| first.labels[row] != 1 || row % 10 == 0).collect();
    let fewer = points.select(ndarray::Axis(0), &kept);
    let params = Params::new(4).check(kept.len(), 2).unwrap();
    let again = fit_from(fewer.view(), &names(2), &first.model, &params, &Watch::new()).unwrap();
    assert!(again.model.sizes[0] < again.model.sizes[1]);
    assert!(kept.iter().zip(&again.labels).all(|(&row, &label)| first.labels[row] == label));
    let prepared = again.model.prepare();
    for (row, &label) in fewer.rows().into_iter().zip(&again.labels) {
        assert_eq!(prepared.segment(&row.to_vec()), Some(label));
    }
}
