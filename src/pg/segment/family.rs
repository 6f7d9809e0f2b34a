//! Models of segments among all models.

use pgrx::spi::quote_literal;
use serde_json::Value;

use crate::pg::error::Report;
use crate::pg::models::family::{self, Answers, Fresh, Headline, Published, Wanted, Whose};
use crate::pg::models::publish::Publication;
use crate::pg::models::publish::table::Stamp;
use crate::pg::models::registry::Version;

use super::labels::{self, COLUMNS};
use super::{fit, history};

pub(crate) struct Family;

impl family::Family for Family {
    fn fit_again(&self, live: &Version, source: &str, parameters: &Value) -> Result<Fresh, Report> {
        fit::fit_again(live, source, parameters)
    }

    fn headline(&self) -> Headline {
        Headline { name: "silhouette", pointer: "/quality/silhouette" }
    }

    fn published(&self) -> &'static Published {
        &Published {
            columns: &COLUMNS,
            rank: None,
            answer: &["segment", "label"],
            key_argument: ("key", None),
            rows_of: Whose::Source,
            keeps_history: true,
        }
    }

    fn rows(&self, version: &Version, wanted: &Wanted) -> Result<String, Report> {
        let (model, key) = (quote_literal(&version.name), wanted.key);
        // A volatile column keeps the planner from asking for the segment wherever it stands. OFFSET 0 would as well, but in one
        // process.
        let segments = wanted.of_source(&format!(
            ", persona.segment({model}, s.*) AS segment, pg_catalog.clock_timestamp()"
        ));
        Ok(format!(
            "SELECT p.{key}, p.segment, coalesce(d.name, d.label) AS label FROM ({segments}) AS p \
             LEFT JOIN persona.segments({model}) AS d ON d.segment = p.segment"
        ))
    }

    fn answers(
        &self,
        version: &Version,
        source: &str,
        key: &str,
    ) -> Result<Option<Box<dyn Answers>>, Report> {
        let labelled = labels::of_source(version, source, key)?;
        Ok(labelled.map(|labelled| Box::new(labelled) as Box<dyn Answers>))
    }

    fn answer(&self, rows: &[Value]) -> String {
        let of_first = |column: &str| rows.first().map_or(&Value::Null, |row| &row[column]);
        let [segment, label] = COLUMNS.map(|column| of_first(column.name));
        label.as_str().map_or_else(|| format!("segment {segment}"), str::to_owned)
    }

    fn keep_history(
        &self,
        version: &Version,
        publication: &Publication,
        history: &str,
        stamp: &Stamp,
    ) -> Result<(), Report> {
        history::keep(version, history, publication, stamp)
    }
}
