//! How many trees are enough: as many as have the least log-loss on rows that none of them was grown on.
//!
//! Of many rows a tenth is kept aside. Few rows are parted into folds, each of which is kept aside once, and their losses are added: a
//! tenth of them would say too little.

use super::boost::{Data, Run};
use super::groups::Groups;
use crate::algo::memory;
use crate::algo::random::{Random, unit};
use crate::algo::score::Error;
use crate::algo::stop::Watch;

/// From so many rows on one fold is enough.
const MANY_ROWS: usize = 20_000;
const N_FOLDS: usize = 5;
/// The share of many rows that is kept aside.
const SHARE: f64 = 0.1;
/// As many trees are grown where a class has too few rows to be parted.
const FEW_TREES: usize = 50;

const STREAM: u64 = 0x666f_6c64;

/// How many trees are to be grown, and how many were grown to find that out.
pub fn n_trees(data: Data, groups: &mut Groups, watch: &Watch) -> Result<(usize, usize), Error> {
    let folds = folds(data.labels, data.plan.seed)?;
    let Some(n_folds) = folds.iter().max().copied().filter(|n_folds| *n_folds > 0) else {
        return Ok((FEW_TREES.min(data.plan.n_trees), 0));
    };
    let mut runs = Vec::new();
    for fold in 1..=n_folds {
        let rows = 0..data.labels.len() as u32;
        let (aside, learnt) = rows.partition(|row| folds[*row as usize] == fold);
        runs.push(Run::new(data, learnt, aside)?);
    }
    let mut best = (f64::INFINITY, 0);
    let mut n_grown = 0;
    for tree in 1..=data.plan.n_trees {
        let mut sums = [0.0; 2];
        for run in &mut runs {
            run.grow(groups, watch)?;
            n_grown += 1;
            let [loss, weight] = run.loss(watch)?;
            sums = [sums[0] + loss, sums[1] + weight];
        }
        let loss = sums[0] / sums[1];
        watch.report(n_grown as u64, (data.plan.n_trees * (runs.len() + 1)) as u64, loss);
        if loss < best.0 {
            best = (loss, tree);
        } else if tree >= best.1 + data.plan.patience {
            break;
        }
    }
    Ok((best.1.max(1), n_grown))
}

/// The fold of each row, from 1 on, with 0 for those that are in none.
fn folds(labels: &[u8], seed: i64) -> Result<Vec<u8>, Error> {
    let random = Random::new(seed, STREAM);
    if labels.len() >= MANY_ROWS {
        let fold = |row: usize| u8::from(unit(random.at(row as u64)) < SHARE);
        let folds = memory::collect((0..labels.len()).map(fold))?;
        let mut seen = [[false; 2]; 2];
        folds.iter().zip(labels).for_each(|(fold, label)| {
            seen[usize::from(*fold)][usize::from(*label)] = true;
        });
        let all_seen = seen.as_flattened().iter().all(|seen| *seen);
        return Ok(if all_seen { folds } else { memory::filled(0, labels.len())? });
    }
    // The rows of each class are dealt out, so that every fold has its share.
    let mut folds = memory::filled(0, labels.len())?;
    for class in 0..2 {
        let mut rows: Vec<usize> = (0..labels.len()).filter(|row| labels[*row] == class).collect();
        if rows.len() < N_FOLDS {
            return Ok(memory::filled(0, labels.len())?);
        }
        Random::new(seed, STREAM + 1 + u64::from(class)).shuffle(&mut rows);
        rows.iter().zip((1..=N_FOLDS as u8).cycle()).for_each(|(row, fold)| folds[*row] = fold);
    }
    Ok(folds)
}
