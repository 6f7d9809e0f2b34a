//! PostgreSQL as an extension meets it: how it calls functions and lends them memory, its settings, roles, catalogues and
//! interrupts.

pub(crate) mod argument;
pub(crate) mod call;
pub(crate) mod call_site;
pub(crate) mod child;
pub(crate) mod guc;
pub(crate) mod lock;
pub(crate) mod place;
pub(crate) mod progress;
pub(crate) mod query;
pub(crate) mod raw;
pub(crate) mod relation;
pub(crate) mod reserve;
pub(crate) mod scan;
pub(crate) mod security;
pub(crate) mod server;
pub(crate) mod snapshot;
pub(crate) mod temporary;
pub(crate) mod threads;
pub(crate) mod time_zone;
