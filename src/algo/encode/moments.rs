//! Count, mean and sum of squared deviations of some numbers, and those of two sets of them together (Chan, Golub and LeVeque 1983).

use serde::{Deserialize, Serialize};

use crate::algo::flat_map::Word;

/// Written as the three in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "(u64, f64, f64)", into = "(u64, f64, f64)")]
pub struct Moments {
    pub n: u64,
    pub mean: f64,
    /// Sum of squared deviations from the mean.
    pub m2: f64,
}

impl From<(u64, f64, f64)> for Moments {
    fn from((n, mean, m2): (u64, f64, f64)) -> Self {
        Self { n, mean, m2 }
    }
}

impl From<Moments> for (u64, f64, f64) {
    fn from(Moments { n, mean, m2 }: Moments) -> Self {
        (n, mean, m2)
    }
}

impl Moments {
    pub fn one(target: f64) -> Self {
        Self { n: 1, mean: target, m2: 0.0 }
    }

    pub(super) fn of_words([n, mean, m2]: &[Word; 3]) -> Self {
        let (n, [mean, m2]) =
            (u64::from_le_bytes(*n), [mean, m2].map(|it| f64::from_le_bytes(*it)));
        Self { n, mean, m2 }
    }

    pub fn merge(&mut self, other: &Self) {
        if other.n == 0 {
            return;
        }
        if self.n == 0 {
            *self = *other;
            return;
        }
        let (na, nb) = (self.n as f64, other.n as f64);
        // Within the range of floats, so that moments stay finite.
        let delta = (other.mean - self.mean).clamp(f64::MIN, f64::MAX);
        self.n = self.n.saturating_add(other.n);
        self.mean += delta * (nb / (na + nb));
        self.m2 = (self.m2 + other.m2 + delta * delta * na * (nb / (na + nb))).min(f64::MAX);
    }
}
