//! Scorers among all models.

use pgrx::spi::quote_literal;
use serde_json::Value;

use crate::pg::error::Report;
use crate::pg::models::family::{self, From, Headline, Published, Wanted};
use crate::pg::models::registry::Version;

use super::fit;

pub(crate) struct Family;

const COLUMNS: [&str; 1] = ["score"];

impl family::Family for Family {
    fn fit_again(
        &self,
        live: &Version,
        source: &str,
        parameters: &Value,
    ) -> Result<Version, Report> {
        fit::fit_again(live, source, parameters)
    }

    fn headline(&self) -> Headline {
        Headline { name: "roc_auc", pointer: "/roc_auc" }
    }

    fn published(&self) -> &'static Published {
        &Published {
            columns: &COLUMNS,
            rank: None,
            answer: &COLUMNS,
            key_argument: ("key", None),
            from: From::Source,
            keeps_history: false,
        }
    }

    fn rows(&self, version: &Version, wanted: &Wanted) -> Result<String, Report> {
        let (model, [score]) = (quote_literal(&version.name), COLUMNS);
        Ok(wanted.of_source(&format!(", persona.score_batch({model}, s.*) OVER () AS {score}")))
    }

    fn answer(&self, rows: &[Value]) -> String {
        let [score] = COLUMNS.map(|column| rows.first().and_then(|row| row[column].as_f64()));
        score.map_or_else(String::new, |score| format!("{score:.4}"))
    }
}
