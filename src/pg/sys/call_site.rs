//! Memory of one call site: what a function worked out at its first row and needs at the next ones.
#![allow(unsafe_code, reason = "it owns a pointer that PostgreSQL keeps in fn_extra")]

use std::any::{Any, TypeId};

use pgrx::pg_sys;

use crate::pg::error::Report;

/// What a call site remembers, and its type, which is compared at every row: asking the value itself would be a call.
struct Stored(TypeId, Box<dyn Any>);

/// One call of a SQL function, by which it reaches the memory of its call site in the running query.
pub(crate) struct CallSite(pg_sys::FunctionCallInfo);

impl CallSite {
    /// `fcinfo` must be the argument that PostgreSQL gave to the running function: pgrx hands out no other.
    pub(crate) fn of(fcinfo: pg_sys::FunctionCallInfo) -> Self {
        Self(fcinfo)
    }

    /// Whether an argument, counted from 0, is a constant of the plan, the same in all calls. A parameter is not: a function's
    /// variable may change from one call to the next.
    pub(crate) fn is_constant(&self, argument: usize) -> bool {
        // SAFETY: flinfo belongs to the running call; its expression, where it has one, is a node, and so is each argument.
        unsafe {
            let call = (*(*self.0).flinfo).fn_expr;
            if !pgrx::is_a(call, pg_sys::NodeTag::T_FuncExpr) {
                return false;
            }
            let arguments = (*call.cast::<pg_sys::FuncExpr>()).args;
            let arguments = pgrx::PgList::<pg_sys::Node>::from_pg(arguments);
            let is_constant = arguments
                .get_ptr(argument)
                .is_some_and(|node| pgrx::is_a(node, pg_sys::NodeTag::T_Const));
            // The list is the plan's.
            arguments.into_pg();
            is_constant
        }
    }

    /// What this call site remembers; made at its first use. A call site always asks for the same type.
    #[inline]
    pub(crate) fn remember<T: 'static>(
        &self,
        make: impl Fn() -> Result<T, Report>,
    ) -> Result<&'static mut T, Report> {
        // SAFETY: flinfo belongs to the running call; fn_extra is null or what this function stored there, a box that
        // lives until fn_mcxt is reset, which is after the query's last call. A backend has one thread, and a call site
        // is not re-entered while the reference is in use, since functions use it for their own duration only.
        unsafe {
            let flinfo = &mut *(*self.0).flinfo;
            if flinfo.fn_extra.is_null() {
                let stored = Stored(TypeId::of::<T>(), Box::new(make()?));
                let stored = Box::into_raw(Box::new(stored));
                let callback = pg_sys::MemoryContextAllocZero(
                    flinfo.fn_mcxt,
                    size_of::<pg_sys::MemoryContextCallback>(),
                )
                .cast::<pg_sys::MemoryContextCallback>();
                (*callback).func = Some(drop_stored);
                (*callback).arg = stored.cast();
                pg_sys::MemoryContextRegisterResetCallback(flinfo.fn_mcxt, callback);
                flinfo.fn_extra = stored.cast();
            }
            let stored = &mut *flinfo.fn_extra.cast::<Stored>();
            if stored.0 != TypeId::of::<T>() {
                *stored = Stored(TypeId::of::<T>(), Box::new(make()?));
            }
            Ok(&mut *(&raw mut *stored.1).cast::<T>())
        }
    }
}

unsafe extern "C-unwind" fn drop_stored(stored: *mut std::ffi::c_void) {
    // SAFETY: the pointer is the box that `remember` made, and PostgreSQL calls this once.
    drop(unsafe { Box::from_raw(stored.cast::<Stored>()) });
}
