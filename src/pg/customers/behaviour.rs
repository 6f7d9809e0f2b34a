//! `behaviour`: an aggregate whose state is its result; its features at any time.
#![allow(unsafe_code, reason = "functions that PostgreSQL calls once a row")]

use pgrx::pg_sys::panic::ErrorReportable;
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::prelude::*;

use crate::algo::customers::behaviour::{
    self, Behaviour, EMPTY_KEY, HEAD, MAX_KIND_BYTES, MAX_KINDS, WIDTH, feature_names, is_kind,
    key_in, kind_key_in,
};
use crate::algo::customers::day_of;
use crate::algo::flat_map::{FlatMap, frozen, set_head};
use crate::pg::datum::Kind;
use crate::pg::error::{Error, Report, report};
use crate::pg::flat::{BytesOut, State, bytes_of};
use crate::pg::raw::{self, argument};
use crate::pg::value::{Bytes, FloatsOut, Names, SqlType, Value, text_and_bytes};

use super::rfm::{finite, seconds};

raw::declare! {
    behaviour_add, pg_finfo_behaviour_add;
    behaviour_combine, pg_finfo_behaviour_combine;
}

impl SqlType for Behaviour {
    const NAME: &'static str = "behaviour";

    fn check(&self) -> Result<(), String> {
        Behaviour::check(self)
    }

    fn to_bytes(&self) -> Result<Vec<u8>, Report> {
        Ok(self.to_flat()?)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        Self::from_flat(bytes).ok_or_else(|| format!("{} bytes that are not one", bytes.len()))
    }
}

/// Adds an event: (behaviour, event text, at timestamptz, amount float8). Without a kind or a time it is skipped.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn behaviour_add(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares these arguments.
    unsafe {
        let (Some(event), Some(at)) = (argument(fcinfo, 1), argument(fcinfo, 2)) else {
            return argument(fcinfo, 0).unwrap_or_else(|| raw::null(fcinfo));
        };
        let amount = argument(fcinfo, 3).map_or(0.0, |amount| Kind::Float8.number(amount));
        let at = finite("at", Kind::Timestamp.number(at)).unwrap_or_report();
        let amount = finite("amount", amount).unwrap_or_report();
        let mut state = State::of(fcinfo, behaviour::empty);
        Kind::Text
            .text(event, "event", |event| add(&mut state, day_of(at), event, 1, amount))
            .unwrap_or_report()
            .unwrap_or_report();
        state.into()
    }
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
        let mut state = State::of(fcinfo, behaviour::empty);
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
        let n_kinds = map(state.bytes())?.head(0) + 1;
        if n_kinds > MAX_KINDS as u64 {
            return Err(report(
                PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                format!("\"{kind}\" is one more than {MAX_KINDS} kinds of events"),
            )
            .set_hint("Give a few kinds, as view, cart and purchase, and not what was viewed."));
        }
        set_head(state.bytes(), 0, n_kinds);
    }
    Ok(())
}

fn map(bytes: &[u8]) -> Result<FlatMap<'_>, Report> {
    FlatMap::read(bytes, WIDTH, HEAD).ok_or_else(|| {
        let why = format!("{} bytes that are not one", bytes.len());
        Error::InvalidValue { type_name: Behaviour::NAME, why }.into()
    })
}

text_and_bytes!(Behaviour: behaviour_in, behaviour_out, behaviour_send, behaviour_recv);

#[pg_extern]
fn behaviour_final(state: Bytes) -> Result<BytesOut, Report> {
    Ok(BytesOut(frozen(map(state.0)?)?))
}

#[pg_extern]
fn features(
    behaviour: Option<Value<Behaviour>>,
    as_of: Option<TimestampWithTimeZone>,
    kinds: Option<Names>,
) -> Result<TableIterator<'static, (name!(feature, String), name!(value, Option<f64>))>, Report> {
    let as_of = day(as_of)?;
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

#[pg_extern]
fn behaviour_vector(
    behaviour: Option<Value<Behaviour>>,
    as_of: Option<TimestampWithTimeZone>,
    kinds: Option<Names>,
    missing: Option<f64>,
) -> Result<Option<FloatsOut>, Report> {
    let as_of = day(as_of)?;
    let kinds = checked_kinds(kinds.ok_or(Error::NullArgument { argument: "kinds" })?)?;
    let missing = missing.map_or(Ok(f64::NAN), |missing| finite("missing", missing))?;
    Ok(behaviour.map(|Value(behaviour)| {
        let features = behaviour.features(as_of, &kinds);
        FloatsOut(features.into_iter().map(|feature| feature.unwrap_or(missing)).collect())
    }))
}

#[pg_extern]
fn behaviour_feature_names(kinds: Option<Names>) -> Result<Vec<String>, Report> {
    let kinds = kinds.ok_or(Error::NullArgument { argument: "kinds" })?;
    Ok(feature_names(&checked_kinds(kinds)?))
}

fn day(as_of: Option<TimestampWithTimeZone>) -> Result<i32, Report> {
    Ok(day_of(seconds(as_of.ok_or(Error::NullArgument { argument: "as_of" })?)?))
}

fn checked_kinds(Names(kinds): Names) -> Result<Vec<String>, Report> {
    let invalid = |value: String| {
        Report::from(Error::InvalidOption {
            option: "kinds".into(),
            value,
            valid: format!(
                "up to {MAX_KINDS} different kinds of 1 to {MAX_KIND_BYTES} bytes, as '{{view,purchase}}'"
            ),
        })
    };
    if kinds.len() > MAX_KINDS {
        return Err(invalid(format!("{} kinds", kinds.len())));
    }
    let mut checked: Vec<String> = Vec::new();
    for kind in kinds {
        match kind {
            Some(kind) if is_kind(&kind) && !checked.contains(&kind) => checked.push(kind),
            Some(kind) => return Err(invalid(format!("\"{kind}\""))),
            None => return Err(invalid("NULL".into())),
        }
    }
    Ok(checked)
}
