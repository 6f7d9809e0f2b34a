//! What can be read off a ranking of rows by their scores: curves, tables by tenths, thresholds, profits.
//!
//! Rows of one score are one: nothing says which of them comes first. So they share a bin, a point of a curve and a threshold, and
//! of a part of them as many are positive as are of all of them. The order of the rows decides nothing.

use super::classification::{Confusion, ordered, ties};
use crate::algo::memory::{self, Refused};

/// The rows of one score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tie {
    pub score: f64,
    pub n_rows: u64,
    pub n_positive: u64,
}

/// From the highest score down.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    pub ties: Vec<Tie>,
    pub n_rows: u64,
    pub n_positive: u64,
}

/// A point of a ROC curve: the rows from `threshold` on count as positive, and none where there is no threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RocPoint {
    pub threshold: Option<f64>,
    pub false_positive_rate: f64,
    pub true_positive_rate: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrPoint {
    pub threshold: f64,
    pub n_rows: u64,
    pub precision: f64,
    pub recall: f64,
}

/// A bin of a table. Those of a lift table count from the highest scores on, those of a calibration from the lowest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// From 1 on.
    pub number: u32,
    pub n_rows: u64,
    pub n_positive: u64,
    /// The positive rows of this bin and those before it.
    pub n_captured: u64,
    pub mean_score: f64,
}

impl Bin {
    /// The share of positive rows.
    pub fn rate(&self) -> f64 {
        self.n_positive as f64 / self.n_rows as f64
    }
}

/// What contacting the best rows brings in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Profit {
    pub n_contacts: u64,
    /// The score of the last one.
    pub threshold: f64,
    pub n_positive: f64,
    pub profit: f64,
}

impl Ranking {
    /// Of labels and scores of one length.
    pub fn new(labels: &[bool], scores: &[f64]) -> Result<Self, Refused> {
        let order = ordered(labels, scores)?;
        let mut ranking = Self { ties: Vec::new(), n_rows: order.len() as u64, n_positive: 0 };
        for (score, positives, negatives) in ties(&order) {
            let (n_rows, n_positive) = ((positives + negatives) as u64, positives as u64);
            memory::push(&mut ranking.ties, Tie { score, n_rows, n_positive })?;
            ranking.n_positive += n_positive;
        }
        Ok(ranking)
    }

    pub fn n_negative(&self) -> u64 {
        self.n_rows - self.n_positive
    }

    /// The corners of the curve, from none to all rows; with one class alone there is no curve. Fawcett 2006.
    pub fn roc(&self) -> Result<Vec<RocPoint>, Refused> {
        let (positives, negatives) = (self.n_positive, self.n_negative());
        let mut points: Vec<RocPoint> = Vec::new();
        if positives == 0 || negatives == 0 {
            return Ok(points);
        }
        let point = |threshold, above: Above| RocPoint {
            threshold,
            false_positive_rate: above.negatives() as f64 / negatives as f64,
            true_positive_rate: above.n_positive as f64 / positives as f64,
        };
        memory::push(&mut points, point(None, Above::default()))?;
        let mut last: Option<Tie> = None;
        for (tie, above) in self.above() {
            // Between two ties of the same mixture the curve goes straight on.
            if last.replace(tie).is_some_and(|last| is_one_way(last, tie)) {
                points.pop();
            }
            memory::push(&mut points, point(Some(tie.score), above))?;
        }
        Ok(points)
    }

    /// A point for each score. Without a positive row there is no recall.
    pub fn precision_recall(&self) -> Result<Vec<PrPoint>, Refused> {
        if self.n_positive == 0 {
            return Ok(Vec::new());
        }
        let mut points = Vec::new();
        for (tie, above) in self.above() {
            let n = self.n_positive as f64;
            memory::push(
                &mut points,
                PrPoint {
                    threshold: tie.score,
                    n_rows: above.n_rows,
                    precision: above.n_positive as f64 / above.n_rows as f64,
                    recall: above.n_positive as f64 / n,
                },
            )?;
        }
        Ok(points)
    }

    /// The rows in bins of equal numbers, the highest scores first; a bin that the ties leave empty is none.
    pub fn lift(&self, n_bins: u32) -> Vec<Bin> {
        bins(self.ties.iter().copied(), self.n_rows, n_bins)
    }

    /// The rows in bins of equal numbers, the lowest scores first.
    pub fn calibration(&self, n_bins: u32) -> Vec<Bin> {
        bins(self.ties.iter().rev().copied(), self.n_rows, n_bins)
    }

    /// The mean distance of score and rate in those bins, weighted by their rows: the expected calibration error. Naeini et al. 2015.
    pub fn calibration_error(&self, n_bins: u32) -> Option<f64> {
        let bins = self.calibration(n_bins);
        let distance = |bin: &Bin| bin.n_rows as f64 * (bin.mean_score - bin.rate()).abs();
        (self.n_rows > 0).then(|| bins.iter().map(distance).sum::<f64>() / self.n_rows as f64)
    }

