//! What all fits do alike, whatever they learn: arguments, and the way from a source to a version.

mod arguments;
mod run;

pub(crate) use arguments::{Chosen, columns, names, stored};
pub(crate) use run::{Done, Filed, Fitting, Run, run};
