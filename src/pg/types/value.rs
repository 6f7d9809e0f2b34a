//! SQL value types over Rust structures: JSON text outside, compact bytes inside, checked whenever they come in.
#![allow(unsafe_code, reason = "a value is a varlena of PostgreSQL")]

use std::ffi::{CStr, CString};
use std::marker::PhantomData;

use pgrx::callconv::{BoxRet, FcInfo};
use pgrx::datum::Datum;
use pgrx::pg_sys::panic::ErrorReportable;
use pgrx::pg_sys::{self, Oid};
use pgrx::{Array, FromDatum, Internal, IntoDatum};
use serde::{Serialize, de::DeserializeOwned};

use crate::algo::encoded;
use crate::algo::memory;

use crate::pg::error::{Error, Report};
use crate::pg::sys::argument::{Of, Returned, arguments, ordinary_arguments};
use crate::pg::sys::call_site::CallSite;
use crate::pg::sys::raw::{bytes_of, float_array};
use crate::pg::types::datum::{FloatArray, Kind};
use crate::pg::types::options::Json;

/// A structure that is a SQL type of the same name in schema persona.
pub(crate) trait SqlType: Serialize + DeserializeOwned + 'static {
    const NAME: &'static str;
    /// Whether the parts fit together: text and bytes may come from anywhere.
    fn check(&self) -> Result<(), String>;

    /// The bytes of the stored value. A type whose value is the state of an aggregate has its own.
    fn to_bytes(&self) -> Result<Vec<u8>, Report> {
        Ok(encoded::to_bytes(self)?)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, Report> {
        postcard::from_bytes(bytes).map_err(|error| Self::invalid(error.to_string()))
    }

    /// That text or bytes are none of this type.
    fn invalid(why: impl ToString) -> Report {
        Error::InvalidValue { type_name: Self::NAME, why: why.to_string() }.into()
    }
}

/// A value given to or returned from a SQL function.
#[derive(Debug)]
pub(crate) struct Value<T>(pub(crate) T);

/// A value argument as its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes<'fcx>(pub(crate) &'fcx [u8]);

/// A value argument as it lies in its row, for a function that keeps what it made of it between rows: large ones are compressed, or
/// kept elsewhere, and to fetch them for each row would cost more than the function does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored<'fcx> {
    value: *mut pg_sys::varlena,
    _call: PhantomData<&'fcx ()>,
}

impl<'fcx> Stored<'fcx> {
    /// The bytes that lie there. Of a value that is kept elsewhere in its table these say where, and no other value of that
    /// table is there while a query can see this one. None for one that is elsewhere in memory.
    fn lying(self) -> Option<&'fcx [u8]> {
        if self.value.is_null() {
            return None;
        }
        // SAFETY: the value is a varlena argument of the running call.
        unsafe {
            let is_elsewhere = pgrx::varatt_is_1b_e(self.value)
                && u32::from(*self.value.cast::<u8>().add(1))
                    != pg_sys::vartag_external::VARTAG_ONDISK;
            (!is_elsewhere).then(|| {
                std::slice::from_raw_parts(self.value.cast(), pgrx::varsize_any(self.value))
            })
        }
    }

    fn unpacked(self) -> Bytes<'fcx> {
        if self.value.is_null() {
            return Bytes(&[]);
        }
        // SAFETY: as above; what is detoasted lives in the calling context, as long as the arguments.
        unsafe { Bytes(bytes_of(self.value.into())) }
    }
}

/// The last value that a call site saw, so that one that stays the same is decoded once.
pub(crate) struct Kept<P> {
    /// Whether the value is a constant of the plan: a long one takes its time even to compare.
    is_constant: bool,
    lying: Vec<u8>,
    prepared: Option<P>,
}

impl<P> Kept<P> {
    /// Of this argument of the call, counted from 0.
    pub(crate) fn of(site: &CallSite, argument: usize) -> Self {
        Self { is_constant: site.is_constant(argument), lying: Vec::new(), prepared: None }
    }

