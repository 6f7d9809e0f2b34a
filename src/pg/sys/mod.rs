//! PostgreSQL as an extension meets it: how it calls functions and lends them memory, its settings, roles, catalogues and
//! interrupts.

pub(crate) mod call_site;
pub(crate) mod guc;
pub(crate) mod place;
pub(crate) mod progress;
pub(crate) mod query;
pub(crate) mod raw;
pub(crate) mod reserve;
pub(crate) mod scan;
pub(crate) mod security;
pub(crate) mod temporary;
pub(crate) mod threads;
