//! Functions that PostgreSQL calls without a layer between: a bare C function costs nothing where a wrapper costs 30 ns a row.
//!
//! [`functions!`] declares one with the types that SQL gives it, and a test compares the two. What it calls is safe: arguments
//! are of these types and live as long as the call.
#![allow(unsafe_code, reason = "the calling convention of PostgreSQL")]

use std::marker::PhantomData;

use pgrx::pg_sys::{self, Datum, FunctionCallInfo};
use pgrx::prelude::PgSqlErrorCode as Code;

use crate::pg::error::{Report, report};
use crate::pg::sys::argument::{AnyType, Argument, Nth, Place, Returned};
use crate::pg::sys::call_site::CallSite;
use crate::pg::sys::raw::{self, Tagged, Varlena, bytes_of};

pub(crate) use crate::pg::sys::argument::{Any, Date, Maybe, Of, Text, Timestamp, Timestamptz};

/// Declares functions of SQL, `fn symbol(types of the arguments) -> type of the result = what answers`, each for the calls that
/// PostgreSQL makes. Where SQL has forms of a function that leave the last arguments out, these are [`Maybe`].
macro_rules! functions {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ty),*) -> $result:ty = $answer:expr;)*) => { $(
        crate::pg::sys::call::exported! {
            $(#[$doc])* $name(crate::pg::sys::call::Call<($($argument,)*)>) -> $result = $answer
        }
    )* };
}
pub(crate) use functions;

/// A function under the name by which PostgreSQL finds it, and beside it its calling convention, as PG_FUNCTION_INFO_V1 says it in C.
macro_rules! exported {
    ($(#[$doc:meta])* $name:ident($call:ty) -> $result:ty = $answer:expr) => {
        #[allow(unsafe_code, reason = "the names by which PostgreSQL finds it")]
        const _: () = {
            #[unsafe(export_name = concat!("pg_finfo_", stringify!($name)))]
            extern "C" fn info() -> &'static pgrx::pg_sys::Pg_finfo_record {
                &pgrx::pg_sys::Pg_finfo_record { api_version: 1 }
            }

            $(#[$doc])*
            #[pgrx::pg_guard]
            #[unsafe(no_mangle)]
            unsafe extern "C-unwind" fn $name(
                fcinfo: pgrx::pg_sys::FunctionCallInfo,
            ) -> pgrx::pg_sys::Datum {
                use pgrx::pg_sys::panic::ErrorReportable;
                // SAFETY: PostgreSQL calls it, with what SQL declares.
                let call = unsafe { <$call>::of(fcinfo) };
                let answer = ($answer)(call).unwrap_or_report();
                // SAFETY: as above.
                unsafe { crate::pg::sys::call::give::<$result, _>(fcinfo, answer) }
            }
        };
    };
}
pub(crate) use exported;

/// A running call of a function with arguments of the types `A`.
pub(crate) struct Call<'call, A> {
    pub(crate) args: Arguments<'call, A>,
    pub(crate) site: CallSite<'call>,
}

impl<A> Call<'_, A> {
    /// # Safety
    /// `fcinfo` is of the running call of a function that SQL declares with these arguments.
    #[inline]
    pub(crate) unsafe fn of(fcinfo: FunctionCallInfo) -> Self {
        // SAFETY: by the caller's promise.
        let site = unsafe { CallSite::of(fcinfo) };
        Self { args: Arguments { fcinfo, of: PhantomData }, site }
    }
}

/// What a call was given.
pub(crate) struct Arguments<'call, A> {
    fcinfo: FunctionCallInfo,
    of: PhantomData<(&'call mut (), A)>,
}

impl<'call, A> Arguments<'call, A> {
    /// None for NULL, and where the form that was called has no such argument.
    #[inline]
    pub(crate) fn any<const N: usize>(&self) -> Option<Any<'call>>
    where
        A: Nth<N, Type: AnyType>,
    {
        if A::Type::MAY_LACK && !self.has::<N>() {
            return None;
        }
        // SAFETY: SQL declares the argument.
        unsafe { self.datum(N).map(|datum| Any::new(datum, Place::of(self.fcinfo, N))) }
    }

    /// As [`Self::any`], as a value of its type.
    #[inline]
    pub(crate) fn get<const N: usize>(
        &self,
    ) -> Option<<<A as Nth<N>>::Type as Argument>::Value<'call>>
    where
        A: Nth<N, Type: Argument>,
    {
        if A::Type::MAY_LACK && !self.has::<N>() {
            return None;
        }
        // SAFETY: SQL declares the argument, and it is of this type.
        unsafe {
            let value = self.datum(N)?;
            Some(A::Type::value(value))
        }
    }

