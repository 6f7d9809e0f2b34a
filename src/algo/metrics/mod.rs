//! Measures of how good a result is; knows nothing of what made it.

pub mod ranking;
