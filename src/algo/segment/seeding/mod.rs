//! Where a run starts from: greedy k-means++ of a sample or of all rows, or k-means||.

pub(crate) mod closest;
mod parallel;
pub(crate) mod plus_plus;
pub(crate) mod start;
