//! Named models: the registry that keeps them, versions, refits, tables that are published from them, and a customer's profile.
//!
//! What a kind of models does in its own way is behind [`family::Family`]. No file here knows a kind.

pub(crate) mod family;
mod profile;
pub(crate) mod publish;
pub(crate) mod readable;
mod refit;
pub(crate) mod registry;
mod versions;
