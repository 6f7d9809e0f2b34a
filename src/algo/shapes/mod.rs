//! Segments of other shapes than k-means finds: dense regions of any outline (DBSCAN).

mod dbscan;
mod error;
mod tree;

pub use dbscan::{DbscanParams, ValidDbscanParams, dbscan};
pub use error::Error;
