//! Gradient boosting of decision trees over binned values: each tree is fitted to the gradients of the log-loss that the trees before it
//! leave, and grown leaf by leaf where it gains most.
//!
//! Missing numbers go to the side of a split where they gain more, texts are split by sets of their levels. What a split of the fit
//! never saw goes with the greater part of its rows; a level that no row of the fit had counts as a rare one.
//!
//! Gradients are whole numbers (`gradient`), so no sum of the fit hangs on the order of rows, on threads or on the processor.

pub mod ahead;
pub mod bins;
pub mod boost;
pub mod evaluate;
pub mod gradient;
pub mod groups;
pub mod grow;
pub mod histogram;
pub mod model;
pub mod rows;
pub mod search;
pub mod split;
pub mod stopping;
pub mod table;
#[cfg(test)]
mod tests;
pub mod to_model;
pub mod walk;

use std::ops::Bound;

pub use evaluate::Trees;
pub use model::{BoostedTrees, MAX_LEAVES, MAX_LEVELS, MAX_TREES, Node, Tree};

use self::boost::{Plan, boost};
use self::gradient::ClassWeights;
use self::grow::Shape;
use self::split::Limits;
use super::Error;
use super::inputs::{MAX_CATEGORIES, Training};
use crate::algo::declared::{Algorithm, Number, Parameter, Settings, Whole, Word, words};
use crate::algo::stop::Watch;

pub static ALGORITHM: Algorithm = Algorithm {
    name: "boosted_trees",
    meaning: "gradient boosting of decision trees, the next one where those before it are wrong",
    source: "Friedman, Greedy function approximation (2001); Ke et al., LightGBM (2017)",
    parameters: &[
        Parameter::Whole(N_TREES),
        Parameter::Number(LEARNING_RATE),
        Parameter::Whole(MAX_LEAVES_OF_TREE),
        Parameter::Whole(MAX_DEPTH),
        Parameter::Whole(MIN_ROWS_PER_LEAF),
        Parameter::Number(L2),
        Parameter::Number(ROW_SHARE),
        Parameter::Number(COLUMN_SHARE),
        Parameter::Whole(PATIENCE),
        Parameter::Word(CLASS_WEIGHT),
        Parameter::Whole(TREE_CATEGORIES),
        Parameter::Number(CATEGORY_L2),
        Parameter::Number(CATEGORY_SMOOTHING),
    ],
};

pub const N_TREES: Whole = Whole {
    name: "n_trees",
    meaning: "trees at most",
    least: 1,
    most: MAX_TREES as i64,
    default: 1000,
};
pub const LEARNING_RATE: Number = Number {
    name: "learning_rate",
    meaning: "how much of what a tree says is believed",
    least: Bound::Excluded(0.0),
    most: Bound::Included(1.0),
    default: 0.05,
};
pub const MAX_LEAVES_OF_TREE: Whole = Whole {
    name: "max_leaves",
    meaning: "leaves of a tree at most",
    least: 2,
    most: MAX_LEAVES as i64,
    default: 15,
};
pub const MAX_DEPTH: Whole = Whole {
    name: "max_depth",
    meaning: "splits at most from the root of a tree to a leaf",
    least: 1,
    most: model::MAX_DEPTH as i64,
    default: model::MAX_DEPTH as i64,
};
pub const MIN_ROWS_PER_LEAF: Whole = Whole {
    name: "min_rows_per_leaf",
    meaning: "rows of a leaf at least",
    least: 1,
    most: 1_000_000_000,
    default: 20,
};
pub const L2: Number = Number {
    name: "l2",
    meaning: "penalty on the squared values of leaves",
    least: Bound::Included(0.0),
    most: Bound::Included(1e6),
    default: 1.0,
};
pub const ROW_SHARE: Number = Number {
    name: "row_share",
    meaning: "share of the rows that each tree learns from",
    least: Bound::Excluded(0.0),
    most: Bound::Included(1.0),
    default: 1.0,
};
pub const COLUMN_SHARE: Number = Number {
    name: "column_share",
    meaning: "share of the columns that each tree may use",
    least: Bound::Excluded(0.0),
    most: Bound::Included(1.0),
    default: 0.6,
};
pub const PATIENCE: Whole = Whole {
    name: "patience",
    meaning: "trees without a gain on rows kept aside that end the fit; 0 for all trees",
    least: 0,
    most: MAX_TREES as i64,
    default: 50,
};
const CLASS_WEIGHTS: [(&str, bool); 2] = [("none", false), ("balanced", true)];
pub const CLASS_WEIGHT: Word = Word {
    name: "class_weight",
    meaning: "balanced: both classes count alike, however many rows they have",
    words: &words(&CLASS_WEIGHTS),
    default: "none",
};
/// A bin is a byte.
pub const TREE_CATEGORIES: Whole =
    Whole { most: MAX_LEVELS as i64, default: MAX_LEVELS as i64, ..MAX_CATEGORIES };
