//! When each key of a published table entered a segment and left it, in a table beside it.
//!
//! The history is made equal to the published table after each writing of it: rows that it has open and the table no longer
//! says are closed, and those that it lacks are opened. So it also heals what was changed by hand.

use std::collections::HashMap;

use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::quote_identifier;

use crate::algo::memory::{self, Refused};
use crate::algo::segment::stays::{self, Change, Stay};
use crate::pg::datum::folded;
use crate::pg::error::{Report, report};
use crate::pg::kind::Kind;
use crate::pg::models::publish::Publication;
use crate::pg::models::publish::key_type::equality;
use crate::pg::models::publish::table::{Stamp, existing, parsed_name, run};
use crate::pg::models::publish::target::{must_be_own, refuse_temporary};
use crate::pg::models::readable::{Readable, readable};
use crate::pg::models::registry::{self, Privilege, Version, select};
use crate::pg::query;
use crate::pg::security::with_latest_snapshot;

/// Brings the history up to date from the published table of segments; makes it if it is not there. Runs as the model's owner.
pub(super) fn keep(
    model: &str,
    history: &str,
    publication: &Publication,
    stamp: &Stamp,
) -> Result<(), Report> {
    let Publication { target, key_column: column, key_type, .. } = publication;
    must_be_own(model, history)?;
    let now = &stamp.now;
    let key = quote_identifier(column);
    let history = match existing(history)? {
        Some(name) if is_history(&name, column)? && name != *target => name,
        Some(name) => {
            let why = format!("table {name} is no history");
            return Err(report(PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE, why)
                .set_hint("Name a table that is not there yet: it is made as it has to be."));
        }
        None => {
            let name = parsed_name(history)?;
            run(&format!(
                "CREATE TABLE {name} ({key} {key_type} NOT NULL, segment integer, label text, \
                 entered_at timestamptz NOT NULL, left_at timestamptz)"
            ))?;
            run(&format!("CREATE INDEX ON {name} ({key}, entered_at)"))?;
            // Without a key, rows could not be closed where all tables are replicated logically.
            run(&format!("ALTER TABLE {name} REPLICA IDENTITY FULL"))?;
            name
        }
    };
    refuse_temporary(&history)?;
    let equals = equality(column, [target, &history])?;
    run(&format!(
        "UPDATE {history} AS h SET left_at = greatest({now}, h.entered_at) WHERE h.left_at IS NULL AND NOT EXISTS \
         (SELECT FROM {target} AS t WHERE t.{key} {equals} h.{key} AND t.segment IS NOT DISTINCT FROM h.segment)"
    ))?;
    run(&format!(
        "INSERT INTO {history} ({key}, segment, label, entered_at) \
         SELECT t.{key}, t.segment, t.label, t.since FROM {target} AS t WHERE NOT EXISTS \
         (SELECT FROM {history} AS h WHERE h.{key} {equals} t.{key} AND h.left_at IS NULL)"
    ))?;
    Ok(())
}

/// Whether the table has the columns of a history by this key.
fn is_history(table: &str, key: &str) -> Result<bool, Report> {
    let found = with_latest_snapshot(|| {
        query::select_one(
            "SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute \
             WHERE attrelid OPERATOR(pg_catalog.=) $1::pg_catalog.regclass::pg_catalog.oid AND NOT attisdropped \
               AND attname OPERATOR(pg_catalog.=) ANY (ARRAY['segment', 'label', 'entered_at', 'left_at', $2]::pg_catalog.name[])",
            &[table.into(), key.into()],
            |row| row.get::<i64>(1),
        )
    })?;
    Ok(found.flatten() == Some(5))
}

/// segment_changes(model, since): who moved between segments, by the histories that publish keeps.
#[pg_extern]
fn segment_changes(
    model: &str,
    since: TimestampWithTimeZone,
) -> Result<
    TableIterator<
        'static,
        (
            name!(key, Option<String>),
            name!(from_segment, Option<i32>),
            name!(to_segment, Option<i32>),
            name!(changed_at, Option<TimestampWithTimeZone>),
        ),
    >,
    Report,
