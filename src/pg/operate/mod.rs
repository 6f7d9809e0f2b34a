//! What is done with models: versions, rights, refits, and tables that are kept up to date from them.

mod models;
mod profile;
pub(crate) mod publish;
mod refit;
pub(crate) mod table;
