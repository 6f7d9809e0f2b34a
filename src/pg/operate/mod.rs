//! What is done with models: versions, rights, refits, and tables that are kept up to date from them.

pub(crate) mod publish;
