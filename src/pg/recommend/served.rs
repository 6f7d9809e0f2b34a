//! A recommender as it is stored and served: the model and the names and types of the columns it was fitted on.

use std::cell::RefCell;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::algo::recommend::Recommender;
use crate::pg::error::Report;
use crate::pg::registry::{self, Found, LoadError, Model, Version};

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
}

impl Model for Served {
    const KIND: &'static str = "recommender";

    fn load(version: &Version) -> Result<Self, LoadError> {
        let bytes = registry::payload(version)?;
        let corrupt = |why: String| LoadError::Corrupt(why);
        let (columns, rest) =
            postcard::take_from_bytes(&bytes).map_err(|error| corrupt(error.to_string()))?;
        let recommender =
            Recommender::from_bytes(rest).map_err(|error| corrupt(error.to_string()))?;
        Ok(Self { columns, recommender })
    }
}

/// The bytes that [`Model::load`] reads.
pub(super) fn payload(columns: &Columns, recommender: &Recommender) -> Result<Vec<u8>, Report> {
    let mut bytes = registry::encode(columns)?;
    bytes.extend(recommender.to_bytes()?);
    Ok(bytes)
}

/// The active version of a model. A set-returning function has its call site's memory taken by PostgreSQL, so what was
/// found is kept per backend and name; [`Found`] looks again when the snapshot or the role is another.
pub(super) fn served(name: &str) -> Result<(Version, Rc<Served>), Report> {
    // Taken out while in use: a look-up may run a policy's functions, and these may come here again.
    let taken = KEPT.with_borrow_mut(|kept| {
        kept.iter().position(|(known, _)| known == name).map(|position| kept.remove(position))
    });
    let (name, mut found) = taken.unwrap_or_else(|| (name.to_owned(), Found::default()));
    let (version, served, _) = found.get(&name)?;
    let result = (version.clone(), Rc::clone(served));
    KEPT.with_borrow_mut(|kept| {
        kept.truncate(NAMES - 1);
        kept.insert(0, (name, found));
    });
    Ok(result)
}

/// Names kept in a backend, last used first.
const NAMES: usize = 8;

thread_local! {
    static KEPT: RefCell<Vec<(String, Found<Served>)>> = const { RefCell::new(Vec::new()) };
}
