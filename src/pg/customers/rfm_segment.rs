//! `rfm_segment`: each customer among the others, in three forms: the time is a timestamptz, a timestamp or a date.
#![allow(unsafe_code, reason = "a window function that PostgreSQL calls once a row")]

use pgrx::IntoDatum;
use pgrx::pg_sys::panic::ErrorReportable;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo};
use pgrx::prelude::*;

use crate::algo::customers::days_between;
use crate::algo::customers::purchases;
use crate::algo::customers::rfm::{Refunds, Totals};
use crate::algo::customers::scores::{self, BINS, Scored, Standing};
use crate::algo::memory;
use crate::pg::error::Report;
use crate::pg::rows::window::Partition;
use crate::pg::sys::raw::{self, bytes_of};
use crate::pg::types::datum::Kind;
use crate::pg::types::options::{invalid, required};

use super::figures::{clock, parse_refunds, unreadable};
use super::rfm::read;
use super::zone::Time;

raw::declare! {
    rfm_segment, pg_finfo_rfm_segment;
    rfm_segment_timestamp, pg_finfo_rfm_segment_timestamp;
    rfm_segment_date, pg_finfo_rfm_segment_date;
}

/// (rfm, as_of timestamptz, bins bigint, refunds text) OVER (…): the customer's scores among the whole partition, as
/// persona.rfm_scores.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn rfm_segment(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares the function WINDOW, with these arguments and this result.
    unsafe { segment(fcinfo, |time| Ok(Time::Instant(time.value() as i64))) }
}

/// As `rfm_segment`, with a timestamp.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn rfm_segment_timestamp(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: as above.
    unsafe { segment(fcinfo, |time| Ok(Time::Wall(time.value() as i64))) }
}

/// As `rfm_segment`, with a date.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn rfm_segment_date(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: as above.
    unsafe { segment(fcinfo, |time| Time::of_date(time.value() as i32)) }
}

/// # Safety
/// `fcinfo` is of the running call of one of the functions above.
unsafe fn segment(fcinfo: FunctionCallInfo, time: fn(Datum) -> Result<Time, Report>) -> Datum {
    // SAFETY: by the caller's promise.
    unsafe {
        let partition = Partition::of(fcinfo);
        let scores = match partition.kept::<Vec<Option<Scored>>>() {
            Some(scores) => scores,
            None => partition.keep(scores(partition, time).unwrap_or_report()),
        };
        match scores.get(partition.position() as usize).copied().flatten() {
            Some(scored) => composite(fcinfo, &scored),
            None => raw::null(fcinfo),
        }
    }
}

/// # Safety
/// The partition is of a running call of `segment`.
unsafe fn scores(
    partition: Partition,
    time: fn(Datum) -> Result<Time, Report>,
) -> Result<Vec<Option<Scored>>, Report> {
    let bins = partition.argument(2).map(|bins| bins.value() as i64);
    let n_bins = bins.and_then(|bins| u32::try_from(bins).ok()).filter(|bins| BINS.contains(bins));
    let n_bins = n_bins.ok_or_else(|| {
        let valid = format!("a whole number from {} to {}", BINS.start(), BINS.end());
        invalid("bins", bins.map_or("NULL".into(), |bins| bins.to_string()), &valid)
    })?;
    let refunds = required(partition.argument(3), "refunds")?;
    // SAFETY: SQL declares the argument as text.
    let refunds = unsafe { Kind::Text.text(refunds, "refunds", parse_refunds)?? };
    let as_of = partition.argument(1).map(time).transpose()?;
    let mut customers = Vec::new();
    while let Some(customer) = partition.argument_at(0, customers.len() as i64) {
        let standing = match customer.zip(as_of) {
            // SAFETY: SQL declares the argument as rfm.
            Some((customer, as_of)) => standing(unsafe { bytes_of(customer) }, as_of, refunds)?,
            None => None,
        };
        memory::push(&mut customers, standing)?;
    }
    Ok(scores::score(&customers, n_bins)?)
}

/// None without a purchase, and where the time is infinite.
fn standing(bytes: &[u8], as_of: Time, refunds: Refunds) -> Result<Option<Standing>, Report> {
    let frozen = purchases::frozen(bytes)?.ok_or_else(|| unreadable(bytes.len()))?;
    let purchases = read(&frozen)?;
    let as_of = as_of.on(clock(&purchases)?)?;
    let totals = Totals::until(&purchases, as_of, refunds);
    Ok(totals.last.filter(|_| as_of != i64::MAX).map(|last| Standing {
        since: as_of.saturating_sub(last),
        n: totals.n,
        amount: totals.amount,
    }))
}

/// # Safety
/// `fcinfo` is of a call whose declared result is persona.rfm_scores.
unsafe fn composite(fcinfo: FunctionCallInfo, scored: &Scored) -> Datum {
    let mut values = [
        days_between(0, scored.standing.since).into_datum(),
        (scored.standing.n as i64).into_datum(),
        scored.standing.amount.into_datum(),
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
