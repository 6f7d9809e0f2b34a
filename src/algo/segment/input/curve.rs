//! Curves that bring the tails of a feature in before it is centred and divided: ln(1 + x), and the power of Yeo and Johnson
//! (2000), as the scalers of these names have them.

use serde::{Deserialize, Serialize};

use crate::algo::segment::limits::MAX_MAGNITUDE;
use crate::algo::standardise::power;

/// What a feature's values go through. `sd` is the population standard deviation of the values behind the curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Curve {
    Straight,
    Log1p { sd: f64 },
    YeoJohnson { lambda: f64, sd: f64 },
}

impl Curve {
    /// A value of the feature behind the curve; NaN where there is none, as for the logarithm of 0.
    pub(crate) fn bent(self, value: f64) -> f64 {
        match self {
            Curve::Straight => value,
            Curve::Log1p { .. } if value > -1.0 => value.ln_1p(),
            Curve::Log1p { .. } => f64::NAN,
            Curve::YeoJohnson { lambda, .. } => power::transformed(value, lambda),
        }
    }

    /// The inverse of [`Self::bent`]. What no value of the feature leads to, as a place on the unit sphere may be, is as far out as
    /// values go.
    pub(crate) fn original(self, bent: f64) -> f64 {
        let value = match self {
            Curve::Straight => return bent,
            Curve::Log1p { .. } => bent.exp_m1(),
            Curve::YeoJohnson { lambda, .. } => power::original(bent, lambda),
        };
        if value.is_nan() {
            return MAX_MAGNITUDE.copysign(bent);
        }
        value.clamp(-MAX_MAGNITUDE, MAX_MAGNITUDE)
    }

    /// None of a straight one: the feature's own deviation is that.
    pub(crate) fn sd(self) -> Option<f64> {
        match self {
            Curve::Straight => None,
            Curve::Log1p { sd } | Curve::YeoJohnson { sd, .. } => Some(sd),
        }
    }

    /// Whether a fit may have left it; of one that was parsed from bytes of any origin.
    pub(crate) fn is_sound(self) -> bool {
        let lambda = if let Curve::YeoJohnson { lambda, .. } = self { lambda } else { 0.0 };
        let sd = self.sd().unwrap_or(0.0);
        power::LAMBDAS.contains(&lambda) && (0.0..=2.0 * MAX_MAGNITUDE).contains(&sd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn curve() -> impl Strategy<Value = Curve> {
        let power = (-5.0..=5.0).prop_map(|lambda| Curve::YeoJohnson { lambda, sd: 1.0 });
        prop_oneof![Just(Curve::Straight), Just(Curve::Log1p { sd: 1.0 }), power]
    }

    proptest! {
        #[test]
        fn a_curve_keeps_the_order_of_values_and_leads_back(
            curve in curve(), a in -0.99..50.0, b in -0.99..50.0,
        ) {
            let (low, high) = if a <= b { (a, b) } else { (b, a) };
            prop_assert!(curve.bent(low) <= curve.bent(high));
            // A power of -5 brings all that is large within a few digits of its asymptote.
            if !matches!(curve, Curve::YeoJohnson { lambda, .. } if !(-1.0..=3.0).contains(&lambda)) {
                let back = curve.original(curve.bent(a));
                prop_assert!((back - a).abs() <= 1e-9 * a.abs().max(1.0), "{a} comes back as {back}");
            }
        }
    }

    #[test]
    fn what_has_no_place_behind_a_curve_is_missing_and_what_comes_from_none_is_far_out() {
        let log = Curve::Log1p { sd: 1.0 };
        assert!(log.bent(-1.0).is_nan() && log.bent(-7.0).is_nan());
        assert_eq!(log.original(1e6), MAX_MAGNITUDE);
        let power = Curve::YeoJohnson { lambda: -2.0, sd: 1.0 };
        assert_eq!(power.original(3.0), MAX_MAGNITUDE);
        assert!(!Curve::YeoJohnson { lambda: 5.1, sd: 1.0 }.is_sound());
        assert!(!Curve::YeoJohnson { lambda: f64::NAN, sd: 1.0 }.is_sound());
        assert!(!Curve::Log1p { sd: -1.0 }.is_sound() && log.is_sound() && power.is_sound());
    }
}
