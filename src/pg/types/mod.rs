//! Values as they come in and go out: datums of PostgreSQL's types, rows, jsonb, and the value types of our own.

pub(crate) mod any_text;
pub(crate) mod composite;
pub(crate) mod datum;
pub(crate) mod key;
pub(crate) mod names;
pub(crate) mod options;
pub(crate) mod record;
pub(crate) mod value;
pub(crate) mod value_type;
