//! Count, mean, central moments and range of each feature, one row at a time, in a flat block that is changed in place.
//!
//! The block of d features is eight runs of d numbers, in the order of [`Part`]: as runs, one row updates them in vector
//! registers. Updating and merging follow Pébay (2008), "Formulas for robust, one-pass parallel computation of covariances
//! and arbitrary-order statistical moments": no sum of raw powers, so nothing cancels.

use serde::{Deserialize, Serialize};

use super::observe::observe_features;
pub use super::observe::observe_finite;

/// The runs of a block, in order. Counts are whole numbers below 2^53, exact as f64.
#[derive(Debug, Clone, Copy)]
#[repr(usize)]
pub enum Part {
    /// Values that are not missing.
    Count,
    Missing,
    Mean,
    /// Sum of squared deviations from the mean; M3 and M4 likewise.
    M2,
    M3,
    M4,
    Min,
    Max,
}

/// The number of runs of a block.
pub const PARTS: usize = 8;

/// Makes a block of no rows.
pub fn clear(block: &mut [f64]) {
    block.fill(0.0);
    part_mut(block, Part::Min).fill(f64::INFINITY);
    part_mut(block, Part::Max).fill(f64::NEG_INFINITY);
}

pub fn part(block: &[f64], part: Part) -> &[f64] {
    let d = block.len() / PARTS;
    &block[part as usize * d..][..d]
}

fn part_mut(block: &mut [f64], part: Part) -> &mut [f64] {
    let d = block.len() / PARTS;
    &mut block[part as usize * d..][..d]
}

/// Adds a row; NaN is a missing value. `row` has one number per feature of the block.
#[inline]
pub fn observe(block: &mut [f64], row: &[f64]) {
    debug_assert_eq!(block.len(), PARTS * row.len());
    if row.iter().any(|x| x.is_nan()) {
        observe_with_missing(block, row);
    } else if !observe_finite(block, row) {
        observe_features(block, row, 0);
    }
}

#[cold]
fn observe_with_missing(block: &mut [f64], row: &[f64]) {
    let d = row.len();
    for (j, &x) in row.iter().enumerate() {
        if x.is_nan() {
            block[Part::Missing as usize * d + j] += 1.0;
            continue;
        }
        let mut one = [0.0; PARTS];
        for (part_idx, value) in one.iter_mut().enumerate() {
            *value = block[part_idx * d + j];
        }
        observe_features(&mut one, &[x], 0);
        for (part_idx, value) in one.iter().enumerate() {
            block[part_idx * d + j] = *value;
        }
    }
}

/// Adds the rows of another block of the same features.
pub fn merge(block: &mut [f64], other: &[f64]) {
    let d = block.len() / PARTS;
    debug_assert_eq!(block.len(), other.len());
    let at = |part: Part, j: usize| part as usize * d + j;
    for j in 0..d {
        block[at(Part::Missing, j)] += other[at(Part::Missing, j)];
        let (na, nb) = (block[at(Part::Count, j)], other[at(Part::Count, j)]);
        if nb == 0.0 {
            continue;
        }
        if na == 0.0 {
            for p in [Part::Count, Part::Mean, Part::M2, Part::M3, Part::M4, Part::Min, Part::Max] {
                block[at(p, j)] = other[at(p, j)];
            }
            continue;
        }
        let n = na + nb;
        let delta = other[at(Part::Mean, j)] - block[at(Part::Mean, j)];
        let (a2, a3, a4) = (block[at(Part::M2, j)], block[at(Part::M3, j)], block[at(Part::M4, j)]);
        let (b2, b3, b4) = (other[at(Part::M2, j)], other[at(Part::M3, j)], other[at(Part::M4, j)]);
        let step = delta / n;
        block[at(Part::M4, j)] = a4
            + b4
            + na * nb * delta * step * step * step * (na * na - na * nb + nb * nb)
            + 6.0 * step * step * (na * na * b2 + nb * nb * a2)
            + 4.0 * step * (na * b3 - nb * a3);
        block[at(Part::M3, j)] =
            a3 + b3 + na * nb * delta * step * step * (na - nb) + 3.0 * step * (na * b2 - nb * a2);
        block[at(Part::M2, j)] = a2 + b2 + na * nb * delta * step;
        block[at(Part::Mean, j)] += nb * step;
        block[at(Part::Count, j)] = n;
        block[at(Part::Min, j)] = block[at(Part::Min, j)].min(other[at(Part::Min, j)]);
        block[at(Part::Max, j)] = block[at(Part::Max, j)].max(other[at(Part::Max, j)]);
    }
}

