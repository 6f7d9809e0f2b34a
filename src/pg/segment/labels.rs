//! Tables of labels: key, segment and label of each row, remembered so that a refit writes them again.

use pgrx::prelude::*;
use rayon::prelude::*;

use crate::algo::frame::{Column, Values};
use crate::algo::segment::{Prepared, Rows, original};
use crate::algo::stop::{Stopped, Watch};
use crate::pg::error::{Report, report};
use crate::pg::operate::publish::{self, Output, Written};
use crate::pg::registry::{Version, current_search_path, spi_failed};
use crate::pg::security::with_catalog_names;

use super::model::Described;

/// Rows of a source with their labels.
pub(super) struct Labelled<'a> {
    pub(super) key: &'a Column,
    pub(super) key_type: &'a str,
    /// Which row each label is of.
    pub(super) order: Option<&'a [u32]>,
    /// From 1; `None` where a feature is missing.
    pub(super) labels: &'a [Option<u32>],
}

/// The segment of each row.
pub(super) fn of_rows(
    rows: &impl Rows,
    n_features: usize,
    prepared: &Prepared,
    watch: &Watch,
) -> Result<Vec<Option<u32>>, Stopped> {
    const PIECE: usize = 1024;
    let mut labels = vec![None; rows.n_rows()];
    labels.par_chunks_mut(PIECE).enumerate().try_for_each(|(piece, labels)| {
        watch.check()?;
        let mut row = vec![0.0; n_features];
        for (idx, label) in labels.iter_mut().enumerate() {
            for (feature, value) in row.iter_mut().enumerate() {
                *value = rows.value(piece * PIECE + idx, feature);
            }
            *label = prepared.segment(&row);
        }
        Ok(())
    })?;
    Ok(labels)
}

/// Writes key, segment and label into the table, by difference.
pub(super) fn write(
    target: &str,
    rows: &Labelled,
    described: &[Described],
) -> Result<Written, Report> {
    let key = rows.key.name.as_str();
    if ["segment", "label", "since"].contains(&key) {
        return Err(report(
            PgSqlErrorCode::ERRCODE_DUPLICATE_COLUMN,
            format!("the table of labels has a column \"{key}\" of its own"),
        )
        .set_hint("Give the key another name in the source, with AS."));
    }
    let columns = [
        Output { name: key, sql_type: rows.key_type, is_key: true },
        Output { name: "segment", sql_type: "integer", is_key: false },
        Output { name: "label", sql_type: "text", is_key: false },
    ];
    let words: Vec<&str> =
        described.iter().map(|one| one.name.as_deref().unwrap_or(&one.label)).collect();
    publish::write(target, &columns, rows.labels.len(), |place, text| {
        let row = original(rows.order, place);
        match &rows.key.values {
            Values::Integer(keys) => text.integer(keys[row]),
            Values::Text { codes, dictionary } => text.text(&dictionary[codes[row] as usize]),
            Values::Number(values) => text.float(values[row]),
        }
        match rows.labels[place] {
            Some(segment) => {
                text.integer(i64::from(segment));
                text.text(words.get(segment as usize - 1).copied().unwrap_or_default());
            }
            None => {
                text.null();
                text.null();
            }
        }
    })
}

/// Remembers that the table is kept from this model; a NULL source is the fit's own.
pub(super) fn remember(
    version: &Version,
    target: &str,
    key: &str,
    key_type: &str,
) -> Result<(), Report> {
    let unknown = || {
        report(
            PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
            format!("relation \"{target}\" does not exist"),
        )
    };
    let qualified = Spi::connect(|client| {
        client
            .select(
                "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c \
                 JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
                 WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass($1)::pg_catalog.oid",
                Some(1),
                &[target.into()],
            )?
            .first()
            .get_one::<String>()
    })
    .map_err(|_: pgrx::spi::Error| unknown())?
    .ok_or_else(unknown)?;
    let search_path = current_search_path();
    with_catalog_names(|| {
        Spi::connect_mut(|client| {
            client.update(
                "INSERT INTO persona.publication (model_id, target, source, key_column, key_type, search_path, \
                 published_version) VALUES ($1, $2, NULL, $3, $4, $5, $6) \
                 ON CONFLICT (model_id, target) DO UPDATE SET source = NULL, key_column = excluded.key_column, \
                 key_type = excluded.key_type, search_path = excluded.search_path, \
                 published_at = clock_timestamp(), published_version = excluded.published_version",
                None,
                &[
                    version.model_id.into(),
                    qualified.as_str().into(),
                    key.into(),
                    key_type.into(),
                    search_path.as_str().into(),
                    version.version.into(),
                ],
            )?;
            Ok(())
        })
    })
    .map_err(spi_failed)
}
