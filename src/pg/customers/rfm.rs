//! `rfm`: an aggregate whose state is its result, 36 bytes changed in place; `rfm_segment`: each customer among the others.
#![allow(unsafe_code, reason = "the state is changed in place, in memory of the aggregate")]

use std::ffi::{CStr, CString};

use pgrx::IntoDatum;
use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::pg_sys::panic::ErrorReportable;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo};
use pgrx::prelude::*;

use crate::algo::customers::rfm::{self, Rfm, Scored};
use crate::pg::datum::{Kind, varlena_bytes};
use crate::pg::error::{Error, Report};
use crate::pg::raw::{self, aggregate_context, argument};
use crate::pg::window::Partition;

raw::declare! {
    rfm_add, pg_finfo_rfm_add;
    rfm_combine, pg_finfo_rfm_combine;
    rfm_segment, pg_finfo_rfm_segment;
}

/// Bytes after the varlena header: padding u32, then n, first, last and amount in 8 bytes each; NaN for no time.
const LENGTH: usize = 40;

/// Adds a purchase: (rfm, at timestamptz, amount float8). A NULL time or amount is skipped.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn rfm_add(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares these arguments.
    unsafe {
        let state = argument(fcinfo, 0);
        let (Some(at), Some(amount)) = (argument(fcinfo, 1), argument(fcinfo, 2)) else {
            return state.unwrap_or_else(|| raw::null(fcinfo));
        };
        let (at, amount) = (Kind::Timestamp.number(at), Kind::Float8.number(amount));
        for (column, value) in [("at", at), ("amount", amount)] {
            if !value.is_finite() {
                Err(Report::from(Error::NotFinite { column: column.into(), value }))
                    .unwrap_or_report()
            }
        }
        let mut rfm = state.map_or(Rfm::EMPTY, |state| read(state).unwrap_or_report());
        rfm.observe(at, amount);
        write(fcinfo, state, &rfm)
    }
}

/// The state of two states; a plain function too, by which `rollup` merges stored ones.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn rfm_combine(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares (rfm, rfm).
    unsafe {
        let state = argument(fcinfo, 0);
        let Some(other) = argument(fcinfo, 1) else {
            return state.unwrap_or_else(|| raw::null(fcinfo));
        };
        let mut rfm = state.map_or(Rfm::EMPTY, |state| read(state).unwrap_or_report());
        rfm.merge(&read(other).unwrap_or_report());
        write(fcinfo, state, &rfm)
    }
}

/// # Safety
/// `state` is an rfm.
unsafe fn read(state: Datum) -> Result<Rfm, Report> {
    // SAFETY: by the caller's promise it is a varlena.
    let bytes = unsafe { varlena_bytes(pg_sys::pg_detoast_datum_packed(state.cast_mut_ptr())) };
    let word =
        |at: usize| bytes.get(at..at + 8).and_then(|word| word.try_into().ok()).unwrap_or([0; 8]);
    let time = |at| Some(f64::from_ne_bytes(word(at))).filter(|time| !time.is_nan());
    let rfm = Rfm {
        n: u64::from_ne_bytes(word(4)),
        first: time(12),
        last: time(20),
        amount: f64::from_ne_bytes(word(28)),
    };
    let why = |why| Report::from(Error::InvalidValue { type_name: "rfm", why });
    if bytes.len() != LENGTH - 4 {
        Err(why(format!("{} bytes that are not an rfm", bytes.len())))
    } else {
        Ok(rfm)
    }
}

/// Writes into the state in place where it is an aggregate's own, else into a new one.
///
/// # Safety
/// `fcinfo` is of the running call and `state` its first argument.
unsafe fn write(fcinfo: FunctionCallInfo, state: Option<Datum>, rfm: &Rfm) -> Datum {
    // SAFETY: a state of the aggregate was allocated below with this length.
    unsafe {
        let context = aggregate_context(fcinfo);
        let target: *mut pg_sys::varlena = match (state, context) {
            (Some(state), Some(_)) => state.cast_mut_ptr(),
            _ => raw::new_varlena(context.unwrap_or(pg_sys::CurrentMemoryContext), LENGTH),
        };
        let words = target.cast::<u64>();
        words.add(1).write(rfm.n);
        words.add(2).write(rfm.first.unwrap_or(f64::NAN).to_bits());
        words.add(3).write(rfm.last.unwrap_or(f64::NAN).to_bits());
        words.add(4).write(rfm.amount.to_bits());
        target.into()
    }
}