    /// What `prepare` makes of the value, and whether it was made now because the value is another one.
    pub(crate) fn get<T: SqlType>(
        &mut self,
        value: Stored,
        prepare: impl FnOnce(T) -> Result<P, Report>,
    ) -> Result<(&mut P, bool), Report> {
        let lying = if self.is_constant { Some(&[][..]) } else { value.lying() };
        let is_new = self.prepared.is_none() || lying != Some(&self.lying);
        if is_new {
            self.prepared = None;
            let prepared = prepare(decode(value.unpacked().0)?)?;
            self.lying.clear();
            memory::extend(&mut self.lying, lying.unwrap_or_default())?;
            self.prepared = Some(prepared);
        }
        match &mut self.prepared {
            Some(prepared) => Ok((prepared, is_new)),
            None => Err(Error::NullArgument { argument: "value" }.into()),
        }
    }
}

/// The type's input function.
pub(crate) fn parse<T: SqlType>(text: &CStr) -> Result<Value<T>, Report> {
    let text = text.to_str().map_err(T::invalid)?;
    memory::probe_decoding(text.len())?;
    let value: T = serde_json::from_str(text).map_err(T::invalid)?;
    value.check().map_err(T::invalid)?;
    Ok(Value(value))
}

/// The type's output function.
pub(crate) fn print<T: SqlType>(value: &Value<T>) -> Result<CString, Report> {
    as_json(T::NAME, &value.0)
}

/// A value as JSON for PostgreSQL.
pub(crate) fn as_json(type_name: &'static str, value: &impl Serialize) -> Result<CString, Report> {
    let mut text = encoded::to_json(value)?;
    memory::exact_room(&mut text, 1)?;
    CString::new(text)
        .map_err(|error| Error::InvalidValue { type_name, why: error.to_string() }.into())
}

/// What a receive function was sent.
pub(crate) fn received<'a>(message: Internal) -> &'a [u8] {
    // SAFETY: SQL declares the argument of a receive function as internal, which is PostgreSQL's message buffer; its cursor is
    // moved to its end, as of a message that was read.
    unsafe {
        let Some(datum) = message.into_datum() else { return &[] };
        let message = datum.cast_mut_ptr::<pg_sys::StringInfoData>();
        let start = (*message).cursor;
        (*message).cursor = (*message).len;
        let length = ((*message).len - start).max(0) as usize;
        std::slice::from_raw_parts((*message).data.add(start as usize).cast(), length)
    }
}

/// The type's receive function.
pub(crate) fn receive<T: SqlType>(message: Internal) -> Result<Value<T>, Report> {
    decode(received(message)).map(Value)
}

/// The type's send function: its bytes as they are kept, which the receive function checks.
pub(crate) fn send(value: Bytes) -> Result<Vec<u8>, Report> {
    Ok(memory::copied(value.0)?)
}

pub(crate) fn decode<T: SqlType>(bytes: &[u8]) -> Result<T, Report> {
    memory::probe_decoding(bytes.len())?;
    let value = T::from_bytes(bytes)?;
    value.check().map_err(T::invalid)?;
    Ok(value)
}

impl<T: SqlType> IntoDatum for Value<T> {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        self.0.to_bytes().unwrap_or_report().into_datum()
    }

    fn type_oid() -> Oid {
        pg_sys::InvalidOid
    }
}

// SAFETY: a value's datum is a varlena that palloc gave.
unsafe impl<T: SqlType> BoxRet for Value<T> {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        match self.into_datum() {
            // SAFETY: the datum is of the function's declared type.
            Some(datum) => unsafe { fcinfo.return_raw_datum(datum) },
            None => fcinfo.return_null(),
        }
    }
}

