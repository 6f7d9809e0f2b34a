//! `export_onnx`: a fitted scorer as a graph that scores the same elsewhere.

use pgrx::prelude::*;

use crate::algo::score::onnx_export;
use crate::pg::error::{Error, Report};
use crate::pg::registry::{self, LoadError, Model};

use super::required;
use super::scoring::{Scoring, scorer};

#[pg_extern]
fn export_onnx(model: Option<&str>) -> Result<Vec<u8>, Report> {
    let version = registry::active(required(model, "model")?, Scoring::KIND)?;
    let scorer = scorer(&version).map_err(|error| match error {
        LoadError::Other(report) => report,
        LoadError::Corrupt(why) => {
            Error::CorruptModel { name: version.name.clone(), version: version.version, why }.into()
        }
    })?;
    Ok(onnx_export::export(&scorer).onnx)
}
