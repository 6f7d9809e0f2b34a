//! What a window's frame says of one value in it: a frame grows at its end, shrinks at its start, and answers.
//!
//! Each kind of answer keeps what it needs. A mean and a deviation are carried along while the frame only grows (Welford 1962)
//! and computed anew, in two passes, when a value has left it: taking one out of running sums would cancel. Least and greatest
//! value are looked for again when one of them leaves. Quartiles need the values in order.

use std::collections::VecDeque;

use crate::algo::memory::{self, Refused};

use super::observe::moved;
use super::quantiles::interpolated;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Zscore,
    Minmax,
    Robust,
    Winsorize,
}

#[derive(Debug)]
pub struct Frame {
    answer: Answer,
    /// In the order of the rows; NaN for a missing one. Empty while the frame only grows and nothing asks for it.
    values: VecDeque<f64>,
    keeps_values: bool,
    n: f64,
    /// In two parts, as in a summary.
    mean: (f64, f64),
    /// Sum of squared deviations.
    m2: f64,
    min: f64,
    max: f64,
    sorted: Vec<f64>,
    /// A value has left, of which the moments or the range may still tell.
    is_stale: bool,
}

/// A spread this small beside the values is rounding, and the frame constant: scikit-learn's bound.
const CONSTANT: f64 = 10.0 * f64::EPSILON;

impl Frame {
    /// With `shrinks`, values can be taken off at the start.
    pub fn new(answer: Answer, shrinks: bool) -> Self {
        Self {
            answer,
            values: VecDeque::new(),
            keeps_values: shrinks,
            n: 0.0,
            mean: (0.0, 0.0),
            m2: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            sorted: Vec::new(),
            is_stale: false,
        }
    }

    pub fn clear(&mut self) {
        self.values.clear();
        self.sorted.clear();
        self.forget();
    }

    fn forget(&mut self) {
        (self.n, self.mean, self.m2) = (0.0, (0.0, 0.0), 0.0);
        (self.min, self.max, self.is_stale) = (f64::INFINITY, f64::NEG_INFINITY, false);
    }

    /// Adds the next row's value; NaN is missing.
    pub fn push(&mut self, x: f64) -> Result<(), Refused> {
        if self.keeps_values {
            self.make_room(1)?;
            self.values.push_back(x);
        }
        if x.is_nan() {
            return Ok(());
        }
        if self.needs_order() {
            let place = self.sorted.partition_point(|&other| other < x);
            memory::room(&mut self.sorted, 1)?;
            self.sorted.insert(place, x);
        } else if !self.is_stale {
            self.observe(x);
        }
        Ok(())
    }

    fn make_room(&mut self, more: usize) -> Result<(), Refused> {
        let refused = |_| Refused { bytes: more * size_of::<f64>() };
        self.values.try_reserve(more).map_err(refused)
    }

    /// Adds many rows' values at once: as [`Self::push`] of each.
    pub fn extend(&mut self, values: &[f64]) -> Result<(), Refused> {
        if self.needs_order() && self.sorted.is_empty() {
            self.extend_unordered(values)?;
            self.order();
            return Ok(());
        }
        values.iter().try_for_each(|&x| self.push(x))
    }

    /// Adds values that [`Self::order`] is called for when all are there.
    pub fn extend_unordered(&mut self, values: &[f64]) -> Result<(), Refused> {
        if !self.needs_order() {
            return values.iter().try_for_each(|&x| self.push(x));
        }
        if self.keeps_values {
            self.make_room(values.len())?;
            self.values.extend(values);
        }
        memory::room(&mut self.sorted, values.len())?;
        self.sorted.extend(values.iter().filter(|x| !x.is_nan()));
        Ok(())
    }

    pub fn order(&mut self) {
        self.sorted.sort_unstable_by(f64::total_cmp);
    }

    /// Takes the first row's value off.
    pub fn shift(&mut self) {
        let Some(x) = self.values.pop_front().filter(|x| !x.is_nan()) else { return };
        if self.needs_order() {
            let place = self.sorted.partition_point(|&other| other < x);
            self.sorted.remove(place.min(self.sorted.len() - 1));
        } else {
            self.is_stale |= self.answer == Answer::Zscore || x <= self.min || x >= self.max;
        }
    }

    /// The value's answer in the frame; `limits` are the quantiles of a winsorisation. NaN for a missing value, and in a frame
    /// without a value; infinite where the values are too large for their deviation.
    pub fn answer(&mut self, x: f64, limits: (f64, f64)) -> f64 {
        if x.is_nan() {
            return f64::NAN;
        }
        if self.is_stale {
            self.look_again();
        }
        match self.answer {
            Answer::Zscore => {
                let variance = self.m2 / self.n;
                let rounding = self.n * f64::EPSILON * variance
                    + (self.n * self.mean.0 * f64::EPSILON).powi(2);
                if variance.is_infinite() || self.n > 0.0 && variance.is_nan() {
                    return f64::INFINITY;
                }
                let sd = if variance <= rounding { 1.0 } else { variance.sqrt() };
                self.deviation(x) / sd
            }
            Answer::Minmax => {
                // In halves, so that the range of the greatest and the least float does not overflow.
                let half_range = self.max / 2.0 - self.min / 2.0;
                let half_range = if half_range < CONSTANT / 2.0 { 0.5 } else { half_range };
                if self.min > self.max { f64::NAN } else { (x / 2.0 - self.min / 2.0) / half_range }
            }
            Answer::Robust => {
                let [q25, median, q75] =
                    [0.25, 0.5, 0.75].map(|q| interpolated(&self.sorted, q).unwrap_or(f64::NAN));
                let half_spread = q75 / 2.0 - q25 / 2.0;
                let half_spread = if half_spread < CONSTANT / 2.0 { 0.5 } else { half_spread };
                (x / 2.0 - median / 2.0) / half_spread
            }
            Answer::Winsorize => {
                let (lower, upper) = limits;
                match (interpolated(&self.sorted, lower), interpolated(&self.sorted, upper)) {
                    (Some(low), Some(high)) => x.max(low).min(high),
                    _ => f64::NAN,
                }
            }
        }
    }

