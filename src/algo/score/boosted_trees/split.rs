//! The best way to part the rows of a leaf by one input, read off its histogram.
//!
//! With sums of gradients G and curvatures H, a side is worth G² / (H + l2), and a split what its sides are worth beyond the leaf
//! (Chen and Guestrin 2016). The missing numbers go to whichever side gains more. The levels of a text are sorted by G / (H + smoothing) and
//! cut like numbers (Fisher 1958), and may be few on one side only, which is penalised more, as there are many ways to choose them.

use multiversion::multiversion;

use super::histogram::{Histogram, Totals};

/// What a split must keep to, in the units of the histogram.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub l2: f64,
    pub category_l2: f64,
    pub category_smoothing: f64,
    pub least_rows: i64,
    pub least_curve: i64,
    pub least_gain: f64,
}

/// The most levels in the set that a split of a text takes out; never more than half of them.
const MOST_LEVELS: usize = 32;
/// Up to so many levels there are no more sets than a number has cuts: what follows is not asked of them.
const FEW_LEVELS: usize = 4;
/// Levels of fewer rows in a leaf stay with the rest.
const LEAST_ROWS_OF_LEVEL: i64 = 10;
/// The set grows by so many rows at least before it is tried again.
const LEAST_ROWS_OF_GROUP: i64 = 100;

#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    pub input: usize,
    pub gain: f64,
    /// Of the left side.
    pub totals: Totals,
    /// The penalty on what both sides say.
    pub l2: f64,
    pub sides: Sides,
}

/// Which bins are left.
#[derive(Debug, Clone, PartialEq)]
pub enum Sides {
    /// Those up to this one, and perhaps the last, which is missing.
    Number {
        cut: u8,
        missing_left: bool,
    },
    Category([u64; 4]),
}

impl Sides {
    /// Per bin, whether it is left, where there are so many.
    pub fn by_bin(&self, n_bins: usize) -> [bool; 256] {
        let mut left = [false; 256];
        match self {
            Self::Number { cut, missing_left } => {
                left[..=usize::from(*cut)].fill(true);
                left[n_bins - 1] = *missing_left;
            }
            Self::Category(bits) => {
                for (bin, left) in left.iter_mut().enumerate() {
                    *left = bits[bin / 64] >> (bin % 64) & 1 == 1;
                }
            }
        }
        left
    }
}

/// The place of an input's bins in a histogram.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub input: usize,
    pub first: usize,
    pub n_bins: usize,
    pub is_category: bool,
}

/// The best split of a leaf by this input, if one gains more than `above`.
pub fn best(
    histogram: &Histogram,
    place: Place,
    leaf: Totals,
    limits: &Limits,
    above: f64,
) -> Option<Split> {
    if place.is_category {
        best_of_category(histogram, place, leaf, limits, above)
    } else {
        best_of_number(histogram, place, leaf, limits, above)
    }
}

pub fn worth(totals: Totals, l2: f64) -> f64 {
    let gradient = totals.gradient as f64;
    // No curvature and no penalty: no gradient either.
    gradient * gradient / (totals.curve as f64 + l2).max(1.0)
}

/// The sums of the bins up to each one.
struct Prefixes {
    gradients: [f64; 256],
    curves: [f64; 256],
    rows: [f64; 256],
}

fn best_of_number(
    histogram: &Histogram,
    place: Place,
    leaf: Totals,
    limits: &Limits,
    above: f64,
) -> Option<Split> {
    let n_values = place.n_bins - 1;
    let missing = histogram.bin(place.first + n_values);
    let mut prefixes = Prefixes { gradients: [0.0; 256], curves: [0.0; 256], rows: [0.0; 256] };
    let mut sum = Totals::default();
    for bin in 0..n_values {
        sum = sum.plus(histogram.bin(place.first + bin));
        prefixes.gradients[bin] = sum.gradient as f64;
        prefixes.curves[bin] = sum.curve as f64;
        prefixes.rows[bin] = sum.rows as f64;
    }
    // Without missing values the last cut parts nothing.
    let n_cuts = if missing.rows > 0 { n_values } else { n_values - 1 };
    let nothing = Totals::default();
    let right = strongest(&prefixes, n_cuts, nothing, leaf, limits);
    let left = if missing.rows > 0 {
        strongest(&prefixes, n_values - 1, missing, leaf, limits)
    } else {
        None
    };
    let parent = worth(leaf, limits.l2);
    let is_left = |found: (usize, f64)| right.is_none_or(|right| found.1 > right.1);
    let (is_missing_left, (cut, worth)) = match left.filter(|found| is_left(*found)) {
        Some(left) => (true, left),
        None => (false, right?),
    };
    let gain = worth - parent;
    if gain.is_nan() || gain <= above.max(limits.least_gain) {
        return None;
    }
    let below = (0..=cut).map(|bin| histogram.bin(place.first + bin));
    let totals = below.fold(if is_missing_left { missing } else { nothing }, Totals::plus);
    let missing_left =
        if missing.rows > 0 { is_missing_left } else { 2 * totals.rows >= leaf.rows };
    let sides = Sides::Number { cut: cut as u8, missing_left };
    Some(Split { input: place.input, gain, totals, l2: limits.l2, sides })
}

