//! k-means|| (Bahmani et al. 2012): a few rounds that each draw many rows at once, by their distance to those drawn before; the
//! seeds are then drawn among these candidates by greedy k-means++, each weighing as much as the rows nearest to it.

use super::closest::Closest;
use super::plus_plus::{all_distinct, complete, plus_plus};
use crate::algo::random::Random;
use crate::algo::segment::error::Error;
use crate::algo::segment::input::points::Points;
use crate::algo::segment::input::rows::LANES;
use crate::algo::stop::{Stopped, Watch};
use crate::algo::store::Store;

/// With as many rounds of twice k rows the paper finds seeds as good as those of k-means++.
const ROUNDS: u64 = 5;
const OVERSAMPLING: usize = 2;
/// Rows that are counted between two looks at the watch.
const ROWS: usize = 1 << 16;

/// k x d seeds, all distinct; refuses when there are not as many distinct points.
pub(crate) fn seeds(
    points: &Points,
    k: usize,
    random: &mut Random,
    watch: &Watch,
) -> Result<Vec<f32>, Error> {
    let mut seeds = plus_plus(&candidates(points, k, random, watch)?, k, random, watch)?;
    if seeds.len() < k * points.n_features {
        // Too few of the rows were drawn, or there are no more distinct ones: only all rows together tell.
        let mut closest = Closest::new(points)?;
        for seed in seeds.chunks_exact(points.n_features) {
            closest.approach(seed, watch)?;
        }
        seeds = complete(points, closest, seeds, k, random, watch)?;
    }
    all_distinct(seeds, k, points.n_features)
}

/// The rows that were drawn, and what the rows nearest to each weigh.
fn candidates(
    points: &Points,
    k: usize,
    random: &mut Random,
    watch: &Watch,
) -> Result<Points, Error> {
    let mut closest = Closest::new(points)?;
    let mut owners = Store::filled(&points.place, points.n_blocks() * LANES, 0u32)?;
    let mut rows = vec![closest.first(random)];
    closest.approach(&points.row(rows[0]), watch)?;
    let draws = random.next_u64() as i64;
    for round in 0..ROUNDS {
        if closest.potential() <= 0.0 {
            break;
        }
        let expected = (OVERSAMPLING * k) as f64;
        let drawn = closest.draw_each(expected, &Random::new(draws, round), watch)?;
        let values: Result<Vec<Vec<f32>>, Stopped> =
            drawn.iter().map(|&row| watch.check().map(|()| points.row(row))).collect();
        closest.approach_all(&values?.concat(), rows.len(), &mut owners, watch)?;
        rows.extend(drawn);
    }
    let mut candidates = Points::picked(points, &rows, &points.place, watch)?;
    candidates.weights = Some(owned(points, &owners, rows.len(), watch)?.into());
    Ok(candidates)
}

/// What the rows of each owner weigh, and 0 for the padding.
fn owned(
    points: &Points,
    owners: &[u32],
    n_owners: usize,
    watch: &Watch,
) -> Result<Vec<f64>, Stopped> {
    let mut owned = vec![0f64; n_owners.next_multiple_of(LANES)];
    for (piece_idx, owners) in owners[..points.n_rows].chunks(ROWS).enumerate() {
        watch.check()?;
        match &points.weights {
            None => owners.iter().for_each(|&owner| owned[owner as usize] += 1.0),
            Some(weights) => {
                for (&owner, weight) in owners.iter().zip(&weights[piece_idx * ROWS..]) {
                    owned[owner as usize] += weight;
                }
            }
        }
    }
    Ok(owned)
}
