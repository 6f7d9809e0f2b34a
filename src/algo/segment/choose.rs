//! How many segments there are: fits of a sample with each k, and what speaks for them.

use std::ops::RangeInclusive;

use super::quality::Quality;
use crate::algo::metrics::clustering::adjusted_rand;
use crate::algo::random::Random;
use crate::algo::segment::error::Error;
use crate::algo::segment::fit::{fit_on, ground};
use crate::algo::segment::input::features::Features;
use crate::algo::segment::input::ground::Ground;
use crate::algo::segment::input::rows::{Ordered, Rows};
use crate::algo::segment::params::Params;
use crate::algo::segment::seeding::plus_plus::even_sample_rows;
use crate::algo::stop::Watch;

/// What one k comes to on the sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    pub k: usize,
    /// Of the sample.
    pub inertia: f64,
    pub quality: Quality,
    /// Mean adjusted Rand index of the sample's segments and of those that a random half of it leads to, over five halves
    /// (after Ben-Hur, Elisseeff and Guyon 2002): 1 when chance decides nothing.
    pub stability: f64,
}

/// What to choose k by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Criterion {
    Silhouette,
    DaviesBouldin,
    CalinskiHarabasz,
    Stability,
}

impl Criterion {
    pub const ALL: [(&str, Self); 4] = [
        ("silhouette", Self::Silhouette),
        ("davies_bouldin", Self::DaviesBouldin),
        ("calinski_harabasz", Self::CalinskiHarabasz),
        ("stability", Self::Stability),
    ];

    /// More is better.
    fn merit(self, candidate: &Candidate) -> Option<f64> {
        match self {
            Self::Silhouette => candidate.quality.silhouette,
            Self::DaviesBouldin => candidate.quality.davies_bouldin.map(|index| -index),
            Self::CalinskiHarabasz => candidate.quality.calinski_harabasz,
            // One segment is always the same: that says nothing.
            Self::Stability => Some(candidate.stability).filter(|_| candidate.k > 1),
        }
    }
}

const HALVES: usize = 5;
/// Starts for each k: a bad optimum of one k would decide between them.
const STARTS: i64 = 5;
/// Rows of a silhouette, among which differences of some thousandths between two k are to be seen: a second for nine k at 8
/// features.
const SILHOUETTE_ROWS: usize = 6_000;

/// Fits an even sample of so many rows with each k of the range; k and starts of `params` do not matter. Ends before the first k of
/// which there are too few distinct rows, but refuses when that is the first one.
pub fn choose_k(
    rows: &impl Rows,
    features: &Features,
    params: &Params,
    range: RangeInclusive<i64>,
    n_sample: usize,
    watch: &Watch,
) -> Result<Vec<Candidate>, Error> {
    let mut random = Random::new(params.seed, u64::MAX - 1);
    let some = |picks: Vec<u32>| Ordered { rows, order: Some(picks) };
    let picks = even_sample(rows, n_sample, &mut random);
    let halves: Vec<_> = (0..HALVES).map(|_| some(half(&picks, &mut random))).collect();
    // What the rows are like does not depend on k.
    let on_ground = |rows: Ordered<_>| -> Result<_, Error> {
        let params = params.check(rows.n_rows(), features.len())?;
        Ok((ground(&rows, features, &params, watch)?, rows))
    };
    let sample = on_ground(some(picks))?;
    let halves = halves.into_iter().map(on_ground).collect::<Result<Vec<_>, _>>()?;
    let mut candidates = Vec::new();
    for k in range {
        let quality = Some(SILHOUETTE_ROWS);
        let params = Params { k, n_init: STARTS, quality, ..params.clone() };
        match candidate(&sample, &halves, features, &params, watch) {
            Ok(candidate) => candidates.push(candidate),
            Err(Error::TooFewDistinctRows { .. }) if !candidates.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(candidates)
}

/// The k that the criterion speaks for; of equal ones the least, but of equally stable ones, which a split of what belongs together
/// is not, the most. None when it speaks for none, as with one segment alone.
pub fn best(candidates: &[Candidate], criterion: Criterion) -> Option<usize> {
    let takes_more = criterion == Criterion::Stability;
    let mut best: Option<(f64, usize)> = None;
    for candidate in candidates {
        if let Some(merit) = criterion.merit(candidate)
            && best.is_none_or(|(most, _)| merit > most || merit == most && takes_more)
        {
            best = Some((merit, candidate.k));
        }
    }
    best.map(|(_, k)| k)
}

fn candidate<R: Rows>(
    (ground, sample): &(Ground, Ordered<&R>),
    halves: &[(Ground, Ordered<&R>)],
    features: &Features,
    params: &Params,
    watch: &Watch,
) -> Result<Candidate, Error> {
    let d = features.len();
    let whole = params.check(sample.n_rows(), d)?;
    let whole = fit_on(sample, ground.clone(), features, &whole, watch)?;
    let mut agreements = Vec::with_capacity(halves.len());
    for (ground, half) in halves {
        let params = Params { quality: None, ..params.clone() }.check(half.n_rows(), d)?;
        let prepared = match fit_on(half, ground.clone(), features, &params, watch) {
            Ok(fit) => fit.model.prepare(),
            // The half lacks rare values; the sample has them.
            Err(Error::TooFewDistinctRows { .. }) => continue,
            Err(error) => return Err(error),
        };
        let labels: Vec<u32> = (0..sample.n_rows())
            .map(|row| {
                let row: Vec<f64> = (0..d).map(|feature| sample.value(row, feature)).collect();
                prepared.segment(&row).unwrap_or(0)
            })
            .collect();
        agreements.extend(adjusted_rand(&whole.labels, &labels));
    }
    Ok(Candidate {
        k: whole.model.k(),
        inertia: whole.model.inertia,
        quality: whole.quality.ok_or(Error::EmptyInput)?,
        stability: agreements.iter().sum::<f64>() / agreements.len().max(1) as f64,
    })
}

/// Rows that weigh nothing have no say in it.
fn even_sample(rows: &impl Rows, n_sample: usize, random: &mut Random) -> Vec<u32> {
    let weighing: Option<Vec<usize>> = rows
        .is_weighted()
        .then(|| (0..rows.n_rows()).filter(|&row| rows.weight(row) > 0.0).collect());
    let n_rows = weighing.as_ref().map_or_else(|| rows.n_rows(), Vec::len);
    let picks = even_sample_rows(n_rows, n_sample, random).into_iter();
    picks.map(|pick| weighing.as_ref().map_or(pick, |rows| rows[pick]) as u32).collect()
}

/// Half of a sample, in the order of the rows.
fn half(picks: &[u32], random: &mut Random) -> Vec<u32> {
    let mut picks = picks.to_vec();
    random.shuffle(&mut picks);
    picks.truncate(picks.len().div_ceil(2));
    picks.sort_unstable();
    picks
}
