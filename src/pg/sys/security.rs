//! Runs a part of a function with another search_path or as another role, and always puts both back.
#![allow(unsafe_code, reason = "PostgreSQL keeps the role and the settings in globals")]

use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::panic::AssertUnwindSafe;

use pgrx::PgTryBuilder;
use pgrx::pg_sys::panic::{CaughtError, ErrorReportWithLevel, ErrorReportable};
use pgrx::pg_sys::{self, Oid};
use pgrx::prelude::PgSqlErrorCode as Code;

use crate::pg::error::{Report, report};

/// Runs `work` with names resolved in pg_catalog alone, so that nothing a user put on the path can step in.
pub(crate) fn with_catalog_names<T>(work: impl FnOnce() -> T) -> T {
    with_search_path(c"pg_catalog, pg_temp", work)
}

/// Runs `work` with this search_path; settings changed inside are put back. On an error PostgreSQL puts them back itself,
/// when the (sub)transaction ends.
pub(crate) fn with_search_path<T>(path: &CStr, work: impl FnOnce() -> T) -> T {
    with_setting(c"search_path", path, work)
}

/// Runs `work` with names quoted only where they must be, whatever the session wants: a name that is kept is one text.
pub(crate) fn with_plain_quotes<T>(work: impl FnOnce() -> T) -> T {
    with_setting(c"quote_all_identifiers", c"off", work)
}

fn with_setting<T>(name: &CStr, value: &CStr, work: impl FnOnce() -> T) -> T {
    // SAFETY: a nest level is opened, one setting is changed in it, and the level is closed.
    let level = unsafe {
        let level = pg_sys::NewGUCNestLevel();
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
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

/// The names in a list of identifiers, as a search_path is one; None where it is none.
pub(crate) fn identifiers(list: &str) -> Option<Vec<String>> {
    let list = CString::new(list).ok()?;
    // SAFETY: the copy is cut into the names, which end with a NUL each, and are copied out of it.
    unsafe {
        let mut names = std::ptr::null_mut();
        let copy = pg_sys::pstrdup(list.as_ptr());
        if !pg_sys::SplitIdentifierString(copy, b',' as _, &mut names) {
            return None;
        }
        let n_names = names.as_ref().map_or(0, |names| names.length);
        let name = |idx| CStr::from_ptr(pg_sys::list_nth(names, idx).cast());
        Some((0..n_names).map(|idx| name(idx).to_string_lossy().into_owned()).collect())
    }
}

/// Runs `work` as a role, as REFRESH MATERIALIZED VIEW runs its query: forbidden is what could outlive the operation (temporary
/// tables, prepared statements, SET ROLE), and every setting that was changed in it is taken back.
pub(crate) fn as_role<T>(role: Oid, work: impl FnOnce() -> T) -> T {
    let (mut before, mut context) = (pg_sys::InvalidOid, 0);
    let flags = pg_sys::SECURITY_RESTRICTED_OPERATION;
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
        pg_sys::AtEOXact_GUC(false, level);
        pg_sys::SetUserIdAndSecContext(before, context);
    }
    result
}

/// Runs `work` under a snapshot of now, as each statement of a volatile function has one: what others committed since the
/// statement began is seen, where the isolation level lets it.
pub(crate) fn with_fresh_snapshot<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: PostgreSQL owns the snapshot.
    with_snapshot(|| unsafe { pg_sys::GetTransactionSnapshot() }, work)
}

/// As [`with_fresh_snapshot`], whatever the isolation level, also in a parallel plan: as PostgreSQL reads its catalogues.
pub(crate) fn with_latest_snapshot<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: PostgreSQL owns the snapshot, which is copied when it is made the active one.
    let take = || unsafe {
        pg_sys::InvalidateCatalogSnapshot();
        pg_sys::GetCatalogSnapshot(pg_sys::RelationRelationId)
    };
    with_snapshot(take, work)
}

fn with_snapshot<T>(take: impl FnOnce() -> pg_sys::Snapshot, work: impl FnOnce() -> T) -> T {
    // SAFETY: a snapshot is pushed and popped; on an error the abort of the (sub)transaction pops it.
    unsafe {
        pg_sys::CommandCounterIncrement();
        pg_sys::PushActiveSnapshot(take());
    }
    let result = work();
    // SAFETY: as above.
    unsafe { pg_sys::PopActiveSnapshot() };
    result
}

/// The error of an attempt.
pub(crate) struct Failed {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) detail: Option<String>,
}

impl Failed {
    fn of(error: &ErrorReportWithLevel) -> Self {
        Self {
            code: error.sql_error_code(),
            message: error.message().to_owned(),
            detail: error.detail().map(str::to_owned),
        }
    }
}

/// Runs `work` in a subtransaction: its error is returned, and what it changed is taken back. Where PostgreSQL allows none,
/// before 17 in a parallel plan, an error goes on its way.
pub(crate) fn attempt<T>(work: impl FnOnce() -> Result<T, Report>) -> Result<T, Failed> {
    let work = || work().unwrap_or_report();
    // SAFETY: reads a state of the transaction.
    if cfg!(any(feature = "pg15", feature = "pg16")) && unsafe { pg_sys::IsInParallelMode() } {
        return Ok(work());
    }
    // SAFETY: as PL/pgSQL runs a block with an exception handler: the memory context and the resource owner are those from
    // before, however it ends.
    let result = unsafe {
        let (context, owner) = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::MemoryContextSwitchTo(context);
        let result = PgTryBuilder::new(AssertUnwindSafe(|| Ok(work())))
            .catch_others(Err)
            .catch_rust_panic(Err)
            .execute();
        pg_sys::MemoryContextSwitchTo(context);
        if result.is_ok() {
            pg_sys::ReleaseCurrentSubTransaction();
        } else {
            pg_sys::RollbackAndReleaseCurrentSubTransaction();
        }
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::CurrentResourceOwner = owner;
        result
    };
    match result {
        Ok(result) => Ok(result),
        Err(CaughtError::PostgresError(error) | CaughtError::ErrorReport(error))
            if !is_an_end(error.sql_error_code()) =>
        {
            Err(Failed::of(&error))
        }
        Err(CaughtError::RustPanic { ereport, .. }) => Err(Failed::of(&ereport)),
        Err(error) => error.rethrow(),
    }
}

