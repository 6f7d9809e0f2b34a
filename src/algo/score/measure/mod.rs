//! How good scores are: of rows that a fit holds out, of rows that came later, and whether the fit has seen these.

mod figures;
mod holdout;
mod seen;

pub use figures::Figures;
pub use holdout::{Holdout, Metrics};
pub use seen::Seen;
