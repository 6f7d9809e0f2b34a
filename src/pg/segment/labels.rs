//! Tables of labels: key, segment and label of each row, remembered so that a refit writes them again.

use crate::algo::frame::{Column, Values};
use crate::algo::segment::original;
use crate::pg::error::Report;
use crate::pg::models::publish::table::{self, Output, Stamp, Written};
use crate::pg::models::publish::target;
use crate::pg::models::publish::{self, Publication};
use crate::pg::models::registry::{Path, Version};
use crate::pg::names::written_type;

use super::model::Described;

/// What a table of labels has, after the key.
pub(super) const COLUMNS: [table::Column; 2] =
    [table::Column::new("segment", "integer"), table::Column::new("label", "text")];

/// Rows of a source with their labels.
pub(super) struct Labelled<'a> {
    pub(super) key: &'a Column,
    pub(super) key_type: &'a str,
    /// Which row each label is of.
    pub(super) order: Option<&'a [u32]>,
    /// From 1.
    pub(super) labels: &'a [u32],
}

/// Writes key, segment and label into the table, by difference.
pub(super) fn write(
    version: &Version,
    into: &str,
    rows: &Labelled,
    described: &[Described],
    stamp: &Stamp,
) -> Result<Written, Report> {
    let key = rows.key.name.as_str();
    target::check_key(key, &COLUMNS)?;
    let key_type = key_type(rows)?;
    let is_copy = target::is_temporary(into)?;
    target::must_be_fit(version.model_id, is_copy, into, (key, &key_type), &COLUMNS)?;
    let output = |name, sql_type, is_key| Output { name, sql_type, is_key };
    let others = COLUMNS.iter().map(|one| output(one.name, one.sql_type.unwrap_or("text"), false));
    let columns: Vec<Output> =
        [output(key, key_type.as_str(), true)].into_iter().chain(others).collect();
    let words: Vec<&str> =
        described.iter().map(|one| one.name.as_deref().unwrap_or(&one.label)).collect();
    table::write(into, &columns, stamp, rows.labels.len(), |place, text| {
        let row = original(rows.order, place);
        match &rows.key.values {
            Values::Integer(keys) => text.integer(keys[row]),
            Values::Text { codes, dictionary } => text.text(&dictionary[codes[row] as usize]),
            Values::Number(values) => text.float(values[row]),
        }
        let segment = rows.labels[place];
        text.integer(i64::from(segment));
        text.text(words.get(segment as usize - 1).copied().unwrap_or_default());
    })
}

fn key_type(rows: &Labelled) -> Result<String, Report> {
    Ok(written_type(rows.key_type)?.unwrap_or_else(|| "text".to_owned()))
}

/// Remembers that the table is kept from this model, by the source of its fit. A temporary one is a copy.
pub(super) fn remember(
    version: &Version,
    target: &str,
    rows: &Labelled,
    n_rows: i64,
    stamp: &Stamp,
) -> Result<(), Report> {
    let target = table::qualified_name(target)?;
    if target::is_temporary(&target)? {
        return Ok(());
    }
    publish::remember(
        version,
        &Publication {
            target,
            source: None,
            key_column: rows.key.name.clone(),
            key_type: key_type(rows)?,
            n: None,
            history: None,
            path: Path::current()?,
        },
        n_rows,
        stamp,
    )
}
