//! `rfm`: an aggregate whose state is its result; `rfm_segment`: each customer among the others.
#![allow(unsafe_code, reason = "functions that PostgreSQL calls once a row")]

use pgrx::IntoDatum;
use pgrx::pg_sys::panic::ErrorReportable;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo};
use pgrx::prelude::*;

use crate::algo::customers::day_of;
use crate::algo::customers::rfm::{self, BINS, HEAD, Rfm, Scored, Totals, Unit, WIDTH};
use crate::algo::flat_map::{FlatMap, frozen};
use crate::algo::memory;
use crate::pg::datum::Kind;
use crate::pg::error::{Error, Report};
use crate::pg::flat::{BytesOut, State, bytes_of};
use crate::pg::options::one_of;
use crate::pg::raw::{self, argument};
use crate::pg::value::{Bytes, SqlType, Value, text_and_bytes};
use crate::pg::window::Partition;

raw::declare! {
    rfm_add, pg_finfo_rfm_add;
    rfm_combine, pg_finfo_rfm_combine;
    rfm_segment, pg_finfo_rfm_segment;
}

impl SqlType for Rfm {
    const NAME: &'static str = "rfm";

    fn check(&self) -> Result<(), String> {
        Rfm::check(self)
    }

    fn to_bytes(&self) -> Result<Vec<u8>, Report> {
        Ok(self.to_flat()?)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        Self::from_flat(bytes).ok_or_else(|| format!("{} bytes that are not one", bytes.len()))
    }
}

/// Adds a purchase: (rfm, at timestamptz, amount float8). A NULL time or amount is skipped.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn rfm_add(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares these arguments.
    unsafe {
        let (Some(at), Some(amount)) = (argument(fcinfo, 1), argument(fcinfo, 2)) else {
            return argument(fcinfo, 0).unwrap_or_else(|| raw::null(fcinfo));
        };
        let at = finite("at", Kind::Timestamp.number(at)).unwrap_or_report();
        let amount = finite("amount", Kind::Float8.number(amount)).unwrap_or_report();
        let mut state = State::of(fcinfo, rfm::empty);
        state.update(&rfm::key(day_of(at)), |words| rfm::add(words, amount)).unwrap_or_report();
        rfm::count(state.bytes(), 1, at, at);
        state.into()
    }
}

/// The state of two states; a plain function too, by which `rollup` merges stored ones.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn rfm_combine(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares (rfm, rfm).
    unsafe {
        let Some(other) = argument(fcinfo, 1) else {
            return argument(fcinfo, 0).unwrap_or_else(|| raw::null(fcinfo));
        };
        let other = map(bytes_of(other)).unwrap_or_report();
        let mut state = State::of(fcinfo, rfm::empty);
        for (day, amount) in rfm::days(other) {
            state.update(&rfm::key(day), |words| rfm::add(words, amount)).unwrap_or_report();
        }
        let [first, last] = [other.head(1), other.head(2)].map(f64::from_bits);
        rfm::count(state.bytes(), other.head(0), first, last);
        state.into()
    }
}

fn map(bytes: &[u8]) -> Result<FlatMap<'_>, Report> {
    FlatMap::read(bytes, WIDTH, HEAD).ok_or_else(|| {
        let why = format!("{} bytes that are not one", bytes.len());
        Error::InvalidValue { type_name: Rfm::NAME, why }.into()
    })
}

pub(super) fn finite(column: &str, value: f64) -> Result<f64, Report> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(Error::NotFinite { column: column.into(), value }.into())
    }
}

/// (rfm, timestamptz, integer) OVER (…): the customer's scores among the whole partition, as persona.rfm_scores.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn rfm_segment(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares the function WINDOW, with these arguments and this result.
    unsafe {
        let partition = Partition::of(fcinfo);
        let scores = match partition.kept::<Vec<Option<Scored>>>() {
            Some(scores) => scores,
            None => partition.keep(scores(partition).unwrap_or_report()),
        };
        match scores.get(partition.position() as usize).copied().flatten() {
            Some(scored) => composite(fcinfo, &scored),
            None => raw::null(fcinfo),
        }
    }
}

