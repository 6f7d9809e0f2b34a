//! A counter-based generator: draw number `i` of a stream is a pure function of (seed, stream, i).
//!
//! So any thread can make any draw, results do not depend on how work was split, and no release of a library can change
//! them. The mixing function is SplitMix64's finaliser (Steele, Lea and Flood 2014), applied to a Weyl sequence.

#[derive(Debug, Clone)]
pub struct Random {
    key: u64,
    counter: u64,
}

impl Random {
    /// The generator of one use of a seed: different `stream`s of one seed are independent.
    pub fn new(seed: i64, stream: u64) -> Self {
        Self { key: mix(mix(seed as u64) ^ stream.wrapping_mul(WEYL)), counter: 0 }
    }

    pub fn next_u64(&mut self) -> u64 {
        let draw = self.at(self.counter);
        self.counter += 1;
        draw
    }

    /// Draw number `index` of this stream, whatever was drawn before.
    pub fn at(&self, index: u64) -> u64 {
        mix(self.key.wrapping_add(index.wrapping_add(1).wrapping_mul(WEYL)))
    }

    /// Uniform in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        unit(self.next_u64())
    }

    /// Uniform in 0..n; `n` must not be 0. Lemire's multiplication; the bias is below n / 2^64.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next_u64()) * n as u128) >> 64) as usize
    }

    /// Fisher-Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// The 53 high bits of a draw as a number in [0, 1).
pub fn unit(draw: u64) -> f64 {
    (draw >> 11) as f64 / (1u64 << 53) as f64
}

pub(super) const WEYL: u64 = 0x9E37_79B9_7F4A_7C15;

pub(super) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_seed_stream_and_position_alone() {
        let mut sequential = Random::new(7, 1);
        let by_index = Random::new(7, 1);
        for i in 0..100 {
            assert_eq!(sequential.next_u64(), by_index.at(i));
        }
        assert_ne!(Random::new(7, 1).at(0), Random::new(7, 2).at(0));
        assert_ne!(Random::new(7, 1).at(0), Random::new(8, 1).at(0));
    }

    #[test]
    fn uniform_draws_have_the_mean_and_variance_of_the_distribution() {
        let mut random = Random::new(0, 0);
        let n = 100_000;
        let draws: Vec<f64> = (0..n).map(|_| random.uniform()).collect();
        let mean = draws.iter().sum::<f64>() / n as f64;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
        assert!((mean - 0.5).abs() < 0.005, "{mean}");
        assert!((variance - 1.0 / 12.0).abs() < 0.002, "{variance}");
    }

    #[test]
    fn a_shuffle_keeps_every_item() {
        let mut items: Vec<usize> = (0..50).collect();
        Random::new(3, 0).shuffle(&mut items);
        assert_ne!(items, (0..50).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<_>>());
    }
}
