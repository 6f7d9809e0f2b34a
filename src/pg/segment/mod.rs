//! Segments in SQL: the `kmeans` aggregate and its value, and named models of segments.

mod aggregate;
mod choose;
mod error;
mod fit;
mod flow;
mod labels;
mod model;
mod names;
mod report;
mod value;

pub(crate) use fit::{WORK, fit_again};