/// The first of the cuts whose sides are worth most, and how much, where `extra` is left as well.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
fn strongest(
    prefixes: &Prefixes,
    n_cuts: usize,
    extra: Totals,
    leaf: Totals,
    limits: &Limits,
) -> Option<(usize, f64)> {
    let (gradient, curve, rows) = (leaf.gradient as f64, leaf.curve as f64, leaf.rows as f64);
    let [more_gradient, more_curve, more_rows] =
        [extra.gradient as f64, extra.curve as f64, extra.rows as f64];
    let (least_rows, least_curve) = (limits.least_rows as f64, limits.least_curve as f64);
    let l2 = limits.l2;
    let mut worths = [f64::NEG_INFINITY; 256];
    let sums = prefixes.gradients.iter().zip(&prefixes.curves).zip(&prefixes.rows);
    for (worth, ((left_gradient, left_curve), left_rows)) in
        worths.iter_mut().zip(sums).take(n_cuts)
    {
        let left_gradient = left_gradient + more_gradient;
        let left_curve = left_curve + more_curve;
        let left_rows = left_rows + more_rows;
        let right_gradient = gradient - left_gradient;
        let right_curve = curve - left_curve;
        let right_rows = rows - left_rows;
        let is_allowed = (left_rows >= least_rows)
            & (right_rows >= least_rows)
            & (left_curve >= least_curve)
            & (right_curve >= least_curve);
        let (left_curve, right_curve) = (left_curve + l2, right_curve + l2);
        // One division for both sides.
        let both = (left_gradient * left_gradient * right_curve
            + right_gradient * right_gradient * left_curve)
            / (left_curve * right_curve);
        *worth = if is_allowed { both } else { f64::NEG_INFINITY };
    }
    let mut best = f64::NEG_INFINITY;
    worths[..n_cuts].iter().for_each(|worth| best = if *worth > best { *worth } else { best });
    if best == f64::NEG_INFINITY {
        return None;
    }
    let cut = worths[..n_cuts].iter().position(|worth| *worth == best)?;
    Some((cut, best))
}

/// A set of levels that is scanned: how many of them, from which end, and what they are worth.
struct Found {
    gain: f64,
    n_levels: usize,
    is_from_end: bool,
    totals: Totals,
}

