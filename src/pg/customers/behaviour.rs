//! `behaviour`: an aggregate whose state is its result; its features at any time.

use pgrx::prelude::*;

use crate::algo::customers::behaviour::{
    self, Behaviour, EMPTY_KEY, HEAD, MAX_KIND_BYTES, MAX_KINDS, WIDTH, feature_names, is_kind,
    key_in, kind_key_in, n_kinds, zone_key_in,
};
use crate::algo::customers::day_of;
use crate::algo::customers::purchases::Zone;
use crate::algo::flat_map::{FlatMap, frozen, set_head};
use crate::pg::error::{Error, Report, report};
use crate::pg::rows::flat::{self, BytesOut, no_state};
use crate::pg::sys::argument::Nth;
use crate::pg::sys::call::{
    Arguments, Call, Date, Maybe, Next, Of, State, Text, Timestamp, Timestamptz, functions,
};
use crate::pg::types::options::{invalid, required};
use crate::pg::types::value::{Bytes, FloatsOut, Names, SqlType, Value};
use crate::pg::types::value_type::value_type;

use super::rfm::finite;
use super::zone::{Clock, Time, TimeArgument, finite_time, named, two_zones};

value_type!(Behaviour: "behaviour", "a customer's events", flat; behaviour_in, behaviour_out, behaviour_send, behaviour_recv);

functions! {
    /// Adds an event: its kind, its time, its amount, and the time zone.
    fn behaviour_add(State<Behaviour>, Text, Timestamptz, f64, Maybe<Text>) -> State<Behaviour> = add_event;
    /// As `behaviour_add`, with a timestamp.
    fn behaviour_add_timestamp(State<Behaviour>, Text, Timestamp, f64, Maybe<Text>) -> State<Behaviour> = add_event;
    /// As `behaviour_add`, with a date.
    fn behaviour_add_date(State<Behaviour>, Text, Date, f64, Maybe<Text>) -> State<Behaviour> = add_event;
    /// The state of two states; a plain function too, by which `rollup` merges stored ones.
    fn behaviour_combine(State<Behaviour>, Of<Behaviour>) -> State<Behaviour> = combine;
}

/// Without a kind or a time the event is skipped.
#[inline]
fn add_event<'call, T: TimeArgument>(
    Call { args, .. }: Call<'call, (State<Behaviour>, Text, T, f64, Maybe<Text>)>,
) -> Next<'call> {
    let (Some(event), Some(at)) = (args.get::<1>(), args.get::<2>()) else {
        return Ok(args.unchanged());
    };
    let amount = finite("amount", args.get::<3>().unwrap_or(0.0))?;
    let time = at.try_into()?;
    let (zone, clock) = match (args.get::<4>(), time) {
        (None, Time::Instant(_)) => (Zone::Utc, Clock::Utc),
        (None, Time::Wall(_)) => (Zone::Wall, Clock::Wall),
        (Some(zone), _) => named(zone.read("zone")?)?,
    };
    let day = day_on(clock, finite_time("at", time.on(clock)?)?);
    let mut state = state_of(args, zone)?;
    add(&mut state, day, event.read("event")?, 1, amount)?;
    Ok(state.into())
}

/// The state in the first argument, which is of this zone or has no events, or an empty one.
fn state_of<'call, A: Nth<0, Type = State<Behaviour>>>(
    args: Arguments<'call, A>,
    zone: Zone,
) -> Result<flat::State<'call>, Report> {
    let is_new = args.state().is_none();
    let mut state = flat::State::of(args, || behaviour::empty(zone));
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

fn day_on(clock: Clock, time: i64) -> i32 {
    day_of(clock.wall(time))
}

fn combine<'call>(
    Call { args, .. }: Call<'call, (State<Behaviour>, Of<Behaviour>)>,
) -> Next<'call> {
    let Some(other) = args.get::<1>() else { return Ok(args.unchanged()) };
    let other = map(other)?;
    let zone = behaviour::zone(other).ok_or_else(no_state)?;
    if n_kinds(other.head(0)) == 0 && args.state().is_some() {
        return Ok(args.unchanged());
    }
    let mut state = state_of(args, zone)?;
    for (day, kind, n, sum) in behaviour::cells(other) {
        add(&mut state, day, kind, n, sum)?;
    }
    Ok(state.into())
}

fn add(state: &mut flat::State, day: i32, kind: &str, n: u64, amount: f64) -> Result<(), Report> {
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
    features behaviour_vector Timestamptz;
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
