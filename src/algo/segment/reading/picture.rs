//! Rows as a picture shows them: on the plane of their first two principal components, and by silhouette width.

use crate::algo::random::Random;
use crate::algo::segment::error::Error;
use crate::algo::segment::input::points::Points;
use crate::algo::segment::input::rows::Rows;
use crate::algo::segment::input::space::scaled_centroids;
use crate::algo::segment::model::fitted::KMeans;
use crate::algo::segment::quality::{SILHOUETTE_ROWS, silhouette_rows, silhouette_widths};
use crate::algo::segment::seeding::plus_plus::even_sample_rows;
use crate::algo::stop::{Stopped, Watch};
use crate::algo::store::Place;

/// An even sample of the rows that have a segment.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Segments, from 1, and places on the plane.
    pub points: Vec<(u32, [f32; 2])>,
    /// One a segment.
    pub centroids: Vec<[f32; 2]>,
    /// Share of the sample's variance along each of the two components, from 0 to 1.
    pub explained: [f64; 2],
    /// Segment and silhouette width of an even part of the sample; None unless it has rows of two segments.
    pub silhouettes: Option<Vec<(u32, f32)>>,
}

const ROWS: usize = 3_000;
/// The iteration ends when the plane hardly turns; where further components are as wide as the second, any of them will do.
const MAX_TURNS: usize = 200;
const STILL: f64 = 1e-9;

/// Pictures some of the rows, which are in the model's features and in original units.
pub fn picture(model: &KMeans, rows: &impl Rows, watch: &Watch) -> Result<Picture, Error> {
    let (prepared, space) = (model.prepare(), model.space());
    let d = model.features.len();
    let mut random = Random::new(model.seed, u64::MAX - 2);
    let mut labels = Vec::new();
    let mut scaled: Vec<f32> = Vec::new();
    for row in even_sample_rows(rows.n_rows(), ROWS, &mut random) {
        watch.check()?;
        let values: Vec<f64> = (0..d).map(|feature| rows.value(row, feature)).collect();
        if let Some((row, idx)) = prepared.nearest_of_scaled(&values) {
            labels.push(idx as u32 + 1);
            scaled.extend(row);
        }
    }
    let plane = Plane::of(&scaled, d, watch)?;
    let points = labels.iter().zip(scaled.chunks_exact(d));
    let centroids = scaled_centroids(&space, &model.centroids);
    let part = even_sample_rows(labels.len(), silhouette_rows(SILHOUETTE_ROWS, d), &mut random);
    Ok(Picture {
        points: points.map(|(&label, row)| (label, plane.place(row))).collect(),
        centroids: centroids.chunks_exact(d).map(|row| plane.place(row)).collect(),
        explained: plane.explained,
        silhouettes: silhouettes(&scaled, &labels, &part, model, watch)?,
    })
}

fn silhouettes(
    scaled: &[f32],
    labels: &[u32],
    part: &[usize],
    model: &KMeans,
    watch: &Watch,
) -> Result<Option<Vec<(u32, f32)>>, Error> {
    let d = model.features.len();
    let points =
        Points::collect(&Place::Memory, part.len(), d, watch, |feature, first, values| {
            for (&row, value) in part[first..].iter().zip(values) {
                *value = scaled[row * d + feature];
            }
        })?;
    let places: Vec<usize> = part.iter().map(|&row| labels[row] as usize - 1).collect();
    let widths = silhouette_widths(&points, &places, model.k(), watch)?;
    let labelled = |widths: Vec<f64>| {
        part.iter().zip(widths).map(|(&row, width)| (labels[row], width as f32)).collect()
    };
    Ok(widths.map(labelled))
}

/// The plane through the mean of some rows along which they vary most.
struct Plane {
    mean: Vec<f64>,
    axes: [Vec<f64>; 2],
    explained: [f64; 2],
}

impl Plane {
    /// Orthogonal iteration (Golub and Van Loan, Matrix Computations, 8.2.4) on the rows themselves, whose covariance is never
    /// formed.
    fn of(rows: &[f32], d: usize, watch: &Watch) -> Result<Self, Stopped> {
        let n = (rows.len() / d).max(1) as f64;
        let mut mean = vec![0f64; d];
        for row in rows.chunks_exact(d) {
            mean.iter_mut().zip(row).for_each(|(mean, &value)| *mean += f64::from(value) / n);
        }
        let centred = |row: &[f32]| -> Vec<f64> {
            row.iter().zip(&mean).map(|(&value, mean)| f64::from(value) - mean).collect()
        };
        let total: f64 = rows.chunks_exact(d).map(|row| dot(&centred(row), &centred(row))).sum();
        let random = Random::new(0, 0);
        let start = |axis: usize| -> Vec<f64> {
            (0..d)
                .map(|feature| {
                    crate::algo::random::unit(random.at((axis * d + feature) as u64)) - 0.5
                })
                .collect()
        };
        let mut axes = orthonormal([start(0), start(1)]);
        let mut along = [0.0; 2];
        for _ in 0..MAX_TURNS {
            watch.check()?;
            let mut next = [vec![0f64; d], vec![0f64; d]];
            along = [0.0; 2];
            for row in rows.chunks_exact(d) {
                let row = centred(row);
                for axis in 0..2 {
                    let place = dot(&row, &axes[axis]);
                    along[axis] += place * place;
                    next[axis].iter_mut().zip(&row).for_each(|(sum, value)| *sum += place * value);
                }
            }
            let next = orthonormal(next);
            let turned =
                (0..2).map(|axis| 1.0 - dot(&axes[axis], &next[axis]).abs()).fold(0.0, f64::max);
            axes = next;
            if turned < STILL {
                break;
            }
        }
        // The sign of an axis means nothing: the component that is largest is positive.
        for axis in &mut axes {
            let largest =
                axis.iter().copied().fold(0.0, |a: f64, b| if b.abs() > a.abs() { b } else { a });
            if largest < 0.0 {
                axis.iter_mut().for_each(|component| *component = -*component);
            }
        }
        let explained = along.map(|along| if total > 0.0 { along / total } else { 0.0 });
        Ok(Self { mean, axes, explained })
    }

