//! Segments of other shapes than k-means finds: dense regions of any outline (DBSCAN), and overlapping ellipsoids with soft
//! borders (Gaussian mixtures).

mod dbscan;
mod error;
mod mixture;
mod tree;

pub use dbscan::{DbscanParams, ValidDbscanParams, dbscan};
pub use error::Error;
pub use mixture::{
    ComponentFeature, Covariance, GAUSSIAN_MIXTURE, Mixture, MixtureParams, PreparedMixture,
    ValidMixtureParams, fit_mixture, work_bytes,
};
