//! The model that a fit leaves: everything to label a row and to describe the segments, without the rows.

use std::collections::{HashMap, HashSet};
use std::iter::zip;

use serde::{Deserialize, Serialize};

use super::prepared::Prepared;
use crate::algo::frame::base_name;
use crate::algo::segment::engine::lloyd::Ended;
use crate::algo::segment::error::{Error, Malformed};
use crate::algo::segment::input::curve::Curve;
use crate::algo::segment::input::features::{Category, Dimensions, Level, Wanted};
use crate::algo::segment::input::space::Space;
use crate::algo::segment::limits::{MAX_FEATURES, MAX_K, MAX_MAGNITUDE};
use crate::algo::segment::params::{Metric, Scaling};

/// Version of the stored form.
pub const FORMAT: u16 = 4;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KMeans {
    pub format: u16,
    pub features: Vec<String>,
    /// Which of the features are indicators of the levels of a text column.
    pub categories: Vec<Category>,
    /// Of the features that have no scaling of their own.
    pub scaling: Scaling,
    pub metric: Metric,
    /// What each feature's values go through first; none where all go straight.
    pub curves: Vec<Curve>,
    /// What stands for a missing value of each feature, in original units; empty where a row that lacks one has no segment.
    pub fill: Vec<f64>,
    /// Subtracted from each feature after that, before distances are computed: its mean, or 0 for an indicator, 0.5 for one of two.
    pub center: Vec<f64>,
    /// Divides each feature at last: its deviation, or 1 for an indicator, or without scaling one number for all, which only
    /// keeps the arithmetic in range; over the square root of the feature's weight, and of 2 for an indicator of two levels.
    pub scale: Vec<f64>,
    /// What distances are multiplied by when they are reported: that one number, so that they are in the features' own units.
    pub unit: f64,
    /// k x d, row after row, in original units, or what their curves make of them; the largest segment first.
    pub centroids: Vec<f64>,
    /// k x d, of the segments' rows, in original units; none where the centroids are just that.
    pub means: Option<Vec<f64>>,
    /// Numbers of rows, whatever these weigh.
    pub sizes: Vec<u64>,
    /// Root mean square distance of each segment's rows to its centroid.
    pub spread: Vec<f64>,
    pub population_mean: Vec<f64>,
    /// Population standard deviation (divided by n).
    pub population_sd: Vec<f64>,
    /// Sum of squared distances to the nearest centroid, in the space of the fit.
    pub inertia: f64,
    pub iterations: u32,
    pub ended: Ended,
    pub seed: i64,
    pub n_rows: u64,
}

impl KMeans {
    pub fn k(&self) -> usize {
        self.sizes.len()
    }

    /// A coordinate of a centroid (row after row) as it is shown, in original units. The fit reckons in single precision, about the
    /// center and in units of the scale: the decimals that this does not know are left off.
    pub fn shown_centroid(&self, idx: usize) -> f64 {
        let feature = idx % self.features.len().max(1);
        let (bent, center, scale) =
            (self.centroids[idx], self.center[feature], self.scale[feature]);
        let noise = scale.max((bent - center).abs()) * 2.0 * f64::from(f32::EPSILON);
        let (value, noise) = match self.curve(feature) {
            Curve::Straight => (bent, noise),
            curve => (curve.original(bent), curve.original(bent + noise) - curve.original(bent)),
        };
        let decimals = -noise.log10().ceil();
        if !(-300.0..=300.0).contains(&decimals) {
            return value;
        }
        // A power of ten that is whole is exact up to 1e22, its inverse is not.
        let power = 10f64.powi(decimals.abs() as i32);
        let rounded = if decimals < 0.0 {
            (value / power).round() * power
        } else {
            (value * power).round() / power
        };
        // Zero has no sign.
        if rounded.is_finite() { rounded + 0.0 } else { value }
    }

    pub(crate) fn curve(&self, feature: usize) -> Curve {
        self.curves.get(feature).copied().unwrap_or(Curve::Straight)
    }

    /// The columns of a source that the features come from: `v` for `v[1]`, `v[2]`, ….
    pub fn columns(&self) -> Vec<String> {
        let mut columns: Vec<String> = Vec::new();
        for wanted in self.dimensions().wanted() {
            let column = match wanted {
                Wanted::Number(name, _) => base_name(name),
                Wanted::Category(column, _) => column,
            };
            if !columns.iter().any(|known| known == column) {
                columns.push(column.to_owned());
            }
        }
        columns
    }

