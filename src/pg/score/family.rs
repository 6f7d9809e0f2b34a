//! Scorers among all models.

use pgrx::spi::quote_literal;
use serde_json::Value;

use crate::pg::error::Report;
use crate::pg::models::family::{self, Fresh, Headline, Published, Wanted, Whose};
use crate::pg::models::publish::table::Column;
use crate::pg::models::registry::Version;

use super::fit;

pub(crate) struct Family;

const SCORE: &str = "score";
const COLUMNS: [Column; 1] = [Column::new(SCORE, "double precision")];

impl family::Family for Family {
    fn fit_again(&self, live: &Version, source: &str, parameters: &Value) -> Result<Fresh, Report> {
        fit::fit_again(live, source, parameters).map(Fresh::from)
    }

    fn headline(&self) -> Headline {
        Headline { name: "roc_auc", pointer: "/roc_auc" }
    }

    fn published(&self) -> &'static Published {
        &Published {
            columns: &COLUMNS,
            rank: None,
            answer: &[SCORE],
            key_argument: ("key", None),
            rows_of: Whose::Source,
            keeps_history: false,
        }
    }

    fn rows(&self, version: &Version, wanted: &Wanted) -> Result<String, Report> {
        let model = quote_literal(&version.name);
        Ok(wanted.of_source(&format!(", persona.score_batch({model}, s.*) OVER () AS {SCORE}")))
    }

    fn answer(&self, rows: &[Value]) -> String {
        let score = rows.first().and_then(|row| row[SCORE].as_f64());
        score.map_or_else(String::new, |score| format!("{score:.4}"))
    }
}
