//! Features that are points in time: a model knows them as seconds, and people see dates.

use std::collections::BTreeMap;

use pgrx::pg_sys::{self, Oid};
use serde_json::Value;

use crate::pg::types::datum::{Kind, type_name, written};

/// Where a version's metrics say which features are points in time, and of what types.
pub(super) const MOMENTS: &str = "moments";

/// The types that are.
const TYPES: [Oid; 3] = [pg_sys::DATEOID, pg_sys::TIMESTAMPOID, pg_sys::TIMESTAMPTZOID];

/// As they are filed: the type of each feature, by its name.
pub(super) fn moments(types: &BTreeMap<String, Oid>) -> Value {
    types.iter().map(|(name, type_oid)| (name.clone(), type_name(*type_oid))).collect()
}

/// How values of features are written.
pub(super) struct Writing(BTreeMap<String, Oid>);

impl Writing {
    /// Of a version with these metrics.
    pub(super) fn of(metrics: &Value) -> Self {
        let named = |name: &Value| TYPES.into_iter().find(|one| name == &type_name(*one));
        let filed = metrics[MOMENTS].as_object().into_iter().flatten();
        Self(filed.filter_map(|(name, value)| Some((name.clone(), named(value)?))).collect())
    }

    /// A value of a feature as SQL writes it.
    pub(super) fn write(&self, feature: &str, value: f64) -> String {
        let type_oid = self.0.get(feature).copied().unwrap_or(pg_sys::FLOAT8OID);
        written(Kind::of(type_oid), type_oid, value)
    }
}
