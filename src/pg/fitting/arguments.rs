//! Arguments of fits: checked as they come, kept with the version, and read back by a refit.

use pgrx::prelude::PgSqlErrorCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::algo::declared::{self, Algorithm, Settings};
use crate::pg::error::{Error, Report, report};
use crate::pg::models::registry::Version;
use crate::pg::types::options::{self, Json, invalid, required};
use crate::pg::types::value::Names;

/// What a fit learns by.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Chosen {
    algorithm: String,
    /// Of the algorithm, all of them.
    parameters: Map<String, Value>,
}

impl Chosen {
    /// From the arguments of a fit, of these algorithms.
    pub(crate) fn of(
        algorithm: Option<&str>,
        parameters: Option<Json>,
        all: &[&'static Algorithm],
    ) -> Result<(Self, Settings), Report> {
        let algorithm = options::algorithm(required(algorithm, "algorithm")?, all)?;
        let settings = required(parameters, "parameters")?.settings("parameters", algorithm)?;
        let chosen = Self { algorithm: algorithm.name.to_owned(), parameters: settings.to_json() };
        Ok((chosen, settings))
    }

    /// As it was stored with a version.
    pub(crate) fn settings(
        &self,
        version: &Version,
        all: &[&'static Algorithm],
    ) -> Result<Settings, Report> {
        let unknown =
            |_| not_of_a_fit(version, format!("algorithm \"{}\" is not known", self.algorithm));
        let algorithm = declared::named(&self.algorithm, all).map_err(unknown)?;
        algorithm.stored(&self.parameters).map_err(|error| not_of_a_fit(version, error))
    }
}

/// The arguments of a version's fit, from its parameters in the registry.
pub(crate) fn stored<T: DeserializeOwned>(
    version: &Version,
    parameters: &Value,
) -> Result<T, Report> {
    T::deserialize(parameters).map_err(|error| not_of_a_fit(version, error))
}

fn not_of_a_fit(version: &Version, why: impl ToString) -> Report {
    version.corrupt(format!("its parameters are not those of a fit ({})", why.to_string()))
}

/// The names of features.
pub(crate) fn names(Names(names): Names) -> Result<Vec<String>, Report> {
    names.into_iter().collect::<Option<Vec<String>>>().ok_or_else(|| {
        report(PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED, "a feature's name must not be NULL")
    })
}

/// Refuses a column among the features that is something else to the fit: the key, or what the rows weigh.
pub(crate) fn refuse_among(
    features: Option<&Vec<String>>,
    taken: &[(&str, Option<&str>)],
) -> Result<(), Report> {
    for (what, column) in taken {
        if features.into_iter().flatten().any(|feature| Some(feature.as_str()) == *column) {
            let column = column.unwrap_or_default();
            return Err(invalid("features", column, format_args!("columns other than the {what}")));
        }
    }
    Ok(())
}

/// The names of the columns that are features: at least one, each once.
pub(crate) fn columns(given: Names) -> Result<Vec<String>, Report> {
    let names = names(given)?;
    if names.is_empty() {
        return Err(Error::NoFeatures.into());
    }
    match names.iter().enumerate().find(|(idx, name)| names[..*idx].contains(name)) {
        Some((_, twice)) => Err(invalid("features", twice, "each column once")),
        None => Ok(names),
    }
}
