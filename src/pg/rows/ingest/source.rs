//! What a source means: the name of a relation, or one SELECT that only reads.
#![allow(unsafe_code, reason = "parse trees are C structures")]

use std::ffi::CString;

use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::pg::error::{Error, Report, report};
use crate::pg::sys::place;
use crate::pg::types::names::{find_relation, is_name};

/// The SELECT that a source means, checked: one statement, which only reads.
pub(crate) fn query_of(source: &str) -> Result<String, Report> {
    let trimmed = source.trim_end().trim_end_matches(';').trim_end();
    let first = without_comments(trimmed);
    // As PostgreSQL reads it: a table may be called select_events or table1.
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii();
    let first_word = first.split(|c: char| !is_part(c)).next().unwrap_or_default();
    let is_query = first.starts_with('(')
        || ["select", "with", "values", "table"]
            .iter()
            .any(|word| first_word.eq_ignore_ascii_case(word));
    if !is_query {
        return relation_query(first, first_word);
    }
    place::of_errors_in("source", trimmed, || check_one_select(trimmed))?;
    Ok(trimmed.to_owned())
}

/// The text from its first word on.
fn without_comments(text: &str) -> &str {
    let mut rest = text.trim_start();
    loop {
        rest = if let Some(comment) = rest.strip_prefix("--") {
            comment.split_once('\n').map_or("", |(_, rest)| rest).trim_start()
        } else if let Some(comment) = rest.strip_prefix("/*") {
            after_comment(comment).trim_start()
        } else {
            return rest;
        }
    }
}

/// Comments of that form lie in each other.
fn after_comment(mut rest: &str) -> &str {
    let mut depth = 1;
    while depth > 0 {
        let Some(at) = rest.find(['*', '/']) else { return "" };
        let step = match rest.get(at..at + 2) {
            Some("*/") => -1,
            Some("/*") => 1,
            _ => 0,
        };
        depth += step;
        rest = &rest[at + if step == 0 { 1 } else { 2 }..];
    }
    rest
}

/// What begins with one of these and is no name is a statement that writes, not a relation that is missing.
const WRITING: [&str; 9] =
    ["insert", "update", "delete", "merge", "truncate", "create", "drop", "alter", "copy"];

fn relation_query(name: &str, first_word: &str) -> Result<String, Report> {
    if let Some(relation) = find_relation(name)? {
        return Ok(format!("SELECT * FROM {relation}"));
    }
    if !is_name(name) && WRITING.iter().any(|word| first_word.eq_ignore_ascii_case(word)) {
        return Err(Error::NotReadOnly { what: "a statement other than SELECT" }.into());
    }
    Err(Error::UnknownSource { source: name.to_owned() }.into())
}

fn check_one_select(query: &str) -> Result<(), Report> {
    let text = CString::new(query).map_err(|_| {
        report(PgSqlErrorCode::ERRCODE_SYNTAX_ERROR, "a source must not contain a NUL byte")
    })?;
    // SAFETY: the parser takes a C string and returns a list of RawStmt; a syntax error unwinds.
    unsafe {
        let statements =
            pgrx::PgList::<pg_sys::RawStmt>::from_pg(pg_sys::pg_parse_query(text.as_ptr()));
        let Some(first) = statements.get_ptr(0).filter(|_| statements.len() == 1) else {
            return Err(Error::NotOneSelect { statements: statements.len() }.into());
        };
        let statement = (*first).stmt;
        if (*statement).type_ != pg_sys::NodeTag::T_SelectStmt {
            return Err(Error::NotReadOnly { what: "a statement other than SELECT" }.into());
        }
        let select = statement.cast::<pg_sys::SelectStmt>();
        if !(*select).intoClause.is_null() {
            return Err(Error::NotReadOnly { what: "an INTO clause" }.into());
        }
        if !(*select).lockingClause.is_null() {
            return Err(Error::NotReadOnly { what: "a FOR UPDATE or FOR SHARE clause" }.into());
        }
        if !(*select).withClause.is_null() {
            let with =
                pgrx::PgList::<pg_sys::CommonTableExpr>::from_pg((*(*select).withClause).ctes);
            let writes = with
                .iter_ptr()
                .any(|cte| (*(*cte).ctequery).type_ != pg_sys::NodeTag::T_SelectStmt);
            // The list belongs to the parse tree.
            with.into_pg();
            if writes {
                return Err(Error::NotReadOnly { what: "a data-modifying WITH clause" }.into());
            }
        }
        statements.into_pg();
    }
    Ok(())
}
