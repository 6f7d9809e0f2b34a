//! The arguments of a fit of segments: checked as they come, and kept for the next fit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::algo::segment::{Metric, Missing, Params, SILHOUETTE_ROWS, Scaling, Seeding};
use crate::algo::store::Place;
use crate::pg::error::Report;
use crate::pg::types::options::{Given, Json, one_of};

pub(super) const METRICS: [(&str, Metric); 2] = Metric::ALL;
pub(super) const STORAGES: [(&str, Storage); 3] =
    [("auto", Storage::Auto), ("memory", Storage::Memory), ("disk", Storage::Disk)];

/// The arguments of a fit, as the registry keeps them for the next one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Arguments {
    pub(super) key: String,
    pub(super) k: i64,
    /// Columns of the source, in the order of the fit.
    pub(super) features: Option<Vec<String>>,
    pub(super) scaling: Scaled,
    pub(super) seed: i64,
    pub(super) max_iterations: i64,
    pub(super) n_init: i64,
    /// Of the features.
    #[serde(default)]
    pub(super) weights: BTreeMap<String, f64>,
    #[serde(default)]
    pub(super) storage: Storage,
    #[serde(default)]
    pub(super) metric: Metric,
    #[serde(default)]
    pub(super) seeding: Seeding,
    #[serde(default)]
    pub(super) missing: Missing,
    /// Holds what each row weighs.
    #[serde(default)]
    pub(super) weight_column: Option<String>,
}

/// How features are scaled: all alike, or some columns each in a way of its own and the others as standard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Scaled {
    Alike(Scaling),
    ByColumn(BTreeMap<String, Scaling>),
}

impl Scaled {
    /// From a word, or a JSON object of words by column.
    pub(super) fn parse(text: &str) -> Result<Self, Report> {
        if !text.trim_start().starts_with('{') {
            return one_of("scaling", text, &Scaling::ALL).map(Self::Alike);
        }
        let way = |mut given: Given| {
            let word: Option<String> = given.read();
            let way = word.and_then(|word| Scaling::ALL.iter().find(|(name, _)| *name == word));
            match way {
                Some((_, way)) => Ok((given.name, *way)),
                None => {
                    given.name = format!("scaling of {}", given.name);
                    Err(given.invalid(&Scaling::ALL.map(|(name, _)| name).join(", ")))
                }
            }
        };
        let valid =
            "a scaling, or a JSON object of scalings by column, as {\"monetary\": \"log1p\"}";
        let ways = Json(text.to_owned());
        ways.entries("scaling", valid)?
            .into_iter()
            .map(way)
            .collect::<Result<_, _>>()
            .map(Self::ByColumn)
    }

    /// That of the features that have none of their own.
    pub(super) fn of_others(&self) -> Scaling {
        match self {
            Self::Alike(scaling) => *scaling,
            Self::ByColumn(_) => Scaling::Standard,
        }
    }
}

/// Where the rows of a fit and its arrays lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Storage {
    /// In memory if the budget has room for them.
    #[default]
    Auto,
    Memory,
    Disk,
}

impl Arguments {
    pub(super) fn params(&self, place: &Place) -> Params {
        Params {
            k: self.k,
            scaling: self.scaling.of_others(),
            metric: self.metric,
            max_iterations: self.max_iterations,
            n_init: self.n_init,
            seeding: self.seeding,
            seed: self.seed,
            tolerance: None,
            quality: Some(SILHOUETTE_ROWS),
            place: place.clone(),
        }
    }
}

/// `{"column": 2}`: how much columns count.
pub(super) fn parse_weights(weights: Json) -> Result<BTreeMap<String, f64>, Report> {
    let valid = "a JSON object of numbers by column, as {\"monetary\": 2}";
    let weight = |mut given: Given| match given.read() {
        Some(weight) => Ok((given.name, weight)),
        None => {
            given.name = "weights".into();
            Err(given.invalid(valid))
        }
    };
    weights.entries("weights", valid)?.into_iter().map(weight).collect()
}
