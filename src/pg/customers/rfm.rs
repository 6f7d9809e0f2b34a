//! `rfm`: an aggregate whose state is its result. Its forms differ in the type of the time, and in whether rows have a time zone
//! and the order that they are a line of.

use pgrx::prelude::*;

use crate::algo::customers::purchases::{self, Added, Form, Purchases, Zone, state_length};
use crate::algo::customers::rfm::Rfm;
use crate::algo::memory;
use crate::pg::error::{Error, Report, report};
use crate::pg::rows::flat::{self, BytesOut, no_state};
use crate::pg::sys::argument::Nth;
use crate::pg::sys::call::{
    Any, Arguments, Call, Date, Maybe, Next, Of, State, Text, Timestamp, Timestamptz, functions,
};
use crate::pg::types::value::Bytes;
use crate::pg::types::value_type::value_type;

use super::figures::unreadable;
use super::zone::{Clock, Time, TimeArgument, finite_time, named, two_zones};

value_type!(Rfm: "rfm", "a customer's purchases", flat; rfm_in, rfm_out, rfm_send, rfm_recv);

functions! {
    /// Adds a purchase: its time, its amount, the time zone, and the order that it is a line of.
    fn rfm_add(State<Rfm>, Timestamptz, f64, Maybe<Text>, Maybe<Any>) -> State<Rfm> = add;
    /// As `rfm_add`, with a timestamp.
    fn rfm_add_timestamp(State<Rfm>, Timestamp, f64, Maybe<Text>, Maybe<Any>) -> State<Rfm> = add;
    /// As `rfm_add`, with a date.
    fn rfm_add_date(State<Rfm>, Date, f64, Maybe<Text>, Maybe<Any>) -> State<Rfm> = add;
    /// The state of two states; a plain function too, by which `rollup` merges stored ones.
    fn rfm_combine(State<Rfm>, Of<Rfm>) -> State<Rfm> = combine;
    /// As `rfm_combine`, with the days of a zone. Values of any zones merge, and times of a clock on the wall are those of the zone.
    fn rfm_combine_in(State<Rfm>, Of<Rfm>, Text) -> State<Rfm> = combine_in;
}

/// A row without a time is skipped; one without an amount is a purchase whose amount is not known.
#[inline]
fn add<'call, T: TimeArgument>(
    Call { args, .. }: Call<'call, (State<Rfm>, T, f64, Maybe<Text>, Maybe<Any>)>,
) -> Next<'call> {
    let Some(at) = args.get::<1>() else { return Ok(args.unchanged()) };
    let time = at.try_into()?;
    let amount = args.get::<2>().map_or(Ok(f64::NAN), |amount| finite("amount", amount))?;
    let (order, form) = match args.has::<4>() {
        true => (args.any::<4>().map_or(Ok(0), hash)?, Form::Lines),
        false => (0, Form::Seconds),
    };
    let (zone, clock) = match (args.get::<3>(), time) {
        (None, Time::Instant(_)) => (Zone::Utc, Clock::Utc),
        (None, Time::Wall(_)) => (Zone::Wall, Clock::Wall),
        (Some(zone), _) => in_zone(args.state(), zone.read("zone")?, time)?,
    };
    let at = finite_time("at", time.on(clock)?)?;
    let mut state = flat::State::of(args, || purchases::empty(zone, form));
    let is_of = Purchases::read(state.bytes()).ok_or_else(no_state)?.is_of(zone);
    if !is_of {
        adopt(&mut state, zone)?;
    }
    grow(&mut state, |state| purchases::add(state, at, amount, order))?;
    Ok(state.into())
}

/// The zone of this name. Instants need not know it again where the state has its name.
fn in_zone<'a>(
    state: Option<&[u8]>,
    name: &'a str,
    time: Time,
) -> Result<(Zone<'a>, Clock), Report> {
    let zone = Zone::of(name);
    let is_same = state.and_then(Purchases::read).is_some_and(|state| state.is_of(zone));
    match (is_same, time) {
        // Any zone will do.
        (true, Time::Instant(_)) => Ok((zone, Clock::Utc)),
        (true, Time::Wall(_)) => Ok((zone, Clock::of(zone)?)),
        (false, _) => named(name),
    }
}

/// The hash of the order that a row is a line of: what is equal in SQL is one order. 0 stands for none.
fn hash(order: Any) -> Result<u64, Report> {
    let hash = order.hash().ok_or_else(|| {
        let message = "order_id has a type whose values cannot be hashed";
        report(PgSqlErrorCode::ERRCODE_UNDEFINED_FUNCTION, message)
            .set_hint("Give the order as a number or as text.")
    })?;
    Ok(hash.max(1))
}

fn combine<'call>(Call { args, .. }: Call<'call, (State<Rfm>, Of<Rfm>)>) -> Next<'call> {
    let Some(other) = args.get::<1>() else { return Ok(args.unchanged()) };
    merge(args, &read(other)?)
}

fn combine_in<'call>(Call { args, .. }: Call<'call, (State<Rfm>, Of<Rfm>, Text)>) -> Next<'call> {
    let Some(other) = args.get::<1>() else { return Ok(args.unchanged()) };
    let zone = args.get::<2>().ok_or(Error::NullArgument { argument: "zone" })?;
    let (zone, clock) = named(zone.read("zone")?)?;
    merge(args, &read(&moved(other, zone, clock)?)?)
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

fn merge<'call, A: Nth<0, Type = State<Rfm>>>(
    args: Arguments<'call, A>,
    other: &Purchases,
) -> Next<'call> {
    let zone = other.zone().ok_or_else(no_state)?;
    let mut state = flat::State::of(args, || purchases::empty(zone, Form::Seconds));
    if !Purchases::read(state.bytes()).ok_or_else(no_state)?.is_of(zone) {
        if other.n() == 0 {
            return Ok(state.into());
        }
        adopt(&mut state, zone)?;
    }
    grow(&mut state, |state| purchases::merge(state, other))?;
    Ok(state.into())
}

/// Makes an empty state one of this zone; one that is not empty stays in its own.
#[cold]
fn adopt(state: &mut flat::State, zone: Zone) -> Result<(), Report> {
    let own = Purchases::read(state.bytes()).ok_or_else(no_state)?;
    if own.n() > 0 {
        return Err(two_zones("rfm", own.zone().ok_or_else(no_state)?, zone));
    }
    state.replace(&purchases::empty(zone, Form::Seconds));
    Ok(())
}

#[inline]
fn grow(state: &mut flat::State, change: impl Fn(&mut [u8]) -> Added) -> Result<(), Report> {
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
