//! What the catalogue says of types.
#![allow(unsafe_code, reason = "the catalogue's look-ups are called as C")]

use std::ffi::CStr;

use pgrx::pg_sys::{self, Oid};

use super::asked::extension_type;

/// The name of a type as SQL writes it.
pub(crate) fn type_name(type_oid: Oid) -> String {
    // SAFETY: a catalogue look-up; the string is PostgreSQL's own, copied.
    unsafe { CStr::from_ptr(pg_sys::format_type_be(type_oid)) }.to_string_lossy().into_owned()
}

/// Whether a column of the first type has values of the second as they are.
pub(crate) fn holds(type_oid: Oid, value_type: Oid) -> bool {
    // SAFETY: a look-up in the catalogue's cache.
    unsafe { pg_sys::IsBinaryCoercible(value_type, type_oid) }
}

/// Whether the type has an order of its own, which an index of it needs.
pub(crate) fn has_order(type_oid: Oid) -> bool {
    // SAFETY: a look-up in the catalogue's cache.
    let class = unsafe { pg_sys::GetDefaultOpClass(type_oid, pg_sys::BTREE_AM_OID) };
    class != pg_sys::InvalidOid
}

/// The name of a type as SQL writes it for values of any length: `character` alone would be of one.
pub(crate) fn any_length(type_oid: Oid) -> String {
    // SAFETY: a look-up in the catalogue's cache; the string is PostgreSQL's own, copied.
    unsafe { CStr::from_ptr(pg_sys::format_type_with_typemod(type_oid, -1)) }
        .to_string_lossy()
        .into_owned()
}

/// The name of a type with its schema, as SQL finds it whatever the search_path.
pub(crate) fn qualified_type(type_oid: Oid) -> String {
    // SAFETY: a look-up in the catalogue's cache; the string is PostgreSQL's own, copied.
    unsafe {
        let flags = pg_sys::FORMAT_TYPE_FORCE_QUALIFY as pg_sys::bits16;
        CStr::from_ptr(pg_sys::format_type_extended(type_oid, -1, flags))
    }
    .to_string_lossy()
    .into_owned()
}

/// What a domain is over, in the end; another type is itself.
pub(crate) fn base_type(type_id: Oid) -> Oid {
    // SAFETY: a look-up in the catalogue's cache.
    unsafe { pg_sys::getBaseType(type_id) }
}

/// Whether the type came with PostgreSQL.
pub(crate) fn is_built_in(type_id: Oid) -> bool {
    type_id.to_u32() < pg_sys::FirstNormalObjectId
}

/// Whether the type is citext, of which texts that differ in their case alone are equal.
pub(crate) fn is_citext(type_id: Oid) -> bool {
    extension_type(type_id, c"citext")
}
