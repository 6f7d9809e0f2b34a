//! The learners: what each is fitted by, and what each leaves. A learner is a folder of its own, a line of [`METHODS`] and an arm here.

use serde::{Deserialize, Serialize};

use super::Error;
use super::additive::Additive;
use super::boosted_trees::{self, BoostedTrees, Trees};
use super::inputs::{Input, Row, Training};
use super::logistic::{self, Linear, Weighed};
use super::naive_bayes::{self, Bells, NaiveBayes};
use crate::algo::declared::{Algorithm, Settings};
use crate::algo::frame::Frame;
use crate::algo::stop::Watch;

/// What was learnt from the inputs of a scorer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Learner {
    Linear(Linear),
    NaiveBayes(NaiveBayes),
    BoostedTrees(BoostedTrees),
}

/// A learner as its fit gives it.
pub struct Learnt {
    pub learner: Learner,
    /// Steps, of a learner that goes step by step.
    pub iterations: usize,
    pub converged: bool,
}

/// How an algorithm learns.
struct Method {
    algorithm: &'static Algorithm,
    fit: fn(&Training, &Settings, &Watch) -> Result<Learnt, Error>,
}

const METHODS: &[Method] = &[
    Method {
        algorithm: &logistic::ALGORITHM,
        fit: |training, settings, watch| {
            let (linear, iterations, converged) = logistic::fit(training, settings, watch)?;
            Ok(Learnt { learner: Learner::Linear(linear), iterations, converged })
        },
    },
    Method {
        algorithm: &naive_bayes::ALGORITHM,
        fit: |training, settings, watch| {
            let learner = Learner::NaiveBayes(naive_bayes::fit(training, settings, watch)?);
            Ok(Learnt { learner, iterations: 1, converged: true })
        },
    },
    Method {
        algorithm: &boosted_trees::ALGORITHM,
        fit: |training, settings, watch| {
            let trees = boosted_trees::fit(training, settings, watch)?;
            let iterations = trees.trees.len();
            Ok(Learnt { learner: Learner::BoostedTrees(trees), iterations, converged: true })
        },
    },
];

/// What a scorer can be fitted by.
pub fn algorithms() -> Vec<&'static Algorithm> {
    METHODS.iter().map(|method| method.algorithm).collect()
}

/// Learns by the algorithm of the settings.
pub fn fit(training: &Training, settings: &Settings, watch: &Watch) -> Result<Learnt, Error> {
    let name = settings.algorithm().name;
    let mut methods = METHODS.iter();
    let method = methods.find(|method| method.algorithm.name == name);
    let method = method.ok_or(Error::UnknownAlgorithm { name })?;
    (method.fit)(training, settings, watch)
}

impl Learner {
    /// What is wrong with it, as the learner of these inputs.
    pub fn fault(&self, inputs: &[Input]) -> Option<&'static str> {
        match self {
            Self::Linear(linear) => linear.fault(inputs),
            Self::NaiveBayes(bayes) => bayes.fault(inputs),
            Self::BoostedTrees(trees) => trees.fault(inputs),
        }
    }

    pub fn prepare(&self, inputs: &[Input]) -> Prepared {
        match self {
            Self::Linear(linear) => Prepared::Linear(linear.prepare(inputs)),
            Self::NaiveBayes(bayes) => Prepared::NaiveBayes(bayes.prepare(inputs)),
            Self::BoostedTrees(trees) => Prepared::BoostedTrees(trees.prepare(inputs)),
        }
    }

    /// The weights of a learner that is no more than those, as a graph can be written of.
    pub fn linear(&self) -> Option<&Linear> {
        match self {
            Self::Linear(linear) => Some(linear),
            Self::NaiveBayes(_) | Self::BoostedTrees(_) => None,
        }
    }
}

/// A learner ready to score rows.
#[derive(Debug, Clone)]
pub enum Prepared {
    Linear(Additive<Weighed>),
    NaiveBayes(Additive<Bells>),
    BoostedTrees(Trees),
}

impl Prepared {
    /// The probability of the positive class.
    #[inline]
    pub fn score<R: Row>(&self, row: R) -> Result<f64, R::Error> {
        match self {
            Self::Linear(linear) => linear.score(row),
            Self::NaiveBayes(bayes) => bayes.score(row),
            Self::BoostedTrees(trees) => trees.score(row),
        }
    }

    /// The score of every row; columns are found by name, in any order, and others may stand beside them.
    pub fn score_frame(
        &self,
        inputs: &[Input],
        frame: &Frame,
        watch: &Watch,
    ) -> Result<Vec<f64>, Error> {
        match self {
            Self::Linear(linear) => linear.score_frame(inputs, frame, watch),
            Self::NaiveBayes(bayes) => bayes.score_frame(inputs, frame, watch),
            Self::BoostedTrees(trees) => trees.score_frame(inputs, frame, watch),
        }
    }
}
