//! What a fit leaves: the model, as it labels a row, and beside another one.

pub(crate) mod fitted;
pub(crate) mod prepared;
pub(crate) mod successors;
