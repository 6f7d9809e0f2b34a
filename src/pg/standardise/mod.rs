//! Summaries and scalers in SQL.

mod moments;
mod quantiles;
mod scaler;
mod stats;
mod windows;
