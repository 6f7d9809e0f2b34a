//! `persona.role`: a role of the server, kept by its number and written by its name, as in a dump.
//!
//! PostgreSQL's own regrole refuses a name that no role has, and with it the whole table of a dump, and it writes a role that was
//! dropped by a number that may be another role's elsewhere. Here both are a role that nobody is: a model of such an owner is
//! kept, and a grant to it is to nobody.

use std::ffi::{CStr, CString};

use pgrx::pg_sys::Oid;
use pgrx::prelude::*;

use crate::pg::sys::security::{role_name, role_of_name};

/// No role of any server has this number: numbers are given from below.
const NOBODY: u32 = u32::MAX;

/// The number as the bits of an integer: pgrx takes 0, which stands for PUBLIC, for NULL in an Oid.
type Bits = i32;

/// PUBLIC, in the list of those to whom a model is granted.
const PUBLIC: &CStr = c"-";
const UNKNOWN: &CStr = c"?";

/// The type's input function. It takes any text.
#[pg_extern]
fn role_in(text: &CStr) -> Bits {
    if text == PUBLIC {
        return 0;
    }
    // A role of that name comes in quotes.
    let is_known = text != UNKNOWN;
    let role = is_known.then(|| role_of_name(&unquoted(&text.to_string_lossy()))).flatten();
    role.map_or(NOBODY, Oid::to_u32).cast_signed()
}

/// The type's output function.
#[pg_extern]
fn role_out(role: Bits) -> CString {
    if role == 0 {
        return PUBLIC.to_owned();
    }
    let quoted = |name: String| CString::new(pgrx::spi::quote_identifier(name)).unwrap_or_default();
    role_name(Oid::from(role.cast_unsigned())).map_or_else(|| UNKNOWN.to_owned(), quoted)
}

/// The name in an identifier that may be in double quotes.
fn unquoted(text: &str) -> String {
    match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(name) => name.replace("\"\"", "\""),
        None => text.to_owned(),
    }
}
