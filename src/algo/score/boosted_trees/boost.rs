//! Tree after tree, each on the gradients of the log-loss that those before it leave (Friedman 2001).
//!
//! How many trees are enough is found on rows that are kept aside (`stopping`), and then as many are grown on all rows.

use rayon::prelude::*;

use super::bins::{Bins, bin};
use super::gradient::{self, ClassWeights};
use super::groups::{Groups, Sample};
use super::grow::{Grown, Shape, grow};
use super::rows::Rows;
use super::stopping;
use crate::algo::memory;
use crate::algo::random::{Random, unit};
use crate::algo::score::Error;
use crate::algo::score::inputs::Training;
use crate::algo::stop::{Stopped, Watch};

/// What a fit keeps to.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub n_trees: usize,
    /// So many trees without a lower loss end the fit; 0 for all trees.
    pub patience: usize,
    pub row_share: f64,
    pub column_share: f64,
    pub weights: ClassWeights,
    pub shape: Shape,
    pub seed: i64,
}

/// Trees over bins.
pub struct Boosted {
    pub base: f64,
    pub trees: Vec<Grown>,
    pub bins: Bins,
}

const ROW_STREAM: u64 = 0x0072_6f77;
const COLUMN_STREAM: u64 = 0x0063_6f6c;
const ROUNDING_STREAM: u64 = 0x726e_6421;

pub fn boost(training: &Training, plan: &Plan, watch: &Watch) -> Result<Boosted, Error> {
    let n_rows = training.rows.len();
    let bins = bin(training, watch)?;
    let labels = memory::collect(training.labels.iter().map(|&label| u8::from(label)))?;
    let data = Data { bins: &bins, labels: &labels, plan };
    let mut groups = Groups::new(&bins, plan.shape.max_leaves)?;
    let (n_trees, searched) = match plan.patience {
        0 => (plan.n_trees, 0),
        _ => stopping::n_trees(data, &mut groups, watch)?,
    };
    let all = memory::collect(0..n_rows as u32)?;
    let mut run = Run::new(data, all, Vec::new())?;
    for tree in 0..n_trees {
        let is_done = !run.grow(&mut groups, watch)?;
        watch.report((searched + tree + 1) as u64, (searched + n_trees) as u64, f64::NAN);
        if is_done {
            break;
        }
    }
    let Run { base, trees, .. } = run;
    Ok(Boosted { base, trees, bins })
}

/// What is learnt from.
#[derive(Clone, Copy)]
pub struct Data<'a> {
    pub bins: &'a Bins,
    pub labels: &'a [u8],
    pub plan: &'a Plan,
}

/// Trees on some of the rows, the others being kept aside.
pub struct Run<'a> {
    data: Data<'a>,
    learnt: Vec<u32>,
    aside: Vec<u32>,
    /// Of all rows, in log-odds.
    scores: Vec<f32>,
    words: Vec<u64>,
    /// Those that a tree learns from, and the others.
    rows: [Rows; 2],
    pub base: f64,
    pub trees: Vec<Grown>,
}

impl<'a> Run<'a> {
    /// Both classes must be among the rows that are learnt from.
    pub fn new(data: Data<'a>, learnt: Vec<u32>, aside: Vec<u32>) -> Result<Self, Error> {
        let Data { labels, plan, .. } = data;
        let n_rows = labels.len();
        // A word, a score, its place and room to move it.
        memory::probe(n_rows * (8 + 4 + 2 * 4))?;
        let n_positive = learnt.iter().filter(|row| labels[**row as usize] != 0).count() as f64;
        let n_negative = learnt.len() as f64 - n_positive;
        let base = gradient::log_odds(
            n_positive * f64::from(plan.weights.positive),
            n_negative * f64::from(plan.weights.negative),
        );
        Ok(Self {
            data,
            learnt,
            aside,
            scores: memory::filled(base as f32, n_rows)?,
            words: memory::zeros(n_rows)?,
            rows: Default::default(),
            base,
            trees: Vec::new(),
        })
    }

