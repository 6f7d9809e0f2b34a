//! Quantiles of each feature, mergeable: all values up to a number of rows, beyond it a t-digest (Dunning and Ertl 2019) of
//! compression 200 for each feature.
//!
//! While the values are kept quantiles are exact: linear interpolation between order statistics, as numpy's default and
//! percentile_cont. Of a digest they are approximate: the rank of an answer is off by at most 0.2 % of the rows, by far less
//! towards the ends, and where values repeat by up to the rows that share one; the test below holds it to that.

use datasketches::tdigest::TDigestMut;
use serde::{Deserialize, Serialize};

/// Rows whose values are kept.
pub const MAX_EXACT: usize = 1024;
const COMPRESSION: u16 = 200;
/// Counts stay below it.
const MAX_COUNT: u64 = 1 << 53;
/// Of the DataSketches libraries' own form of a t-digest. The older one that they also read says a number of centroids for which
/// they make room before they look whether there are as many.
const FAMILY_AT: usize = 2;
const FAMILY: u8 = 20;

/// The quantiles of some features, taken out of their stored form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureQuantiles {
    /// None when the features were an array without names.
    pub features: Option<Vec<String>>,
    pub of: Vec<Quantiles>,
}

/// One feature.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantiles {
    pub nulls: u64,
    /// Values that are kept, in any order; those that the digest has are not among them.
    pub values: Vec<f64>,
    /// A t-digest in the form that the DataSketches libraries share; empty when there is none.
    #[serde(with = "hexadecimal")]
    pub digest: Vec<u8>,
}

/// A feature made ready to answer.
pub enum Ready {
    /// Sorted.
    Exact(Vec<f64>),
    Digest(TDigestMut),
}

impl FeatureQuantiles {
    pub fn new(features: Option<Vec<String>>, n_features: usize) -> Self {
        Self { features, of: vec![Quantiles::default(); n_features] }
    }

    /// Adds the rows of another one of the same features.
    pub fn merge(&mut self, other: &Self) -> Result<(), String> {
        for (own, other) in self.of.iter_mut().zip(&other.of) {
            own.merge(other)?;
        }
        Ok(())
    }

    /// Why the parts do not fit together, for one that came as text or bytes.
    pub fn check(&self) -> Result<(), String> {
        let d = self.of.len();
        let named = self.features.as_ref().map_or(d, Vec::len);
        if d == 0 || named != d {
            return Err(format!("it has {named} names and {d} features"));
        }
        for one in &self.of {
            if one.values.len() > MAX_EXACT {
                return Err("a feature has more values than are kept".into());
            }
            if !one.values.iter().all(|value| value.is_finite()) {
                return Err("a value is not a finite number".into());
            }
            one.check_counts()?;
        }
        Ok(())
    }

    /// The name of a feature, or its place from 1.
    pub fn name(&self, feature: usize) -> String {
        let names = self.features.as_ref();
        names.map_or_else(|| (feature + 1).to_string(), |names| names[feature].clone())
    }
}

impl Quantiles {
    /// Moves the values into the digest.
    pub fn digest_values(&mut self) -> Result<(), String> {
        let mut digest = self.read_digest()?.map_or_else(new_digest, Ok)?;
        self.values.drain(..).for_each(|value| digest.update(value));
        self.digest = digest.serialize();
        Ok(())
    }

    fn merge(&mut self, other: &Self) -> Result<(), String> {
        self.nulls += other.nulls;
        self.values.extend_from_slice(&other.values);
        if !other.digest.is_empty() || self.values.len() > MAX_EXACT {
            self.digest_values()?;
        }
        if let Some(other) = other.read_digest()? {
            let mut digest = self.read_digest()?.map_or_else(new_digest, Ok)?;
            digest.merge(&other);
            self.digest = digest.serialize();
        }
        self.check_counts()
    }

    /// Refuses more rows than are counted exactly: sums of counts up to here do not overflow.
    fn check_counts(&self) -> Result<(), String> {
        if self.nulls >= MAX_COUNT || self.n()? >= MAX_COUNT {
            return Err("a feature has more rows than can be counted".into());
        }
        Ok(())
    }

    /// How many values there are that are not missing.
    pub fn n(&self) -> Result<u64, String> {
        let digested = self.read_digest()?.map_or(0, |digest| digest.total_weight());
        Ok(self.values.len() as u64 + digested)
    }

