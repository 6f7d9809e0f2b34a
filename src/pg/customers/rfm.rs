//! `rfm`: an aggregate whose state is its result. Its forms differ in the type of the time, and in whether rows have a time zone
//! and the order that they are a line of.
#![allow(unsafe_code, reason = "functions that PostgreSQL calls once a row")]

use pgrx::pg_sys::panic::ErrorReportable;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo};
use pgrx::prelude::*;

use crate::algo::customers::purchases::{self, Added, Form, Purchases, Zone, state_length};
use crate::algo::customers::rfm::Rfm;
use crate::algo::memory;
use crate::pg::error::{Error, Report, report};
use crate::pg::rows::flat::{BytesOut, State, no_state};
use crate::pg::sys::raw::{self, argument, bytes_of};
use crate::pg::types::datum::Kind;
use crate::pg::types::value::Bytes;
use crate::pg::types::value_type::value_type;

use super::figures::unreadable;
use super::zone::{Clock, Time, finite_time, named, two_zones};

raw::declare! {
    rfm_add, pg_finfo_rfm_add;
    rfm_add_timestamp, pg_finfo_rfm_add_timestamp;
    rfm_add_date, pg_finfo_rfm_add_date;
    rfm_combine, pg_finfo_rfm_combine;
    rfm_combine_in, pg_finfo_rfm_combine_in;
}

value_type!(Rfm: "rfm", "a customer's purchases", flat; rfm_in, rfm_out, rfm_send, rfm_recv);

/// Adds a purchase: (rfm, at timestamptz, amount float8 [, zone text [, order anyelement]]).
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn rfm_add(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares these arguments.
    unsafe { add(fcinfo, |at| Ok(Time::Instant(at.value() as i64))) }
}

/// As `rfm_add`, with a timestamp.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn rfm_add_timestamp(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: as above.
    unsafe { add(fcinfo, |at| Ok(Time::Wall(at.value() as i64))) }
}

/// As `rfm_add`, with a date.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn rfm_add_date(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: as above.
    unsafe { add(fcinfo, |at| Time::of_date(at.value() as i32)) }
}

/// A row without a time is skipped; one without an amount is a purchase whose amount is not known.
///
/// # Safety
/// `fcinfo` is of the running call of one of the functions above.
#[inline]
unsafe fn add(fcinfo: FunctionCallInfo, time: fn(Datum) -> Result<Time, Report>) -> Datum {
    // SAFETY: by the caller's promise.
    unsafe {
        let Some(at) = argument(fcinfo, 1) else {
            return argument(fcinfo, 0).unwrap_or_else(|| raw::null(fcinfo));
        };
        let time = time(at).unwrap_or_report();
        let amount = argument(fcinfo, 2).map(|amount| Kind::Float8.number(amount));
        let amount = amount.map_or(Ok(f64::NAN), |amount| finite("amount", amount));
        let amount = amount.unwrap_or_report();
        let n_arguments = (*fcinfo).nargs;
        let zone = if n_arguments > 3 { argument(fcinfo, 3) } else { None };
        let order = if n_arguments > 4 { order(fcinfo).unwrap_or_report() } else { 0 };
        let form = if n_arguments > 4 { Form::Lines } else { Form::Seconds };
        let mut add = |zone: Zone, clock: Clock| {
            let at = finite_time("at", time.on(clock)?)?;
            let mut state = State::of(fcinfo, || purchases::empty(zone, form));
            let is_of = Purchases::read(state.bytes()).ok_or_else(no_state)?.is_of(zone);
            if !is_of {
                adopt(&mut state, zone)?;
            }
            grow(&mut state, |state| purchases::add(state, at, amount, order))?;
            Ok::<_, Report>(state)
        };
        let state = match (zone, time) {
            (None, Time::Instant(_)) => add(Zone::Utc, Clock::Utc),
            (None, Time::Wall(_)) => add(Zone::Wall, Clock::Wall),
            (Some(zone), _) => Kind::Text
                .text(zone, "zone", |name| in_zone(fcinfo, name, time, &mut add))
                .and_then(|state| state),
        };
        state.unwrap_or_report().into()
    }
}

/// Adds in the zone of this name. Instants need not know the zone again where the state has its name.
///
/// # Safety
/// `fcinfo` is of the running call, whose first argument is a state.
unsafe fn in_zone(
    fcinfo: FunctionCallInfo,
    name: &str,
    time: Time,
    add: &mut dyn FnMut(Zone, Clock) -> Result<State, Report>,
) -> Result<State, Report> {
    let zone = Zone::of(name);
    // SAFETY: by the caller's promise.
    let state = unsafe { argument(fcinfo, 0).map(|state| bytes_of(state)) };
    let is_same = state.and_then(Purchases::read).is_some_and(|state| state.is_of(zone));
    match (is_same, time) {
        // Any zone will do.
        (true, Time::Instant(_)) => add(zone, Clock::Utc),
        (true, Time::Wall(_)) => add(zone, Clock::of(zone)?),
        (false, _) => named(name, add),
    }
}

