//! Runs a part of a function with another search_path or as another role, and always puts both back.
#![allow(unsafe_code, reason = "PostgreSQL keeps the role and the settings in globals")]

use std::ffi::CStr;

use pgrx::pg_sys::{self, Oid};

/// Runs `work` with names resolved in pg_catalog alone, so that nothing a user put on the path can step in.
pub(crate) fn with_catalog_names<T>(work: impl FnOnce() -> T) -> T {
    with_search_path(c"pg_catalog, pg_temp", work)
}

/// Runs `work` with the caller's search_path and pg_catalog before it: of two operators that fit equally well PostgreSQL's own
/// is taken, and a type's own still fits better.
pub(crate) fn with_catalog_first<T>(work: impl FnOnce() -> T) -> T {
    let path = format!("pg_catalog, {}", super::registry::current_search_path());
    let path = std::ffi::CString::new(path.trim_end_matches(", ")).unwrap_or_default();
    with_search_path(&path, work)
}

/// Runs `work` with this search_path; settings changed inside are put back. On an error PostgreSQL puts them back itself,
/// when the (sub)transaction ends.
pub(crate) fn with_search_path<T>(path: &CStr, work: impl FnOnce() -> T) -> T {
    // SAFETY: a nest level is opened, one setting is changed in it, and the level is closed.
    let level = unsafe {
        let level = pg_sys::NewGUCNestLevel();
        pg_sys::set_config_option(
            c"search_path".as_ptr(),
            path.as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_SAVE,
            true,
            0,
            false,
        );
        level
    };
    let result = work();
    // SAFETY: closes the level opened above.
    unsafe { pg_sys::AtEOXact_GUC(true, level) };
    result
}

/// Runs `work` as a role, as REFRESH MATERIALIZED VIEW runs its query: `restricted` also forbids what could outlive the
/// operation (temporary tables, prepared statements, SET ROLE), and takes back every setting that was changed in it.
pub(crate) fn as_role<T>(role: Oid, restricted: bool, work: impl FnOnce() -> T) -> T {
    let (mut before, mut context) = (pg_sys::InvalidOid, 0);
    let flags = if restricted {
        pg_sys::SECURITY_RESTRICTED_OPERATION
    } else {
        pg_sys::SECURITY_LOCAL_USERID_CHANGE
    };
    // SAFETY: the role and context are read, changed, and put back, and a level of settings opened and closed; on an error the
    // abort of the transaction does it.
    let level = unsafe {
        pg_sys::GetUserIdAndSecContext(&mut before, &mut context);
        pg_sys::SetUserIdAndSecContext(role, context | flags as i32);
        pg_sys::NewGUCNestLevel()
    };
    let result = work();
    // SAFETY: as above. As after an error: a setting that the role's code made for the session goes with it.
    unsafe {
        pg_sys::AtEOXact_GUC(!restricted, level);
        pg_sys::SetUserIdAndSecContext(before, context);
    }
    result
}

/// Runs `work` as a model's owner, `restricted`: whatever the owner put into a source, a table or a type then runs with the
/// owner's rights, whoever asked. The owner runs his own as himself.
pub(crate) fn as_owner<T>(owner: Oid, work: impl FnOnce() -> T) -> T {
    if owner == current_role() { work() } else { as_role(owner, true, work) }
}

/// The role whose rights the statement has now.
pub(crate) fn current_role() -> Oid {
    // SAFETY: reads a global.
    unsafe { pg_sys::GetUserId() }
}

/// Whether the transaction may write nothing; on a standby none may.
pub(crate) fn is_read_only() -> bool {
    // SAFETY: reads a global.
    unsafe { pg_sys::XactReadOnly }
}

/// Whether the statement is one of several between BEGIN and COMMIT.
pub(crate) fn is_transaction_block() -> bool {
    // SAFETY: reads the state of the transaction.
    unsafe { pg_sys::IsTransactionBlock() }
}

/// Whether `member` has the rights of `role`.
pub(crate) fn has_rights_of(member: Oid, role: Oid) -> bool {
    // SAFETY: catalogue look-ups.
    unsafe { pg_sys::has_privs_of_role(member, role) }
}
