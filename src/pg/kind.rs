//! What a model does: which functions take it, and what is published from it.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Segments,
    Scorer,
    Recommender,
}

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::Segments, Kind::Scorer, Kind::Recommender];

    /// As the registry and messages have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Segments => "segments",
            Kind::Scorer => "scorer",
            Kind::Recommender => "recommender",
        }
    }

    /// The registry allows no other names.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}