fn best_of_category(
    histogram: &Histogram,
    place: Place,
    leaf: Totals,
    limits: &Limits,
    above: f64,
) -> Option<Split> {
    let present = (0..place.n_bins).map(|bin| (bin, histogram.bin(place.first + bin)));
    let n_present = present.clone().filter(|(_, totals)| totals.rows > 0).count();
    let is_few = n_present <= FEW_LEVELS;
    let (least_rows, group, l2) = if is_few {
        (1, 1, limits.l2)
    } else {
        (LEAST_ROWS_OF_LEVEL, LEAST_ROWS_OF_GROUP, limits.l2 + limits.category_l2)
    };
    let mut levels = [(0.0, 0, Totals::default()); 256];
    let mut n_levels = 0;
    for (bin, totals) in present.filter(|(_, totals)| totals.rows >= least_rows) {
        let smoothed = totals.curve as f64 + limits.category_smoothing;
        // Without curvature there is no gradient either.
        levels[n_levels] = (totals.gradient as f64 / smoothed.max(1.0), bin, totals);
        n_levels += 1;
    }
    let levels = &mut levels[..n_levels];
    levels.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let parent = worth(leaf, limits.l2);
    let mut best: Option<Found> = None;
    for is_from_end in [false, true] {
        let (mut set, mut in_group) = (Totals::default(), 0);
        for n_levels in 1..=levels.len().div_ceil(2).min(MOST_LEVELS) {
            let place = if is_from_end { levels.len() - n_levels } else { n_levels - 1 };
            let level = levels[place].2;
            set = set.plus(level);
            in_group += level.rows;
            let rest = leaf.minus(set);
            let is_allowed = in_group >= group
                && set.rows.min(rest.rows) >= limits.least_rows
                && rest.rows >= group
                && set.curve.min(rest.curve) >= limits.least_curve;
            if !is_allowed {
                continue;
            }
            in_group = 0;
            let gain = worth(set, l2) + worth(rest, l2) - parent;
            let least = best.as_ref().map_or(above.max(limits.least_gain), |best| best.gain);
            if gain > least {
                best = Some(Found { gain, n_levels, is_from_end, totals: set });
            }
        }
    }
    let Found { gain, n_levels, is_from_end, totals } = best?;
    let members =
        if is_from_end { &levels[levels.len() - n_levels..] } else { &levels[..n_levels] };
    let is_absent = |bin: usize| bin >= place.n_bins || histogram.rows[place.first + bin] == 0;
    // What no row of the leaf has goes with the greater part of them.
    let takes_absent = 2 * totals.rows > leaf.rows;
    let mut bits = [0; 4];
    for bin in (0..256).filter(|bin| takes_absent && is_absent(*bin)) {
        bits[bin / 64] |= 1 << (bin % 64);
    }
    for (_, bin, _) in members {
        bits[bin / 64] |= 1 << (bin % 64);
    }
    Some(Split { input: place.input, gain, totals, l2, sides: Sides::Category(bits) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits {
        l2: 3.0,
        category_l2: 0.0,
        category_smoothing: 0.0,
        least_rows: 3,
        least_curve: 2,
        least_gain: 1e-3,
    };

    /// The best gain of all ways to part these bins, each a gradient, a curvature and rows, that `is_way` lets through.
    fn best_of_all(bins: &[Totals], is_way: impl Fn(u32) -> bool) -> Option<f64> {
        let leaf = bins.iter().copied().fold(Totals::default(), Totals::plus);
        let ways = (1..(1u32 << bins.len()) - 1).filter(|way| is_way(*way)).filter_map(|way| {
            let of = |wanted: u32| {
                let bins = bins.iter().enumerate().filter(|(bin, _)| way >> bin & 1 == wanted);
                bins.fold(Totals::default(), |sum, (_, totals)| sum.plus(*totals))
            };
            let sides = [of(1), of(0)];
            let is_allowed =
                |side: &Totals| side.rows >= LIMITS.least_rows && side.curve >= LIMITS.least_curve;
            let gain = worth(sides[0], LIMITS.l2) + worth(sides[1], LIMITS.l2);
            sides.iter().all(is_allowed).then(|| gain - worth(leaf, LIMITS.l2))
        });
        ways.reduce(f64::max).filter(|gain| *gain > LIMITS.least_gain)
    }

    fn check(bins: &[Totals], is_category: bool, expected: Option<f64>) {
        let mut histogram = Histogram::new(bins.len());
        for (bin, totals) in bins.iter().enumerate() {
            histogram.gradients[bin] = totals.gradient;
            histogram.curves[bin] = totals.curve;
            histogram.rows[bin] = totals.rows as u32;
        }
        let leaf = bins.iter().copied().fold(Totals::default(), Totals::plus);
        let place = Place { input: 0, first: 0, n_bins: bins.len(), is_category };
        let found = best(&histogram, place, leaf, &LIMITS, 0.0);
        let gain = found.as_ref().map(|split| split.gain);
        let is_close = match (gain, expected) {
            (Some(gain), Some(expected)) => (gain - expected).abs() <= 1e-9 * (1.0 + expected),
            (gain, expected) => gain == expected,
        };
        assert!(is_close, "{gain:?} instead of {expected:?}");
        if let Some(split) = found {
            let left = split.sides.by_bin(bins.len());
            let sum = bins.iter().zip(left).filter(|(_, left)| *left);
            let sum = sum.fold(Totals::default(), |sum, (totals, _)| sum.plus(*totals));
            assert_eq!(sum, split.totals);
        }
    }

    fn totals(bins: &[(i64, i64)]) -> Vec<Totals> {
        let totals = |&(gradient, rows): &(i64, i64)| Totals {
            gradient: if rows == 0 { 0 } else { gradient },
            curve: 2 * rows,
            rows,
        };
        bins.iter().map(totals).collect()
    }

    proptest! {
        #[test]
        fn the_best_cut_of_a_number_is_found(bins in proptest::collection::vec((-50i64..50, 0i64..6), 2..9)) {
            // All up to a bin, or all beyond it, wherever the last one, which is missing, goes.
            let values = bins.len() as u32 - 1;
            let all = (1u32 << values) - 1;
            let is_cut = |way: u32| {
                let way = way & all;
                (way + 1).is_power_of_two() || ((all & !way) + 1).is_power_of_two()
            };
            let bins = totals(&bins);
            check(&bins, false, best_of_all(&bins, is_cut));
        }

        #[test]
        fn the_best_set_of_few_levels_is_found(
            bins in proptest::collection::vec((-50i64..50, 0i64..6), 2..5),
        ) {
            // As many as are first, or last, when sorted by what each level says.
            let bins = totals(&bins);
            let mut order: Vec<usize> = (0..bins.len()).filter(|bin| bins[*bin].rows > 0).collect();
            let ratio = |bin: &usize| bins[*bin].gradient as f64 / bins[*bin].curve as f64;
            order.sort_by(|a, b| ratio(a).total_cmp(&ratio(b)).then(a.cmp(b)));
            let is_set = |way: u32| {
                let is_in = order.iter().map(|bin| way >> bin & 1);
                is_in.clone().is_sorted() || is_in.rev().is_sorted()
            };
            check(&bins, true, best_of_all(&bins, is_set));
        }
    }
}
