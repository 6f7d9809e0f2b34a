//! Arguments of any type, read as texts by which equal values are one: 5 and 5.00, and the citexts 'Tea' and 'TEA'.
//!
//! Only types are read whose texts no setting of the session changes: what a value is encoded as, and which fold it is in, is not
//! to hang on `bytea_output`. Dates and times are written in one style and in UTC.
#![allow(unsafe_code, reason = "datums are untyped words of PostgreSQL")]

use pgrx::pg_sys::{self, Oid};
use pgrx::prelude::PgSqlErrorCode as Code;

use crate::algo::key::Form;

use crate::pg::error::{Report, report};
use crate::pg::sys::argument::{Any, SiteArgument};
use crate::pg::sys::call_site::CallSite;
use crate::pg::types::datum::{Kind, base_type, type_name};
use crate::pg::types::key::{form_of, one_text};

/// How an argument of a call site is read: of one type as long as the query runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnyText {
    of: SiteArgument,
    kind: Kind,
    form: Form,
}

impl AnyText {
    /// Of the argument at this place; `name` is what it is called.
    pub(crate) fn of(site: &CallSite, argument: usize, name: &str) -> Result<Self, Report> {
        let (_, type_oid) = site.argument(argument);
        if type_oid == pg_sys::InvalidOid {
            let why = format!("could not determine the type of {name}");
            return Err(report(Code::ERRCODE_INDETERMINATE_DATATYPE, why));
        }
        if !has_one_text(type_oid) {
            let why = format!("a {name} of type {} is not read", type_name(type_oid));
            return Err(report(Code::ERRCODE_DATATYPE_MISMATCH, why)
                .set_hint("Cast it to text, in a form that no setting of the session changes."));
        }
        Ok(Self::of_any_type(site, argument))
    }

    /// Of a type that may have several texts, where they are not kept.
    pub(crate) fn of_any_type(site: &CallSite, argument: usize) -> Self {
        let (of, type_oid) = site.argument(argument);
        Self { of, kind: Kind::of(type_oid).as_key(type_oid), form: form_of(type_oid) }
    }

    /// Calls `f` with the one text of all values that are equal to this one, which is of the argument that this was made for.
    #[inline]
    pub(crate) fn text<T>(
        &self,
        value: Any,
        name: &str,
        f: impl FnOnce(&str) -> T,
    ) -> Result<T, Report> {
        let Some(value) = value.of(self.of) else { return Err(another(name)) };
        // SAFETY: the value is of the argument's type.
        unsafe { self.kind.text(value, name, |text| f(&one_text(self.form, text))) }
    }
}

#[cold]
fn another(name: &str) -> Report {
    report(
        Code::ERRCODE_INTERNAL_ERROR,
        format!("the {name} is another argument than the one of its reader"),
    )
}

/// Whether a value of the type has one text, whoever reads it. A text of the server's own is one; so is each word of an enum.
fn has_one_text(type_oid: Oid) -> bool {
    use pg_sys::*;
    let base = base_type(type_oid);
    match base {
        BOOLOID | INT2OID | INT4OID | INT8OID | FLOAT4OID | FLOAT8OID | NUMERICOID | OIDOID
        | UUIDOID | CHAROID | UNKNOWNOID | DATEOID | TIMEOID | TIMETZOID | TIMESTAMPOID
        | TIMESTAMPTZOID | INTERVALOID | JSONBOID | INETOID | CIDROID => true,
        other => {
            let (mut category, mut is_preferred) = (0, false);
            // SAFETY: a catalogue look-up into two locals.
            unsafe { get_type_category_preferred(other, &mut category, &mut is_preferred) };
            [TYPCATEGORY_STRING, TYPCATEGORY_ENUM].contains(&(category as u8))
        }
    }
}
