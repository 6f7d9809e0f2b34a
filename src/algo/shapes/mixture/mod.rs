//! Gaussian mixtures: segments with soft borders, each a normal distribution with a weight.
//!
//! `fit` standardises, starts from k-means and runs expectation-maximisation (Dempster, Laird and Rubin 1977); the model
//! that comes out says how probable each segment is for a row, and how dense rows lie where it is. (rows, parameters, seed)
//! decide the result, bit for bit, on any number of threads and in any order of the rows.

mod fit;
mod model;
mod params;
mod pass;
mod prepared;
#[cfg(test)]
mod tests;

pub use fit::fit_mixture;
pub use model::{ComponentFeature, Mixture};
pub use params::{Covariance, GAUSSIAN_MIXTURE, MixtureParams, ValidMixtureParams};
pub use pass::work_bytes;
pub use prepared::PreparedMixture;
