//! Segments in SQL: the `kmeans` aggregate and its value, and named models of segments.

mod aggregate;
mod arguments;
mod choose;
mod data;
mod error;
mod family;
mod fit;
mod flow;
mod history;
mod labels;
mod model;
mod moments;
mod names;
mod report;
mod value;

pub(crate) use data::WORK;
pub(crate) use family::Family;
