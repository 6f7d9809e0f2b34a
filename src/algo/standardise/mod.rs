//! Features on comparable scales: mergeable summaries, the scalers that are read off them, and RFM.

mod observe;
pub mod rfm;
pub mod scaler;
pub mod stats;
