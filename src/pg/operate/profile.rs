//! `profile`: what every published model says about one customer.

use pgrx::JsonB;
use pgrx::prelude::*;
use pgrx::spi::{quote_identifier, quote_literal};

use crate::pg::error::Report;
use crate::pg::registry::spi_failed;
use crate::pg::security::with_catalog_names;

use super::readable::{Readable, readable};

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
    with_catalog_names(|| answers(customer)).map(TableIterator::new)
}

fn answers(customer: &str) -> Result<Vec<Row>, Report> {
    let mut rows: Vec<Row> = Vec::new();
    for Published { model, kind, table, key, key_type } in published()? {
        let query = format!(
            "SELECT {answer}, pg_catalog.jsonb_agg(pg_catalog.to_jsonb(t) OPERATOR(pg_catalog.-) {key_text} ORDER BY {order}) \
             FROM {table} t WHERE t.{key} = {customer}::{key_type} HAVING pg_catalog.count(*) > 0",
            answer = match kind.as_str() {
                "segments" => "pg_catalog.max(coalesce(t.label, 'segment ' || t.segment))",
                "scorer" => "pg_catalog.max(pg_catalog.round(t.score::numeric, 4)::text)",
                _ => "pg_catalog.string_agg(t.item::text, ', ' ORDER BY t.rank)",
            },
            order = if kind == "recommender" { "t.rank" } else { "1" },
            key_text = quote_literal(&key),
            key = quote_identifier(&key),
            customer = quote_literal(customer),
        );
        let found = Spi::connect(|client| {
            let found = client.select(&query, Some(1), &[])?;
            if found.is_empty() {
                Ok(None)
            } else {
                found.first().get_two::<String, JsonB>().map(Some)
            }
        })
        .map_err(spi_failed)?;
        if let Some((answer, details)) = found {
            let details = details.map(|JsonB(rows)| unwrap_single(rows)).unwrap_or_default();
            rows.push((model, kind, answer, JsonB(details)));
        }
    }
    Ok(rows)
}

/// A published table that is there, as the catalogue describes it.
struct Published {
    model: String,
    kind: String,
    /// Qualified and quoted.
    table: String,
    key: String,
    key_type: String,
}

/// The published tables that the caller may read.
fn published() -> Result<Vec<Published>, Report> {
    let mut found = Vec::new();
    for [model, kind, target, key] in publications()? {
        if let Some(Readable { table, key_type }) = readable(&target, &key)? {
            found.push(Published { model, kind, table, key, key_type });
        }
    }
    Ok(found)
}

/// Every publication that row-level security shows: model, kind, table, key column.
fn publications() -> Result<Vec<[String; 4]>, Report> {
    Spi::connect(|client| {
        let rows = client.select(
            "SELECT m.name, m.kind, p.target, p.key_column FROM persona.publication p \
             JOIN persona.model m ON m.id OPERATOR(pg_catalog.=) p.model_id \
             ORDER BY CASE m.kind WHEN 'segments' THEN 1 WHEN 'scorer' THEN 2 ELSE 3 END, m.name, p.target",
            None,
            &[],
        )?;
        rows.map(|row| {
            let text = |index| row.get::<String>(index).map(Option::unwrap_or_default);
            Ok([text(1)?, text(2)?, text(3)?, text(4)?])
        })
        .collect::<Result<Vec<_>, pgrx::spi::Error>>()
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
