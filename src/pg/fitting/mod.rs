//! What all fits do alike, whatever they learn: arguments, and the way from a source to a version.

mod arguments;
mod run;
mod suspects;

pub(crate) use arguments::{Chosen, columns, names, refuse_among, stored};
pub(crate) use run::{Done, Filed, Fitting, Run, run};
pub(crate) use suspects::{warn_of_suspects, warn_of_suspects_in};
