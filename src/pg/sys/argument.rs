//! Types of SQL as arguments and results of the functions that [`super::call::functions`] declares.
#![allow(unsafe_code, reason = "datums are untyped words of PostgreSQL")]

use std::marker::PhantomData;

use pgrx::FromDatum;
use pgrx::callconv::Arg;
use pgrx::pg_sys::panic::ErrorReportable;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo, Oid};

use crate::pg::error::{Error, Report};
use crate::pg::sys::raw::bytes_of;

/// A type of SQL, as an argument.
///
/// # Safety
/// `Value` is sound for any datum of that type which lives as long.
pub(crate) unsafe trait Argument {
    type Value<'call>;
    /// Whether there are forms of the function without it.
    const MAY_LACK: bool = false;

    /// # Safety
    /// The datum is of that type, not NULL, and lives as long as the value.
    unsafe fn value<'call>(datum: Datum) -> Self::Value<'call>;
}

/// Says what the values of arguments are, each made of its datum. It is to be sound for every datum of the type of SQL.
macro_rules! arguments {
    ($([$($generics:tt)*] $type:ty as $value:ty = |$datum:ident| $made:expr;)*) => { $(
        // SAFETY: as it is said where this is used.
        unsafe impl<$($generics)*> crate::pg::sys::argument::Argument for $type {
            type Value<'call> = $value;

            #[inline]
            #[allow(unused_unsafe, reason = "some are made without")]
            // SAFETY: the caller promises what the trait asks for.
            unsafe fn value<'call>($datum: pgrx::pg_sys::Datum) -> Self::Value<'call> {
                // SAFETY: by the caller's promise.
                unsafe { $made }
            }
        }
    )* };
}
pub(crate) use arguments;

/// Makes these arguments of ordinary functions, too.
macro_rules! ordinary_arguments {
    ($([$($generics:tt)*] $type:ty;)*) => { $(
        // SAFETY: as an `Argument`.
        unsafe impl<'fcx, $($generics)*> pgrx::callconv::ArgAbi<'fcx> for $type {
            unsafe fn unbox_arg_unchecked(arg: pgrx::callconv::Arg<'_, 'fcx>) -> Self {
                // SAFETY: SQL declares the argument.
                unsafe {
                    let datum = crate::pg::sys::argument::datum_of(arg);
                    <Self as crate::pg::sys::argument::Argument>::value(datum)
                }
            }
        }
    )* };
}
pub(crate) use ordinary_arguments;

/// The datum of an argument that is not NULL.
pub(crate) fn datum_of(arg: Arg) -> Datum {
    struct AsItIs(Datum);
    impl FromDatum for AsItIs {
        // SAFETY: nothing is said of the datum.
        unsafe fn from_polymorphic_datum(datum: Datum, is_null: bool, _: Oid) -> Option<Self> {
            (!is_null).then_some(Self(datum))
        }
    }
    // SAFETY: as above.
    let datum = unsafe { arg.unbox_arg_using_from_datum::<AsItIs>() };
    let null = || Report::from(Error::NullArgument { argument: "an argument" });
    datum.ok_or_else(null).unwrap_or_report().0
}

/// A call, and which of its arguments, counted from 0.
#[derive(Clone, Copy)]
pub(crate) struct Place<'call> {
    fcinfo: FunctionCallInfo,
    argument: usize,
    of: PhantomData<&'call ()>,
}

impl Place<'_> {
    /// # Safety
    /// `fcinfo` is of the running call, which has this argument.
    #[inline]
    pub(crate) unsafe fn of(fcinfo: FunctionCallInfo, argument: usize) -> Self {
        Self { fcinfo, argument, of: PhantomData }
    }

    #[inline]
    pub(super) fn site(self) -> SiteArgument {
        // SAFETY: of the running call.
        SiteArgument { site: unsafe { (*self.fcinfo).flinfo }, argument: self.argument }
    }

    /// The type that the plan has there; none where nobody planned the call.
    pub(super) fn type_oid(self) -> pg_sys::Oid {
        // SAFETY: of the running call.
        unsafe { pg_sys::get_fn_expr_argtype((*self.fcinfo).flinfo, self.argument as i32) }
    }
}

/// An argument of all calls of a call site: of one type as long as the query runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SiteArgument {
    site: *const pg_sys::FmgrInfo,
    argument: usize,
}

/// The argument at place `N` of a tuple.
pub(crate) trait Nth<const N: usize> {
    type Type;
}

macro_rules! nth {
    ($($all:tt: $($n:literal $one:ident),*;)*) => { $($(nth!(@ $all $n $one);)*)* };
    (@ ($($all:ident),*) $n:literal $one:ident) => {
        impl<$($all),*> Nth<$n> for ($($all,)*) {
            type Type = $one;
        }
    };
}
nth! {
    (A): 0 A;
    (A, B): 0 A, 1 B;
    (A, B, C): 0 A, 1 B, 2 C;
    (A, B, C, D): 0 A, 1 B, 2 C, 3 D;
    (A, B, C, D, E): 0 A, 1 B, 2 C, 3 D, 4 E;
}

