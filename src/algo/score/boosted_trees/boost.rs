//! Tree after tree, each on the gradients of the log-loss that those before it leave (Friedman 2001).
//!
//! Where trees are stopped early, a share of the rows is kept aside, drawn by seed, and the trees up to the one with the least loss
//! there are kept.

use rayon::prelude::*;

use super::bins::{Bins, bin};
use super::gradient::{self, ClassWeights};
use super::groups::{Groups, Sample};
use super::grow::{Grown, Shape, grow};
use super::rows::Rows;
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

/// The share of rows on which early stopping looks.
const FOLD: f64 = 0.1;
/// Fewer rows than this say too little of when to stop.
const LEAST_FOLD: usize = 50;

const FOLD_STREAM: u64 = 0x666f_6c64;
const ROW_STREAM: u64 = 0x0072_6f77;
const COLUMN_STREAM: u64 = 0x0063_6f6c;
const ROUNDING_STREAM: u64 = 0x726e_6421;

pub fn boost(training: &Training, plan: &Plan, watch: &Watch) -> Result<Boosted, Error> {
    let n_rows = training.rows.len();
    let bins = bin(training, watch)?;
    // A word, a score, a label, its place and room to move it.
    memory::probe(n_rows * (8 + 4 + 1 + 2 * 4))?;
    let labels = memory::collect(training.labels.iter().map(|&label| u8::from(label)))?;
    let fold = fold(&labels, plan)?;
    let (base, mut trees) = run(&bins, &labels, fold.as_deref(), plan, watch)?;
    if let Some(best) = trees.1 {
        trees.0.truncate(best);
    }
    Ok(Boosted { base, trees: trees.0, bins })
}

/// Whether each row is kept aside; none where trees are not stopped early, or the rows are too few.
fn fold(labels: &[u8], plan: &Plan) -> Result<Option<Vec<bool>>, Error> {
    if plan.patience == 0 {
        return Ok(None);
    }
    let random = Random::new(plan.seed, FOLD_STREAM);
    let is_aside = |row: usize| unit(random.at(row as u64)) < FOLD;
    let fold = memory::collect((0..labels.len()).map(is_aside))?;
    // Both classes on both sides.
    let mut counts = [[0; 2]; 2];
    fold.iter().zip(labels).for_each(|(aside, label)| {
        counts[usize::from(*aside)][usize::from(*label)] += 1;
    });
    let is_enough =
        counts[1][0] + counts[1][1] >= LEAST_FOLD && counts.as_flattened().iter().all(|n| *n > 0);
    Ok(is_enough.then_some(fold))
}

type Stopping = (Vec<Grown>, Option<usize>);

/// The base, the trees, and the best number of them where there is a fold.
fn run(
    bins: &Bins,
    labels: &[u8],
    fold: Option<&[bool]>,
    plan: &Plan,
    watch: &Watch,
) -> Result<(f64, Stopping), Error> {
    let n_rows = labels.len();
    let is_aside = |row: u32| fold.is_some_and(|fold| fold[row as usize]);
    let rows = (0..n_rows as u32).filter(|row| !is_aside(*row));
    let mut learnt = Vec::new();
    memory::exact_room(&mut learnt, n_rows)?;
    learnt.extend(rows);
    let aside: Vec<u32> = (0..n_rows as u32).filter(|row| is_aside(*row)).collect();

    let n_positive = learnt.iter().filter(|row| labels[**row as usize] != 0).count() as f64;
    let n_negative = learnt.len() as f64 - n_positive;
    let base = gradient::log_odds(
        n_positive * f64::from(plan.weights.positive),
        n_negative * f64::from(plan.weights.negative),
    );
    let mut scores = memory::filled(base as f32, n_rows)?;
    let mut words = memory::zeros::<u64>(n_rows)?;
    let mut groups = Groups::new(bins);
    groups.reserve(plan.shape.max_leaves)?;
    let mut trees = Vec::new();
    let mut best = (f64::INFINITY, 0);
    for tree in 0..plan.n_trees {
        let key = Random::new(plan.seed, ROUNDING_STREAM).at(tree as u64) as u32;
        fill_words(&scores, labels, plan.weights, key, &mut words, watch)?;
        let mut rows = drawn(&learnt, &aside, plan, tree)?;
        let usable = usable(bins.n_inputs(), plan, tree);
        let sample = Sample { cells: &bins.cells, words: &words, n_inputs: bins.n_inputs() };
        let how = (usable.as_slice(), &plan.shape);
        let grown = grow(bins, sample, &mut groups, &mut rows, how, &mut scores, watch)?;
        let is_only_root = grown.len() == 1;
        trees.push(grown);
        let mut metric = f64::NAN;
        if fold.is_some() {
            metric = mean_loss(&aside, &scores, labels, plan.weights, watch)?;
            if metric < best.0 {
                best = (metric, trees.len());
            } else if trees.len() >= best.1 + plan.patience {
                break;
            }
        }
        watch.report(tree as u64 + 1, plan.n_trees as u64, metric);
        // Nothing is left to be split, and with other rows or columns it is the next tree's turn.
        if is_only_root && plan.row_share == 1.0 && plan.column_share == 1.0 {
            break;
        }
    }
    Ok((base, (trees, fold.map(|_| best.1))))
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

/// The rows that a tree learns from, and the others.
fn drawn(learnt: &[u32], aside: &[u32], plan: &Plan, tree: usize) -> Result<[Rows; 2], Error> {
    let mut rows = [memory::copied(learnt)?, memory::copied(aside)?];
    if plan.row_share < 1.0 {
        let key = Random::new(plan.seed, ROW_STREAM).at(tree as u64);
        let random = Random::new(key as i64, ROW_STREAM);
        let is_drawn = |row: &u32| unit(random.at(u64::from(*row))) < plan.row_share;
        let (drawn, others): (Vec<u32>, Vec<u32>) = rows[0].iter().partition(|row| is_drawn(row));
        rows[0] = drawn;
        memory::extend(&mut rows[1], &others)?;
    }
    let [drawn, others] = rows;
    Ok([Rows::new(drawn)?, Rows::new(others)?])
}

/// Whether each column is used by a tree: as many as their share says, at least one.
fn usable(n_inputs: usize, plan: &Plan, tree: usize) -> Vec<bool> {
    let n_used = (n_inputs as f64 * plan.column_share).round().max(1.0) as usize;
    let mut all: Vec<bool> = (0..n_inputs).map(|place| place < n_used).collect();
    if n_used < n_inputs {
        let key = Random::new(plan.seed, COLUMN_STREAM).at(tree as u64);
        Random::new(key as i64, COLUMN_STREAM).shuffle(&mut all);
    }
    all
}

/// Over blocks of a fixed size, added in their order.
fn mean_loss(
    rows: &[u32],
    scores: &[f32],
    labels: &[u8],
    weights: ClassWeights,
    watch: &Watch,
) -> Result<f64, Stopped> {
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
    let sums = found.iter().fold([0.0; 2], |all, sums| [all[0] + sums[0], all[1] + sums[1]]);
    Ok(sums[0] / sums[1])
}
