//! Relations by the names that users give: found as the search_path finds them, and written so that SQL takes them back.

use pgrx::pg_sys::Oid;

use crate::pg::error::Report;
use crate::pg::sys::query;
use crate::pg::sys::security::{with_latest_snapshot, with_plain_quotes};
use crate::pg::types::datum::{any_length, base_type, is_built_in, is_citext, qualified_type};

/// The relation's name, qualified and quoted; None if it is not there, or if the text is no name at all.
pub(crate) fn find_relation(name: &str) -> Result<Option<String>, Report> {
    if !is_name(name) {
        return Ok(None);
    }
    // As the catalogue is now, as PostgreSQL itself looks names up: the table may be newer than the snapshot.
    let found = with_plain_quotes(|| {
        with_latest_snapshot(|| {
            query::select_one(
                "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c \
                 JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
                 WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass($1)::pg_catalog.oid",
                &[name.into()],
                |row| row.get::<String>(1),
            )
        })
    })?;
    Ok(found.flatten())
}

/// The type in which keys and items of a type are written: itself where it is PostgreSQL's own or citext, of which other texts are
/// equal than of text; the base of a domain; and else text. What a type of somebody's runs when a value is made would run as the
/// owner of the table; and a type is kept by its name, behind which there may be another type by the next refit. None where there is
/// no such type.
pub(crate) fn written_type(sql_type: &str) -> Result<Option<String>, Report> {
    let name = |base| match base {
        base if is_built_in(base) => any_length(base),
        base if is_citext(base) => qualified_type(base),
        _ => "text".to_owned(),
    };
    Ok(base_of(sql_type)?.map(name))
}

/// The type of this name, or what it is over if it is a domain; None where there is no such type.
pub(crate) fn base_of(sql_type: &str) -> Result<Option<Oid>, Report> {
    let found = query::select_one(
        "SELECT pg_catalog.to_regtype($1)::pg_catalog.oid",
        &[sql_type.into()],
        |row| row.get::<Oid>(1),
    )?;
    Ok(found.flatten().map(base_type))
}

/// One to three identifiers with dots between, each plain or in double quotes. Asked before `to_regclass`, which raises an
/// error for anything else on PostgreSQL 15 and answers NULL on later ones. Of PostgreSQL's own ways SplitIdentifierString takes
/// all up to a dot or a blank for a name, as `values(1)`, and parse_ident ends in an error.
pub(crate) fn is_name(text: &str) -> bool {
    let mut rest = text.trim_matches(|c: char| c.is_ascii_whitespace());
    for _ in 0..3 {
        let Some(length) = identifier_length(rest) else { return false };
        rest = &rest[length..];
        if rest.is_empty() {
            return true;
        }
        let Some(after_dot) = rest.strip_prefix('.') else { return false };
        rest = after_dot;
    }
    false
}

/// Bytes of the identifier at the start of the text.
fn identifier_length(text: &str) -> Option<usize> {
    if let Some(quoted) = text.strip_prefix('"') {
        let mut characters = quoted.char_indices().peekable();
        while let Some((at, character)) = characters.next() {
            if character == '"' && characters.next_if(|(_, next)| *next == '"').is_none() {
                return (at > 0).then_some(at + 2);
            }
        }
        return None;
    }
    // To PostgreSQL all that is not ASCII is a letter.
    let is_start = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
    let is_part = |c: char| is_start(c) || c.is_ascii_digit() || c == '$';
    text.starts_with(is_start).then(|| text.find(|c| !is_part(c)).unwrap_or(text.len()))
}
