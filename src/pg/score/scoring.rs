//! A scorer as a call site holds it: found by name, loaded once, bound to the rows' columns once.

use crate::algo::frame::{Column, Frame};
use crate::algo::memory;
use crate::algo::score::{self, Scorer};
use crate::pg::error::Report;
use crate::pg::kind::Kind;
use crate::pg::models::registry::{self, Found, LoadError, Stored, Version};
use crate::pg::rows::ingest::Role;
use crate::pg::sys::progress::Progress;
use crate::pg::sys::threads;
use crate::pg::types::record::{Binding, Row};

use super::native::Native;
use super::onnx::Imported;

/// The algorithm of imported versions.
pub(super) const ONNX: &str = "onnx";

/// A version in this backend's memory.
pub(super) enum Scoring {
    Native(Box<Native>),
    Onnx(Box<Imported>),
}

impl Stored for Scoring {
    const KIND: Kind = Kind::Scorer;

    fn load(version: &Version) -> Result<Self, LoadError> {
        Ok(match version.algorithm.as_str() {
            ONNX => Self::Onnx(Box::new(Imported::of(version)?)),
            _ => Self::Native(Box::new(Native::new(scorer(version)?))),
        })
    }
}

impl Scoring {
    /// The inputs, as a source is read for them.
    pub(super) fn inputs(&self) -> Vec<(&str, Role)> {
        match self {
            Self::Native(native) => native.inputs().collect(),
            Self::Onnx(imported) => imported.inputs().collect(),
        }
    }

    /// Which rows of a target are positive.
    pub(super) fn labels(&self, target: &Column) -> Result<Vec<bool>, score::Error> {
        match self {
            Self::Native(native) => native.scorer.labels(target),
            Self::Onnx(imported) => imported.labels(target).map(|found| found.labels),
        }
    }

    pub(super) fn score_frame(
        &self,
        frame: &Frame,
        progress: &Progress,
    ) -> Result<Vec<f64>, Report> {
        match self {
            Self::Native(native) => {
                let scorer = &native.scorer;
                Ok(threads::run(progress, |watch| scorer.score_frame(frame, watch))??)
            }
            Self::Onnx(imported) => imported.score_frame(frame),
        }
    }

    /// Whether a score may be a probability.
    pub(super) fn may_be_probability(&self) -> bool {
        match self {
            Self::Native(_) => true,
            Self::Onnx(imported) => imported.may_be_probability(),
        }
    }
}

/// The fitted scorer of a version, from the registry.
fn scorer(version: &Version) -> Result<Scorer, LoadError> {
    let bytes = registry::payload(version)?;
    memory::probe_decoding(bytes.len()).map_err(Report::from)?;
    Scorer::from_bytes(&bytes).map_err(|error| LoadError::Corrupt(error.to_string()))
}

/// A score is a finite number, or there is none: PostgreSQL takes NaN for the greatest number of all.
#[inline]
pub(super) fn finite(score: f64) -> Option<f64> {
    score.is_finite().then_some(score)
}

/// What a call site keeps between rows.
#[derive(Default)]
pub(super) struct Site {
    found: Found<Scoring>,
    pub(super) binding: Binding,
}

/// The way in which a call site's model scores.
pub(super) enum By<'a> {
    Native(&'a Native, &'a mut Binding),
    Onnx(&'a Imported, &'a mut Binding),
}

impl Site {
    /// The model of this name, ready to score rows.
    #[inline]
    pub(super) fn find(&mut self, model: &str) -> Result<By<'_>, Report> {
        let (found, is_new) = self.found.get(model)?;
        if is_new {
            self.binding.forget();
        }
        Ok(match &*found.model {
            Scoring::Native(native) => By::Native(native, &mut self.binding),
            Scoring::Onnx(imported) => By::Onnx(imported, &mut self.binding),
        })
    }
}

impl By<'_> {
    /// The score of one row.
    #[inline]
    pub(super) fn score(self, row: Row) -> Result<Option<f64>, Report> {
        match self {
            By::Native(native, binding) => native.score(binding, row).map(Some),
            By::Onnx(imported, binding) => {
                let mut rows = imported.gather(1)?;
                imported.push(&mut rows, binding, row)?;
                let (scores, _) = imported.scores(imported.ask(rows)?)?;
                Ok(scores.first().and_then(|score| finite(*score)))
            }
        }
    }

    /// Every output for one row.
    pub(super) fn predict(self, row: Row) -> Result<serde_json::Value, Report> {
        match self {
            By::Native(native, binding) => native.predict(binding, row),
            By::Onnx(imported, binding) => {
                let mut rows = imported.gather(1)?;
                imported.push(&mut rows, binding, row)?;
                imported.predict(rows)
            }
        }
    }
}