    /// What the contact of the 1, 2, … best rows brings in: `value` for each positive one, less `cost` for each.
    pub fn profits(&self, value: f64, cost: f64) -> impl Iterator<Item = Profit> {
        self.above().flat_map(move |(tie, above)| {
            let (rows_before, hits_before) =
                (above.n_rows - tie.n_rows, above.n_positive - tie.n_positive);
            (1..=tie.n_rows).map(move |place| {
                let n_contacts = rows_before + place;
                let share = place as f64 / tie.n_rows as f64;
                let n_positive = hits_before as f64 + tie.n_positive as f64 * share;
                let profit = value * n_positive - cost * n_contacts as f64;
                Profit { n_contacts, threshold: tie.score, n_positive, profit }
            })
        })
    }

    /// The counts when a row counts as positive from `threshold` on.
    pub fn confusion(&self, threshold: f64) -> Confusion {
        let above = self.above().take_while(|(tie, _)| tie.score >= threshold).last();
        let above = above.map_or_else(Above::default, |(_, above)| above);
        Confusion {
            true_positives: above.n_positive as usize,
            false_positives: above.negatives() as usize,
            true_negatives: (self.n_negative() - above.negatives()) as usize,
            false_negatives: (self.n_positive - above.n_positive) as usize,
        }
    }

    /// The lowest threshold of at least this precision, and so the one of the most rows.
    pub fn threshold_of_precision(&self, least: f64) -> Option<f64> {
        let reaches = |above: &Above| above.n_positive as f64 / above.n_rows as f64 >= least;
        self.above().filter(|(_, above)| reaches(above)).last().map(|(tie, _)| tie.score)
    }

    /// The highest threshold of at least this recall, and so the one of the fewest rows.
    pub fn threshold_of_recall(&self, least: f64) -> Option<f64> {
        let n = self.n_positive as f64;
        let reaches = |above: &Above| n > 0.0 && above.n_positive as f64 / n >= least;
        self.above().find(|(_, above)| reaches(above)).map(|(tie, _)| tie.score)
    }

