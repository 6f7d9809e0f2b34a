//! `profile`: what every published model says about one customer.

use pgrx::JsonB;
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;

use crate::pg::error::Report;
use crate::pg::kind::Kind;
use crate::pg::models::registry::{Privilege, select};
use crate::pg::sys::security::attempt;

use super::family::family;
use super::readable::{Readable, object, readable};

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
        let asked = || match readable(&target, &key, None)? {
            Some(table) => answer(&table, kind, customer),
            None => Ok(None),
        };
        match attempt(asked) {
            Ok(Some((answer, details))) => {
                rows.push((model, kind.to_string(), answer, JsonB(details)))
            }
            Ok(None) => {}
            // What is in one table is no error for who asks for all.
            Err(error) => notice!("table {target} is skipped: {}", error.message),
        }
    }
    Ok(rows)
}

/// What one table says about the customer: in words, and all that it says.
fn answer(
    table: &Readable,
    kind: Kind,
    customer: &str,
) -> Result<Option<(Option<String>, serde_json::Value)>, Report> {
    let family = family(kind)?;
    let published = family.published();
    if let Some(missing) = published.answer.iter().find(|name| table.column(name).is_none()) {
        notice!("table {} is skipped: it has no column \"{missing}\"", table.name);
        return Ok(None);
    }
    let shown = || table.columns().iter().filter(|column| column.name != table.key().name);
    let (mut rows, mut failed) = (Vec::new(), None);
    let is_asked = table.each_of(customer, |row| match object(row, shown()) {
        Ok(row) => rows.push(row),
        Err(error) => failed = Some(error),
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    if !is_asked || rows.is_empty() {
        return Ok(None);
    }
    if let Some(rank) = published.rank {
        rows.sort_by_key(|row| row[rank].as_i64());
    }
    let words = family.answer(&rows);
    Ok(Some((Some(words).filter(|words| !words.is_empty()), unwrap_single(rows.into()))))
}

struct Publication {
    model: String,
    kind: Kind,
    target: String,
    key: String,
}

/// The publications of the models that the caller may use.
fn publications() -> Result<Vec<Publication>, Report> {
    let all = select(
        "SELECT m.name, m.kind, p.target, p.key_column, m.owner::oid, m.users::oid[], m.readers::oid[] FROM persona.publication p \
         JOIN persona.model m ON m.id = p.model_id ORDER BY m.name, p.target",
        &[],
        |row| {
            let text = |column| row.get::<String>(column).unwrap_or_default();
            let kind = Kind::named(&text(2))?;
            let publication = Publication { model: text(1), kind, target: text(3), key: text(4) };
            let grants = |column| row.get::<Vec<Oid>>(column).unwrap_or_default();
            let owner = row.get::<Oid>(5).unwrap_or(Oid::INVALID);
            Some((publication, owner, grants(6), grants(7)))
        },
    )?;
    let may_use = |(publication, owner, users, readers): (_, Oid, Vec<Oid>, Vec<Oid>)| {
        Privilege::of_caller(owner, &users, &readers).map(|_| publication)
    };
    let mut all: Vec<Publication> = all.into_iter().flatten().filter_map(may_use).collect();
    all.sort_by_key(|publication| publication.kind);
    Ok(all)
}

/// A customer has one row in most tables: that row itself, not a list of one.
fn unwrap_single(rows: serde_json::Value) -> serde_json::Value {
    match rows {
        serde_json::Value::Array(mut rows) if rows.len() == 1 => rows.remove(0),
        rows => rows,
    }
}
