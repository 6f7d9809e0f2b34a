//! A scorer as a call site holds it: found by name, loaded once, bound to the rows' columns once.

use crate::algo::score::Scorer;
use crate::pg::error::Report;
use crate::pg::record::{Binding, Record};
use crate::pg::registry::{self, Found, LoadError, Model, Version};

use super::native::Native;

/// A version in this backend's memory.
pub(super) enum Scoring {
    Native(Native),
}

impl Model for Scoring {
    const KIND: &'static str = "scorer";

    fn load(version: &Version) -> Result<Self, LoadError> {
        Ok(Self::Native(Native::new(scorer(version)?)))
    }
}

/// The fitted scorer of a version, from the registry.
pub(super) fn scorer(version: &Version) -> Result<Scorer, LoadError> {
    let bytes = registry::payload(version)?;
    Scorer::from_bytes(&bytes).map_err(|error| LoadError::Corrupt(error.to_string()))
}

/// What a call site keeps between rows.
#[derive(Default)]
pub(super) struct Site {
    pub(super) found: Found<Scoring>,
    pub(super) binding: Binding,
}

impl Site {
    /// The score of one row.
    #[inline]
    pub(super) fn score(&mut self, model: &str, record: Record) -> Result<Option<f64>, Report> {
        let (_, scoring, is_new) = self.found.get(model)?;
        if is_new {
            self.binding.forget();
        }
        match &**scoring {
            Scoring::Native(native) => native.score(&mut self.binding, record).map(Some),
        }
    }
}
