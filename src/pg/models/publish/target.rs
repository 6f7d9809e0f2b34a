//! Which table may be written: the owner's own, that stays, of the columns that are written, and without rows of others.
//!
//! All of it is asked before anything is written, and holds until the transaction ends.

use pgrx::pg_sys::{self, Oid};
use pgrx::prelude::{PgSqlErrorCode as Code, *};
use pgrx::spi::quote_literal;

use crate::pg::error::{Error, Report, report};
use crate::pg::models::registry;
use crate::pg::sys::lock;
use crate::pg::sys::query::{self, spi_failed};
use crate::pg::sys::security::{as_role, current_role, with_latest_snapshot};
use crate::pg::types::datum::{base_type, holds, type_name};
use crate::pg::types::names::base_of;

use super::key_type::checked;
use super::table::{Column, STAMPED, existing, qualified_name, run, select_one};

/// Refuses a table that is there and belongs to another role than the model's owner, who runs this: its triggers would run with
/// the owner's rights. Until the transaction ends the name means what it means now: the table is not dropped and made anew by
/// somebody else, nor is its schema renamed and another put in its place.
pub(crate) fn must_be_own(model: &str, target: &str) -> Result<(), Report> {
    let table = qualified_name(target)?;
    // No such schema, as making the table will say; or that of the session's temporary tables, which nobody renames.
    let Some(before) = place(&table)? else { return Ok(()) };
    if before.owner.is_none_or(|owner| owner == current_role()) {
        if before.owner.is_none() && !before.may_create {
            // Nobody holds a schema's name in which he may not make the table.
            let code = Code::ERRCODE_INSUFFICIENT_PRIVILEGE;
            return Err(report(code, format!("permission denied to create table {table}"))
                .set_hint("The model's owner needs CREATE on the schema."));
        }
        keep_schema_name(before.schema)?;
        if before.owner.is_some() {
            run(&format!("LOCK TABLE {table} IN ROW EXCLUSIVE MODE"))?;
        }
        if place(&table)? == Some(before) {
            return Ok(());
        }
    }
    Err(Error::NotItsTable { model: model.to_owned(), table }.into())
}

/// What a qualified name means in the catalogue.
#[derive(PartialEq, Eq)]
struct Place {
    schema: Oid,
    may_create: bool,
    /// None while there is no such table.
    owner: Option<Oid>,
    table: Option<Oid>,
}

/// As the catalogue is now, whatever the statement's snapshot. None if the schema is not there.
fn place(table: &str) -> Result<Option<Place>, Report> {
    with_latest_snapshot(|| {
        query::select_one(
            "SELECT n.oid, c.relowner, c.oid, pg_catalog.has_schema_privilege(n.oid, 'CREATE') \
             FROM (SELECT pg_catalog.parse_ident($1)) AS name (parts) \
             JOIN pg_catalog.pg_namespace n \
               ON n.nspname OPERATOR(pg_catalog.=) parts[pg_catalog.cardinality(parts) OPERATOR(pg_catalog.-) 1] \
             LEFT JOIN pg_catalog.pg_class c ON c.relnamespace OPERATOR(pg_catalog.=) n.oid \
               AND c.relname OPERATOR(pg_catalog.=) parts[pg_catalog.cardinality(parts)]",
            &[table.into()],
            |row| {
                Some(Place {
                    schema: row.get(1)?,
                    may_create: row.get(4)?,
                    owner: row.get(2),
                    table: row.get(3),
                })
            },
        )
    })
    .map(Option::flatten)
}

/// Keeps a schema from being renamed, as a foreign key keeps the row that it points to. PostgreSQL had no other lock for it before
/// 15.20, which locks the schema first: so it is locked here, too, or each would wait for the other. Its privileges may change
/// meanwhile.
pub(crate) fn keep_schema_name(schema: Oid) -> Result<(), Report> {
    lock::keep_schema(schema);
    // Only a superuser may lock a row of the catalogue. Nobody's code runs in this statement.
    let n_locked = as_role(pg_sys::BOOTSTRAP_SUPERUSERID.into(), || {
        Spi::connect_mut(|client| {
            client
                .update(
                    "SELECT FROM pg_catalog.pg_namespace WHERE oid OPERATOR(pg_catalog.=) $1 FOR KEY SHARE",
                    None,
                    &[schema.into()],
                )
                .map(|rows| rows.len())
        })
    })
    .map_err(spi_failed)?;
    if n_locked == 0 {
        // Under the old snapshot of a transaction the row is not there.
        return Err(report(
            Code::ERRCODE_T_R_SERIALIZATION_FAILURE,
            "could not serialize access: the schema is newer than the transaction's snapshot",
        ));
    }
    Ok(())
}

/// Whether a table that is there is the session's own, which no refit by another session could write.
pub(crate) fn is_temporary(target: &str) -> Result<bool, Report> {
    let query = format!(
        "SELECT c.relpersistence OPERATOR(pg_catalog.=) 't' FROM pg_catalog.pg_class c \
         WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass({})::pg_catalog.oid",
        quote_literal(target)
    );
    Ok(select_one::<bool>(&query)? == Some(true))
}