> {
    let version = registry::active(model, Kind::Segments, Privilege::Read)?;
    let changes = changes(&version, since)?.ok_or_else(|| {
        report(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("no history is kept of the segments of model \"{model}\""),
        )
        .set_hint("Keep one with persona.publish(…, history_table => 'name').")
    })?;
    Ok(TableIterator::new(changes.into_iter().map(|change| {
        let at = TimestampWithTimeZone::try_from(change.at).ok();
        (Some(change.key), change.from, change.to, at)
    })))
}

/// Who moved between segments from then on, oldest first, by the histories of a model that the caller may read; None when there
/// are none.
fn changes(version: &Version, since: TimestampWithTimeZone) -> Result<Option<Vec<Change>>, Report> {
    let since = i64::from(since);
    let histories = select(
        "SELECT history, key_column FROM persona.publication WHERE model_id = $1 AND history IS NOT NULL ORDER BY target",
        &[version.model_id.into()],
        |row| {
            let text = |column| row.get::<String>(column).unwrap_or_default();
            (text(1), text(2))
        },
    )?;
    let mut all: Option<Vec<Change>> = None;
    for (history, key) in histories {
        let columns = [key.as_str(), "segment", "entered_at", "left_at"];
        let Some(table) = readable(&history, &key, Some(&columns))? else { continue };
        if let Some(stays) = stays(&table, since)? {
            all.get_or_insert_default().extend(stays::changes(stays, since));
        }
    }
    if let Some(changes) = &mut all {
        // Those of one history are in order already.
        changes.sort_by_key(|change| change.at);
    }
    Ok(all)
}

/// The stays that say anything of what happened from then on; None where the columns are of other types: that is told.
fn stays(table: &Readable, since: i64) -> Result<Option<Vec<Stay>>, Report> {
    let [segment, entered_at, left_at] =
        ["segment", "entered_at", "left_at"].map(|name| table.column(name));
    let (Some(segment), Some(entered_at), Some(left_at)) = (segment, entered_at, left_at) else {
        return Ok(None);
    };
    let times = [entered_at, left_at];
    if !segment.is(pg_sys::INT4OID) || times.iter().any(|time| !time.is(pg_sys::TIMESTAMPTZOID)) {
        notice!(
            "table {} is skipped: its columns are of other types than those of a history",
            table.name
        );
        return Ok(None);
    }
    let (mut stays, mut refused): (Vec<Stay>, _) = (Vec::new(), None);
    // Of citext, keys that were written otherwise later are the same: each is shown as it was written first.
    let mut shown = table.key().is_citext().then(HashMap::<String, String>::new);
    table.each(|row| {
        let Some(entered_at) = entered_at.time(row) else { return };
        let mut stay = Stay {
            key: String::new(),
            segment: segment.integer(row),
            entered_at,
            left_at: left_at.time(row),
        };
        if refused.is_some() || !stay.touches(since) {
            return;
        }
        stay.key = table.key().text(row).unwrap_or_default();
        if let Err(error) =
            one_writing(&mut shown, &mut stay.key).and_then(|()| memory::push(&mut stays, stay))
        {
            refused = Some(error);
        }
    });
    match refused {
        Some(error) => Err(error.into()),
        None => Ok(Some(stays)),
    }
}

/// The key as the first of all that are equal to it is written, where such are kept.
fn one_writing(
    shown: &mut Option<HashMap<String, String>>,
    key: &mut String,
) -> Result<(), Refused> {
    let Some(shown) = shown else { return Ok(()) };
    let folded = folded(key, str::to_owned);
    match shown.get(&folded) {
        Some(first) => *key = memory::owned(first)?,
        None => memory::insert(shown, folded, memory::owned(key)?)?,
    }
    Ok(())
}
