//! A recommender as it is stored and served: the model and the names and types of the columns it was fitted on.

use serde::{Deserialize, Serialize};

use crate::algo::key::Form;
use crate::algo::memory;
use crate::algo::recommend::Recommender;
use crate::pg::error::Report;
use crate::pg::kind::Kind;
use crate::pg::models::registry::{self, LoadError, Stored, Version};

pub(super) struct Served {
    pub(super) columns: Columns,
    pub(super) recommender: Recommender,
}

/// The key columns of the source of the fit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Columns {
    pub(super) user: KeyColumn,
    pub(super) item: KeyColumn,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct KeyColumn {
    pub(super) name: String,
    /// The SQL type, qualified where it is not one of PostgreSQL's own. From a stored model it is only a claim.
    pub(super) sql_type: String,
    /// How the type writes equal values.
    pub(super) form: Form,
}

impl Stored for Served {
    const KIND: Kind = Kind::Recommender;

    fn load(version: &Version) -> Result<Self, LoadError> {
        let bytes = registry::payload(version)?;
        memory::probe_decoding(bytes.len() / 2).map_err(Report::from)?;
        let corrupt = |why: String| LoadError::Corrupt(why);
        let (columns, rest) =
            postcard::take_from_bytes(&bytes).map_err(|error| corrupt(error.to_string()))?;
        let recommender =
            Recommender::from_bytes(rest).map_err(|error| corrupt(error.to_string()))?;
        Ok(Self { columns, recommender })
    }
}

/// The bytes that [`Stored::load`] reads.
pub(super) fn payload(columns: &Columns, recommender: &Recommender) -> Result<Vec<u8>, Report> {
    let mut bytes = registry::encode(columns)?;
    memory::extend(&mut bytes, &recommender.to_bytes()?)?;
    Ok(bytes)
}