pub const CATEGORY_L2: Number = Number {
    name: "category_l2",
    meaning: "penalty on splits of texts, beside l2",
    default: 10.0,
    ..L2
};
pub const CATEGORY_SMOOTHING: Number = Number {
    name: "category_smoothing",
    meaning: "how far levels of few rows are drawn to the middle before levels are split",
    default: 10.0,
    ..L2
};

/// More inputs than a table of PostgreSQL has columns.
pub const MAX_INPUTS: usize = 2048;
/// Splits whose sides have less curvature are not tried: nothing is left to be learnt there.
const LEAST_CURVE: f64 = 1e-3;

/// The model, and how many trees it has.
pub fn fit(training: &Training, settings: &Settings, watch: &Watch) -> Result<BoostedTrees, Error> {
    let found = training.inputs.len();
    if found > MAX_INPUTS {
        return Err(Error::TooManyFeatures { found, limit: MAX_INPUTS });
    }
    let plan = plan(training, settings);
    let boosted = boost(training, &plan, watch)?;
    let (gradient_unit, curve_unit) = plan.weights.units();
    // A leaf's loss falls by half of what its split is worth.
    Ok(to_model::to_model(boosted, 0.5 * gradient_unit * gradient_unit / curve_unit))
}

fn plan(training: &Training, settings: &Settings) -> Plan {
    let share = |parameter| settings.number(parameter);
    let size = |parameter| settings.whole(parameter) as usize;
    let weights = if settings.meant(&CLASS_WEIGHT, &CLASS_WEIGHTS) {
        balanced(training.labels)
    } else {
        ClassWeights { negative: 1.0, positive: 1.0 }
    };
    let (gradient_unit, curve_unit) = weights.units();
    Plan {
        n_trees: size(&N_TREES),
        patience: size(&PATIENCE),
        row_share: share(&ROW_SHARE),
        column_share: share(&COLUMN_SHARE),
        weights,
        shape: Shape {
            max_leaves: size(&MAX_LEAVES_OF_TREE),
            max_depth: size(&MAX_DEPTH),
            learning_rate: share(&LEARNING_RATE),
            limits: Limits {
                l2: share(&L2) / curve_unit,
                category_l2: share(&CATEGORY_L2) / curve_unit,
                category_smoothing: share(&CATEGORY_SMOOTHING) / curve_unit,
                least_rows: settings.whole(&MIN_ROWS_PER_LEAF),
                least_curve: (LEAST_CURVE / curve_unit).ceil() as i64,
                least_gain: LEAST_GAIN * curve_unit / (gradient_unit * gradient_unit),
            },
            unit: gradient_unit / curve_unit,
        },
        seed: training.seed,
    }
}

/// Below this a gain of the log-loss is what rounding leaves.
const LEAST_GAIN: f64 = 1e-9;

fn balanced(labels: &[bool]) -> ClassWeights {
    let n = labels.len() as f64;
    let n_positive = labels.iter().filter(|&&label| label).count() as f64;
    let weight = |of_class: f64| (n / (2.0 * of_class)) as f32;
    ClassWeights { negative: weight(n - n_positive), positive: weight(n_positive) }
}
