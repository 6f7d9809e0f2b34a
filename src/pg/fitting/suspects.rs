//! Features that tell each row from every other: a fit takes them, and the user is told.

use pgrx::prelude::*;

use crate::algo::distinct::is_distinct;
use crate::algo::frame::{Column, Frame};
use crate::algo::store::Place;
use crate::pg::error::{Report, no_room, report};
use crate::pg::rows::ingest::Nature;

/// Warns of the features that look like identifiers, and of those that are points in time. What it sorts lies in this place.
pub(crate) fn warn_of_suspects(
    features: &[Column],
    natures: &[(String, Nature)],
    place: &Place,
) -> Result<(), Report> {
    let (mut identifiers, mut moments) = (Vec::new(), Vec::new());
    for column in features {
        let nature = natures.iter().find(|(name, _)| *name == column.name);
        let nature = nature.map_or(Nature::Other, |(_, nature)| *nature);
        if nature == Nature::Other
            || !is_distinct(&column.values, nature == Nature::Exact, place).map_err(no_room)?
        {
            continue;
        }
        match nature {
            Nature::Moment(_) => moments.push(column.name.as_str()),
            _ => identifiers.push(column.name.as_str()),
        }
    }
    warn(
        &identifiers,
        ["it looks like an identifier", "Leave it out of the features, or give it as key."],
        [
            "they look like identifiers",
            "Leave them out of the features, or give one of them as key.",
        ],
    );
    let hint = "Give the days since then instead, or leave it out of the features.";
    warn(&moments, ["it is a point in time", hint], ["they are points in time", hint]);
    Ok(())
}

/// As [`warn_of_suspects`], of the columns of a frame from a place on, which lies in memory.
pub(crate) fn warn_of_suspects_in(
    frame: &Frame,
    first: usize,
    natures: &[(String, Nature)],
) -> Result<(), Report> {
    warn_of_suspects(frame.columns.get(first..).unwrap_or_default(), natures, &Place::Memory)
}

/// What one column is, or what several are, each with a hint.
fn warn(columns: &[&str], one: [&str; 2], many: [&str; 2]) {
    let (text, hint) = match columns {
        [] => return,
        [column] => {
            (format!("column \"{column}\" has a value of its own in each row: {}", one[0]), one[1])
        }
        columns => {
            let columns = columns.join("\", \"");
            let text =
                format!("columns \"{columns}\" have a value of their own in each row: {}", many[0]);
            (text, many[1])
        }
    };
    report(PgSqlErrorCode::ERRCODE_WARNING, text).set_hint(hint).report(PgLogLevel::WARNING);
}
