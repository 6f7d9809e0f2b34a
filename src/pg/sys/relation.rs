//! What the catalogue says of relations.
#![allow(unsafe_code, reason = "look-ups in the catalogue's cache are called as C")]

use std::ffi::CStr;

use pgrx::pg_sys::{self, AttrNumber, Oid};

/// The relation of this name in a schema.
pub(crate) fn relation(schema: &CStr, name: &CStr) -> Option<Oid> {
    // SAFETY: look-ups by C strings.
    let id = unsafe {
        let schema = pg_sys::get_namespace_oid(schema.as_ptr(), true);
        pg_sys::get_relname_relid(name.as_ptr(), schema)
    };
    (id != pg_sys::InvalidOid).then_some(id)
}

/// The number of a column, which is 0 for none.
pub(crate) fn column_number(relation: Oid, column: &CStr) -> AttrNumber {
    // SAFETY: as above.
    unsafe { pg_sys::get_attnum(relation, column.as_ptr()) }
}

pub(crate) fn owner_of_relation(relation: Oid) -> Option<Oid> {
    // SAFETY: the relation's entry in the cache is held while it is read.
    unsafe {
        let relation = pg_sys::RelationIdGetRelation(relation);
        if relation.is_null() {
            return None;
        }
        let owner = (*(*relation).rd_rel).relowner;
        pg_sys::RelationClose(relation);
        Some(owner)
    }
}
