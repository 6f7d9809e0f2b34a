//! How good a result is, by the definitions that scikit-learn uses, so that figures can be compared.

pub mod classification;
