//! What naive Bayes knows of a column in each class, from one pass over the rows, in batches.
//!
//! Batches are cut by the number of rows alone and merged in their order, so the bits do not hang on the threads. No batch takes
//! longer than a millisecond or so, and only those of one wave are in memory.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::algo::frame::{MISSING, Values};
use crate::algo::score::inputs::{Input, Kind, Slots, Training, standardised};
use crate::algo::standardise::stats::{self, PARTS, Part};
use crate::algo::stop::{Stopped, Watch};

/// A normal distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bell {
    pub mean: f64,
    pub variance: f64,
}

impl Default for Bell {
    fn default() -> Self {
        Self { mean: 0.0, variance: 1.0 }
    }
}

impl Bell {
    /// How far below its top the logarithm of its density is.
    #[inline]
    pub fn depth(&self, z: f64) -> f64 {
        let distance = z - self.mean;
        distance * distance / (2.0 * self.variance)
    }
}

const BATCH: usize = 16_384;
/// Batches between two merges.
const WAVE: usize = 64;

/// A number in the other class and in the positive one.
pub struct Spread {
    pub bells: [Bell; 2],
    /// How many rows have it.
    pub present: [u64; 2],
}

/// Of a standardised number. A class without a value knows what the other one does: then the number says nothing.
pub fn bells(
    training: &Training,
    values: &Values,
    (center, scale): (f64, f64),
    smoothing: f64,
    watch: &Watch,
) -> Result<Spread, Stopped> {
    let value = |row_idx: usize| match values {
        Values::Number(values) => values[row_idx],
        Values::Integer(values) => values[row_idx] as f64,
        Values::Text { .. } => f64::NAN,
    };
    let clear = || {
        let mut block = [0.0; PARTS];
        stats::clear(&mut block);
        [block; 2]
    };
    let add = |blocks: &mut [[f64; PARTS]; 2], row_idx, class: usize| {
        stats::observe(&mut blocks[class], &[standardised(value(row_idx), center, scale)]);
    };
    let merge = |blocks: &mut [[f64; PARTS]; 2], others: [[f64; PARTS]; 2]| {
        blocks.iter_mut().zip(&others).for_each(|(block, other)| stats::merge(block, other));
    };
    let blocks = in_batches(training, watch, clear, add, merge)?;
    let count = |block: &[f64; PARTS]| stats::part(block, Part::Count)[0];
    let bell = |block: &[f64; PARTS]| {
        let part = |part| stats::part(block, part)[0];
        let n = count(block);
        let mean = part(Part::Mean) + part(Part::MeanLow);
        (n > 0.0).then(|| Bell { mean, variance: (part(Part::M2) / n).max(0.0) + smoothing })
    };
    let bells = match [bell(&blocks[0]), bell(&blocks[1])] {
        [Some(negative), Some(positive)] => [negative, positive],
        [Some(known), None] | [None, Some(known)] => [known; 2],
        [None, None] => [Bell::default(); 2],
    };
    Ok(Spread { bells, present: blocks.map(|block| count(&block) as u64) })
}

/// Of a text how many rows of each class have each of its slots.
pub fn slots(
    training: &Training,
    values: &Values,
    input: &Input,
    kind: &Kind,
    watch: &Watch,
) -> Result<[Vec<u64>; 2], Stopped> {
    let clear = || [vec![0; input.width()], vec![0; input.width()]];
    let Values::Text { codes, dictionary } = values else { return Ok(clear()) };
    let slots = Slots::new(kind);
    let by_code: Vec<Option<usize>> =
        dictionary.iter().map(|level| slots.of(Some(level))).collect();
    let add = |counts: &mut [Vec<u64>; 2], row_idx: usize, class: usize| {
        let slot = match codes[row_idx] {
            MISSING => slots.of(None),
            code => by_code[code as usize],
        };
        if let Some(slot) = slot {
            counts[class][slot] += 1;
        }
    };
    let merge = |counts: &mut [Vec<u64>; 2], others: [Vec<u64>; 2]| {
        let all = counts.iter_mut().flatten().zip(others.iter().flatten());
        all.for_each(|(count, other)| *count += other);
    };
    in_batches(training, watch, clear, add, merge)
}

/// Adds every row of the training to what it says of its class, 1 for the positive one.
fn in_batches<T: Send>(
    training: &Training,
    watch: &Watch,
    clear: impl Fn() -> T + Sync,
    add: impl Fn(&mut T, usize, usize) + Sync,
    merge: impl Fn(&mut T, T),
) -> Result<T, Stopped> {
    let mut all = clear();
    let waves = training.rows.chunks(WAVE * BATCH).zip(training.labels.chunks(WAVE * BATCH));
    for (rows, labels) in waves {
        let batches = rows.par_chunks(BATCH).zip(labels.par_chunks(BATCH));
        let found = batches.map(|(rows, labels)| {
            watch.check()?;
            let mut found = clear();
            for (&row_idx, &label) in rows.iter().zip(labels) {
                add(&mut found, row_idx, usize::from(label));
            }
            Ok(found)
        });
        let found = found.collect::<Result<Vec<T>, Stopped>>()?;
        found.into_iter().for_each(|batch| merge(&mut all, batch));
    }
    Ok(all)
}
