//! `behaviour`: an aggregate whose state is its result; its features at any time.
#![allow(unsafe_code, reason = "functions that PostgreSQL calls once a row")]

use pgrx::pg_sys::panic::ErrorReportable;
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::prelude::*;

use crate::algo::customers::behaviour::{
    self, Behaviour, EMPTY_KEY, HEAD, MAX_KIND_BYTES, MAX_KINDS, WIDTH, feature_names, is_kind,
    key_in, kind_key_in, n_kinds, zone_key_in,
};
use crate::algo::customers::day_of;
use crate::algo::customers::purchases::Zone;
use crate::algo::flat_map::{FlatMap, frozen, set_head};
use crate::pg::error::{Error, Report, report};
use crate::pg::rows::flat::{BytesOut, State, no_state};
use crate::pg::sys::raw::{self, argument, bytes_of};
use crate::pg::types::datum::Kind;
use crate::pg::types::options::{invalid, required};
use crate::pg::types::value::{Bytes, FloatsOut, Names, SqlType, Value};
use crate::pg::types::value_type::value_type;

use super::rfm::finite;
use super::zone::{Clock, Time, finite_time, named, two_zones};

raw::declare! {
    behaviour_add, pg_finfo_behaviour_add;
    behaviour_add_timestamp, pg_finfo_behaviour_add_timestamp;
    behaviour_add_date, pg_finfo_behaviour_add_date;
    behaviour_combine, pg_finfo_behaviour_combine;
}

value_type!(Behaviour: "behaviour", "a customer's events", flat; behaviour_in, behaviour_out, behaviour_send, behaviour_recv);

/// Adds an event: (behaviour, event text, at timestamptz, amount float8 [, zone text]).
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn behaviour_add(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares these arguments.
    unsafe { add_event(fcinfo, |at| Ok(Time::Instant(at.value() as i64))) }
}

/// As `behaviour_add`, with a timestamp.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn behaviour_add_timestamp(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: as above.
    unsafe { add_event(fcinfo, |at| Ok(Time::Wall(at.value() as i64))) }
}

/// As `behaviour_add`, with a date.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn behaviour_add_date(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: as above.
    unsafe { add_event(fcinfo, |at| Time::of_date(at.value() as i32)) }
}

/// Without a kind or a time the event is skipped.
///
/// # Safety
/// `fcinfo` is of the running call of one of the functions above.
#[inline]
unsafe fn add_event(fcinfo: FunctionCallInfo, time: fn(Datum) -> Result<Time, Report>) -> Datum {
    // SAFETY: by the caller's promise.
    unsafe {
        let (Some(event), Some(at)) = (argument(fcinfo, 1), argument(fcinfo, 2)) else {
            return argument(fcinfo, 0).unwrap_or_else(|| raw::null(fcinfo));
        };
        let amount = argument(fcinfo, 3).map_or(0.0, |amount| Kind::Float8.number(amount));
        let amount = finite("amount", amount).unwrap_or_report();
        let time = time(at).unwrap_or_report();
        let zone = if (*fcinfo).nargs > 4 { argument(fcinfo, 4) } else { None };
        let add_in = |zone: Zone, clock: Clock| {
            let day = day_on(clock, finite_time("at", time.on(clock)?)?);
            let mut state = state_of(fcinfo, zone)?;
            Kind::Text.text(event, "event", |event| add(&mut state, day, event, 1, amount))??;
            Ok::<_, Report>(state)
        };
        let state = match (zone, time) {
            (None, Time::Instant(_)) => add_in(Zone::Utc, Clock::Utc),
            (None, Time::Wall(_)) => add_in(Zone::Wall, Clock::Wall),
            (Some(zone), _) => {
                Kind::Text.text(zone, "zone", |name| named(name, add_in)).and_then(|state| state)
            }
        };
        state.unwrap_or_report().into()
    }
}

/// The state in the first argument, which is of this zone or has no events, or an empty one.
///
/// # Safety
/// `fcinfo` is of the running call of a function whose first argument is a state.
unsafe fn state_of(fcinfo: FunctionCallInfo, zone: Zone) -> Result<State, Report> {
    // SAFETY: by the caller's promise.
    unsafe {
        let is_new = argument(fcinfo, 0).is_none();
        let mut state = State::of(fcinfo, || behaviour::empty(zone));
        let own = map(state.bytes())?;
        let is_of = behaviour::is_of(own.head(0), zone);
        if !is_of {
            let own_zone = behaviour::zone(own).ok_or_else(no_state)?;
            if n_kinds(own.head(0)) > 0 {
                return Err(two_zones("behaviour", own_zone, zone));
            }
            state.replace(&behaviour::empty(zone));
        }
        if is_new || !is_of {
            let mut key = EMPTY_KEY;
            if let Some(key) = zone_key_in(&mut key, zone) {
                state.update(key, |_| ())?;
            }
        }
        Ok(state)
    }
}

fn day_on(clock: Clock, time: i64) -> i32 {
    day_of(clock.wall(time))
}

/// The state of two states; a plain function too, by which `rollup` merges stored ones.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn behaviour_combine(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares (behaviour, behaviour).
    unsafe {
        let Some(other) = argument(fcinfo, 1) else {
            return argument(fcinfo, 0).unwrap_or_else(|| raw::null(fcinfo));
        };
        let other = map(bytes_of(other)).unwrap_or_report();
        let zone = behaviour::zone(other).ok_or_else(no_state).unwrap_or_report();
        if let (Some(state), 0) = (argument(fcinfo, 0), n_kinds(other.head(0))) {
            return state;
        }
        let mut state = state_of(fcinfo, zone).unwrap_or_report();
        for (day, kind, n, sum) in behaviour::cells(other) {
            add(&mut state, day, kind, n, sum).unwrap_or_report();
        }
        state.into()
    }
}