/// The hash of the order that a row is a line of, as PostgreSQL's hash joins take it: what is equal in SQL is one order. 0 for
/// NULL.
///
/// # Safety
/// `fcinfo` is of the running call of a function with a fifth argument.
unsafe fn order(fcinfo: FunctionCallInfo) -> Result<u64, Report> {
    // SAFETY: by the caller's promise; the hash function of a type takes its values and a seed.
    unsafe {
        let Some(order) = argument(fcinfo, 4) else { return Ok(0) };
        let type_oid = pg_sys::get_fn_expr_argtype((*fcinfo).flinfo, 4);
        let flags = pg_sys::TYPECACHE_HASH_EXTENDED_PROC_FINFO as i32;
        let entry = match type_oid {
            pg_sys::InvalidOid => std::ptr::null_mut(),
            type_oid => pg_sys::lookup_type_cache(type_oid, flags),
        };
        if entry.is_null() || (*entry).hash_extended_proc_finfo.fn_oid == pg_sys::InvalidOid {
            let message = "order_id has a type whose values cannot be hashed";
            return Err(report(PgSqlErrorCode::ERRCODE_UNDEFINED_FUNCTION, message)
                .set_hint("Give the order as a number or as text."));
        }
        let collation = match (*fcinfo).fncollation {
            pg_sys::InvalidOid => pg_sys::DEFAULT_COLLATION_OID,
            collation => collation,
        };
        let finfo = &raw mut (*entry).hash_extended_proc_finfo;
        let hash = pg_sys::FunctionCall2Coll(finfo, collation, order, Datum::from(0_i64));
        Ok((hash.value() as u64).max(1))
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
        let other = read(bytes_of(other)).unwrap_or_report();
        merge(fcinfo, &other).unwrap_or_report().into()
    }
}

/// As `rfm_combine`, with the days of a zone: (rfm, rfm, zone text). Values of any zones merge, and times of a clock on the wall are
/// those of the zone.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn rfm_combine_in(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares (rfm, rfm, text).
    unsafe {
        let Some(other) = argument(fcinfo, 1) else {
            return argument(fcinfo, 0).unwrap_or_else(|| raw::null(fcinfo));
        };
        let zone = argument(fcinfo, 2).ok_or(Error::NullArgument { argument: "zone" });
        let zone = zone.map_err(Report::from).unwrap_or_report();
        Kind::Text
            .text(zone, "zone", |name| {
                let moved = named(name, |zone, clock| moved(bytes_of(other), zone, clock))?;
                merge(fcinfo, &read(&moved)?)
            })
            .unwrap_or_report()
            .unwrap_or_report()
            .into()
    }
}

/// The same purchases in another zone.
fn moved(bytes: &[u8], zone: Zone, clock: Clock) -> Result<Vec<u8>, Report> {
    let frozen = purchases::frozen(bytes)?.ok_or_else(no_state)?;
    let old = read(&frozen)?;
    let is_wall = old.is_of(Zone::Wall);
    let mut moved = memory::collect(old.until(i64::MAX))?;
    for (at, _) in moved.iter_mut().filter(|_| is_wall) {
        *at = Time::Wall(*at).on(clock)?;
    }
    Ok(purchases::pack(zone, &mut moved)?)
}

/// # Safety
/// `fcinfo` is of the running call of a function whose first argument is a state.
unsafe fn merge(fcinfo: FunctionCallInfo, other: &Purchases) -> Result<State, Report> {
    let zone = other.zone().ok_or_else(no_state)?;
    // SAFETY: by the caller's promise.
    let mut state = unsafe { State::of(fcinfo, || purchases::empty(zone, Form::Seconds)) };
    if !Purchases::read(state.bytes()).ok_or_else(no_state)?.is_of(zone) {
        if other.n() == 0 {
            return Ok(state);
        }
        adopt(&mut state, zone)?;
    }
    grow(&mut state, |state| purchases::merge(state, other))?;
    Ok(state)
}

/// Makes an empty state one of this zone; one that is not empty stays in its own.
#[cold]
fn adopt(state: &mut State, zone: Zone) -> Result<(), Report> {
    let own = Purchases::read(state.bytes()).ok_or_else(no_state)?;
    if own.n() > 0 {
        return Err(two_zones("rfm", own.zone().ok_or_else(no_state)?, zone));
    }
    state.replace(&purchases::empty(zone, Form::Seconds));
    Ok(())
}

#[inline]
fn grow(state: &mut State, change: impl Fn(&mut [u8]) -> Added) -> Result<(), Report> {
    loop {
        match change(state.bytes()) {
            Added::Done => return Ok(()),
            Added::Full(needed) => state.widen(state_length(needed))?,
            Added::Narrow(form) => {
                let wider = purchases::reshaped(state.bytes(), form)?;
                state.replace(&wider);
            }
            Added::Corrupt => return Err(no_state()),
        }
    }
}

pub(super) fn read(bytes: &[u8]) -> Result<Purchases<'_>, Report> {
    Purchases::read(bytes).ok_or_else(|| unreadable(bytes.len()))
}

pub(super) fn finite(argument: &str, value: f64) -> Result<f64, Report> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(Error::NotFiniteArgument { argument: argument.into(), value }.into())
    }
}

#[pg_extern]
fn rfm_final(state: Bytes) -> Result<BytesOut, Report> {
    let frozen = purchases::frozen(state.0)?.ok_or_else(no_state)?;
    Ok(BytesOut(memory::copied(&frozen)?))
}
