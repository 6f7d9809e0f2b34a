//! Many rows at once: those of a query, an aggregate or a window, those that a value is applied to, and those that are written.

pub(crate) mod applied;
pub(crate) mod bulk;
pub(crate) mod flat;
pub(crate) mod frame;
pub(crate) mod gathered;
pub(crate) mod ingest;
pub(crate) mod records;
pub(crate) mod rowset;
pub(crate) mod window;
