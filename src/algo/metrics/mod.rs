//! How good a result is, by the definitions that scikit-learn uses; knows nothing of what made it.

pub mod classification;
pub mod clustering;
pub mod curves;
pub mod delong;
pub mod ranking;
pub mod regression;
