//! `profile`: what every published model says about one customer.

use pgrx::JsonB;
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;
use pgrx::spi::{quote_identifier, quote_literal};

use crate::pg::error::Report;
use crate::pg::query;
use crate::pg::registry::{Privilege, select};
use crate::pg::security::{as_role, attempt, with_catalog_names};

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
    answers(customer).map(TableIterator::new)
}

fn answers(customer: &str) -> Result<Vec<Row>, Report> {
    let mut rows: Vec<Row> = Vec::new();
    for Publication { model, kind, target, key } in publications()? {
        let Some(table) = readable(&target, &key, None)? else { continue };
        // What is wrong with one table is no reason to show none.
        let found = attempt(|| {
            with_catalog_names(|| as_role(table.owner, || answer(&table, &kind, &key, customer)))
        });
        match found {
            Ok(None) => (),
            Ok(Some((answer, details))) => {
                let details = details.map(|JsonB(rows)| unwrap_single(rows)).unwrap_or_default();
                rows.push((model, kind, answer, JsonB(details)));
            }
            Err(error) => {
                notice!(
                    "table {} of model \"{model}\" is skipped: {}",
                    table.table,
                    error.message()
                )
            }
        }
    }
    Ok(rows)
}

/// What one table says about the customer; runs as the table's owner.
fn answer(
    table: &Readable,
    kind: &str,
    key: &str,
    customer: &str,
) -> Result<Option<(Option<String>, Option<JsonB>)>, Report> {
    let Readable { table, key_type, .. } = table;
    let statement = format!(
        "SELECT {answer}, pg_catalog.jsonb_agg(pg_catalog.to_jsonb(t.*) OPERATOR(pg_catalog.-) {key_text} ORDER BY {order}) \
         FROM {table} t WHERE t.{key} = {customer}::{key_type} HAVING pg_catalog.count(*) > 0",
        answer = match kind {
            "segments" => "pg_catalog.max(coalesce(t.label, 'segment ' || t.segment))",
            "scorer" => "pg_catalog.max(pg_catalog.round(t.score::numeric, 4)::text)",
            _ => "pg_catalog.string_agg(t.item::text, ', ' ORDER BY t.rank)",
        },
        order = if kind == "recommender" { "t.rank" } else { "1" },
        key_text = quote_literal(key),
        key = quote_identifier(key),
        customer = quote_literal(customer),
    );
    query::select_one(&statement, &[], |row| (row.get(1), row.get(2)))
}

struct Publication {
    model: String,
    kind: String,
    target: String,
    key: String,
}

/// The publications of the models that the caller may use.
fn publications() -> Result<Vec<Publication>, Report> {
    let all = select(
        "SELECT m.name, m.kind, p.target, p.key_column, m.owner::oid, m.users::oid[], m.readers::oid[] FROM persona.publication p \
         JOIN persona.model m ON m.id = p.model_id \
         ORDER BY CASE m.kind WHEN 'segments' THEN 1 WHEN 'scorer' THEN 2 ELSE 3 END, m.name, p.target",
        &[],
        |row| {
            let text = |column| row.get::<String>(column).unwrap_or_default();
            let publication =
                Publication { model: text(1), kind: text(2), target: text(3), key: text(4) };
            let grants = |column| row.get::<Vec<Oid>>(column).unwrap_or_default();
            let owner = row.get::<Oid>(5).unwrap_or(Oid::INVALID);
            (publication, owner, grants(6), grants(7))
        },
    )?;
    let may_use = |(publication, owner, users, readers): (_, Oid, Vec<Oid>, Vec<Oid>)| {
        Privilege::of_caller(owner, &users, &readers).map(|_| publication)
    };
    Ok(all.into_iter().filter_map(may_use).collect())
}

/// A customer has one row in most tables: that row itself, not a list of one.
fn unwrap_single(rows: serde_json::Value) -> serde_json::Value {
    match rows {
        serde_json::Value::Array(mut rows) if rows.len() == 1 => rows.remove(0),
        rows => rows,
    }
}
