//! What is done with models: versions, rights, refits, and tables that are kept up to date from them.

mod history;
mod key_type;
mod models;
mod profile;
pub(crate) mod publish;
mod readable;
mod refit;
mod rowset;
pub(crate) mod table;
pub(crate) mod target;