/// A summary apart from its block: what its text says. A feature without a value has no mean, minimum and
/// maximum; a moment beyond the range of f64 is None.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureStats {
    /// None when the features were an array without names.
    pub features: Option<Vec<String>>,
    pub n: Vec<u64>,
    pub nulls: Vec<u64>,
    pub mean: Vec<Option<f64>>,
    pub m2: Vec<Option<f64>>,
    pub m3: Vec<Option<f64>>,
    pub m4: Vec<Option<f64>>,
    pub min: Vec<Option<f64>>,
    pub max: Vec<Option<f64>>,
}

impl FeatureStats {
    pub fn from_block(features: Option<Vec<String>>, block: &[f64]) -> Self {
        let count = |p| part(block, p).iter().map(|&n| n as u64).collect::<Vec<u64>>();
        let n = count(Part::Count);
        let known =
            |p| part(block, p).iter().zip(&n).map(|(&x, &n)| (n > 0).then_some(x)).collect();
        let moment =
            |p| part(block, p).iter().map(|x| Some(*x).filter(|x| x.is_finite())).collect();
        Self {
            features,
            nulls: count(Part::Missing),
            mean: known(Part::Mean),
            m2: moment(Part::M2),
            m3: moment(Part::M3),
            m4: moment(Part::M4),
            min: known(Part::Min),
            max: known(Part::Max),
            n,
        }
    }

    pub fn to_block(&self) -> Vec<f64> {
        let mut block = vec![0.0; PARTS * self.n.len()];
        clear(&mut block);
        let mut fill = |p: Part, values: &mut dyn Iterator<Item = f64>| {
            part_mut(&mut block, p).iter_mut().zip(values).for_each(|(to, from)| *to = from);
        };
        fill(Part::Count, &mut self.n.iter().map(|&n| n as f64));
        fill(Part::Missing, &mut self.nulls.iter().map(|&n| n as f64));
        fill(Part::Mean, &mut self.mean.iter().map(|x| x.unwrap_or(0.0)));
        fill(Part::M2, &mut self.m2.iter().map(|x| x.unwrap_or(f64::NAN)));
        fill(Part::M3, &mut self.m3.iter().map(|x| x.unwrap_or(f64::NAN)));
        fill(Part::M4, &mut self.m4.iter().map(|x| x.unwrap_or(f64::NAN)));
        fill(Part::Min, &mut self.min.iter().map(|x| x.unwrap_or(f64::INFINITY)));
        fill(Part::Max, &mut self.max.iter().map(|x| x.unwrap_or(f64::NEG_INFINITY)));
        block
    }

    /// Why the parts do not fit together, for a summary that came as text.
    pub fn check(&self) -> Result<(), String> {
        let d = self.n.len();
        let lengths = [
            self.features.as_ref().map_or(d, Vec::len),
            self.nulls.len(),
            self.mean.len(),
            self.m2.len(),
            self.m3.len(),
            self.m4.len(),
            self.min.len(),
            self.max.len(),
        ];
        if d == 0 {
            return Err("there is no feature".into());
        }
        if let Some(other) = lengths.iter().find(|&&length| length != d) {
            return Err(format!("its parts have {d} and {other} features"));
        }
        if self.m2.iter().flatten().any(|&m2| m2 < 0.0) {
            return Err("an M2 is negative".into());
        }
        for j in 0..d {
            let complete = [self.mean[j], self.min[j], self.max[j]]
                .iter()
                .all(|x| x.is_some() == (self.n[j] > 0));
            if !complete || self.n[j] >= 1 << 53 || self.nulls[j] >= 1 << 53 {
                return Err(format!(
                    "the n, mean, min and max of feature {} do not fit together",
                    j + 1
                ));
            }
        }
        Ok(())
    }

    /// Population standard deviation per feature: square root of M2 / n; None without a value.
    pub fn stddev_pop(&self) -> Vec<Option<f64>> {
        self.n
            .iter()
            .zip(&self.m2)
            .map(|(&n, m2)| m2.filter(|_| n > 0).map(|m2| (m2 / n as f64).sqrt()))
            .collect()
    }

    /// Sample standard deviation per feature: square root of M2 / (n - 1); None with fewer than two values.
    pub fn stddev_samp(&self) -> Vec<Option<f64>> {
        self.n
            .iter()
            .zip(&self.m2)
            .map(|(&n, m2)| m2.filter(|_| n > 1).map(|m2| (m2 / (n - 1) as f64).sqrt()))
            .collect()
    }