    /// A segment's centroid in original units; segments count from 1.
    pub fn centroid(&self, segment: u32) -> Option<Vec<f64>> {
        let idx = (segment as usize).checked_sub(1)?;
        let bent = self.centroids.chunks_exact(self.features.len().max(1)).nth(idx)?;
        Some(self.original(bent))
    }

    fn original(&self, centroid: &[f64]) -> Vec<f64> {
        let bent = centroid.iter().enumerate();
        bent.map(|(feature, bent)| self.curve(feature).original(*bent)).collect()
    }

    /// The centroids (k x d, original units) as they are among the features of another fit: 0 for a level that is new there. Refuses
    /// other features than levels that came or went.
    pub(crate) fn centroids_among(&self, others: Dimensions) -> Result<Vec<f64>, Error> {
        let kept: HashSet<_> = others.wanted().map(Wanted::column).collect();
        let mut before = self.dimensions().wanted().map(Wanted::column);
        if let Some((name, _)) = before.find(|column| !kept.contains(column)) {
            return Err(Error::MissingColumn { column: name.to_owned() });
        }
        let own = self.dimensions().levels();
        let places = zip(&self.features, &own).enumerate();
        let numbers = places.filter(|(_, (_, level))| level.is_none());
        let numbers: HashMap<&str, usize> =
            numbers.map(|(place, (name, _))| (name.as_str(), place)).collect();
        let shares = Shares::of(&own);
        let theirs = others.levels();
        let is_new = |(name, level): (&String, &Option<Level>)| {
            level.is_none() && !numbers.contains_key(name.as_str())
        };
        if zip(others.names, &theirs).any(is_new) {
            let (expected, found) = (self.features.len(), others.names.len());
            return Err(Error::DimensionMismatch { expected, found });
        }
        let cells = |row: &[f64]| -> Vec<f64> {
            let row = self.original(row);
            let cell = |(name, level): (&String, &Option<Level>)| match level {
                None => row[numbers[name.as_str()]],
                Some(level) => shares.among(&row, level),
            };
            zip(others.names, &theirs).map(cell).collect()
        };
        Ok(self.centroids.chunks_exact(self.features.len()).flat_map(cells).collect())
    }

    /// Validates a model that was parsed from bytes of any origin. Nothing else may be called on one that fails.
    pub fn check(&self) -> Result<(), Malformed> {
        let (k, d) = (self.sizes.len(), self.features.len());
        if self.format != FORMAT {
            return Err(Malformed::Format { found: self.format });
        }
        if !(1..=MAX_FEATURES).contains(&d) {
            return Err(Malformed::Features { found: d });
        }
        if !(1..=MAX_K).contains(&k) {
            return Err(Malformed::Segments { found: k });
        }
        // Twice the limit of the input: the mean of values at the limit may round up.
        let bounded = |value: f64| value.abs() <= 2.0 * MAX_MAGNITUDE;
        numbers("center", &self.center, d, bounded)?;
        numbers("scale", &self.scale, d, |scale| scale > 0.0 && bounded(scale))?;
        numbers("centroids", &self.centroids, k * d, bounded)?;
        if let Some(means) = &self.means {
            numbers("means", means, k * d, bounded)?;
        }
        if !self.curves.is_empty() && self.curves.len() != d {
            return Err(Malformed::Length {
                field: "curves",
                found: self.curves.len(),
                expected: d,
            });
        }
        if !self.curves.iter().all(|curve| curve.is_sound()) {
            return Err(Malformed::Range { field: "curves" });
        }
        if !self.fill.is_empty() {
            numbers("fill", &self.fill, d, bounded)?;
        }
        numbers("population_mean", &self.population_mean, d, bounded)?;
        numbers("population_sd", &self.population_sd, d, |sd| sd >= 0.0 && bounded(sd))?;
        numbers("inertia", &[self.inertia], 1, |inertia| inertia >= 0.0 && inertia.is_finite())?;
        numbers("unit", &[self.unit], 1, |unit| unit > 0.0 && bounded(unit))?;
        numbers("spread", &self.spread, k, |spread| spread >= 0.0 && spread.is_finite())?;
        let mut end = 0;
        for category in &self.categories {
            category.check(d)?;
            if category.dimensions().start < end {
                return Err(Malformed::Category);
            }
            end = category.dimensions().end;
        }
        let n_rows = self.sizes.iter().try_fold(0u64, |sum, &size| sum.checked_add(size));
        if n_rows != Some(self.n_rows) || self.n_rows == 0 {
            return Err(Malformed::Sizes);
        }
        Ok(())
    }