/// Whether an error is none of the work's own: a cancel, a time-out, a shutdown.
fn is_an_end(code: Code) -> bool {
    use Code::*;
    matches!(
        code,
        ERRCODE_QUERY_CANCELED
            | ERRCODE_ADMIN_SHUTDOWN
            | ERRCODE_CRASH_SHUTDOWN
            | ERRCODE_T_R_SERIALIZATION_FAILURE
            | ERRCODE_T_R_DEADLOCK_DETECTED
    )
}

/// The role whose rights the statement has now.
pub(crate) fn current_role() -> Oid {
    // SAFETY: reads a global.
    unsafe { pg_sys::GetUserId() }
}

/// Refuses to change something in a transaction that may write nothing; on a standby none may.
pub(crate) fn refuse_read_only(what: impl FnOnce() -> String) -> Result<(), Report> {
    // SAFETY: reads a global.
    if unsafe { pg_sys::XactReadOnly } {
        return Err(report(
            Code::ERRCODE_READ_ONLY_SQL_TRANSACTION,
            format!("cannot change {} in a read-only transaction", what()),
        ));
    }
    Ok(())
}

/// Whether the statement is one of several between BEGIN and COMMIT.
pub(crate) fn is_transaction_block() -> bool {
    // SAFETY: reads the state of the transaction.
    unsafe { pg_sys::IsTransactionBlock() }
}

/// The role's name; None where there is no such role any more.
pub(crate) fn role_name(role: Oid) -> Option<String> {
    // SAFETY: a look-up in the catalogue; the name is copied out of PostgreSQL's memory.
    unsafe {
        let name = pg_sys::GetUserNameFromId(role, true);
        (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned())
    }
}

/// The role of this name, if there is one.
pub(crate) fn role_of_name(name: &str) -> Option<Oid> {
    let name = std::ffi::CString::new(name).ok()?;
    // SAFETY: a look-up in the catalogue.
    let role = unsafe { pg_sys::get_role_oid(name.as_ptr(), true) };
    (role != pg_sys::InvalidOid).then_some(role)
}

/// The role that the session began as or took on with SET SESSION AUTHORIZATION.
pub(crate) fn session_role() -> Oid {
    // SAFETY: reads a global.
    unsafe { pg_sys::GetSessionUserId() }
}

/// Who owns the type; no role where there is no such type.
pub(crate) fn owner_of_type(type_id: Oid) -> Oid {
    use pg_sys::SysCacheIdentifier::TYPEOID;
    // SAFETY: a look-up in the catalogue's cache; the row is read while it is held.
    unsafe {
        let row = pg_sys::SearchSysCache1(TYPEOID as i32, pg_sys::Datum::from(type_id));
        if row.is_null() {
            return Oid::INVALID;
        }
        let owner = (*pg_sys::GETSTRUCT(row).cast::<pg_sys::FormData_pg_type>()).typowner;
        pg_sys::ReleaseSysCache(row);
        owner
    }
}

pub(crate) fn is_superuser(role: Oid) -> bool {
    // SAFETY: a look-up in the catalogue.
    unsafe { pg_sys::superuser_arg(role) }
}

/// Whether SET ROLE to this role would be allowed.
pub(crate) fn can_become(member: Oid, role: Oid) -> bool {
    // SAFETY: catalogue look-ups.
    unsafe {
        #[cfg(feature = "pg15")]
        return pg_sys::is_member_of_role(member, role);
        #[cfg(not(feature = "pg15"))]
        return pg_sys::member_can_set_role(member, role);
    }
}

/// Whether `member` has the rights of `role`.
pub(crate) fn has_rights_of(member: Oid, role: Oid) -> bool {
    // SAFETY: catalogue look-ups.
    unsafe { pg_sys::has_privs_of_role(member, role) }
}

thread_local! {
    static MEMBERSHIPS: Cell<u64> = const { Cell::new(0) };
}

/// How often roles or their memberships have changed, which no snapshot of a transaction shows.
#[inline]
pub(crate) fn memberships() -> u64 {
    MEMBERSHIPS.get()
}

/// Has this backend told of it. Called once.
pub(crate) fn watch_memberships() {
    use pg_sys::SysCacheIdentifier::*;
    extern "C-unwind" fn changed(_: pg_sys::Datum, _: i32, _: u32) {
        MEMBERSHIPS.set(MEMBERSHIPS.get().wrapping_add(1));
    }
    // Who owns the database is a membership, too: that of pg_database_owner.
    for cache in [AUTHOID, AUTHMEMROLEMEM, DATABASEOID] {
        // SAFETY: the library stays loaded as long as the backend lives; the callback touches its own memory alone.
        unsafe {
            pg_sys::CacheRegisterSyscacheCallback(
                cache as i32,
                Some(changed),
                pg_sys::Datum::null(),
            );
        }
    }
}
