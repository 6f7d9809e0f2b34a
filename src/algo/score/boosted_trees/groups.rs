//! Histograms and best splits of leaves, a group of inputs to a thread.
//!
//! Only the smaller side of a split is counted; the larger one is what is left of its parent (LightGBM's trick of subtraction). Each group
//! keeps its part of the histograms of all leaves, so that threads share nothing but what they read.

use rayon::prelude::*;

use super::bins::Bins;
use super::histogram::{BLOCK, Histogram, Totals, accumulate};
use super::split::{self, Limits, Place, Split};
use crate::algo::memory::{self, Refused};
use crate::algo::stop::{Stopped, Watch};

pub struct Groups(Vec<Group>);

struct Group {
    first: usize,
    places: Vec<Place>,
    words: Vec<[u64; 256]>,
    /// Of each leaf.
    histograms: Vec<Histogram>,
    n_bins: usize,
}

/// The rows of a fit as a tree is grown on them.
#[derive(Clone, Copy)]
pub struct Sample<'a> {
    pub cells: &'a [u8],
    pub words: &'a [u64],
    pub n_inputs: usize,
}

/// A leaf of which the best split is to be found.
#[derive(Clone, Copy)]
pub struct Leaf {
    /// Where its histogram is kept.
    pub place: usize,
    pub totals: Totals,
    /// Whether it is large enough, and not too deep, to be split.
    pub is_open: bool,
}

impl Groups {
    /// With room for the histograms of so many leaves.
    pub fn new(bins: &Bins, n_leaves: usize) -> Result<Self, Refused> {
        let n_bins: usize = bins.inputs.iter().map(|input| input.n_bins).sum();
        memory::probe(Histogram::bytes(n_bins).saturating_mul(n_leaves))?;
        let n_inputs = bins.n_inputs();
        let width = n_inputs.div_ceil(rayon::current_num_threads()).max(1);
        let groups = (0..n_inputs).step_by(width).map(|first| {
            let inputs = first..(first + width).min(n_inputs);
            let mut n_bins = 0;
            let places = inputs.clone().map(|input| {
                let of = &bins.inputs[input];
                n_bins += of.n_bins;
                Place {
                    input,
                    first: n_bins - of.n_bins,
                    n_bins: of.n_bins,
                    is_category: of.is_category,
                }
            });
            let places: Vec<Place> = places.collect();
            let words = vec![[0; 256]; inputs.len()];
            Group { first, places, words, histograms: Vec::new(), n_bins }
        });
        Ok(Self(groups.collect()))
    }

    /// Counts the rows of a tree's root.
    pub fn count(
        &mut self,
        sample: Sample,
        rows: &[u32],
        place: usize,
        watch: &Watch,
    ) -> Result<(), Stopped> {
        self.0.par_iter_mut().try_for_each(|group| group.count(sample, rows, place, watch))
    }

    /// The best split of a leaf that was counted, among the inputs that may be used.
    pub fn split(&self, leaf: Leaf, usable: &[bool], limits: &Limits) -> Option<Split> {
        let found = self.0.par_iter().map(|group| group.best(leaf, usable, limits));
        strongest(found.collect::<Vec<_>>().into_iter().flatten())
    }

    /// Counts the rows of the smaller side of a split, takes them from the larger one, which has its parent's histogram, and finds the best
    /// split of both.
    pub fn split_sides(
        &mut self,
        sample: Sample,
        (small, rows): (Leaf, &[u32]),
        large: Leaf,
        (usable, limits): (&[bool], &Limits),
        watch: &Watch,
    ) -> Result<[Option<Split>; 2], Stopped> {
        if !small.is_open && !large.is_open {
            return Ok([None, None]);
        }
        let found = self.0.par_iter_mut().map(|group| {
            group.count(sample, rows, small.place, watch)?;
            let mut larger = std::mem::take(&mut group.histograms[large.place]);
            larger.subtract(&group.histograms[small.place]);
            group.histograms[large.place] = larger;
            Ok([small, large].map(|leaf| group.best(leaf, usable, limits)))
        });
        let found = found.collect::<Result<Vec<_>, Stopped>>()?;
        Ok([0, 1].map(|side| strongest(found.iter().filter_map(|sides| sides[side].clone()))))
    }
}

/// The first of those that gain most.
fn strongest(splits: impl Iterator<Item = Split>) -> Option<Split> {
    splits.reduce(|best, next| if next.gain > best.gain { next } else { best })
}

impl Group {
    fn count(
        &mut self,
        sample: Sample,
        rows: &[u32],
        place: usize,
        watch: &Watch,
    ) -> Result<(), Stopped> {
        while self.histograms.len() <= place {
            self.histograms.push(Histogram::new(self.n_bins));
        }
        let histogram = &mut self.histograms[place];
        histogram.clear();
        for rows in rows.chunks(BLOCK) {
            watch.check()?;
            self.words.iter_mut().for_each(|sums| sums.fill(0));
            let part = (sample.n_inputs, self.first);
            accumulate(rows, sample.words, sample.cells, part, &mut self.words);
            for (sums, place) in self.words.iter().zip(&self.places) {
                histogram.add(place.first, &sums[..place.n_bins]);
            }
        }
        Ok(())
    }

    fn best(&self, leaf: Leaf, usable: &[bool], limits: &Limits) -> Option<Split> {
        if !leaf.is_open {
            return None;
        }
        let histogram = &self.histograms[leaf.place];
        let mut best: Option<Split> = None;
        for place in self.places.iter().filter(|place| usable[place.input]) {
            let above = best.as_ref().map_or(0.0, |best| best.gain);
            best = split::best(histogram, *place, leaf.totals, limits, above).or(best);
        }
        best
    }
}