/// # Safety
/// The partition is of a running call of `rfm_segment`.
unsafe fn scores(partition: Partition) -> Result<Vec<Option<Scored>>, Report> {
    let bins = partition.argument(2).map(|bins| bins.value() as i32);
    let n_bins = bins.and_then(|bins| u32::try_from(bins).ok()).filter(|bins| BINS.contains(bins));
    let n_bins = n_bins.ok_or_else(|| Error::InvalidOption {
        option: "bins".into(),
        value: bins.map_or("NULL".into(), |bins| bins.to_string()),
        valid: format!("a whole number from {} to {}", BINS.start(), BINS.end()),
    })?;
    let mut customers = Vec::new();
    while let Some(customer) = partition.argument_at(0, customers.len() as i64) {
        let totals = match customer {
            // SAFETY: SQL declares the argument as rfm.
            Some(customer) => Totals::of(map(unsafe { bytes_of(customer) })?),
            None => Totals::default(),
        };
        memory::push(&mut customers, totals)?;
    }
    // SAFETY: SQL declares the argument as timestamptz.
    let as_of = partition.argument(1).map(|as_of| unsafe { Kind::Timestamp.number(as_of) });
    Ok(match as_of.filter(|as_of| as_of.is_finite()) {
        Some(as_of) => rfm::score(&customers, as_of, n_bins)?,
        None => memory::filled(None, customers.len())?,
    })
}

/// # Safety
/// `fcinfo` is of a call whose declared result is persona.rfm_scores.
unsafe fn composite(fcinfo: FunctionCallInfo, scored: &Scored) -> Datum {
    let mut values = [
        scored.recency_days.into_datum(),
        (scored.frequency as i64).into_datum(),
        scored.monetary.into_datum(),
        (scored.r as i32).into_datum(),
        (scored.f as i32).into_datum(),
        (scored.m as i32).into_datum(),
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

text_and_bytes!(Rfm: rfm_in, rfm_out, rfm_send, rfm_recv);

#[pg_extern]
fn rfm_final(state: Bytes) -> Result<BytesOut, Report> {
    Ok(BytesOut(frozen(map(state.0)?)?))
}

#[pg_extern]
fn recency(rfm: Bytes, as_of: TimestampWithTimeZone, unit: &str) -> Result<Option<f64>, Report> {
    Ok(totals(rfm)?.recency(seconds(as_of)?, parse_unit(unit)?))
}

#[pg_extern]
fn customer_age(
    rfm: Bytes,
    as_of: TimestampWithTimeZone,
    unit: &str,
) -> Result<Option<f64>, Report> {
    Ok(totals(rfm)?.age(seconds(as_of)?, parse_unit(unit)?))
}

#[pg_extern]
fn purchase_span(rfm: Bytes, unit: &str) -> Result<Option<f64>, Report> {
    Ok(totals(rfm)?.span(parse_unit(unit)?))
}

#[pg_extern]
fn frequency(rfm: Bytes) -> Result<i64, Report> {
    Ok(totals(rfm)?.n as i64)
}

#[pg_extern]
fn repeat_days(rfm: Value<Rfm>) -> i64 {
    rfm.0.repeat_days() as i64
}

#[pg_extern]
fn monetary(rfm: Bytes) -> Result<f64, Report> {
    Ok(totals(rfm)?.amount)
}

#[pg_extern]
fn mean_amount(rfm: Bytes) -> Result<Option<f64>, Report> {
    Ok(totals(rfm)?.mean_amount())
}

#[pg_extern]
fn repeat_amount(rfm: Value<Rfm>) -> Option<f64> {
    rfm.0.repeat_amount()
}

fn totals(rfm: Bytes) -> Result<Totals, Report> {
    Ok(Totals::of(map(rfm.0)?))
}

pub(super) fn seconds(at: TimestampWithTimeZone) -> Result<f64, Report> {
    let at = at.into_datum().ok_or(Error::NullArgument { argument: "as_of" })?;
    // SAFETY: the datum was made from a timestamptz just now.
    finite("as_of", unsafe { Kind::Timestamp.number(at) })
}

fn parse_unit(unit: &str) -> Result<Unit, Report> {
    one_of("unit", unit, &Unit::ALL)
}