    /// Whether the form that was called has this argument.
    #[inline]
    pub(crate) fn has<const N: usize>(&self) -> bool
    where
        A: Nth<N>,
    {
        // SAFETY: of the running call.
        unsafe { (*self.fcinfo).nargs as usize > N }
    }

    /// # Safety
    /// The call has this argument.
    #[inline]
    unsafe fn datum(&self, argument: usize) -> Option<Datum> {
        // SAFETY: by the caller's promise.
        unsafe {
            let argument = *(*self.fcinfo).args.as_ptr().add(argument);
            (!argument.isnull).then_some(argument.value)
        }
    }

    /// The window that the function is an aggregate of, if it is one of a window.
    pub(crate) fn window(&self) -> Option<*const pg_sys::WindowAggState> {
        // SAFETY: the context of the running call is a node, whose tag says which.
        unsafe {
            let node = (*self.fcinfo).context;
            let is_window = !node.is_null() && (*node).type_ == pg_sys::NodeTag::T_WindowAggState;
            is_window.then(|| node.cast_const().cast())
        }
    }

    /// The memory of the call.
    pub(crate) fn memory(&self) -> Memory<'call> {
        Memory(PhantomData)
    }
}

/// The memory of a running call, with which it goes.
#[derive(Clone, Copy)]
pub(crate) struct Memory<'call>(PhantomData<&'call ()>);

impl<'call> Memory<'call> {
    /// Of so many bytes, header included, zero behind it.
    pub(crate) fn varlena(self, length: usize) -> Varlena<'call> {
        raw::new_varlena(length)
    }

    /// With these contents.
    pub(crate) fn varlena_of(self, contents: &[u8]) -> Varlena<'call> {
        let mut value = self.varlena(4 + contents.len());
        value.contents().copy_from_slice(contents);
        value
    }
}

/// The state of an aggregate whose state is a value type of ours: the first argument of its functions, and what they answer. It is a
/// varlena, whose bytes may be any.
pub(crate) struct State<T>(PhantomData<T>);

impl<'call, T, A: Nth<0, Type = State<T>>> Arguments<'call, A> {
    /// The contents of the state, in whatever form it is stored; None for NULL.
    #[inline]
    pub(crate) fn state(&self) -> Option<&[u8]> {
        // SAFETY: SQL declares a varlena as the first argument, which nothing changes as long as this is borrowed.
        unsafe { self.datum(0).map(|state| bytes_of(state)) }
    }

    /// The state, header included, where it may be changed in place.
    ///
    /// That a function runs in an aggregate proves only that the memory is the aggregate's. PostgreSQL copies there whatever the
    /// functions of the aggregate return. In an aggregate of a user's own (with a MINVFUNC, an INITCOND or another transition
    /// function) that is any stored value as it is stored: short-headed, compressed, or a pointer to where it is kept. Only a
    /// value with a full header has all its bytes here; None means to copy. What the bytes say is compared with their number by
    /// the caller.
    #[inline]
    pub(crate) fn state_in_place(&mut self) -> Option<Varlena<'_>> {
        // SAFETY: as above; this is borrowed alone, and no other argument is the state of the aggregate that runs.
        unsafe {
            let state = Varlena::whole(self.datum(0)?)?;
            raw::in_aggregate(self.fcinfo).then_some(state)
        }
    }

    /// The state, for as long as the call.
    #[inline]
    pub(crate) fn into_state(mut self) -> Given<'call> {
        // SAFETY: the state is reached through nothing else from here on.
        unsafe {
            match (self.datum(0), self.state_in_place()) {
                (None, _) => Given::Null,
                (_, Some(state)) => Given::Own(state.outliving()),
                (Some(state), None) => Given::Stored(bytes_of(state)),
            }
        }
    }

    /// The state as it was given.
    #[inline]
    pub(crate) fn unchanged(&self) -> NextState<'call> {
        // SAFETY: as above.
        NextState(unsafe { self.datum(0) }, PhantomData)
    }
}

/// A state as it was given.
pub(crate) enum Given<'call> {
    Null,
    /// It may be changed in place.
    Own(Varlena<'call>),
    /// To be copied: its contents.
    Stored(&'call [u8]),
}

/// What a transition or combine function answers, if it can.
pub(crate) type Next<'call> = Result<NextState<'call>, Report>;

/// What a transition or combine function answers: the state for the next call. PostgreSQL copies it into the memory of the aggregate
/// when it is another one than the one it passed, and frees that one.
pub(crate) struct NextState<'call>(Option<Datum>, PhantomData<&'call ()>);

impl<'call> From<Varlena<'call>> for NextState<'call> {
    #[inline]
    fn from(state: Varlena<'call>) -> Self {
        Self(Some(state.into_datum()), PhantomData)
    }
}