    /// Adds a tree, and says whether there is a use in more.
    pub fn grow(&mut self, groups: &mut Groups, watch: &Watch) -> Result<bool, Error> {
        let Data { bins, labels, plan } = self.data;
        let tree = self.trees.len();
        let key = Random::new(plan.seed, ROUNDING_STREAM).at(tree as u64) as u32;
        fill_words(&self.scores, labels, plan.weights, key, &mut self.words, watch)?;
        self.draw()?;
        let usable = usable(bins.n_inputs(), plan, tree);
        let sample = Sample { cells: &bins.cells, words: &self.words, n_inputs: bins.n_inputs() };
        let how = (usable.as_slice(), &plan.shape);
        let (rows, scores) = (&mut self.rows, &mut self.scores);
        let grown = grow(bins, sample, groups, rows, how, scores, watch)?;
        // Where nothing is left to be split it is the turn of other rows or columns, if any.
        let is_split = grown.len() > 1;
        self.trees.push(grown);
        Ok(is_split || plan.row_share < 1.0 || plan.column_share < 1.0)
    }

    /// The rows that the next tree learns from.
    fn draw(&mut self) -> Result<(), Error> {
        let plan = self.data.plan;
        let [drawn, others] = &mut self.rows;
        others.take(&self.aside)?;
        if plan.row_share == 1.0 {
            return Ok(drawn.take(&self.learnt)?);
        }
        let key = Random::new(plan.seed, ROW_STREAM).at(self.trees.len() as u64);
        let random = Random::new(key as i64, ROW_STREAM);
        let is_drawn = |row: &u32| unit(random.at(u64::from(*row))) < plan.row_share;
        let (some, rest): (Vec<u32>, Vec<u32>) = self.learnt.iter().partition(|row| is_drawn(row));
        drawn.take(&some)?;
        Ok(others.add(&rest)?)
    }

    /// The sum of the losses of the rows that are kept aside, each times its weight, and that of the weights.
    pub fn loss(&self, watch: &Watch) -> Result<[f64; 2], Stopped> {
        losses(&self.aside, &self.scores, self.data.labels, self.data.plan.weights, watch)
    }
}

/// Rows that one thread takes at once.
const CHUNK: usize = 8192;

fn fill_words(
    scores: &[f32],
    labels: &[u8],
    weights: ClassWeights,
    key: u32,
    words: &mut [u64],
    watch: &Watch,
) -> Result<(), Stopped> {
    let chunks =
        words.par_chunks_mut(CHUNK).zip(scores.par_chunks(CHUNK)).zip(labels.par_chunks(CHUNK));
    chunks.enumerate().try_for_each(|(chunk, ((words, scores), labels))| {
        watch.check()?;
        gradient::words(scores, labels, weights, (key, (chunk * CHUNK) as u32), words);
        Ok(())
    })
}

/// Whether each column is used by a tree: as many as their share says, rounded up so that two columns may always meet.
fn usable(n_inputs: usize, plan: &Plan, tree: usize) -> Vec<bool> {
    let n_used = ((n_inputs as f64 * plan.column_share).ceil() as usize).clamp(1, n_inputs.max(1));
    let mut all: Vec<bool> = (0..n_inputs).map(|place| place < n_used).collect();
    if n_used < n_inputs {
        let key = Random::new(plan.seed, COLUMN_STREAM).at(tree as u64);
        Random::new(key as i64, COLUMN_STREAM).shuffle(&mut all);
    }
    all
}

/// Over blocks of a fixed size, added in their order.
fn losses(
    rows: &[u32],
    scores: &[f32],
    labels: &[u8],
    weights: ClassWeights,
    watch: &Watch,
) -> Result<[f64; 2], Stopped> {
    let chunks = rows.par_chunks(CHUNK).map(|rows| {
        watch.check()?;
        let mut sums = [0.0; 2];
        for row in rows {
            let is_positive = labels[*row as usize] != 0;
            let weight = f64::from(if is_positive { weights.positive } else { weights.negative });
            sums[0] += weight * gradient::loss(scores[*row as usize], is_positive);
            sums[1] += weight;
        }
        Ok(sums)
    });
    let found = chunks.collect::<Result<Vec<[f64; 2]>, Stopped>>()?;
    Ok(found.iter().fold([0.0; 2], |all, sums| [all[0] + sums[0], all[1] + sums[1]]))
}