    fn needs_order(&self) -> bool {
        matches!(self.answer, Answer::Robust | Answer::Winsorize)
    }

    fn observe(&mut self, x: f64) {
        self.n += 1.0;
        if self.n == 1.0 {
            self.mean = (x, 0.0);
        }
        let delta = self.deviation(x);
        self.mean = moved(self.mean, delta / self.n);
        self.m2 += delta * self.deviation(x);
        self.min = self.min.min(x);
        self.max = self.max.max(x);
    }

    fn deviation(&self, x: f64) -> f64 {
        (x - self.mean.0) - self.mean.1
    }

    /// The moments of the values that are there, in three passes; the second says by how much the mean of the first is off.
    fn look_again(&mut self) {
        self.forget();
        let present = || self.values.iter().copied().filter(|x| !x.is_nan());
        let n = present().count() as f64;
        let mean = present().sum::<f64>() / n;
        let off = present().map(|x| x - mean).sum::<f64>() / n;
        let m2 = present().map(|x| (x - mean) - off).map(|delta| delta * delta).sum();
        let (min, max) =
            (present().fold(f64::INFINITY, f64::min), present().fold(f64::NEG_INFINITY, f64::max));
        if n > 0.0 {
            (self.n, self.mean, self.m2, self.min, self.max) = (n, (mean, off), m2, min, max);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direct(answer: Answer, values: &[f64], x: f64) -> f64 {
        let mut frame = Frame::new(answer, false);
        frame.extend(values).unwrap();
        frame.answer(x, (0.1, 0.9))
    }

    #[track_caller]
    fn check(answer: Answer, values: &[f64], x: f64, expected: f64) {
        let found = direct(answer, values, x);
        assert!(
            (found - expected).abs() < 1e-12 || found.is_nan() && expected.is_nan(),
            "{found} is not {expected}"
        );
    }

    #[test]
    fn answers_are_those_of_scikit_learn() {
        let values = [1.0, 2.0, f64::NAN, 3.0, 10.0];
        check(Answer::Zscore, &values, 10.0, 1.697056274847714);
        check(Answer::Minmax, &values, 3.0, 2.0 / 9.0);
        check(Answer::Robust, &values, 10.0, 2.5);
        check(Answer::Winsorize, &values, 10.0, 7.9);
        check(Answer::Winsorize, &values, 1.0, 1.3);
        for answer in [Answer::Zscore, Answer::Minmax, Answer::Robust, Answer::Winsorize] {
            check(answer, &values, f64::NAN, f64::NAN);
            check(answer, &[], 1.0, f64::NAN);
        }
        for answer in [Answer::Zscore, Answer::Minmax, Answer::Robust] {
            check(answer, &[5.0; 7], 5.0, 0.0);
        }
        check(Answer::Minmax, &[-1e308, 1e308], 0.0, 0.5);
        check(Answer::Robust, &[-1e308, -1e308, 0.0, 1e308, 1e308], 1e308, 0.5);
    }

    #[test]
    fn deviations_keep_their_digits_far_from_zero() {
        let near = [0.0, 1.0, 3.0, 4.3, 0.2, 2.2];
        let far = near.map(|x| x + 1.7e12);
        let near = far.map(|x| x - 1.7e12);
        let (mut frame, mut of_near) =
            (Frame::new(Answer::Zscore, true), Frame::new(Answer::Zscore, true));
        for place in 0..near.len() {
            frame.push(far[place]).unwrap();
            of_near.push(near[place]).unwrap();
            if place > 2 {
                frame.shift();
                of_near.shift();
            }
            let found = frame.answer(far[place], (0.0, 1.0));
            let expected = of_near.answer(near[place], (0.0, 1.0));
            assert!((found - expected).abs() < 1e-12, "{place}: {found} {expected}");
            check(
                Answer::Zscore,
                &far[..=place],
                far[place],
                direct(Answer::Zscore, &near[..=place], near[place]),
            );
        }
    }

    #[test]
    fn a_sliding_frame_answers_as_its_values_alone() {
        let values: Vec<f64> = (0..200)
            .map(|i| if i % 7 == 0 { f64::NAN } else { f64::from(i * 7919 % 101) + 1e6 })
            .collect();
        for answer in [Answer::Zscore, Answer::Minmax, Answer::Robust, Answer::Winsorize] {
            let mut frame = Frame::new(answer, true);
            for (place, &x) in values.iter().enumerate() {
                frame.push(x).unwrap();
                if place >= 12 {
                    frame.shift();
                }
                let there = &values[(place + 1).saturating_sub(12)..=place];
                let (found, expected) = (frame.answer(x, (0.1, 0.9)), direct(answer, there, x));
                assert!(
                    (found - expected).abs() < 1e-9 || x.is_nan(),
                    "{answer:?} {place}: {found} {expected}"
                );
            }
        }
    }
}
