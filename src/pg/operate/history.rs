//! When each key of a published table entered a segment and left it, in a table beside it.
//!
//! The history is made equal to the published table after each writing of it: rows that it has open and the table no longer
//! says are closed, and those that it lacks are opened. So it also heals what was changed by hand.

use pgrx::prelude::*;
use pgrx::spi::quote_identifier;

use crate::pg::error::Report;
use crate::pg::query;
use crate::pg::registry::{Version, select};
use crate::pg::security::{as_role, with_catalog_names};

use super::readable::{Readable, readable};
use super::table::{existing, must_be_own, parsed_name, refuse_temporary, run};

/// Brings the history up to date from the published table of segments; makes it if it is not there. Runs as the model's owner.
pub(super) fn keep(
    model: &str,
    history: &str,
    target: &str,
    key: &str,
    key_type: &str,
) -> Result<(), Report> {
    must_be_own(model, history)?;
    let key = quote_identifier(key);
    let history = match existing(history)? {
        Some(name) => name,
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
    run(&format!(
        "UPDATE {history} AS h SET left_at = pg_catalog.now() WHERE h.left_at IS NULL AND NOT EXISTS \
         (SELECT FROM {target} AS t WHERE t.{key} = h.{key} AND t.segment IS NOT DISTINCT FROM h.segment)"
    ))?;
    run(&format!(
        "INSERT INTO {history} ({key}, segment, label, entered_at) \
         SELECT t.{key}, t.segment, t.label, t.since FROM {target} AS t WHERE NOT EXISTS \
         (SELECT FROM {history} AS h WHERE h.{key} = t.{key} AND h.left_at IS NULL)"
    ))?;
    Ok(())
}

/// Key, segment before, segment after, when.
pub(super) type Change = (Option<String>, Option<i32>, Option<i32>, Option<TimestampWithTimeZone>);

/// Who moved between segments from then on, oldest first, by the histories of a model that the caller may read; None when there
/// are none. Each is read as its owner.
pub(super) fn changes(
    version: &Version,
    since: TimestampWithTimeZone,
) -> Result<Option<Vec<Change>>, Report> {
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
        let Some(readable) = readable(&history, &key, Some(&columns))? else { continue };
        let changes =
            with_catalog_names(|| as_role(readable.owner, || of_one(&readable, &key, since)))?;
        all.get_or_insert_default().extend(changes);
    }
    if let Some(changes) = &mut all {
        // Those of one history are in order already.
        changes.sort_by_key(|change| change.3.map(i64::from));
    }
    Ok(all)
}

fn of_one(
    readable: &Readable,
    key: &str,
    since: TimestampWithTimeZone,
) -> Result<Vec<Change>, Report> {
    let (table, key) = (&readable.table, quote_identifier(key));
    let statement = format!(
        "WITH stays AS (\
           SELECT h.{key}::text AS key, h.segment, h.entered_at, h.left_at, \
           lead(h.entered_at) OVER w AS next_at, lag(h.segment) OVER w AS before, lag(h.left_at) OVER w AS left_before \
           FROM {table} AS h WINDOW w AS (PARTITION BY h.{key} ORDER BY h.entered_at, h.left_at)) \
         SELECT key, CASE WHEN left_before = entered_at THEN before END, segment, entered_at FROM stays WHERE entered_at >= $1 \
         UNION ALL \
         SELECT key, segment, NULL, left_at FROM stays WHERE left_at >= $1 AND next_at IS DISTINCT FROM left_at \
         ORDER BY 4, 1, 3"
    );
    query::select(&statement, &[since.into()], |row| {
        (row.get(1), row.get(2), row.get(3), row.get(4))
    })
}
