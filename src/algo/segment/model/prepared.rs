//! A model made ready to label rows: centroids scaled and laid out for the kernel, once per statement.

use rayon::prelude::*;

use crate::algo::memory;
use crate::algo::segment::Error;
use crate::algo::segment::engine::kernel::{Packed, Path, nearest_of_row};
use crate::algo::segment::input::rows::{Rows, TOGETHER};
use crate::algo::segment::input::space::{Space, scaled_centroids};
use crate::algo::stop::Watch;

/// Labels rows one at a time, with the arithmetic of the fit: a row of the training data gets the label it got there.
#[derive(Debug, Clone)]
pub struct Prepared {
    path: Path,
    space: Space,
    /// k x d, scaled.
    centroids: Vec<f32>,
    packed: Packed,
    /// k: what an ordinary distance to each centroid is.
    typical: Vec<f64>,
}

/// Rows up to this width are scaled on the stack.
const NARROW: usize = 32;

impl Prepared {
    /// `centroids` are k x d behind the curves of the space, `typical` the k distances that anomalies are measured by.
    pub(crate) fn new(space: Space, centroids: &[f64], typical: Vec<f64>) -> Self {
        let n_features = space.center.len();
        let centroids = scaled_centroids(&space, centroids);
        Self {
            path: Path::best(),
            packed: Packed::for_rows(&centroids, n_features),
            space,
            centroids,
            typical,
        }
    }

    pub fn n_features(&self) -> usize {
        self.space.center.len()
    }

    /// The row's segment, from 1; `None` when a feature is missing (NaN) or the number of features is not the model's.
    pub fn segment<T: Copy + Into<f64>>(&self, features: &[T]) -> Option<u32> {
        self.nearest_idx(features).map(|idx| idx + 1)
    }

    /// The segment of each row, and 0 where it has none.
    pub fn labels(&self, rows: &impl Rows, watch: &Watch) -> Result<Vec<u32>, Error> {
        let n_features = rows.n_features();
        let mut labels = memory::zeros(rows.n_rows())?;
        labels.par_chunks_mut(TOGETHER).enumerate().try_for_each(|(chunk, labels)| {
            watch.check()?;
            let mut features = memory::filled(0f64, n_features)?;
            for (row, label) in (chunk * TOGETHER..).zip(labels) {
                let each = features.iter_mut().enumerate();
                each.for_each(|(feature, value)| *value = rows.value(row, feature));
                *label = self.segment(&features).unwrap_or(0);
            }
            Ok::<(), Error>(())
        })?;
        Ok(labels)
    }

    /// Euclidean distance to the nearest centroid, in the scaled space.
    pub fn distance<T: Copy + Into<f64>>(&self, features: &[T]) -> Option<f64> {
        self.nearest(features).map(|(_, distance)| distance)
    }

    /// Segment and distance.
    pub fn nearest<T: Copy + Into<f64>>(&self, features: &[T]) -> Option<(u32, f64)> {
        let idx = self.nearest_idx(features)?;
        Some((idx + 1, self.distance_to(idx as usize, &self.wide(features))))
    }

    /// The segment that is nearest but for the row's own; None with one segment as well.
    pub fn second_segment<T: Copy + Into<f64>>(&self, features: &[T]) -> Option<u32> {
        let own = self.nearest_idx(features)? as usize;
        let others = (0..self.typical.len()).filter(|&idx| idx != own);
        let row = self.wide(features);
        let distances = others.map(|idx| (self.distance_to(idx, &row), idx));
        distances.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, idx)| idx as u32 + 1)
    }

    /// How odd a row is: its distance to its centroid over the root mean square distance of the segment's rows at the fit. About 1
    /// is ordinary; without any spread at the fit it is 0 on a centroid and infinite elsewhere.
    pub fn anomaly<T: Copy + Into<f64>>(&self, features: &[T]) -> Option<f64> {
        let (row, idx) = self.nearest_of_scaled(features)?;
        let distance = self.squares(idx, &row).sum::<f64>().sqrt() * self.space.unit;
        Some(if distance == 0.0 { 0.0 } else { distance / self.typical[idx] })
    }

    /// The part that each feature has in the squared distance of a row to its centroid, and the feature's place: the largest
    /// first, none that is 0.
    pub fn distance_shares<T: Copy + Into<f64>>(
        &self,
        features: &[T],
    ) -> Option<Vec<(usize, f64)>> {
        let (row, idx) = self.nearest_of_scaled(features)?;
        let squares: Vec<f64> = self.squares(idx, &row).collect();
        let sum: f64 = squares.iter().sum();
        let shares = squares.iter().map(|square| square / sum).enumerate();
        let mut shares: Vec<(usize, f64)> = shares.filter(|(_, share)| *share > 0.0).collect();
        shares.sort_by(|a, b| b.1.total_cmp(&a.1));
        Some(shares)
    }

    fn nearest_idx<T: Copy + Into<f64>>(&self, features: &[T]) -> Option<u32> {
        let n_features = self.n_features();
        if features.len() != n_features {
            return None;
        }
        if n_features <= NARROW {
            self.nearest_scaled(features, &mut [0f32; NARROW][..n_features])
        } else {
            self.nearest_scaled(features, &mut vec![0f32; n_features])
        }
    }

    fn nearest_scaled<T: Copy + Into<f64>>(&self, features: &[T], row: &mut [f32]) -> Option<u32> {
        let is_whole = self.space.scale_row(features, row);
        is_whole.then(|| nearest_of_row(self.path, row, &self.packed))
    }

    /// The row as the fit saw it, and the place of its centroid.
    pub(crate) fn nearest_of_scaled<T: Copy + Into<f64>>(
        &self,
        features: &[T],
    ) -> Option<(Vec<f32>, usize)> {
        if features.len() != self.n_features() {
            return None;
        }
        let mut row = vec![0f32; features.len()];
        let idx = self.nearest_scaled(features, &mut row)?;
        Some((row, idx as usize))
    }

    /// A row that has a segment, scaled without the rounding of the fit: for distances that people see.
    fn wide<T: Copy + Into<f64>>(&self, features: &[T]) -> Vec<f64> {
        let values = features.iter().enumerate();
        let mut row: Vec<f64> = values
            .map(|(feature, &value)| {
                self.space.scaled_wide(feature, self.space.read(feature, value.into()))
            })
            .collect();
        self.space.project(&mut row);
        row
    }

    fn distance_to(&self, idx: usize, row: &[f64]) -> f64 {
        let squares =
            row.iter().zip(self.centroid(idx)).map(|(value, &c)| (value - f64::from(c)).powi(2));
        squares.sum::<f64>().sqrt() * self.space.unit
    }

    fn centroid(&self, idx: usize) -> &[f32] {
        let n_features = self.n_features();
        &self.centroids[idx * n_features..][..n_features]
    }

    /// The squared difference of each feature from a centroid, scaled: 0 for a row of the fit that lay there.
    fn squares(&self, idx: usize, row: &[f32]) -> impl Iterator<Item = f64> {
        row.iter().zip(self.centroid(idx)).map(|(value, c)| f64::from(value - c).powi(2))
    }
}
