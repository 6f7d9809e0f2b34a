//! Values far from the others: by standard deviations from the mean, or by interquartile ranges from the quartiles (Tukey 1977).

use super::quantiles::{FeatureQuantiles, Ready};
use super::stats::FeatureStats;

/// Whether each value of a row lies more than `threshold` population standard deviations from the mean; None for a missing value,
/// and for a feature that had none. No value of a constant feature but its own is inside.
pub fn by_zscore(row: &[f64], stats: &FeatureStats, threshold: f64) -> Vec<Option<bool>> {
    let sd = stats.stddev_pop();
    let features = stats.mean.iter().zip(sd);
    let outlier = |(&x, (mean, sd)): (&f64, (&Option<f64>, Option<f64>))| {
        Some((x - (*mean)?).abs() > threshold * sd?).filter(|_| !x.is_nan())
    };
    row.iter().zip(features).map(outlier).collect()
}

/// The first quartile and the third of each feature; None for one that had no value.
pub fn quartiles(quantiles: &FeatureQuantiles) -> Vec<Option<(f64, f64)>> {
    let quartiles = |ready: Ready| Some((ready.quantile(0.25)?, ready.quantile(0.75)?));
    quantiles.of.iter().map(|one| quartiles(one.ready())).collect()
}

/// Whether each value lies more than `factor` interquartile ranges below the first quartile or above the third.
pub fn by_iqr(row: &[f64], quartiles: &[Option<(f64, f64)>], factor: f64) -> Vec<Option<bool>> {
    let outlier = |(&x, quartiles): (&f64, &Option<(f64, f64)>)| {
        let (q25, q75) = (*quartiles)?;
        // In halves, so that the range of the greatest and the least float is one.
        let reach = factor * (q75 / 2.0 - q25 / 2.0);
        Some(x / 2.0 < q25 / 2.0 - reach || x / 2.0 > q75 / 2.0 + reach).filter(|_| !x.is_nan())
    };
    row.iter().zip(quartiles).map(outlier).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::standardise::stats::{PARTS, clear, observe};

    #[test]
    fn far_values_are_outliers_and_missing_ones_are_not() {
        let mut block = vec![0.0; PARTS];
        clear(&mut block);
        let mut quantiles = FeatureQuantiles::new(None, 1);
        for x in [1.0, 2.0, 3.0, 4.0, 5.0] {
            observe(&mut block, &[x]);
            quantiles.of[0].values.push((x, 1));
        }
        let stats = FeatureStats::from_block(None, &block);
        // sd is 1.414; quartiles 2 and 4.
        for (x, far, outside) in
            [(3.0, false, false), (7.2, false, true), (7.3, true, true), (-1.1, false, true)]
        {
            assert_eq!(by_zscore(&[x], &stats, 3.0), [Some(far)], "{x}");
            assert_eq!(by_iqr(&[x], &quartiles(&quantiles), 1.5), [Some(outside)], "{x}");
        }
        assert_eq!(by_zscore(&[f64::NAN], &stats, 3.0), [None]);
        // Quartiles whose distance is beyond the floats.
        quantiles.of[0].values = vec![(-1e308, 2), (1e308, 2)];
        assert_eq!(by_iqr(&[1.1e308], &quartiles(&quantiles), 0.06), [Some(false)]);
        assert_eq!(by_iqr(&[1.1e308], &quartiles(&quantiles), 0.04), [Some(true)]);
        let none = FeatureQuantiles::new(None, 1);
        assert_eq!(by_iqr(&[1.0], &quartiles(&none), 1.5), [None]);
    }
}
