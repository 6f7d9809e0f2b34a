//! Summaries and scalers in SQL.

mod scaler;
mod stats;