    pub fn dimensions(&self) -> Dimensions<'_> {
        Dimensions { names: &self.features, categories: &self.categories, fill: &self.fill }
    }

    pub(crate) fn space(&self) -> Space {
        Space {
            center: self.center.clone(),
            scale: self.scale.clone(),
            unit: self.unit,
            metric: self.metric,
            curves: self.curves.clone(),
            fill: self.fill.clone(),
        }
    }

    /// The form that labels many rows fast.
    pub fn prepare(&self) -> Prepared {
        // A segment of equal rows says nothing of what is ordinary; all rows together do.
        let squares = zip(&self.spread, &self.sizes).map(|(spread, &n)| spread * spread * n as f64);
        let overall = (squares.sum::<f64>() / self.n_rows.max(1) as f64).sqrt();
        let typical = |&spread: &f64| if spread > 0.0 { spread } else { overall };
        Prepared::new(self.space(), &self.centroids, self.spread.iter().map(typical).collect())
    }

    /// As [`Prepared::segment`], for a single row.
    pub fn segment(&self, features: &[f64]) -> Option<u32> {
        self.prepare().segment(features)
    }

    /// As [`Prepared::distance`], for a single row.
    pub fn distance(&self, features: &[f64]) -> Option<f64> {
        self.prepare().distance(features)
    }

    /// As [`Prepared::nearest`], for a single row.
    pub fn nearest(&self, features: &[f64]) -> Option<(u32, f64)> {
        self.prepare().nearest(features)
    }
}

/// Where a centroid has the share of each level, by column and level; or the share of all rows but those, of a level that has
/// no indicator of its own.
struct Shares<'a>(HashMap<(&'a str, &'a str), (usize, bool)>);

impl<'a> Shares<'a> {
    fn of(levels: &'a [Option<Level>]) -> Self {
        let mut shares = HashMap::new();
        for (place, level) in levels.iter().enumerate() {
            let Some(Level { column, level, other }) = level else { continue };
            shares.insert((column.as_str(), level.as_str()), (place, false));
            if let Some(other) = other {
                shares.insert((column.as_str(), other.as_str()), (place, true));
            }
        }
        Self(shares)
    }

    /// What the indicator of a level is in another fit. Where two levels are not all that there was, it lies as far towards
    /// the one as there is more of it.
    fn among(&self, centroid: &[f64], Level { column, level, other }: &Level) -> f64 {
        let share = |level: &str| match self.0.get(&(column.as_str(), level)) {
            Some((place, true)) => 1.0 - centroid[*place],
            Some((place, false)) => centroid[*place],
            None => 0.0,
        };
        match other {
            None => share(level),
            Some(other) => 0.5 + (share(level) - share(other)) / 2.0,
        }
    }
}