/// A state of type `internal`: the first argument of an aggregate's functions, and what its transition function answers.
pub(crate) struct Internal<T>(PhantomData<T>);

impl<'call, T: 'static, A: Nth<0, Type = Internal<T>>> Arguments<'call, A> {
    /// The state, which stays as it is; None where there was no row.
    pub(crate) fn internal(&self) -> Result<Option<&T>, Report> {
        // SAFETY: what is given as internal is a state that one of our functions made, which lives as long as its aggregate.
        let state = unsafe { self.datum(0).map(|state| Tagged::of(state)) };
        Ok(state.transpose()?.map(|state| &state.state))
    }

    /// The state as it was given, for a row that adds nothing.
    pub(crate) fn internal_if_any(self) -> Result<Option<OwnState<'call, T>>, Report> {
        // SAFETY: as above.
        unsafe { self.datum(0).map(|state| OwnState::of(state)).transpose() }
    }

    /// The state, made in the aggregate's memory by `make` at the first row. Plain memory, which is not dropped.
    #[inline]
    pub(crate) fn internal_or(
        self,
        make: impl FnOnce(&Self, pg_sys::MemoryContext) -> Result<T, Report>,
    ) -> Result<OwnState<'call, T>, Report> {
        const { assert!(!std::mem::needs_drop::<T>()) };
        // SAFETY: as above; a new state is written into memory of its size.
        unsafe {
            if let Some(state) = self.datum(0) {
                return OwnState::of(state);
            }
            let context = self.aggregate()?;
            let state = Tagged::new(make(&self, context)?);
            let place = pg_sys::MemoryContextAlloc(context, size_of::<Tagged<T>>());
            place.cast::<Tagged<T>>().write(state);
            OwnState::of(Datum::from(place))
        }
    }

    /// The state, an empty one at the first row, which is dropped with the aggregate's memory.
    #[inline]
    pub(crate) fn internal_or_default(self) -> Result<OwnState<'call, T>, Report>
    where
        T: Default,
    {
        // SAFETY: as above; the box lives until the memory goes.
        unsafe {
            if let Some(state) = self.datum(0) {
                return OwnState::of(state);
            }
            let context = self.aggregate()?;
            let state = Box::into_raw(Box::new(Tagged::new(T::default())));
            raw::drop_with(context, state);
            OwnState::of(Datum::from(state))
        }
    }

    /// The memory of the aggregate's state.
    fn aggregate(&self) -> Result<pg_sys::MemoryContext, Report> {
        let mut context = std::ptr::null_mut();
        // SAFETY: of the running call.
        match unsafe { pg_sys::AggCheckCallContext(self.fcinfo, &mut context) } {
            0 => Err(report(
                Code::ERRCODE_FEATURE_NOT_SUPPORTED,
                "this function can only be called as part of an aggregate",
            )),
            _ => Ok(context),
        }
    }
}

/// A state of type `internal` that may be changed.
pub(crate) struct OwnState<'call, T>(&'call mut Tagged<T>);

impl<T: 'static> OwnState<'_, T> {
    /// # Safety
    /// The datum is of a state, of whatever type, that lives longer and is reached through this alone.
    #[inline]
    unsafe fn of(state: Datum) -> Result<Self, Report> {
        // SAFETY: by the caller's promise.
        unsafe { Ok(Self(Tagged::of(state)?)) }
    }
}

impl<T> std::ops::Deref for OwnState<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0.state
    }
}

impl<T> std::ops::DerefMut for OwnState<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0.state
    }
}

/// # Safety
/// `fcinfo` is of the running call of a function whose result SQL declares as `R`.
#[inline]
pub(crate) unsafe fn give<R, V: Returned<R>>(fcinfo: FunctionCallInfo, answer: V) -> Datum {
    answer.into_datum().unwrap_or_else(|| {
        // SAFETY: by the caller's promise.
        unsafe { (*fcinfo).isnull = true };
        Datum::null()
    })
}

// SAFETY: a state of any bytes is one.
unsafe impl<T> Returned<State<T>> for NextState<'_> {
    #[inline]
    fn into_datum(self) -> Option<Datum> {
        self.0
    }
}

// SAFETY: the state has its type before it.
unsafe impl<T> Returned<Internal<T>> for OwnState<'_, T> {
    #[inline]
    fn into_datum(self) -> Option<Datum> {
        Some(Datum::from(std::ptr::from_mut(self.0)))
    }
}

// SAFETY: as above.
unsafe impl<T> Returned<Internal<T>> for Option<OwnState<'_, T>> {
    #[inline]
    fn into_datum(self) -> Option<Datum> {
        self.and_then(Returned::<Internal<T>>::into_datum)
    }
}
