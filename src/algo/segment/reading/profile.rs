//! What distinguishes a segment: its means against the population's.

use crate::algo::segment::input::features::Level;
use crate::algo::segment::model::fitted::KMeans;
use crate::algo::segment::params::Metric;

/// One feature of one segment.
#[derive(Debug, Clone, PartialEq)]
pub struct ProfileRow {
    /// From 1.
    pub segment: u32,
    pub feature: String,
    /// Of an indicator: the share of the segment's rows that have the level; of a column of two levels the others have the other.
    pub mean: f64,
    pub population_mean: f64,
    /// (mean - population mean) / population sd; 0 for a constant feature.
    pub z: f64,
    /// As `z`, where the feature is on a curve: behind it, as the fit saw it. A long tail makes a deviation that most rows are within.
    pub apart: f64,
    /// Which level of a text column the feature is, if it is one.
    pub level: Option<Level>,
}

/// Segment by segment and in them feature by feature.
pub fn profile(model: &KMeans) -> Vec<ProfileRow> {
    let levels = model.dimensions().levels();
    let mean = |idx: usize| match &model.means {
        Some(means) => means[idx],
        None => model.shown_centroid(idx),
    };
    let cell = |idx: usize| {
        let (segment, feature) = (idx / model.features.len(), idx % model.features.len());
        let (mean, population_mean) = (mean(idx), model.population_mean[feature]);
        let sd = model.population_sd[feature];
        let z = if sd > 0.0 { (mean - population_mean) / sd } else { 0.0 };
        // On the unit sphere a centroid is no mean.
        let behind = model.curve(feature).sd().filter(|_| model.metric == Metric::Euclidean);
        let apart = match behind {
            Some(sd) if sd > 0.0 => (model.centroids[idx] - model.center[feature]) / sd,
            _ => z,
        };
        ProfileRow {
            segment: segment as u32 + 1,
            feature: model.features[feature].clone(),
            mean,
            population_mean,
            z,
            apart,
            level: levels[feature].clone(),
        }
    };
    (0..model.centroids.len()).map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::segment::{Features, Params, fit};
    use crate::algo::stop::Watch;

    #[test]
    fn a_profile_sets_means_against_the_population() {
        let points = ndarray::array![[1.0, 10.0], [3.0, 10.0], [50.0, 10.0]];
        let features = Features::numbers(vec!["recency".into(), "constant".into()]);
        let params = Params::new(2).check(3, 2).unwrap();
        let model = fit(points.view(), &features, &params, &Watch::new()).unwrap().model;
        let profile = profile(&model);
        let first = &profile[0];
        assert_eq!((first.segment, first.feature.as_str()), (1, "recency"));
        assert!(first.mean == 2.0 && (first.population_mean - 18.0).abs() < 1e-12);
        let sd = (17f64.powi(2) + 15f64.powi(2) + 32f64.powi(2)) / 3.0;
        assert!((first.z + 16.0 / sd.sqrt()).abs() < 1e-6);
        assert_eq!(profile[1].z, 0.0, "a constant feature distinguishes nothing");
        assert_eq!((profile[2].segment, profile.len()), (2, 4));
    }
}
