//! A call site: what is the same in all calls that a query makes there, and what a function worked out at its first row and needs at
//! the next ones.
#![allow(unsafe_code, reason = "it owns a pointer that PostgreSQL keeps in fn_extra")]

use std::any::{Any, TypeId};
use std::marker::PhantomData;

use pgrx::callconv::{Arg, ArgAbi};
use pgrx::pg_sys::{self, Datum, FunctionCallInfo, Oid};

use crate::pg::error::Report;
use crate::pg::sys::argument::{Place, SiteArgument};
use crate::pg::sys::raw::drop_with;

/// What a call site remembers, and its type, which is compared at every row: asking the value itself would be a call.
struct Stored(TypeId, Box<dyn Any>);

/// The call site of a running call. An ordinary function has it as an argument that SQL does not know of.
pub(crate) struct CallSite<'call> {
    fcinfo: FunctionCallInfo,
    of: PhantomData<&'call ()>,
}

// SAFETY: it takes no argument of the call, but is of the call itself.
unsafe impl<'fcx> ArgAbi<'fcx> for CallSite<'fcx> {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: pgrx calls this with the running call.
        unsafe { Self::of(FunctionCallInfo::unbox_arg_unchecked(arg)) }
    }

    fn is_virtual_arg() -> bool {
        true
    }
}

impl<'call> CallSite<'call> {
    /// # Safety
    /// `fcinfo` is of the running call.
    #[inline]
    pub(crate) unsafe fn of(fcinfo: FunctionCallInfo) -> Self {
        Self { fcinfo, of: PhantomData }
    }

    /// The running call, for what PostgreSQL asks of it.
    pub(crate) fn call(&self) -> FunctionCallInfo {
        self.fcinfo
    }

    /// An argument, counted from 0, and its type as the plan has it: none where nobody planned the call.
    pub(crate) fn argument(&self, argument: usize) -> (SiteArgument, Oid) {
        // SAFETY: of the running call; of an argument that it has not there is no type.
        let place = unsafe { Place::of(self.fcinfo, argument) };
        (place.site(), place.type_oid())
    }

    /// Whether an argument, counted from 0, is the same in all rows: a constant, or a parameter from outside.
    pub(crate) fn is_stable(&self, argument: usize) -> bool {
        // SAFETY: of the running call.
        unsafe { pg_sys::get_fn_expr_arg_stable((*self.fcinfo).flinfo, argument as i32) }
    }

    /// Whether an argument, counted from 0, is a constant of the plan, the same in all calls. A parameter is not: a function's
    /// variable may change from one call to the next.
    pub(crate) fn is_constant(&self, argument: usize) -> bool {
        // SAFETY: flinfo belongs to the running call; its expression, where it has one, is a node, and so is each argument.
        unsafe {
            let call = (*(*self.fcinfo).flinfo).fn_expr;
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

    /// Has a function of PostgreSQL answer the running call, with other arguments.
    ///
    /// # Safety
    /// The function takes such arguments, and reads of the call no more than its context.
    pub(crate) unsafe fn pass_on<const N: usize>(
        &self,
        // SAFETY: a function of PostgreSQL's, by the promise above.
        function: unsafe fn(FunctionCallInfo) -> Datum,
        arguments: [Datum; N],
    ) -> Datum {
        #[repr(C)]
        struct Passed<const N: usize> {
            call: pg_sys::FunctionCallInfoBaseData,
            arguments: [pg_sys::NullableDatum; N],
        }
        // SAFETY: by the caller's promise; behind a call its arguments lie.
        unsafe {
            let call = pg_sys::FunctionCallInfoBaseData {
                flinfo: (*self.fcinfo).flinfo,
                context: (*self.fcinfo).context,
                nargs: N as i16,
                ..Default::default()
            };
            let arguments = arguments.map(|value| pg_sys::NullableDatum { value, isnull: false });
            let mut passed = Passed { call, arguments };
            function((&raw mut passed).cast())
        }
    }

    /// What this call site remembers; made at its first use. A call site always asks for the same type.
    #[inline]
    pub(crate) fn remember<T: 'static>(
        self,
        make: impl Fn(&Self) -> Result<T, Report>,
    ) -> Result<&'call mut T, Report> {
        // SAFETY: flinfo belongs to the running call; fn_extra is null or what this function stored there, a box that
        // lives until fn_mcxt is reset, which is after the query's last call. A backend has one thread, and a call site
        // is not re-entered while the reference is in use, since functions use it for their own duration only.
        unsafe {
            let flinfo = &mut *(*self.fcinfo).flinfo;
            if flinfo.fn_extra.is_null() {
                let stored = Stored(TypeId::of::<T>(), Box::new(make(&self)?));
                let stored = Box::into_raw(Box::new(stored));
                drop_with(flinfo.fn_mcxt, stored);
                flinfo.fn_extra = stored.cast();
            }
            let stored = &mut *flinfo.fn_extra.cast::<Stored>();
            if stored.0 != TypeId::of::<T>() {
                *stored = Stored(TypeId::of::<T>(), Box::new(make(&self)?));
            }
            Ok(&mut *(&raw mut *stored.1).cast::<T>())
        }
    }
}
