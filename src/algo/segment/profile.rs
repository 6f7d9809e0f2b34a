//! What distinguishes a segment: its means against the population's, and that in a few words.

use ndarray::ArrayView2;

use super::error::Error;
use super::model::KMeans;

/// One feature of one segment.
#[derive(Debug, Clone, PartialEq)]
pub struct ProfileRow {
    /// From 1.
    pub segment: u32,
    pub size: u64,
    /// Part of all rows.
    pub share: f64,
    pub feature: String,
    pub mean: f64,
    pub population_mean: f64,
    pub population_sd: f64,
    /// (mean - population mean) / population sd; 0 for a constant feature.
    pub z: f64,
}

/// A mean this many deviations from the population's is worth a word.
const NOTABLE: f64 = 0.4;
/// And this many, "very".
const STRIKING: f64 = 1.5;
/// Features that a label names at first; it names more only to differ from another segment's.
const WORDS: usize = 2;

/// Segment by segment and in them feature by feature, from a model alone.
pub fn profile_of_model(model: &KMeans) -> Vec<ProfileRow> {
    let d = model.features.len();
    rows(
        &model.features,
        &model.sizes,
        &model.population_mean,
        &model.population_sd,
        |segment, feature| model.centroids[segment * d + feature],
    )
}

/// The same from rows (n x d) and their labels (from 1 to k), for segments that no model of ours made. A segment without
/// rows has the population's means.
pub fn profile(
    points: ArrayView2<f64>,
    feature_names: &[String],
    labels: &[u32],
    k: usize,
) -> Result<Vec<ProfileRow>, Error> {
    let (n_rows, d) = points.dim();
    for (expected, found) in [(d, feature_names.len()), (n_rows, labels.len())] {
        if expected != found {
            return Err(Error::DimensionMismatch { expected, found });
        }
    }
    if n_rows == 0 {
        return Err(Error::EmptyInput);
    }
    // Running means, which stay within the values' range whatever their magnitude.
    let mut sizes = vec![0u64; k];
    let mut means = vec![0f64; k * d];
    let mut population_mean = vec![0f64; d];
    let mut squares = vec![0f64; d];
    for (row_idx, (row, &label)) in points.rows().into_iter().zip(labels).enumerate() {
        let Some(segment) = (label as usize).checked_sub(1).filter(|&segment| segment < k) else {
            return Err(Error::DimensionMismatch { expected: k, found: label as usize });
        };
        sizes[segment] += 1;
        for (feature, &value) in row.iter().enumerate() {
            let mean = &mut means[segment * d + feature];
            *mean += (value - *mean) / sizes[segment] as f64;
            let delta = value - population_mean[feature];
            population_mean[feature] += delta / (row_idx + 1) as f64;
            squares[feature] += delta * (value - population_mean[feature]);
        }
    }
    let population_sd: Vec<f64> =
        squares.iter().map(|squares| (squares / n_rows as f64).sqrt()).collect();
    Ok(rows(feature_names, &sizes, &population_mean, &population_sd, |segment, feature| {
        if sizes[segment] == 0 { population_mean[feature] } else { means[segment * d + feature] }
    }))
}

fn rows(
    feature_names: &[String],
    sizes: &[u64],
    population_mean: &[f64],
    population_sd: &[f64],
    mean: impl Fn(usize, usize) -> f64,
) -> Vec<ProfileRow> {
    let n_rows = sizes.iter().sum::<u64>().max(1) as f64;
    let mut rows = Vec::with_capacity(sizes.len() * feature_names.len());
    for (segment, &size) in sizes.iter().enumerate() {
        for (feature, name) in feature_names.iter().enumerate() {
            let mean = mean(segment, feature);
            let (population_mean, population_sd) =
                (population_mean[feature], population_sd[feature]);
            rows.push(ProfileRow {
                segment: segment as u32 + 1,
                size,
                share: size as f64 / n_rows,
                feature: name.clone(),
                mean,
                population_mean,
                population_sd,
                z: if population_sd > 0.0 { (mean - population_mean) / population_sd } else { 0.0 },
            });
        }
    }
    rows
}