pub(crate) fn refuse_temporary(target: &str) -> Result<(), Report> {
    if is_temporary(target)? {
        return Err(report(
            Code::ERRCODE_INVALID_TABLE_DEFINITION,
            format!("table {target} is temporary"),
        )
        .set_hint("A refit by another session could not write it: name a table that stays."));
    }
    Ok(())
}

/// Refuses a table that is there and that the model cannot keep up to date: one of other columns, or in which there are rows that it
/// has not written: the key, of this type, and columns beside it. A copy, which no refit writes again, may take the place of an older
/// one, of which nothing is known.
pub(crate) fn must_be_fit(
    model_id: i64,
    is_copy: bool,
    target: &str,
    (key, key_type): (&str, &str),
    columns: &[Column],
) -> Result<(), Report> {
    let key_base = checked(target, key_type)?;
    let Some(table) = existing(target)? else { return Ok(()) };
    let refused = |code, why: String| {
        Err(report(code, why)
            .set_hint("Name a table that is not there yet: it is made as it has to be."))
    };
    // As the catalogue is now: the table may have been made since the statement began.
    let found = with_latest_snapshot(|| {
        query::select(
            "SELECT a.attname::pg_catalog.text, a.atttypid, c.relkind::pg_catalog.text, \
                    a.attgenerated OPERATOR(pg_catalog.<>) '' OR a.attidentity OPERATOR(pg_catalog.=) 'a' FROM pg_catalog.pg_class c \
             LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.oid \
               AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped \
             WHERE c.oid OPERATOR(pg_catalog.=) $1::pg_catalog.regclass::pg_catalog.oid",
            &[table.as_str().into()],
            |row| {
                let text = |column| row.get::<String>(column).unwrap_or_default();
                (text(1), row.get::<Oid>(2).map(base_type), text(3), row.get(4) == Some(true))
            },
        )
    })?;
    if found.iter().any(|(.., kind, _)| kind != "r" && kind != "p") {
        return refused(Code::ERRCODE_WRONG_OBJECT_TYPE, format!("{table} is no table"));
    }
    let mut wanted = vec![(key, Some(key_base))];
    for column in columns.iter().chain(&STAMPED) {
        let base = column.sql_type.map_or(Ok(None), base_of)?;
        wanted.push((column.name, base));
    }
    for (name, wanted) in wanted {
        let Some((_, is, _, is_made)) = found.iter().find(|(found, ..)| found == name) else {
            let why = format!("table {table} has no column \"{name}\"");
            return refused(Code::ERRCODE_UNDEFINED_COLUMN, why);
        };
        if *is_made {
            let why = format!("PostgreSQL itself writes column \"{name}\" of table {table}");
            return refused(Code::ERRCODE_GENERATED_ALWAYS, why);
        }
        if let (Some(is), Some(wanted)) = (*is, wanted)
            // A key has one type, or it would be looked up by another's equality.
            && is != wanted
            && (name == key || !holds(is, wanted))
        {
            let whose = if name == key { "the model's key" } else { "what is written" };
            let (is, wanted) = (type_name(is), type_name(wanted));
            return refused(
                Code::ERRCODE_DATATYPE_MISMATCH,
                format!(
                    "column \"{name}\" of table {table} is of type {is}, and {whose} is of type {wanted}"
                ),
            );
        }
    }
    let is_published = is_written_by(model_id, &table)?;
    if is_copy && is_published {
        let code = Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
        return Err(report(code, format!("table {table} is kept up to date from the model"))
            .set_hint(
                "These are other rows: name another table, or end that with persona.unpublish.",
            ));
    }
    if is_published {
        return Ok(());
    }
    // An older copy has versions; what somebody added has none.
    let of_others = if is_copy { " WHERE version IS NULL" } else { "" };
    let has_rows = select_one::<bool>(&format!("SELECT EXISTS (SELECT FROM {table}{of_others})"))?;
    if has_rows == Some(true) {
        let code = Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
        let why = format!("table {table} has rows that are not the model's");
        return Err(report(code, why).set_hint(
            "A publication makes a table equal to what the model says, and would delete them: empty the table, or name another.",
        ));
    }
    Ok(())
}

/// Whether the table is kept up to date from this model, and from no other.
fn is_written_by(model_id: i64, table: &str) -> Result<bool, Report> {
    let by = registry::fresh(|| {
        registry::select(
            // Another role's could not be written: whatever it calls so is not this table.
            "SELECT p.model_id FROM persona.publication p JOIN persona.model m ON m.id = p.model_id WHERE p.target = $1 AND m.owner = $2",
            &[table.into(), current_role().into()],
            |row| row.get::<i64>(1),
        )
    })?;
    if by.iter().any(|one| *one != Some(model_id)) {
        let code = Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
        let why = format!("table {table} is kept up to date from another model");
        return Err(
            report(code, why).set_hint("Name another table, or end that with persona.unpublish.")
        );
    }
    Ok(!by.is_empty())
}

/// Refuses a key of the name of another column of the table.
pub(crate) fn check_key(key: &str, others: &[Column]) -> Result<(), Report> {
    if others.iter().chain(&STAMPED).any(|other| other.name == key) {
        return Err(report(
            Code::ERRCODE_DUPLICATE_COLUMN,
            format!("the table has a column \"{key}\" of its own"),
        )
        .set_hint("Give the key another name in the source, with AS."));
    }
    Ok(())
}