/// What a function answers where SQL declares the type `R`: None is NULL.
///
/// # Safety
/// The datum is of that type.
pub(crate) unsafe trait Returned<R> {
    fn into_datum(self) -> Option<Datum>;
}

arguments! {
    [] bool as bool = |datum| datum.value() as u8 != 0;
    [] i32 as i32 = |datum| datum.value() as i32;
    [] i64 as i64 = |datum| datum.value() as i64;
    [] f64 as f64 = |datum| f64::from_bits(datum.value() as u64);
    [] Timestamptz as Self = |datum| Self(datum.value() as i64);
    [] Timestamp as Self = |datum| Self(datum.value() as i64);
    [] Date as Self = |datum| Self(datum.value() as i32);
    // Value types are varlenas. What is detoasted lives in the memory of the call.
    [T] Of<T> as &'call [u8] = |datum| bytes_of(datum);
    [] Text<'_> as Text<'call> = |datum| Text(bytes_of(datum));
}

ordinary_arguments! {
    [] Timestamptz;
    [] Timestamp;
    [] Date;
}

/// In microseconds since 2000; the ends are the infinities.
pub(crate) struct Timestamptz(pub(crate) i64);
/// As above.
pub(crate) struct Timestamp(pub(crate) i64);
/// In days since 2000; the ends are the infinities.
pub(crate) struct Date(pub(crate) i32);

macro_rules! returned {
    ($($type:ty: $value:ident => $datum:expr;)*) => { $(
        // SAFETY: that is how the type is passed.
        unsafe impl Returned<$type> for Option<$type> {
            #[inline]
            fn into_datum(self) -> Option<Datum> {
                self.map(|$value| Datum::from($datum))
            }
        }
    )* };
}
returned! {
    bool: value => value;
    i32: value => value;
    i64: value => value;
    f64: value => value.to_bits();
}

/// An argument of the last ones, which some forms of a function do not have.
pub(crate) struct Maybe<T>(PhantomData<T>);

// SAFETY: as of the type.
unsafe impl<T: Argument> Argument for Maybe<T> {
    type Value<'call> = T::Value<'call>;
    const MAY_LACK: bool = true;

    #[inline]
    // SAFETY: the caller promises what the trait asks for.
    unsafe fn value<'call>(datum: Datum) -> T::Value<'call> {
        // SAFETY: by the caller's promise.
        unsafe { T::value(datum) }
    }
}

/// A value type of ours as its bytes, which may be any.
pub(crate) struct Of<T>(PhantomData<T>);

/// A text argument.
#[derive(Clone, Copy)]
pub(crate) struct Text<'call>(&'call [u8]);

impl<'call> Text<'call> {
    /// `name` is what the argument is called.
    #[inline]
    pub(crate) fn read(self, name: &str) -> Result<&'call str, Report> {
        std::str::from_utf8(self.0)
            .map_err(|_| Error::InvalidText { column: name.to_owned() }.into())
    }
}

/// An argument of any type, which the call site knows.
#[derive(Clone, Copy)]
pub(crate) struct Any<'call> {
    datum: Datum,
    place: Place<'call>,
}

impl<'call> Any<'call> {
    /// # Safety
    /// The datum is that of the argument there.
    #[inline]
    pub(crate) unsafe fn new(datum: Datum, place: Place<'call>) -> Self {
        Self { datum, place }
    }
}

/// What SQL declares as of any type.
pub(crate) trait AnyType {
    const MAY_LACK: bool = false;
}

impl AnyType for Any<'_> {}

impl AnyType for Maybe<Any<'_>> {
    const MAY_LACK: bool = true;
}

impl Any<'_> {
    /// The datum, if the argument is this one of its call site: then it is of the type that the call site's has.
    #[inline]
    pub(crate) fn of(&self, argument: SiteArgument) -> Option<Datum> {
        (self.place.site() == argument).then_some(self.datum)
    }

    /// The hash that PostgreSQL's hash joins take: what is equal in SQL has one hash. None of a type that has none.
    pub(crate) fn hash(self) -> Option<u64> {
        // SAFETY: of the running call; the hash function of a type takes its values and a seed.
        unsafe {
            let fcinfo = self.place.fcinfo;
            let type_oid = self.place.type_oid();
            if type_oid == pg_sys::InvalidOid {
                return None;
            }
            let flags = pg_sys::TYPECACHE_HASH_EXTENDED_PROC_FINFO as i32;
            let entry = pg_sys::lookup_type_cache(type_oid, flags);
            let finfo = &raw mut (*entry).hash_extended_proc_finfo;
            if (*finfo).fn_oid == pg_sys::InvalidOid {
                return None;
            }
            let collation = match (*fcinfo).fncollation {
                pg_sys::InvalidOid => pg_sys::DEFAULT_COLLATION_OID,
                collation => collation,
            };
            let hash = pg_sys::FunctionCall2Coll(finfo, collation, self.datum, Datum::from(0_i64));
            Some(hash.value() as u64)
        }
    }
}
