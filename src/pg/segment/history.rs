//! When each key of a published table entered a segment and left it, in a table beside it.
//!
//! The history is made equal to the published table after each writing of it: rows that it has open and the table no longer
//! says are closed, and those that it lacks are opened. So it also heals what was changed by hand.

use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::quote_identifier;

use crate::pg::error::{Report, report};
use crate::pg::kind::Kind;
use crate::pg::models::publish::Publication;
use crate::pg::models::publish::key_type::equality;
use crate::pg::models::publish::table::{Stamp, existing, parsed_name, run};
use crate::pg::models::publish::target::{must_be_own, refuse_temporary};
use crate::pg::models::readable::{Readable, readable};
use crate::pg::models::registry::{self, Privilege, Version, select, with_catalog_first};
use crate::pg::rows::rowset::{self, Rowset};
use crate::pg::sys::call_site::CallSite;
use crate::pg::sys::query;
use crate::pg::sys::security::with_latest_snapshot;
use crate::pg::types::datum::folded;

/// Brings the history up to date from the published table of segments; makes it if it is not there. Runs as the model's owner.
pub(super) fn keep(
    version: &Version,
    history: &str,
    publication: &Publication,
    stamp: &Stamp,
) -> Result<(), Report> {
    let Publication { target, key_column: column, key_type, .. } = publication;
    must_be_own(&version.name, history)?;
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
    if is_of_another(version, target, &history)? {
        let code = PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
        return Err(report(code, format!("table {history} is the history of another publication"))
            .set_hint(
                "Name a table that is not there yet: each publication has a history of its own.",
            ));
    }
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

/// Whether a table of the owner's is kept as the history of another publication, of this model or another one.
fn is_of_another(version: &Version, target: &str, history: &str) -> Result<bool, Report> {
    let found = registry::fresh(|| {
        registry::select_one(
            "SELECT EXISTS (SELECT FROM persona.publication p JOIN persona.model m ON m.id = p.model_id \
             WHERE p.history = $1 AND m.owner = $2 AND (p.model_id <> $3 OR p.target <> $4))",
            &[history.into(), version.owner.into(), version.model_id.into(), target.into()],
            |row| row.get::<bool>(1),
        )
    })?;
    Ok(found.flatten() == Some(true))
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
    site: CallSite,
) -> Result<(), Report> {
    let version = registry::active(model, Kind::Segments, Privilege::Read)?;
    let histories = select(
        "SELECT history, key_column FROM persona.publication WHERE model_id = $1 AND history IS NOT NULL ORDER BY target",
        &[version.model_id.into()],
        |row| {
            let text = |column| row.get::<String>(column).unwrap_or_default();
            (text(1), text(2))
        },
    )?;
    with_catalog_first(|| {
        Spi::connect_mut(|client| {
            let mut stays = Rowset::of_columns(client, STAYS)?;
            let (mut n_histories, mut unread) = (0, Vec::new());
            for (history, key) in histories {
                let columns = [key.as_str(), "segment", "entered_at", "left_at"];
                let is_read = match readable(&history, &key, Some(&columns))? {
                    Some(table) => collect(&table, n_histories, since.into(), &mut stays)?,
                    None => false,
                };
                n_histories += i64::from(is_read);
                if !is_read {
                    unread.push(history);
                }
            }
            if n_histories == 0 && !unread.is_empty() {
                return Err(report(
                    PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                    format!("history {} of model \"{model}\" cannot be read", unread.join(", ")),
                )
                .set_hint(
                    "It takes USAGE on its schema and SELECT on its key, segment, entered_at and left_at; a NOTICE tells what else is in the way.",
                ));
            }
            if n_histories == 0 {
                return Err(report(
                    PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                    format!("no history is kept of the segments of model \"{model}\""),
                )
                .set_hint("Keep one with persona.publish(..., history_table => 'name')."));
            }
            stays.register(client, c"persona_stays")?;
            rowset::answer(client, &site, CHANGES)
        })
    })
}

/// A key's time in a segment: what of it was from `since` on, in which of the histories, and where in that. `folded` is the same for
/// all writings of a key that are equal.
const STAYS: &str = "SELECT 0::bigint AS history, 0::bigint AS place, ''::text AS folded, ''::text AS key, 0 AS segment, \
            now() AS entered_at, now() AS left_at, true AS enters, true AS leaves";

/// The changes, oldest first, then by key and by where to. A key that leaves one segment at the moment at which it enters the next moves
/// from the one to the other. Of the writings of a key the first is shown.
const CHANGES: &str = r#"
    WITH stay AS (
        SELECT *, lag(segment) OVER time AS segment_before, lag(left_at) OVER time AS left_before, lead(entered_at) OVER time AS enters_next,
               first_value(key) OVER (PARTITION BY history, folded COLLATE "C" ORDER BY place) AS shown
        FROM persona_stays WINDOW time AS (PARTITION BY history, folded COLLATE "C" ORDER BY entered_at, left_at)
    )
    SELECT shown, from_segment, to_segment, changed_at
    FROM (SELECT history, shown, segment_before, segment, entered_at FROM stay WHERE enters AND left_before = entered_at
          UNION ALL
          SELECT history, shown, segment, NULL, left_at FROM stay WHERE leaves AND enters_next IS DISTINCT FROM left_at
         ) AS change (history, shown, from_segment, to_segment, changed_at)
    ORDER BY changed_at, history, shown COLLATE "C", to_segment"#;

/// Collects the stays that say anything of what happened from then on. False where the columns are of other types: that is told.
fn collect(table: &Readable, history: i64, since: i64, stays: &mut Rowset) -> Result<bool, Report> {
    let [segment, entered_at, left_at] =
        ["segment", "entered_at", "left_at"].map(|name| table.column(name));
    let (Some(segment), Some(entered_at), Some(left_at)) = (segment, entered_at, left_at) else {
        return Ok(false);
    };
    let times = [entered_at, left_at];
    if !segment.is(pg_sys::INT4OID) || times.iter().any(|time| !time.is(pg_sys::TIMESTAMPTZOID)) {
        notice!(
            "table {} is skipped: its columns are of other types than those of a history",
            table.name
        );
        return Ok(false);
    }
    let is_folded = table.key().is_citext();
    let (mut place, mut done) = (0, Ok(()));
    table.each(|row| {
        let Some(entered) = entered_at.time(row) else { return };
        let left = left_at.time(row);
        let (enters, leaves) = (entered >= since, left.is_some_and(|left| left >= since));
        if done.is_err() || !(enters || leaves) {
            return;
        }
        place += 1;
        done = stays.push(|stay| {
            let key = table.key().text(row).unwrap_or_default();
            stay.integer(history);
            stay.integer(place);
            if is_folded {
                folded(&key, |folded| stay.text(folded))
            } else {
                stay.text(&key)
            }
            stay.text(&key);
            match segment.integer(row) {
                Some(segment) => stay.integer(segment.into()),
                None => stay.null(),
            }
            stay.time(entered);
            match left {
                Some(left) => stay.time(left),
                None => stay.null(),
            }
            stay.boolean(enters);
            stay.boolean(leaves);
        });
    });
    done.map(|()| true)
}