// SAFETY: a value's datum is a varlena that palloc gave.
unsafe impl<T: SqlType> Returned<Of<T>> for Option<Value<T>> {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        self.and_then(IntoDatum::into_datum)
    }
}

/// A float8[] argument: NaN for a NULL element; NaN and infinity themselves are refused.
pub(crate) struct Floats(pub(crate) Vec<f64>);

/// A jsonb as an argument of a function that most often does not read it.
#[derive(Clone, Copy)]
pub(crate) struct Jsonb<'call> {
    datum: pg_sys::Datum,
    _call: PhantomData<&'call ()>,
}

impl<'call> Jsonb<'call> {
    /// As it is stored: equal bytes say the same.
    #[inline]
    pub(crate) fn bytes(self) -> &'call [u8] {
        // SAFETY: a jsonb is a varlena.
        unsafe { bytes_of(self.datum) }
    }

    pub(crate) fn read(self) -> Result<Json, Report> {
        self.with_text("options", str::to_owned).map(Json)
    }

    /// Hands out its text; `name` is the argument's.
    pub(crate) fn with_text<R>(
        self,
        name: &str,
        read: impl FnOnce(&str) -> R,
    ) -> Result<R, Report> {
        // SAFETY: the datum is a jsonb.
        unsafe { Kind::of(pg_sys::JSONBOID).text(self.datum, name, read) }
    }
}

/// A text[] argument of names. More of them than any row has columns, or longer ones than any name, are refused before they are
/// copied.
pub(crate) struct Names(pub(crate) Vec<Option<String>>);

const MAX_NAMES: usize = 10_000;
const MAX_NAMES_BYTES: usize = 1 << 20;

impl Names {
    fn read(array: &Array<&str>) -> Result<Self, Report> {
        let n_bytes = || array.iter().flatten().map(str::len).sum::<usize>();
        if array.len() > MAX_NAMES || n_bytes() > MAX_NAMES_BYTES {
            return Err(Error::TooManyNames { found: array.len() }.into());
        }
        Ok(Self(array.iter().map(|name| name.map(str::to_owned)).collect()))
    }
}

arguments! {
    // Values of our types are varlenas: they were checked when they came in, and bytes that are none are refused by `decode`.
    [] Stored<'_> as Stored<'call> = |datum| Stored { value: datum.cast_mut_ptr(), _call: PhantomData };
    [] Bytes<'_> as Bytes<'call> = |datum| Bytes(bytes_of(datum));
    [T: SqlType] Value<T> as Value<T> = |datum| Value(decode(bytes_of(datum)).unwrap_or_report());
    [] Jsonb<'_> as Jsonb<'call> = |datum| Jsonb { datum, _call: PhantomData };
    [] Json as Json = |datum| Jsonb::value(datum).read().unwrap_or_report();
    [] Floats as Floats = |datum| {
        let mut values = Vec::new();
        FloatArray::value(datum).read(&mut values).unwrap_or_report();
        Floats(values)
    };
    [] Names as Names = |datum| {
        let array = Array::from_polymorphic_datum(datum, false, pg_sys::TEXTARRAYOID);
        array.map_or(Ok(Names(Vec::new())), |array| Names::read(&array)).unwrap_or_report()
    };
}
ordinary_arguments! {
    [] Stored<'fcx>;
    [] Bytes<'fcx>;
    [T: SqlType] Value<T>;
    [] Json;
    [] Floats;
    [] Names;
}

/// A float8[] result: NULL for NaN.
pub(crate) struct FloatsOut(pub(crate) Vec<f64>);

// SAFETY: the datum is a float8[].
unsafe impl Returned<FloatsOut> for Option<FloatsOut> {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        self.map(|floats| float_array(&floats.0))
    }
}

// SAFETY: the datum is a float8[], as SQL declares.
unsafe impl BoxRet for FloatsOut {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        // SAFETY: as above.
        unsafe { fcinfo.return_raw_datum(float_array(&self.0)) }
    }
}