/// A label for each segment of a profile, in its order, from the features that differ most from the population: "very high
/// monetary, low recency". No two are the same.
pub fn label_in_plain_words(profile: &[ProfileRow]) -> Vec<String> {
    let segments: Vec<&[ProfileRow]> = profile.chunk_by(|a, b| a.segment == b.segment).collect();
    let phrases: Vec<Vec<String>> = segments.iter().map(|rows| phrases(rows)).collect();
    let mut n_words: Vec<usize> = phrases.iter().map(|phrases| phrases.len().min(WORDS)).collect();
    let words = |segment: usize, n: usize| match &phrases[segment][..n] {
        [] => "average".to_owned(),
        phrases => phrases.join(", "),
    };
    // Each segment that shares its label gets one more word, once.
    let labels: Vec<String> =
        (0..segments.len()).map(|segment| words(segment, n_words[segment])).collect();
    for segment in twins(&labels) {
        n_words[segment] = phrases[segment].len().min(WORDS + 1);
    }
    let mut labels: Vec<String> =
        (0..segments.len()).map(|segment| words(segment, n_words[segment])).collect();
    for segment in twins(&labels) {
        labels[segment] = format!("{} ({})", labels[segment], segments[segment][0].segment);
    }
    labels
}

/// Positions of labels that occur more than once.
fn twins(labels: &[String]) -> Vec<usize> {
    let mut counts = std::collections::HashMap::<&str, usize>::new();
    for label in labels {
        *counts.entry(label).or_default() += 1;
    }
    (0..labels.len()).filter(|&idx| counts[labels[idx].as_str()] > 1).collect()
}

/// The notable features of a segment, most distinctive first.
fn phrases(rows: &[ProfileRow]) -> Vec<String> {
    let mut notable: Vec<&ProfileRow> = rows.iter().filter(|row| row.z.abs() >= NOTABLE).collect();
    notable.sort_by(|a, b| b.z.abs().total_cmp(&a.z.abs()));
    let phrase = |row: &&ProfileRow| {
        let degree = if row.z.abs() >= STRIKING { "very " } else { "" };
        let side = if row.z > 0.0 { "high" } else { "low" };
        format!("{degree}{side} {}", row.feature)
    };
    notable.iter().map(phrase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    fn names() -> Vec<String> {
        vec!["recency".into(), "monetary".into()]
    }

    #[track_caller]
    fn check_labels(z: &[[f64; 2]], expected: &[&str]) {
        let sizes = vec![1; z.len()];
        let rows =
            rows(&names(), &sizes, &[0.0; 2], &[1.0; 2], |segment, feature| z[segment][feature]);
        assert_eq!(label_in_plain_words(&rows), expected);
    }

    #[test]
    fn a_profile_sets_means_against_the_population() {
        let points = arr2(&[[1.0, 10.0], [3.0, 10.0], [5.0, 10.0]]);
        let profile = profile(points.view(), &names(), &[1, 1, 2], 2).unwrap();
        let first = &profile[0];
        assert_eq!(
            (first.segment, first.size, first.mean, first.population_mean),
            (1, 2, 2.0, 3.0)
        );
        assert!((first.share - 2.0 / 3.0).abs() < 1e-15);
        assert!((first.z + 1.0 / (8.0f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(profile[1].z, 0.0, "a constant feature distinguishes nothing");
        assert_eq!(profile[2].mean, 5.0);
    }

    #[test]
    fn a_profile_refuses_labels_that_do_not_fit() {
        let points = arr2(&[[1.0, 10.0]]);
        let profile = |labels: &[u32]| profile(points.view(), &names(), labels, 2);
        assert_eq!(profile(&[3]), Err(Error::DimensionMismatch { expected: 2, found: 3 }));
        assert_eq!(profile(&[0]), Err(Error::DimensionMismatch { expected: 2, found: 0 }));
        assert_eq!(profile(&[1, 1]), Err(Error::DimensionMismatch { expected: 1, found: 2 }));
    }

    #[test]
    fn a_label_names_the_most_distinctive_features_first() {
        check_labels(&[[-0.6, 2.0], [0.1, 0.2]], &["very high monetary, low recency", "average"]);
    }

    #[test]
    fn labels_differ_even_where_segments_do_not() {
        check_labels(&[[1.0, 0.0], [1.1, 0.0]], &["high recency (1)", "high recency (2)"]);
    }
}