    pub fn ready(&self) -> Result<Ready, String> {
        Ok(match self.read_digest()? {
            None => {
                let mut values = self.values.clone();
                values.sort_unstable_by(f64::total_cmp);
                Ready::Exact(values)
            }
            Some(mut digest) => {
                self.values.iter().for_each(|&value| digest.update(value));
                Ready::Digest(digest)
            }
        })
    }

    fn read_digest(&self) -> Result<Option<TDigestMut>, String> {
        if self.digest.is_empty() {
            return Ok(None);
        }
        // The compression says how much room a digest takes when it is added to.
        let digest = Some(&self.digest)
            .filter(|bytes| bytes.get(FAMILY_AT) == Some(&FAMILY))
            .and_then(|bytes| TDigestMut::deserialize(bytes).ok())
            .filter(|digest| digest.k() <= COMPRESSION);
        digest.map(Some).ok_or_else(|| "a digest cannot be read".to_owned())
    }
}

impl Ready {
    /// The quantile at `q` in 0 … 1; None without a value.
    pub fn quantile(&mut self, q: f64) -> Option<f64> {
        match self {
            Self::Exact(values) => interpolated(values, q),
            Self::Digest(digest) => digest.quantile(q).ok().flatten(),
        }
    }

    /// The least and the greatest value.
    pub fn range(&self) -> Option<(f64, f64)> {
        match self {
            Self::Exact(values) => Some((*values.first()?, *values.last()?)),
            Self::Digest(digest) => Some((digest.min_value()?, digest.max_value()?)),
        }
    }

    /// So many quantiles at equal steps of q, from the least value to the greatest.
    pub fn grid(&mut self, n: usize) -> Option<Vec<f64>> {
        let steps = n.max(2) - 1;
        let mut grid: Vec<f64> = (0..=steps)
            .map(|step| self.quantile(step as f64 / steps as f64))
            .collect::<Option<_>>()?;
        // Of a digest, rounding could let one step back.
        for place in 1..grid.len() {
            grid[place] = grid[place].max(grid[place - 1]);
        }
        Some(grid)
    }
}

/// Between the order statistics next to it, linearly; the values are sorted.
pub fn interpolated(sorted: &[f64], q: f64) -> Option<f64> {
    let place = q.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    let part = place - place.floor();
    // Weighted on both sides, so that the difference of huge values does not overflow.
    Some(if low == high { low } else { low * (1.0 - part) + high * part })
}

fn new_digest() -> Result<TDigestMut, String> {
    TDigestMut::new(COMPRESSION).map_err(|error| error.to_string())
}