    /// Each tie with the rows that score as high or higher.
    fn above(&self) -> impl Iterator<Item = (Tie, Above)> {
        let mut above = Above::default();
        self.ties.iter().map(move |&tie| {
            above.n_rows += tie.n_rows;
            above.n_positive += tie.n_positive;
            (tie, above)
        })
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Above {
    n_rows: u64,
    n_positive: u64,
}

impl Above {
    fn negatives(self) -> u64 {
        self.n_rows - self.n_positive
    }
}

/// Whether two ties have the same share of positive rows.
fn is_one_way(a: Tie, b: Tie) -> bool {
    u128::from(a.n_positive) * u128::from(b.n_rows)
        == u128::from(b.n_positive) * u128::from(a.n_rows)
}

/// Each tie is in the bin where its middle lies.
fn bins(ties: impl Iterator<Item = Tie>, n_rows: u64, n_bins: u32) -> Vec<Bin> {
    let mut bins: Vec<Bin> = Vec::new();
    let (mut rows_before, mut n_captured) = (0u64, 0u64);
    for tie in ties {
        // Twice the middle, so that it is a whole number.
        let middle = u128::from(2 * rows_before + tie.n_rows);
        let number = (middle * u128::from(n_bins) / (2 * u128::from(n_rows))) as u32 + 1;
        let number = number.min(n_bins);
        rows_before += tie.n_rows;
        n_captured += tie.n_positive;
        if bins.last().is_none_or(|last| last.number != number) {
            bins.push(Bin { number, n_rows: 0, n_positive: 0, n_captured, mean_score: 0.0 });
        }
        if let Some(bin) = bins.last_mut() {
            bin.n_rows += tie.n_rows;
            bin.n_positive += tie.n_positive;
            bin.n_captured = n_captured;
            // Of huge scores neither the sum nor a difference need be a number.
            let share = tie.n_rows as f64 / bin.n_rows as f64;
            bin.mean_score = bin.mean_score * (1.0 - share) + tie.score * share;
        }
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of worked examples: their labels and scores.
    fn scored() -> Ranking {
        let labels = [true, true, false, true, false, false, true, false, false, false];
        let scores = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05];
        Ranking::new(&labels, &scores).unwrap()
    }

    #[track_caller]
    fn check_bins(bins: &[Bin], expected: &[(u64, u64, u64, f64)]) {
        let found: Vec<_> =
            bins.iter().map(|bin| (bin.n_rows, bin.n_positive, bin.n_captured)).collect();
        let wanted: Vec<_> = expected.iter().map(|row| (row.0, row.1, row.2)).collect();
        assert_eq!(found, wanted);
        for (bin, row) in bins.iter().zip(expected) {
            assert!((bin.mean_score - row.3).abs() < 1e-12, "{bin:?}");
        }
    }

    #[test]
    fn a_lift_table_counts_from_the_highest_scores_on() {
        let fifths =
            [(2, 2, 2, 0.85), (2, 1, 3, 0.65), (2, 0, 3, 0.45), (2, 1, 4, 0.25), (2, 0, 4, 0.075)];
        check_bins(&scored().lift(5), &fifths);
    }

    #[test]
    fn a_calibration_counts_from_the_lowest_scores_on() {
        check_bins(&scored().calibration(2), &[(5, 1, 1, 0.21), (5, 3, 4, 0.7)]);
        assert!((scored().calibration_error(2).unwrap() - 0.055).abs() < 1e-12);
        assert_eq!(Ranking::new(&[], &[]).unwrap().calibration_error(2), None);
    }

    #[test]
    fn rows_of_one_score_share_a_bin() {
        let ranking = Ranking::new(&[true, false, true, false], &[0.5; 4]).unwrap();
        let bins = ranking.lift(4);
        assert_eq!(bins.len(), 1);
        assert_eq!((bins[0].number, bins[0].n_rows, bins[0].rate()), (3, 4, 0.5));
        // More bins than rows.
        let numbers: Vec<u32> = scored().lift(1000).iter().map(|bin| bin.number).collect();
        assert_eq!(numbers, [51, 151, 251, 351, 451, 551, 651, 751, 851, 951]);
    }

    #[test]
    fn a_roc_curve_has_its_corners() {
        let point = |threshold, false_positive_rate, true_positive_rate| RocPoint {
            threshold,
            false_positive_rate,
            true_positive_rate,
        };
        // The example in scikit-learn's documentation of roc_curve.
        let ranking = Ranking::new(&[false, false, true, true], &[0.1, 0.4, 0.35, 0.8]).unwrap();
        let expected = [
            point(None, 0.0, 0.0),
            point(Some(0.8), 0.0, 0.5),
            point(Some(0.4), 0.5, 0.5),
            point(Some(0.35), 0.5, 1.0),
            point(Some(0.1), 1.0, 1.0),
        ];
        assert_eq!(ranking.roc().unwrap(), expected);
        let straight = Ranking::new(&[true, true, true, false], &[0.9, 0.8, 0.7, 0.1]).unwrap();
        let corners =
            [point(None, 0.0, 0.0), point(Some(0.7), 0.0, 1.0), point(Some(0.1), 1.0, 1.0)];
        assert_eq!(straight.roc().unwrap(), corners);
        assert_eq!(Ranking::new(&[true], &[0.1]).unwrap().roc().unwrap(), []);
    }

    #[test]
    fn precision_and_recall_are_of_the_rows_from_a_threshold_on() {
        let points = scored().precision_recall().unwrap();
        let at: Vec<_> = points.iter().map(|p| (p.n_rows, p.precision, p.recall)).take(4).collect();
        assert_eq!(at, [(1, 1.0, 0.25), (2, 1.0, 0.5), (3, 2.0 / 3.0, 0.5), (4, 0.75, 0.75)]);
        assert_eq!(Ranking::new(&[false], &[0.1]).unwrap().precision_recall().unwrap(), []);
    }

    #[test]
    fn a_threshold_takes_as_many_rows_as_the_precision_allows() {
        assert_eq!(scored().threshold_of_precision(0.8), Some(0.8));
        assert_eq!(scored().threshold_of_precision(0.7), Some(0.6));
        assert_eq!(scored().threshold_of_precision(0.0), Some(0.05));
        assert_eq!(Ranking::new(&[false], &[0.3]).unwrap().threshold_of_precision(0.5), None);
        assert_eq!(scored().threshold_of_recall(0.75), Some(0.6));
        assert_eq!(scored().threshold_of_recall(1.0), Some(0.3));
        assert_eq!(Ranking::new(&[false], &[0.3]).unwrap().threshold_of_recall(0.5), None);
    }

    #[test]
    fn profits_are_those_of_each_contact() {
        let profits: Vec<f64> = scored().profits(10.0, 4.0).map(|one| one.profit).collect();
        assert_eq!(profits, [6.0, 12.0, 8.0, 14.0, 10.0, 6.0, 12.0, 8.0, 4.0, 0.0]);
        // Of two rows of one score each brings half of what both do.
        let tied = Ranking::new(&[true, false], &[0.5, 0.5]).unwrap();
        let profits: Vec<f64> = tied.profits(10.0, 4.0).map(|one| one.profit).collect();
        assert_eq!(profits, [1.0, 2.0]);
    }

    #[test]
    fn the_order_of_the_rows_decides_nothing() {
        let labels = [true, false, false, true, true];
        let scores = [0.3, 0.3, -0.0, 0.0, f64::MAX];
        let mut places = [0, 1, 2, 3, 4];
        let first = Ranking::new(&labels, &scores).unwrap();
        for _ in 0..5 {
            places.rotate_left(1);
            let labels = places.map(|place| labels[place]);
            let scores = places.map(|place| scores[place]);
            assert_eq!(Ranking::new(&labels, &scores).unwrap(), first);
        }
        let huge = Ranking::new(&[true, false], &[f64::MAX, -f64::MAX]).unwrap();
        assert_eq!(huge.calibration(1)[0].mean_score, 0.0);
    }
}
