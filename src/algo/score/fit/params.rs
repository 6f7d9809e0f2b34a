//! What a caller may ask of a fit, and the checked form that the fit takes.

use crate::algo::declared::Settings;
use crate::algo::score::{Error, logistic};

#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    /// The algorithm and its parameters.
    pub settings: Settings,
    /// The share of rows held out for the metrics; 0 for none. Ignored when `holdout_rows` is given.
    pub holdout: f64,
    /// The rows to hold out (true), where a random split would not be honest: a split by time.
    pub holdout_rows: Option<Vec<bool>>,
    /// Whether the final model learns from all rows, after the metrics were taken from a model without the held-out ones. Else the
    /// model is the one that was measured.
    pub refit_on_all: bool,
    /// The class whose probability is the score; by default the last in sort order.
    pub positive: Option<String>,
    pub seed: i64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            settings: logistic::ALGORITHM.defaults(),
            holdout: 0.2,
            holdout_rows: None,
            refit_on_all: false,
            positive: None,
            seed: 0,
        }
    }
}

/// Parameters that passed [`Params::check`].
#[derive(Debug, Clone, PartialEq)]
pub struct ValidParams(Params);

impl Params {
    pub fn check(self) -> Result<ValidParams, Error> {
        require(
            (0.0..=0.9).contains(&self.holdout),
            "holdout",
            self.holdout,
            "a share from 0 to 0.9",
        )?;
        Ok(ValidParams(self))
    }
}

impl ValidParams {
    pub fn get(&self) -> &Params {
        &self.0
    }
}

fn require(
    holds: bool,
    name: &'static str,
    value: impl ToString,
    expected: &'static str,
) -> Result<(), Error> {
    if holds {
        Ok(())
    } else {
        Err(Error::BadParameter { name, value: value.to_string(), expected })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(params: Params, name: &str) {
        let Err(Error::BadParameter { name: found, .. }) = params.check() else {
            panic!("{name} was accepted")
        };
        assert_eq!(found, name);
    }

    #[test]
    fn the_defaults_are_valid() {
        assert!(Params::default().check().is_ok());
    }

    #[test]
    fn parameters_out_of_range_are_refused_by_name() {
        check_refused(Params { holdout: 1.0, ..Params::default() }, "holdout");
        check_refused(Params { holdout: f64::NAN, ..Params::default() }, "holdout");
    }
}
