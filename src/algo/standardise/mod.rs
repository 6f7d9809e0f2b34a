//! Features on comparable scales: mergeable summaries, and the scalers that are read off them.

pub mod align;
mod digest;
pub mod frames;
mod observe;
pub mod outliers;
pub mod power;
pub mod quantiles;
pub mod scaler;
pub mod stats;
