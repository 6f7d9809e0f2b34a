//! Recommenders among all models.

use pgrx::spi::quote_literal;
use serde_json::Value;

use crate::pg::error::Report;
use crate::pg::models::family::{self, Fresh, Headline, Published, Wanted, Whose};
use crate::pg::models::registry::{self, Version};

use super::everyone::{self, COLUMNS, RANK};
use super::{PLACES, fit};

pub(crate) struct Family;

impl family::Family for Family {
    fn fit_again(&self, live: &Version, source: &str, parameters: &Value) -> Result<Fresh, Report> {
        fit::fit_again(live, source, parameters).map(Fresh::from)
    }

    fn headline(&self) -> Headline {
        Headline { name: "ndcg_at_10", pointer: "/ndcg_at_10" }
    }

    fn published(&self) -> &'static Published {
        &Published {
            columns: &COLUMNS,
            rank: Some(RANK),
            answer: &["item", RANK],
            key_argument: ("user_column", Some("user_id")),
            rows_of: Whose::Model,
            keeps_history: false,
        }
    }

    fn rows(&self, version: &Version, wanted: &Wanted) -> Result<String, Report> {
        let Wanted { key, key_type, .. } = wanted;
        let item_type = registry::fresh(|| everyone::item_type(&version.name))?;
        Ok(format!(
            "SELECT r.user_key::{key_type} AS {key}, r.rank, r.item::{item_type}, r.score, \
             r.because_of::{item_type}, r.is_popular FROM persona.recommend_all({}, {}) AS r",
            quote_literal(&version.name),
            wanted.n.unwrap_or(PLACES),
        ))
    }

    fn key_type(&self, version: &Version) -> Result<Option<String>, Report> {
        registry::fresh(|| everyone::user_type(&version.name)).map(Some)
    }

    fn answer(&self, rows: &[Value]) -> String {
        let item = |row: &Value| match &row["item"] {
            Value::String(item) => item.clone(),
            item => item.to_string(),
        };
        rows.iter().map(item).collect::<Vec<_>>().join(", ")
    }
}
