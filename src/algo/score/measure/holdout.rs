//! What is kept of the rows that a fit holds out: how the model scored each, and the figures of them all.

use serde::{Deserialize, Serialize};

use crate::algo::memory::Refused;
use crate::algo::metrics::classification;

/// The held-out rows, whether each is positive and how the model that did not see them scored it: at most [`Holdout::LARGEST`] of
/// them, and all that the metrics are of where there are no more. Frames are in an order by content, so the first are a sample.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Holdout {
    pub labels: Vec<bool>,
    pub scores: Vec<f64>,
}

impl Holdout {
    pub const LARGEST: usize = 100_000;

    /// Whether the parts fit together.
    pub fn is_whole(&self) -> bool {
        self.labels.len() == self.scores.len() && self.scores.iter().all(|score| score.is_finite())
    }
}

/// How a model that did not see the held-out rows scored them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// None where the held-out rows are of one class.
    pub roc_auc: Option<f64>,
    pub average_precision: Option<f64>,
    pub log_loss: f64,
    pub brier: f64,
    pub accuracy: f64,
    /// The share of positive rows among the held-out ones.
    pub base_rate: f64,
    pub n_train: u64,
    pub n_holdout: u64,
}

impl Metrics {
    /// Of these held-out rows, of which there must be one.
    pub fn new(labels: &[bool], scores: &[f64], n_train: usize) -> Result<Self, Refused> {
        let n_positive = labels.iter().filter(|&&label| label).count();
        let one_class = n_positive == 0 || n_positive == labels.len();
        let average_precision = classification::average_precision(labels, scores)?;
        Ok(Self {
            roc_auc: classification::roc_auc(labels, scores)?,
            average_precision: average_precision.filter(|_| !one_class),
            log_loss: classification::log_loss(labels, scores),
            brier: classification::brier(labels, scores),
            accuracy: classification::accuracy(labels, scores),
            base_rate: n_positive as f64 / labels.len() as f64,
            n_train: n_train as u64,
            n_holdout: labels.len() as u64,
        })
    }

    pub fn is_finite(&self) -> bool {
        let always = [self.log_loss, self.brier, self.accuracy, self.base_rate];
        let perhaps = [self.roc_auc, self.average_precision];
        always.into_iter().chain(perhaps.into_iter().flatten()).all(f64::is_finite)
    }
}