fn numbers(
    field: &'static str,
    values: &[f64],
    expected: usize,
    fine: impl Fn(f64) -> bool,
) -> Result<(), Malformed> {
    if values.len() != expected {
        return Err(Malformed::Length { field, found: values.len(), expected });
    }
    if !values.iter().all(|&value| fine(value)) {
        return Err(Malformed::Range { field });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::encode::categories::Categories;

    fn model() -> KMeans {
        KMeans {
            format: FORMAT,
            features: vec!["age".into(), "income".into()],
            categories: Vec::new(),
            scaling: Scaling::Standard,
            metric: Metric::Euclidean,
            means: None,
            curves: Vec::new(),
            fill: Vec::new(),
            center: vec![40.0, 0.1],
            scale: vec![10.0, 1.0 / 3.0],
            unit: 1.0,
            centroids: vec![30.0, 0.1, 50.0, 0.3],
            sizes: vec![2, 1],
            spread: vec![0.5, 0.0],
            population_mean: vec![40.0, 0.1],
            population_sd: vec![10.0, 1.0 / 3.0],
            inertia: 0.7,
            iterations: 3,
            ended: Ended::Converged,
            seed: -1,
            n_rows: 3,
        }
    }

    #[track_caller]
    fn check_refused(change: impl Fn(&mut KMeans), expected: Malformed) {
        let mut model = model();
        change(&mut model);
        assert_eq!(model.check(), Err(expected));
    }

    #[test]
    fn a_model_survives_postcard_and_json_bit_for_bit() {
        let model = model();
        let bytes = postcard::to_allocvec(&model).unwrap();
        assert_eq!(postcard::from_bytes::<KMeans>(&bytes).unwrap(), model);
        let json = serde_json::to_string(&model).unwrap();
        assert_eq!(serde_json::from_str::<KMeans>(&json).unwrap(), model);
        assert_eq!(model.check(), Ok(()));
    }

    #[test]
    fn a_hostile_model_is_refused() {
        check_refused(|m| m.format = 9, Malformed::Format { found: 9 });
        check_refused(|m| m.features.clear(), Malformed::Features { found: 0 });
        check_refused(|m| m.sizes.clear(), Malformed::Segments { found: 0 });
        check_refused(|m| m.sizes[0] = u64::MAX, Malformed::Sizes);
        check_refused(|m| m.sizes[0] = 3, Malformed::Sizes);
        check_refused(|m| m.centroids[1] = f64::NAN, Malformed::Range { field: "centroids" });
        check_refused(|m| m.center[0] = f64::INFINITY, Malformed::Range { field: "center" });
        check_refused(|m| m.scale[0] = 0.0, Malformed::Range { field: "scale" });
        check_refused(|m| m.scale[0] = -1.0, Malformed::Range { field: "scale" });
        check_refused(|m| m.means = Some(vec![f64::NAN; 4]), Malformed::Range { field: "means" });
        let curves = Malformed::Length { field: "curves", found: 1, expected: 2 };
        check_refused(|m| m.curves = vec![Curve::Straight], curves);
        let beyond = Curve::YeoJohnson { lambda: 9.0, sd: 1.0 };
        check_refused(|m| m.curves = vec![beyond; 2], Malformed::Range { field: "curves" });
        check_refused(|m| m.fill = vec![0.0, f64::NAN], Malformed::Range { field: "fill" });
        let fill = Malformed::Length { field: "fill", found: 3, expected: 2 };
        check_refused(|m| m.fill = vec![0.0; 3], fill);
        check_refused(|m| m.unit = 0.0, Malformed::Range { field: "unit" });
        check_refused(|m| m.spread[0] = f64::NAN, Malformed::Range { field: "spread" });
        for first in [1, 2, u32::MAX] {
            let levels = Categories::most_frequent_of(vec![("n", 3), ("s", 2), ("w", 1)], 64);
            let category = Category { column: "region".into(), first, levels };
            check_refused(|m| m.categories = vec![category.clone()], Malformed::Category);
            let twice = || vec![Category { first: 0, ..category.clone() }; 2];
            check_refused(|m| m.categories = twice(), Malformed::Category);
        }
        check_refused(|m| m.population_sd[0] = -1.0, Malformed::Range { field: "population_sd" });
        check_refused(|m| m.inertia = f64::NAN, Malformed::Range { field: "inertia" });
        let length = Malformed::Length { field: "centroids", found: 3, expected: 4 };
        check_refused(|m| m.centroids.truncate(3), length);
    }

    #[test]
    fn a_row_with_a_missing_value_or_another_width_has_no_segment() {
        let model = model();
        assert_eq!(model.segment(&[31.0, 0.1]), Some(1));
        assert_eq!(model.segment(&[51.0, 0.1]), Some(2));
        assert_eq!(model.segment(&[f64::NAN, 0.1]), None);
        assert_eq!(model.segment(&[31.0]), None);
        assert_eq!(model.distance(&[30.0, 0.1]), Some(0.0));
        assert!((model.distance(&[25.0, 0.1]).unwrap() - 0.5).abs() < 1e-6);
    }

    #[test]
    fn a_row_far_beyond_the_training_data_has_a_finite_distance() {
        for value in [1e300, -1e300, f64::MAX, f64::INFINITY, f64::MIN_POSITIVE] {
            let (segment, distance) = model().nearest(&[value, -value]).unwrap();
            assert!((1..=2).contains(&segment) && distance.is_finite(), "{value}");
        }
    }
}
