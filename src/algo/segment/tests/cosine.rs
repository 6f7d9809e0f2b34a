//! Facts about fits by direction.

use super::*;

fn cosine(k: i64) -> Params {
    Params { metric: Metric::Cosine, ..raw(k) }
}

#[test]
fn directions_make_segments_whatever_the_lengths_of_the_rows() {
    let random = Random::new(8, 8);
    let directions = [[3.0, 0.1], [0.2, 5.0], [-1.0, -1.0]];
    let points = Array2::from_shape_fn((900, 2), |(row, feature)| {
        let length = 10f64.powi((random.at(row as u64) % 7) as i32 - 3);
        let noise = crate::algo::random::unit(random.at((1000 + row * 2 + feature) as u64)) - 0.5;
        length * (directions[row % 3][feature] + 0.1 * noise)
    });
    let fit = fitted(&points, &cosine(3)).unwrap();
    let prepared = fit.model.prepare();
    for (row, values) in points.rows().into_iter().enumerate() {
        assert_eq!(fit.labels[row], fit.labels[row % 3], "row {row}");
        assert_eq!(prepared.segment(&values.to_vec()), Some(fit.labels[row]));
        assert_eq!(prepared.segment(&(1e6 * &values).to_vec()), Some(fit.labels[row]));
    }
    assert_eq!((fit.model.sizes.as_slice(), fit.model.check()), (&[300; 3][..], Ok(())));
    // A quarter turn from a centroid is the square root of 2 away.
    let centroid = fit.model.centroid(1).unwrap();
    let [x, y] = [centroid[0], centroid[1]];
    let turned = [-y, x];
    let apart = (0..3).map(|_| prepared.distance(&[x, y]).unwrap()).fold(0.0, f64::max);
    assert!(apart < 1e-6);
    let nearest = prepared.distance(&turned).unwrap();
    let cos = (1..=3)
        .map(|s| fit.model.centroid(s).unwrap())
        .map(|c| (c[0] * turned[0] + c[1] * turned[1]) / (c[0].hypot(c[1]) * x.hypot(y)));
    let expected = (2.0 - 2.0 * cos.fold(-1.0, f64::max)).sqrt();
    assert!((nearest - expected).abs() < 1e-5, "{nearest} {expected}");
    // The means are of the rows themselves.
    let means = fit.model.means.as_ref().unwrap();
    let rows: Vec<usize> = (0..900).filter(|&row| fit.labels[row] == 1).collect();
    let mean = rows.iter().map(|&row| points[[row, 0]]).sum::<f64>() / rows.len() as f64;
    assert!((means[0] - mean).abs() < 1e-9 * mean.abs());
}

#[test]
fn a_cosine_fit_labels_its_rows_as_its_model_does() {
    for (k, scaling) in [(30, Scaling::None), (5, Scaling::Standard)] {
        let points = blobs(5_000, 6, 40, 3.0, 11);
        let fit = fitted(&points, &Params { scaling, ..cosine(k) }).unwrap();
        let prepared = fit.model.prepare();
        for (row, &label) in points.rows().into_iter().zip(&fit.labels) {
            assert_eq!(prepared.segment(&row.to_vec()), Some(label));
        }
        let distances =
            points.rows().into_iter().map(|row| prepared.distance(&row.to_vec()).unwrap());
        let inertia: f64 = distances.map(|distance| distance * distance).sum();
        assert!(
            (inertia / fit.model.inertia - 1.0).abs() < 1e-4,
            "{inertia} {}",
            fit.model.inertia
        );
    }
}

#[test]
fn a_row_without_a_direction_is_refused_and_has_no_segment() {
    let points = array![[1.0, 0.0], [0.0, 0.0], [0.0, 2.0]];
    assert_eq!(fitted(&points, &cosine(2)), Err(Error::NoDirection { row: 1 }));
    let fit = fitted(&array![[1.0, 0.0], [0.0, 2.0]], &cosine(2)).unwrap();
    assert_eq!(fit.model.segment(&[0.0, 0.0]), None);
    assert_eq!(fit.model.distance(&[0.0, 0.0]), None);
}
