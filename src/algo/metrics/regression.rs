//! How far predictions of a number are from what came: losses of one row, of which a metric is the mean.

/// A row that a metric says nothing of.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Error {
    #[error("actual value is 0, of which no error is a percentage")]
    ZeroActual,
    #[error("actual value {0} is negative, and no count")]
    NegativeCount(f64),
    #[error("prediction {0} of a count is not positive")]
    CountNotPositive(f64),
}

/// Its mean's root is the root mean squared error.
pub fn squared_error(actual: f64, prediction: f64) -> Result<f64, Error> {
    Ok((actual - prediction).powi(2))
}

pub fn absolute_error(actual: f64, prediction: f64) -> Result<f64, Error> {
    Ok((actual - prediction).abs())
}

/// As a share of the actual value.
pub fn percentage_error(actual: f64, prediction: f64) -> Result<f64, Error> {
    if actual == 0.0 {
        return Err(Error::ZeroActual);
    }
    Ok(((actual - prediction) / actual).abs())
}

/// Of a count, twice what its likelihood lacks: 2 (y ln(y / p) - y + p). McCullagh and Nelder 1989.
pub fn poisson_deviance(actual: f64, prediction: f64) -> Result<f64, Error> {
    if actual < 0.0 {
        return Err(Error::NegativeCount(actual));
    }
    if prediction <= 0.0 {
        return Err(Error::CountNotPositive(prediction));
    }
    let of_log = if actual == 0.0 { 0.0 } else { actual * (actual / prediction).ln() };
    // Never below 0, but for rounding.
    Ok((2.0 * (of_log - actual + prediction)).max(0.0))
}

/// Of a prediction of a quantile, the loss that the quantile makes least. Koenker and Bassett 1978.
pub fn pinball_loss(actual: f64, prediction: f64, quantile: f64) -> f64 {
    let above = actual - prediction;
    if above >= 0.0 { quantile * above } else { (quantile - 1.0) * above }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_those_of_scikit_learn() {
        assert_eq!(squared_error(3.0, 1.0), Ok(4.0));
        assert_eq!(absolute_error(-3.0, 1.0), Ok(4.0));
        assert_eq!(percentage_error(-4.0, -3.0), Ok(0.25));
        assert_eq!(percentage_error(0.0, 1.0), Err(Error::ZeroActual));
        assert_eq!(pinball_loss(3.0, 1.0, 0.9), 1.8);
        assert!((pinball_loss(1.0, 3.0, 0.9) - 0.2).abs() < 1e-12);
        // mean_poisson_deviance([2, 0, 1, 4], [0.5, 0.5, 2, 2]) is 1.42601...
        let rows = [(2.0, 0.5), (0.0, 0.5), (1.0, 2.0), (4.0, 2.0)];
        let sum: f64 = rows.iter().map(|&(y, p)| poisson_deviance(y, p).unwrap()).sum();
        assert!((sum / 4.0 - 1.426_015_131_959_808).abs() < 1e-12, "{}", sum / 4.0);
        assert_eq!(poisson_deviance(-1.0, 1.0), Err(Error::NegativeCount(-1.0)));
        assert_eq!(poisson_deviance(1.0, 0.0), Err(Error::CountNotPositive(0.0)));
        assert_eq!(poisson_deviance(0.1, 0.1), Ok(0.0));
    }
}