    /// Third standardised moment per feature, of the population (g1, as scipy.stats.skew); None for a constant feature.
    pub fn skewness(&self) -> Vec<Option<f64>> {
        self.standardised(|n, m2, stats, j| Some(n.sqrt() * stats.m3[j]? / m2.powf(1.5)))
    }

    /// Fourth standardised moment less the normal distribution's 3 per feature, of the population (g2, as scipy.stats.kurtosis);
    /// None for a constant feature.
    pub fn kurtosis(&self) -> Vec<Option<f64>> {
        self.standardised(|n, m2, stats, j| Some(n * stats.m4[j]? / (m2 * m2) - 3.0))
    }

    fn standardised(&self, of: impl Fn(f64, f64, &Self, usize) -> Option<f64>) -> Vec<Option<f64>> {
        let feature = |j: usize| {
            let m2 = self.m2[j].filter(|m2| *m2 > 0.0)?;
            of(self.n[j] as f64, m2, self, j).filter(|moment| moment.is_finite())
        };
        (0..self.n.len()).map(feature).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn summarise(rows: &[f64]) -> Vec<f64> {
        let mut block = vec![0.0; PARTS];
        clear(&mut block);
        rows.iter().for_each(|&x| observe(&mut block, &[x]));
        block
    }

    #[track_caller]
    fn check_close(found: f64, expected: f64, relative: f64) {
        let scale = expected.abs().max(1e-300);
        assert!((found - expected).abs() <= relative * scale, "{found} is not {expected}");
    }

    #[test]
    fn no_rows_have_no_mean() {
        let stats = FeatureStats::from_block(None, &summarise(&[]));
        assert_eq!((stats.n[0], stats.mean[0], stats.min[0], stats.max[0]), (0, None, None, None));
        assert_eq!(stats.stddev_pop(), [None]);
        assert_eq!(stats.check(), Ok(()));
        assert_eq!(FeatureStats::from_block(None, &stats.to_block()), stats);
    }

    #[test]
    fn moments_equal_their_definition() {
        let rows: Vec<f64> = (0..1000).map(|i| ((i * 7919) % 1000) as f64 / 10.0 + 1e3).collect();
        let block = summarise(&rows);
        let mean = rows.iter().sum::<f64>() / 1000.0;
        let moment = |k| rows.iter().map(|x| (x - mean).powi(k)).sum::<f64>();
        check_close(part(&block, Part::Mean)[0], mean, 1e-14);
        check_close(part(&block, Part::M2)[0], moment(2), 1e-12);
        assert!((part(&block, Part::M3)[0] - moment(3)).abs() < 1e-6 * moment(4));
        check_close(part(&block, Part::M4)[0], moment(4), 1e-11);
    }

    /// Eight correct digits (a log relative error of 8), of one summary and of one merged out of seven.
    #[track_caller]
    fn check_certified(name: &str, rows: &[f64], mean: f64, sd: f64) {
        let mut merged = summarise(&[]);
        for part in 0..7 {
            let part: Vec<f64> = rows.iter().skip(part).step_by(7).copied().collect();
            merge(&mut merged, &summarise(&part));
        }
        for block in [summarise(rows), merged] {
            let stats = FeatureStats::from_block(None, &block);
            let found = [stats.mean[0].unwrap(), stats.stddev_samp()[0].unwrap()];
            for (found, certified) in found.into_iter().zip([mean, sd]) {
                let error = ((found - certified) / certified).abs();
                assert!(error <= 1e-8, "{name}: {found} is not {certified}");
            }
        }
    }

    #[test]
    fn summaries_reach_the_certified_values_of_nist() {
        let text = include_str!("../../../tests/data/nist_univariate.txt");
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(lines.len(), 10);
        let numbers = |line: &str| -> Vec<f64> {
            line.split_whitespace().map(|number| number.parse().unwrap()).collect()
        };
        for set in lines.chunks(2) {
            let (name, certified) = set[0].split_once(' ').unwrap();
            let certified = numbers(certified);
            check_certified(name, &numbers(set[1]), certified[0], certified[1]);
        }
        // NumAcc1 to 4 are made by rule: a large middle and values about it in turn, whose deviation is 0.1 (1 of the first).
        check_certified("NumAcc1", &[10_000_001.0, 10_000_003.0, 10_000_002.0], 10_000_002.0, 1.0);
        for (name, low, middle, high) in [
            ("NumAcc2", 1.1, 1.2, 1.3),
            ("NumAcc3", 1_000_000.1, 1_000_000.2, 1_000_000.3),
            ("NumAcc4", 10_000_000.1, 10_000_000.2, 10_000_000.3),
        ] {
            let mut rows = vec![middle];
            rows.extend((0..500).flat_map(|_| [low, high]));
            check_certified(name, &rows, middle, 0.1);
        }
    }

    #[test]
    fn merging_in_any_split_gives_the_serial_result() {
        let rows: Vec<f64> =
            (0..500).map(|i| (f64::from(i) * 0.37).sin() * 50.0 + f64::from(i)).collect();
        let serial = summarise(&rows);
        for split in [0, 1, 17, 250, 499, 500] {
            let mut merged = summarise(&rows[..split]);
            merge(&mut merged, &summarise(&rows[split..]));
            for (found, expected) in merged.iter().zip(&serial) {
                check_close(*found, *expected, 1e-12);
            }
        }
    }

    #[test]
    fn a_missing_value_is_counted_and_skipped_for_its_feature_alone() {
        let mut block = vec![0.0; 2 * PARTS];
        clear(&mut block);
        observe(&mut block, &[1.0, f64::NAN]);
        observe(&mut block, &[3.0, 5.0]);
        let stats = FeatureStats::from_block(None, &block);
        assert_eq!((stats.n, stats.nulls), (vec![2, 1], vec![0, 1]));
        assert_eq!(stats.mean, [Some(2.0), Some(5.0)]);
    }

    #[test]
    fn moments_beyond_the_range_of_floats_are_unknown_and_the_mean_stays() {
        let stats = FeatureStats::from_block(None, &summarise(&[1e300, -1e300, 1e300]));
        assert_eq!((stats.m2[0], stats.m4[0]), (None, None));
        assert!(stats.mean[0].unwrap().is_finite());
        assert_eq!((stats.min[0], stats.max[0]), (Some(-1e300), Some(1e300)));
    }

    #[test]
    fn a_constant_feature_has_no_spread() {
        let stats = FeatureStats::from_block(None, &summarise(&[4.2; 100]));
        assert_eq!(stats.m2, [Some(0.0)]);
        assert_eq!((stats.skewness(), stats.kurtosis()), (vec![None], vec![None]));
    }

    #[test]
    fn skewness_and_kurtosis_are_scipys() {
        // scipy.stats.skew and kurtosis of [2, 8, 0, 4, 1, 9, 9, 0]
        let stats = FeatureStats::from_block(None, &summarise(&[2., 8., 0., 4., 1., 9., 9., 0.]));
        check_close(stats.skewness()[0].unwrap(), 0.2650554122698573, 1e-12);
        check_close(stats.kurtosis()[0].unwrap(), -1.6660010752838508, 1e-12);
    }

    proptest! {
        #[test]
        fn merging_is_associative_and_an_empty_summary_changes_nothing(
            rows in proptest::collection::vec(-1e6f64..1e6, 0..60), first in 0usize..60, second in 0usize..60,
        ) {
            let (first, second) = (first.min(rows.len()), second.min(rows.len()));
            let (low, high) = (first.min(second), first.max(second));
            let parts = [&rows[..low], &rows[low..high], &rows[high..]].map(summarise);
            let mut left = parts[0].clone();
            merge(&mut left, &parts[1]);
            merge(&mut left, &parts[2]);
            let mut right = parts[1].clone();
            merge(&mut right, &parts[2]);
            let mut both = parts[0].clone();
            merge(&mut both, &right);
            // Beside the moments' own size: a third moment may be nearly 0.
            let m2 = part(&both, Part::M2)[0].max(1.0);
            let n = rows.len().max(1) as f64;
            let sizes = [1.0, 1.0, 1e6, m2, m2.powf(1.5), m2 * m2, 1e6, 1e6];
            for (place, size) in sizes.into_iter().enumerate() {
                let (a, b) = (left[place], both[place]);
                prop_assert!(a == b || (a - b).abs() <= 1e-12 * size * n, "{} {} {}", place, a, b);
            }
            let empty = summarise(&[]);
            let mut same = both.clone();
            merge(&mut same, &empty);
            prop_assert_eq!(&same, &both);
            let mut same = empty;
            merge(&mut same, &both);
            prop_assert_eq!(&same, &both);
        }

        #[test]
        fn text_gives_the_same_again(rows in proptest::collection::vec(proptest::num::f64::NORMAL, 0..20)) {
            let stats = FeatureStats::from_block(Some(vec!["x".into()]), &summarise(&rows));
            let text = serde_json::to_string(&stats).unwrap();
            prop_assert_eq!(serde_json::from_str::<FeatureStats>(&text).unwrap(), stats);
        }
    }
}
