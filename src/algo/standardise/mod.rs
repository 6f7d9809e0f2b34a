//! Features on comparable scales: mergeable summaries, the scalers that are read off them, and RFM.

pub mod frames;
mod observe;
pub mod outliers;
pub mod power;
pub mod quantiles;
pub mod rfm;
pub mod scaler;
pub mod stats;
