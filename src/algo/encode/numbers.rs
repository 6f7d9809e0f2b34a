//! Encodings without a fit: signed hashing of texts, cycles, and products of features.

use crate::algo::hash::stable_hash;

/// At most as many elements come out.
pub const MAX_ELEMENTS: usize = 4096;

/// Adds 1 or -1 for each text at a place among `n` (Weinberger et al. 2009): the place by the hash's high bits, the sign by
/// its lowest, so that what falls together by chance cancels on average.
pub fn hash_features<'a>(texts: impl IntoIterator<Item = &'a str>, n: usize) -> Vec<f64> {
    let mut row = vec![0.0; n];
    for text in texts {
        let hash = stable_hash(text.as_bytes());
        let place = ((u128::from(hash) * n as u128) >> 64) as usize;
        row[place] += if hash & 1 == 0 { 1.0 } else { -1.0 };
    }
    row
}

/// The point of a circle at a value whose cycle is `period` long, as sine and cosine: 23 and 0 hours are neighbors.
pub fn cyclic(value: f64, period: f64) -> [f64; 2] {
    let (sin, cos) = (std::f64::consts::TAU * (value % period) / period).sin_cos();
    [sin, cos]
}

/// The products of each two different features: (1, 2), (1, 3), …, (2, 3), …
pub fn interactions(row: &[f64]) -> Vec<f64> {
    let pairs = (0..row.len()).flat_map(|i| (i + 1..row.len()).map(move |j| (i, j)));
    pairs.map(|(i, j)| row[i] * row[j]).collect()
}

/// The features, then the products of each two, squares among them: the order of scikit-learn's PolynomialFeatures of degree 2
/// without bias.
pub fn polynomial(row: &[f64]) -> Vec<f64> {
    let pairs = (0..row.len()).flat_map(|i| (i..row.len()).map(move |j| (i, j)));
    row.iter().copied().chain(pairs.map(|(i, j)| row[i] * row[j])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashed_texts_count_with_their_sign_at_their_place() {
        let one = hash_features(["city=Delft"], 16);
        assert_eq!(one.iter().map(|x| x.abs()).sum::<f64>(), 1.0);
        let twice = hash_features(["city=Delft", "city=Delft"], 16);
        assert_eq!(twice, one.iter().map(|x| 2.0 * x).collect::<Vec<_>>());
        assert_eq!(hash_features([], 3), [0.0; 3]);
        // Signs and places are even.
        let texts: Vec<String> = (0..10_000).map(|i| format!("text {i}")).collect();
        let row = hash_features(texts.iter().map(String::as_str), 10);
        assert!(row.iter().all(|x| x.abs() < 150.0), "{row:?}");
    }

    #[test]
    fn the_end_of_a_cycle_is_near_its_start() {
        let near = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).abs() + (a[1] - b[1]).abs() < 1e-12;
        assert!(near(cyclic(6.0, 24.0), [1.0, 0.0]));
        assert!(near(cyclic(24.0, 24.0), cyclic(0.0, 24.0)));
        assert!(near(cyclic(-6.0, 24.0), cyclic(18.0, 24.0)));
    }

    #[test]
    fn products_are_in_scikit_learns_order() {
        assert_eq!(interactions(&[2.0, 3.0, 5.0]), [6.0, 10.0, 15.0]);
        assert_eq!(polynomial(&[2.0, 3.0, 5.0]), [2.0, 3.0, 5.0, 4.0, 6.0, 10.0, 9.0, 15.0, 25.0]);
        assert_eq!(interactions(&[2.0]), [0.0; 0]);
    }
}