/// Bytes as hexadecimal digits in text, and as they are elsewhere.
mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return bytes.serialize(serializer);
        }
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        serializer.serialize_str(&digits)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        if !deserializer.is_human_readable() {
            return Vec::deserialize(deserializer);
        }
        let digits = String::deserialize(deserializer)?;
        let wrong = || D::Error::custom("a digest is not hexadecimal");
        if !digits.is_ascii() || digits.len() % 2 != 0 {
            return Err(wrong());
        }
        let byte = |place| u8::from_str_radix(&digits[place..place + 2], 16).map_err(|_| wrong());
        (0..digits.len()).step_by(2).map(byte).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::random::Random;
    use proptest::prelude::*;

    fn quantiles(values: &[f64]) -> Quantiles {
        let mut one = Quantiles::default();
        for part in values.chunks(MAX_EXACT) {
            let part = Quantiles { values: part.to_vec(), ..Quantiles::default() };
            one.merge(&part).unwrap();
        }
        one
    }

    #[test]
    fn few_values_have_exact_quantiles() {
        // numpy.quantile([1, 2, 4, 8], [0, .25, .5, .9, 1])
        let mut ready = quantiles(&[8.0, 1.0, 4.0, 2.0]).ready().unwrap();
        for (q, expected) in [(0.0, 1.0), (0.25, 1.75), (0.5, 3.0), (0.9, 6.8), (1.0, 8.0)] {
            assert!((ready.quantile(q).unwrap() - expected).abs() < 1e-12, "{q}");
        }
        assert_eq!(Quantiles::default().ready().unwrap().quantile(0.5), None);
    }

    #[test]
    fn the_ranks_of_a_digest_of_a_million_values_are_off_by_little() {
        let random = Random::new(2, 0);
        type Shape = fn(f64) -> f64;
        let (even, tailed, repeated): (Shape, Shape, Shape) =
            (|u| u, |u| (8.0 * u).exp(), |u| (u * 40.0).floor());
        for (shape, most) in [(even, 0.002), (tailed, 0.002), (repeated, 0.025)] {
            let values: Vec<f64> = (0..1_000_000)
                .map(|place| shape(crate::algo::random::unit(random.at(place))))
                .collect();
            let mut ready = quantiles(&values).ready().unwrap();
            let mut sorted = values;
            sorted.sort_unstable_by(f64::total_cmp);
            for step in 0..=100 {
                let (q, n) = (f64::from(step) / 100.0, sorted.len() as f64);
                let found = ready.quantile(q).unwrap();
                let below = sorted.partition_point(|&value| value < found) as f64 / n;
                let up_to = sorted.partition_point(|&value| value <= found) as f64 / n;
                let off = (below - q).max(q - up_to).max(0.0);
                assert!(off <= most, "q {q}: off by {off}");
            }
        }
    }

    #[test]
    fn text_and_bytes_give_the_same_again() {
        let many: Vec<f64> = (0..5000).map(|i| f64::from(i * 7919 % 5000)).collect();
        let mut all = FeatureQuantiles::new(Some(vec!["a".into(), "b".into()]), 2);
        all.of = vec![quantiles(&many), quantiles(&[1.5, -2.0])];
        assert_eq!(all.check(), Ok(()));
        let text = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<FeatureQuantiles>(&text).unwrap(), all);
        let bytes = postcard::to_stdvec(&all).unwrap();
        assert_eq!(postcard::from_bytes::<FeatureQuantiles>(&bytes).unwrap(), all);
    }

    #[test]
    fn digests_that_ask_for_room_or_count_too_much_are_refused() {
        let values: Vec<f64> = (0..2000).map(f64::from).collect();
        let good = quantiles(&values);
        // The form of the reference implementation, with four thousand million centroids to come.
        let older: Vec<u8> = [
            1_u32.to_be_bytes().to_vec(),
            vec![0; 16],
            200_f64.to_be_bytes().to_vec(),
            vec![0xff; 4],
        ]
        .concat();
        // A compression by which each digest would take 13 MB.
        let mut wide = good.digest.clone();
        wide[3..5].copy_from_slice(&u16::MAX.to_le_bytes());
        // The weight of the first centroid.
        let mut heavy = good.digest.clone();
        heavy[40..48].copy_from_slice(&(1_u64 << 53).to_le_bytes());
        for digest in [older, wide, heavy] {
            let one = Quantiles { digest, ..Quantiles::default() };
            assert!(FeatureQuantiles { features: None, of: vec![one] }.check().is_err());
        }
        let mut half = good.digest.clone();
        half[40..48].copy_from_slice(&(1_u64 << 52).to_le_bytes());
        let mut one = Quantiles { digest: half, ..Quantiles::default() };
        assert_eq!(FeatureQuantiles { features: None, of: vec![one.clone()] }.check(), Ok(()));
        assert!(one.clone().merge(&one.clone()).is_err());
        assert!(one.merge(&good).is_ok());
    }

    proptest! {
        #[test]
        fn hostile_digests_are_refused_or_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200), flips in proptest::collection::vec((0usize..400, any::<u8>()), 0..6)) {
            let values: Vec<f64> = (0..2000).map(f64::from).collect();
            let mut flipped = quantiles(&values).digest;
            for (place, byte) in flips {
                let n = flipped.len();
                flipped[place % n] = byte;
            }
            for digest in [bytes, flipped] {
                let one = Quantiles { digest, ..Quantiles::default() };
                if let Ok(mut ready) = one.ready() {
                    let _ = ready.quantile(0.5);
                    let _ = ready.grid(10);
                    let mut other = quantiles(&values);
                    let _ = other.merge(&one);
                }
            }
        }

        #[test]
        fn merging_few_values_in_any_order_is_exact(values in proptest::collection::vec(-1e6f64..1e6, 1..200), split in 0usize..200) {
            let split = split.min(values.len());
            let mut merged = quantiles(&values[split..]);
            merged.merge(&quantiles(&values[..split])).unwrap();
            let (mut merged, mut all) = (merged.ready().unwrap(), quantiles(&values).ready().unwrap());
            for q in [0.0, 0.1, 0.5, 0.77, 1.0] {
                prop_assert_eq!(merged.quantile(q), all.quantile(q));
            }
        }
    }
}
