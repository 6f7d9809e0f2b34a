//! Summaries, scalers and RFM in SQL.

mod moments;
mod quantiles;
mod rfm;
mod scaler;
mod stats;
mod windows;
