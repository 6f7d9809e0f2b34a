//! Summaries, scalers and RFM in SQL.

mod rfm;
mod scaler;
mod stats;
