//! Neighboring values taken together, so that a bounded number stands for any: the merging t-digest with the scale function
//! k(q) = D / 2π · asin(2q - 1) (Dunning and Ertl 2019).
//!
//! A centroid covers the quantiles from q to one with k at most 1 greater. So it has at most π / D of the rows, in the middle, and
//! fewer towards the ends. Two neighbors that could be one are one, so there are at most D of them, and the two ends. A value
//! that by itself has half of the rows that a centroid may have takes no others in, while there is room: it stays a value.

use super::quantiles::{Item, in_order};
use crate::algo::float_order::{order_of, value_of};

/// D: a centroid in the middle has 0.25 % of the rows, and stands in their middle.
const COMPRESSION: f64 = 1250.0;

type Counted = Vec<(f64, u64)>;

/// At most `most` values and centroids. The least and the greatest value stay as they are.
pub(super) fn compressed(
    values: &[(f64, u64)],
    centroids: &[(f64, u64)],
    most: usize,
) -> (Counted, Counted) {
    let found = pass(values, centroids, 0.5);
    if found.0.len() + found.1.len() <= most { found } else { pass(values, centroids, 1.0) }
}

/// A value with the share `alone` of the rows that a centroid may have at its place is not taken together with others.
fn pass(values: &[(f64, u64)], centroids: &[(f64, u64)], alone: f64) -> (Counted, Counted) {
    let n: u64 = values.iter().chain(centroids).map(|(_, n)| n).sum();
    let n_items = values.len() + centroids.len();
    let (mut kept, mut mixed) = (Vec::new(), Vec::new());
    let mut keep = |item: Item| match item.is_mixed {
        true => push_middle(&mut mixed, item),
        false => kept.push((item.value, item.n)),
    };
    let (mut below, mut most) = (0, 0.0);
    let step = (2.0 * std::f64::consts::PI / COMPRESSION).sin_cos();
    let mut current: Option<Item> = None;
    for (place, item) in in_order(values, centroids).enumerate() {
        let is_end = place <= 1 || place + 1 == n_items;
        let stays = |one: &Item| !one.is_mixed && one.n as f64 >= alone * most;
        current = Some(match current {
            Some(one)
                if !is_end && (one.n + item.n) as f64 <= most && !stays(&one) && !stays(&item) =>
            {
                together(one, item)
            }
            before => {
                if let Some(before) = before {
                    below += before.n;
                    keep(before);
                }
                most = reach(below as f64 / n as f64, step) * n as f64 - below as f64;
                item
            }
        });
    }
    current.into_iter().for_each(&mut keep);
    (kept, mixed)
}

/// The quantile at which k is 1 more than at q. With cos a = 1 - 2q it is that of the angle a + 2π / D, of whose second part the sine
/// and the cosine are given.
fn reach(q: f64, (sin_step, cos_step): (f64, f64)) -> f64 {
    let cos = 1.0 - 2.0 * q;
    if cos <= -cos_step {
        return 1.0;
    }
    let sin = (1.0 - cos * cos).max(0.0).sqrt();
    (1.0 - (cos * cos_step - sin * sin_step)) / 2.0
}

/// The middle is taken of the values' bits, in their order, which is about that of their logarithms: a mean of values that lie
/// decades apart is as good as the greatest of them, and not in the middle of their ranks.
fn together(one: Item, other: Item) -> Item {
    let n = one.n + other.n;
    let (low, high) = (order_of(one.value), order_of(other.value));
    let share = other.n as f64 / n as f64;
    let middle = low + ((high - low) as f64 * share) as u64;
    Item { value: value_of(middle.min(high)), n, is_mixed: true }
}

/// The middles of neighbors may be equal to the last digit, and are one then.
fn push_middle(middles: &mut Counted, item: Item) {
    match middles.last_mut() {
        Some((middle, n)) if *middle >= item.value => *n += item.n,
        _ => middles.push((item.value, item.n)),
    }
}
