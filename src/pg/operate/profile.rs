//! `profile`: what every published model says about one customer.

use pgrx::JsonB;
use pgrx::prelude::*;
use pgrx::spi::{quote_identifier, quote_literal};

use crate::pg::error::Report;
use crate::pg::registry::spi_failed;

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
    for [model, kind, target, key, key_type] in published()? {
        // A text that is no value of the key's type cannot be a customer of this table.
        let query = format!(
            "SELECT {answer}, pg_catalog.jsonb_agg(pg_catalog.to_jsonb(t) - {key_text} ORDER BY {order}) \
             FROM {target} t WHERE t.{key} = {customer}::{key_type} HAVING pg_catalog.count(*) > 0",
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
    Ok(TableIterator::new(rows))
}

/// Publications whose tables are there and readable: model, kind, table, key column and its type.
fn published() -> Result<Vec<[String; 5]>, Report> {
    Spi::connect(|client| {
        let rows = client.select(
            "SELECT m.name, m.kind, p.target, p.key_column, p.key_type FROM persona.publication p \
             JOIN persona.model m ON m.id OPERATOR(pg_catalog.=) p.model_id \
             WHERE pg_catalog.to_regclass(p.target) IS NOT NULL \
             AND pg_catalog.has_table_privilege(pg_catalog.to_regclass(p.target), 'SELECT') \
             ORDER BY CASE m.kind WHEN 'segments' THEN 1 WHEN 'scorer' THEN 2 ELSE 3 END, m.name, p.target",
            None,
            &[],
        )?;
        rows.map(|row| {
            let text = |index| row.get::<String>(index).map(Option::unwrap_or_default);
            Ok([text(1)?, text(2)?, text(3)?, text(4)?, text(5)?])
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