    fn place(&self, row: &[f32]) -> [f32; 2] {
        [0, 1].map(|axis| {
            let products = row.iter().zip(&self.mean).zip(&self.axes[axis]);
            products.map(|((&value, mean), axis)| (f64::from(value) - mean) * axis).sum::<f64>()
                as f32
        })
    }
}

/// Gram and Schmidt's; an axis that nothing is left of is 0.
fn orthonormal([mut first, mut second]: [Vec<f64>; 2]) -> [Vec<f64>; 2] {
    normalise(&mut first);
    // Twice is enough (Kahan): once leaves what rounding put back.
    for _ in 0..2 {
        let along = dot(&first, &second);
        second.iter_mut().zip(&first).for_each(|(value, first)| *value -= along * first);
        normalise(&mut second);
    }
    [first, second]
}

fn normalise(axis: &mut [f64]) {
    let length = dot(axis, axis).sqrt();
    axis.iter_mut().for_each(|value| *value = if length > 1e-12 { *value / length } else { 0.0 });
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::segment::{Features, Params, Scaling, fit};
    use ndarray::Array2;

    #[track_caller]
    fn pictured(points: &Array2<f64>, k: i64) -> Picture {
        let features =
            Features::numbers((0..points.ncols()).map(|idx| format!("f{idx}")).collect());
        let params = Params { scaling: Scaling::None, ..Params::new(k) };
        let params = params.check(points.nrows(), points.ncols()).unwrap();
        let model = fit(points.view(), &features, &params, &Watch::new()).unwrap().model;
        picture(&model, &points.view(), &Watch::new()).unwrap()
    }

    /// Rows that vary by 9 along (3, 4, 0) / 5, by 4 along (4, -3, 0) / 5, and by 1 along the third axis.
    fn tilted(n: usize) -> Array2<f64> {
        let random = Random::new(1, 1);
        let draw = |row: usize, axis: usize| {
            (crate::algo::random::unit(random.at((row * 3 + axis) as u64)) - 0.5) * 12f64.sqrt()
        };
        Array2::from_shape_fn((n, 3), |(row, feature)| {
            let (a, b, c) = (3.0 * draw(row, 0), 2.0 * draw(row, 1), draw(row, 2));
            [0.6 * a + 0.8 * b, 0.8 * a - 0.6 * b, c][feature] + 100.0
        })
    }

    #[test]
    fn the_plane_is_that_of_the_greatest_variance() {
        let picture = pictured(&tilted(2_500), 3);
        let [first, second] = picture.explained;
        assert!(
            (first - 9.0 / 14.0).abs() < 0.02 && (second - 4.0 / 14.0).abs() < 0.02,
            "{first} {second}"
        );
        assert_eq!((picture.points.len(), picture.centroids.len()), (2_500, 3));
        let mean = picture.points.iter().map(|(_, [x, y])| f64::from(x + y)).sum::<f64>() / 2_500.0;
        assert!(mean.abs() < 1e-6);
    }

    #[test]
    fn a_sample_stands_for_many_rows_and_is_the_same_each_time() {
        let points = tilted(20_000);
        let picture = pictured(&points, 4);
        assert_eq!(picture.points.len(), ROWS);
        assert_eq!(
            picture.silhouettes.as_ref().unwrap().len(),
            silhouette_rows(SILHOUETTE_ROWS, 3)
        );
        assert_eq!(picture, pictured(&points, 4));
    }

    #[test]
    fn rows_that_do_not_vary_lie_on_one_point() {
        let picture = pictured(&Array2::from_elem((5, 1), 3.0), 1);
        assert_eq!((picture.explained, picture.silhouettes), ([0.0; 2], None));
        assert!(picture.points.iter().all(|point| *point == (1, [0.0; 2])));
        let line = pictured(&ndarray::array![[1.0], [2.0], [9.0]], 2);
        assert!((line.explained[0] - 1.0).abs() < 1e-9 && line.explained[1] == 0.0);
    }
}