/// (rfm, timestamptz) OVER (…): the customer's scores among the whole partition, as persona.rfm_scores.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn rfm_segment(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares the function WINDOW, with these arguments and this result.
    unsafe {
        let partition = Partition::of(fcinfo);
        let scores = match partition.kept::<Vec<Option<Scored>>>() {
            Some(scores) => scores,
            None => {
                let mut customers = Vec::new();
                while let Some(customer) = partition.argument_at(0, customers.len() as i64) {
                    customers.push(
                        customer
                            .map_or(Ok(Rfm::EMPTY), |customer| read(customer))
                            .unwrap_or_report(),
                    );
                }
                let as_of = partition.argument(1).map(|as_of| Kind::Timestamp.number(as_of));
                let as_of = as_of.filter(|as_of| as_of.is_finite());
                partition.keep(as_of.map_or_else(
                    || vec![None; customers.len()],
                    |as_of| rfm::score(&customers, as_of),
                ))
            }
        };
        match scores.get(partition.position() as usize).copied().flatten() {
            Some(scored) => composite(fcinfo, &scored),
            None => raw::null(fcinfo),
        }
    }
}

/// # Safety
/// `fcinfo` is of a call whose declared result is persona.rfm_scores.
unsafe fn composite(fcinfo: FunctionCallInfo, scored: &Scored) -> Datum {
    let mut values = [
        scored.recency_days.into_datum(),
        (scored.frequency as i64).into_datum(),
        scored.monetary.into_datum(),
        i32::from(scored.r).into_datum(),
        i32::from(scored.f).into_datum(),
        i32::from(scored.m).into_datum(),
        scored.segment.into_datum(),
    ]
    .map(|value| value.unwrap_or(Datum::null()));
    let mut nulls = [false; 7];
    // SAFETY: the result type has these seven columns, by its declaration in SQL.
    unsafe {
        let mut descriptor = std::ptr::null_mut();
        pg_sys::get_call_result_type(fcinfo, std::ptr::null_mut(), &mut descriptor);
        let descriptor = pg_sys::BlessTupleDesc(descriptor);
        let tuple = pg_sys::heap_form_tuple(descriptor, values.as_mut_ptr(), nulls.as_mut_ptr());
        pg_sys::HeapTupleHeaderGetDatum((*tuple).t_data)
    }
}

/// An rfm argument or result of an ordinary function.
struct Customer(Rfm);

impl pgrx::FromDatum for Customer {
    // SAFETY: the trait asks that the datum be of the type that this is declared for.
    unsafe fn from_polymorphic_datum(datum: Datum, is_null: bool, _: pg_sys::Oid) -> Option<Self> {
        // SAFETY: the datum is an rfm.
        (!is_null).then(|| Customer(unsafe { read(datum) }.unwrap_or_report()))
    }
}

// SAFETY: SQL declares such arguments as rfm.
unsafe impl<'fcx> ArgAbi<'fcx> for Customer {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: pgrx calls this only for an argument that is not NULL.
        unsafe { arg.unbox_arg_using_from_datum() }.unwrap_or(Customer(Rfm::EMPTY))
    }
}

// SAFETY: the datum is an rfm of the layout above.
unsafe impl BoxRet for Customer {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> pgrx::datum::Datum<'fcx> {
        // SAFETY: no state is given, so a new value is written.
        unsafe {
            let datum = write(fcinfo.as_mut_ptr(), None, &self.0);
            fcinfo.return_raw_datum(datum)
        }
    }
}

#[pg_extern]
fn rfm_in(text: &CStr) -> Result<Customer, Report> {
    let invalid = |why: String| Report::from(Error::InvalidValue { type_name: "rfm", why });
    let text = text.to_str().map_err(|error| invalid(error.to_string()))?;
    let rfm: Rfm = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    rfm.check().map_err(invalid)?;
    Ok(Customer(rfm))
}

#[pg_extern]
fn rfm_out(rfm: Customer) -> Result<CString, Report> {
    let invalid = |why: String| Report::from(Error::InvalidValue { type_name: "rfm", why });
    let text = serde_json::to_string(&rfm.0).map_err(|error| invalid(error.to_string()))?;
    CString::new(text).map_err(|error| invalid(error.to_string()))
}

#[pg_extern]
fn recency(rfm: Customer, as_of: TimestampWithTimeZone) -> Option<f64> {
    let as_of = as_of.into_datum()?;
    // SAFETY: the datum was made from a timestamptz just now.
    rfm.0.recency(unsafe { Kind::Timestamp.number(as_of) })
}

#[pg_extern]
fn frequency(rfm: Customer) -> i64 {
    rfm.0.n as i64
}

#[pg_extern]
fn monetary(rfm: Customer) -> f64 {
    rfm.0.amount
}

#[pg_extern]
fn mean_amount(rfm: Customer) -> Option<f64> {
    rfm.0.mean_amount()
}