fn add(state: &mut State, day: i32, kind: &str, n: u64, amount: f64) -> Result<(), Report> {
    if !is_kind(kind) {
        return Err(report(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("a kind of event has {} bytes", kind.len()),
        )
        .set_hint(format!("Valid: 1 to {MAX_KIND_BYTES} bytes, as view, cart or purchase.")));
    }
    let mut key = EMPTY_KEY;
    let of_day = key_in(&mut key, day, kind);
    let is_new = state.update(of_day, |words| behaviour::add(words, n, amount))?;
    if is_new && state.update(kind_key_in(&mut key, kind), |_| ())? {
        let head = map(state.bytes())?.head(0) + 1;
        set_head(state.bytes(), 0, head);
    }
    Ok(())
}

fn map(bytes: &[u8]) -> Result<FlatMap<'_>, Report> {
    FlatMap::read(bytes, WIDTH, HEAD).ok_or_else(|| {
        let why = format!("{} bytes that are not one", bytes.len());
        Error::InvalidValue { type_name: Behaviour::NAME, why }.into()
    })
}

#[pg_extern]
fn behaviour_final(state: Bytes) -> Result<BytesOut, Report> {
    let map = map(state.0)?;
    if n_kinds(map.head(0)) <= MAX_KINDS as u64 {
        return Ok(BytesOut(frozen(map)?));
    }
    let mut behaviour = Behaviour::from_flat(state.0).ok_or_else(no_state)?;
    behaviour.fold_rare_kinds();
    Ok(BytesOut(behaviour.to_flat()?))
}

type Features = TableIterator<'static, (name!(feature, String), name!(value, Option<f64>))>;

macro_rules! forms {
    ($($features:ident $vector:ident $time:ident;)*) => {
        $(
            #[pg_extern]
            fn $features(
                behaviour: Option<Value<Behaviour>>,
                as_of: Option<$time>,
                kinds: Option<Names>,
            ) -> Result<Features, Report> {
                features_at(behaviour, as_of.map(Time::try_from).transpose()?, kinds)
            }

            #[pg_extern]
            fn $vector(
                behaviour: Option<Value<Behaviour>>,
                as_of: Option<$time>,
                kinds: Option<Names>,
                missing: Option<f64>,
            ) -> Result<Option<FloatsOut>, Report> {
                vector_at(behaviour, as_of.map(Time::try_from).transpose()?, kinds, missing)
            }
        )*
    };
}
forms! {
    features behaviour_vector TimestampWithTimeZone;
    features_timestamp behaviour_vector_timestamp Timestamp;
    features_date behaviour_vector_date Date;
}

fn features_at(
    behaviour: Option<Value<Behaviour>>,
    as_of: Option<Time>,
    kinds: Option<Names>,
) -> Result<Features, Report> {
    let as_of = day(as_of, &behaviour)?;
    let kinds = kinds.map(checked_kinds).transpose()?;
    let rows = match behaviour {
        None => Vec::new(),
        Some(Value(behaviour)) => {
            let kinds = kinds.unwrap_or_else(|| behaviour.kinds());
            feature_names(&kinds).into_iter().zip(behaviour.features(as_of, &kinds)).collect()
        }
    };
    Ok(TableIterator::new(rows))
}

fn vector_at(
    behaviour: Option<Value<Behaviour>>,
    as_of: Option<Time>,
    kinds: Option<Names>,
    missing: Option<f64>,
) -> Result<Option<FloatsOut>, Report> {
    let as_of = day(as_of, &behaviour)?;
    let kinds = checked_kinds(required(kinds, "kinds")?)?;
    let missing = missing.map_or(Ok(f64::NAN), |missing| finite("missing", missing))?;
    Ok(behaviour.map(|Value(behaviour)| {
        let features = behaviour.features(as_of, &kinds);
        FloatsOut(features.into_iter().map(|feature| feature.unwrap_or(missing)).collect())
    }))
}

#[pg_extern]
fn behaviour_feature_names(kinds: Option<Names>) -> Result<Vec<String>, Report> {
    let kinds = required(kinds, "kinds")?;
    Ok(feature_names(&checked_kinds(kinds)?))
}

/// The day of a time, on the clock of the value.
fn day(as_of: Option<Time>, behaviour: &Option<Value<Behaviour>>) -> Result<i32, Report> {
    let as_of = required(as_of, "as_of")?;
    let zone = behaviour.as_ref().map_or(Zone::Utc, |Value(behaviour)| behaviour.zone());
    let clock = Clock::of(zone)?;
    Ok(day_on(clock, finite_time("as_of", as_of.on(clock)?)?))
}

fn checked_kinds(Names(kinds): Names) -> Result<Vec<String>, Report> {
    let refused = |value: String| {
        let valid = format!(
            "up to {MAX_KINDS} different kinds of 1 to {MAX_KIND_BYTES} bytes, as '{{view,purchase}}'"
        );
        invalid("kinds", value, &valid)
    };
    if kinds.len() > MAX_KINDS {
        return Err(refused(format!("{} kinds", kinds.len())));
    }
    let mut checked: Vec<String> = Vec::new();
    for kind in kinds {
        match kind {
            Some(kind) if is_kind(&kind) && !checked.contains(&kind) => checked.push(kind),
            Some(kind) => return Err(refused(format!("\"{kind}\""))),
            None => return Err(refused("NULL".into())),
        }
    }
    Ok(checked)
}
