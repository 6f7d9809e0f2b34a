//! `profile`: what every published model says about one customer.
//!
//! A table is read with the rights of its model's owner: its name, its key's type and whatever a view or a type of the owner's
//! runs are the owner's own, and the caller named none of them. The caller sees what SELECT on the table would show.

use std::ffi::CString;

use pgrx::JsonB;
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;
use pgrx::spi::{quote_identifier, quote_literal};

use crate::pg::error::Report;
use crate::pg::registry::spi_failed;
use crate::pg::security::{as_owner, with_catalog_names, with_search_path};

type Row = (String, String, Option<String>, JsonB);

/// One row per publication that the caller may read and in which the customer is: model, kind, the answer in words, and all
/// that the table says.
#[pg_extern]
fn profile(
    customer: &str,
) -> Result<
    TableIterator<
        'static,
        (
            name!(model, String),
            name!(kind, String),
            name!(answer, Option<String>),
            name!(details, JsonB),
        ),
    >,
    Report,
> {
    let mut rows: Vec<Row> = Vec::new();
    for published in published()? {
        let path = CString::new(format!("pg_catalog, {}", published.search_path))
            .unwrap_or_else(|_| c"pg_catalog".into());
        let found =
            as_owner(published.owner, || with_search_path(&path, || answer(&published, customer)))?;
        if let Some((answer, details)) = found {
            let details = details.map(|JsonB(rows)| unwrap_single(rows)).unwrap_or_default();
            rows.push((published.model, published.kind, answer, JsonB(details)));
        }
    }
    Ok(TableIterator::new(rows))
}

struct Published {
    model: String,
    kind: String,
    owner: Oid,
    target: String,
    key_column: String,
    key_type: String,
    search_path: String,
}

fn answer(
    published: &Published,
    customer: &str,
) -> Result<Option<(Option<String>, Option<JsonB>)>, Report> {
    let kind = published.kind.as_str();
    // A text that is no value of the key's type cannot be a customer of this table.
    let query = format!(
        "SELECT {answer}, pg_catalog.jsonb_agg(pg_catalog.to_jsonb(t) - {key_text} ORDER BY {order}) \
         FROM {target} t WHERE t.{key} = {customer}::{key_type} HAVING pg_catalog.count(*) > 0",
        answer = match kind {
            "segments" => "pg_catalog.max(coalesce(t.label, 'segment ' || t.segment))",
            "scorer" => "pg_catalog.max(pg_catalog.round(t.score::numeric, 4)::text)",
            _ => "pg_catalog.string_agg(t.item::text, ', ' ORDER BY t.rank)",
        },
        order = if kind == "recommender" { "t.rank" } else { "1" },
        target = published.target,
        key_type = published.key_type,
        key_text = quote_literal(&published.key_column),
        key = quote_identifier(&published.key_column),
        customer = quote_literal(customer),
    );
    Spi::connect(|client| {
        let found = client.select(&query, Some(1), &[])?;
        if found.is_empty() { Ok(None) } else { found.first().get_two::<String, JsonB>().map(Some) }
    })
    .map_err(spi_failed)
}

/// Publications whose tables are there, readable by the caller and by the owner, and without row-level security for either:
/// the owner's rows are not the caller's.
fn published() -> Result<Vec<Published>, Report> {
    with_catalog_names(|| {
        Spi::connect(|client| {
            let rows = client.select(
                "SELECT m.name, m.kind, m.owner::oid, p.target, p.key_column, p.key_type, p.search_path \
                 FROM persona.publication p JOIN persona.model m ON m.id = p.model_id \
                 CROSS JOIN LATERAL (SELECT to_regclass(p.target) AS found) t \
                 WHERE t.found IS NOT NULL AND has_table_privilege(t.found, 'SELECT') \
                 AND has_table_privilege(m.owner, t.found, 'SELECT') \
                 AND (m.owner = current_user::regrole OR NOT row_security_active(t.found)) \
                 ORDER BY CASE m.kind WHEN 'segments' THEN 1 WHEN 'scorer' THEN 2 ELSE 3 END, m.name, p.target",
                None,
                &[],
            )?;
            rows.map(|row| {
                let text = |index| row.get::<String>(index).map(Option::unwrap_or_default);
                Ok(Published {
                    model: text(1)?,
                    kind: text(2)?,
                    owner: row.get(3)?.unwrap_or(Oid::INVALID),
                    target: text(4)?,
                    key_column: text(5)?,
                    key_type: text(6)?,
                    search_path: text(7)?,
                })
            })
            .collect::<Result<Vec<_>, pgrx::spi::Error>>()
        })
    })
    .map_err(spi_failed)
}

/// A customer has one row in most tables: that row itself, not a list of one.
fn unwrap_single(rows: serde_json::Value) -> serde_json::Value {
    match rows {
        serde_json::Value::Array(mut rows) if rows.len() == 1 => rows.remove(0),
        rows => rows,
    }
}
