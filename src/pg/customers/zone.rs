//! Time zones as PostgreSQL knows them, and the times that functions are given: instants, or what a clock on the wall shows.
//! The session's zone has a say only where an instant meets times of no zone, as it has in PostgreSQL's own casts.

use pgrx::prelude::*;

use crate::algo::customers::MICROSECONDS_A_DAY;
use crate::algo::customers::purchases::{MAX_ZONE_BYTES, UTC, Zone};
use crate::pg::error::{Error, Report, report};
use crate::pg::sys::argument::Argument;
use crate::pg::sys::call::{Date, Timestamp, Timestamptz};
use crate::pg::sys::time_zone::TimeZone;

/// A time as SQL gives it, in microseconds since 2000; the ends of i64 are the infinities.
#[derive(Debug, Clone, Copy)]
pub(super) enum Time {
    /// timestamptz
    Instant(i64),
    /// timestamp, and date as its midnight.
    Wall(i64),
}

impl Time {
    /// The time of a date: its midnight.
    pub(super) fn of_date(days: i32) -> Result<Self, Report> {
        let time = match days {
            i32::MAX => i64::MAX,
            i32::MIN => i64::MIN,
            days => i64::from(days)
                .checked_mul(MICROSECONDS_A_DAY)
                .filter(|time| is_valid(*time))
                .ok_or_else(out_of_range)?,
        };
        Ok(Self::Wall(time))
    }

    /// The time on the clock by which a value counts.
    pub(super) fn on(self, clock: Clock) -> Result<i64, Report> {
        let time = match (self, clock) {
            (Self::Instant(time) | Self::Wall(time), _) if time == i64::MAX || time == i64::MIN => {
                return Ok(time);
            }
            (Self::Instant(instant), Clock::Utc | Clock::Of(_)) => instant,
            (Self::Instant(instant), Clock::Wall) => TimeZone::of_session().wall(instant),
            (Self::Wall(time), Clock::Utc | Clock::Wall) => time,
            (Self::Wall(time), Clock::Of(zone)) => zone.instant(time),
        };
        if is_valid(time) { Ok(time) } else { Err(out_of_range()) }
    }
}

macro_rules! time_of {
    ($($sql:ident $time:ident => $made:expr;)*) => {
        $(impl TryFrom<$sql> for Time {
            type Error = Report;

            #[inline]
            fn try_from($time: $sql) -> Result<Self, Report> {
                $made
            }
        })*
    };
}
time_of! {
    Timestamptz time => Ok(Self::Instant(time.0));
    Timestamp time => Ok(Self::Wall(time.0));
    Date date => Self::of_date(date.0);
}

/// An argument that is a time, of one of the three types.
pub(super) trait TimeArgument:
    for<'call> Argument<Value<'call> = Self> + TryInto<Time, Error = Report>
{
}

impl<T> TimeArgument for T where
    T: for<'call> Argument<Value<'call> = Self> + TryInto<Time, Error = Report>
{
}

/// How the times of a value are counted, and where their days begin.
#[derive(Debug, Clone, Copy)]
pub(super) enum Clock {
    Utc,
    Wall,
    Of(TimeZone),
}

impl Clock {
    pub(super) fn of(zone: Zone) -> Result<Self, Report> {
        match zone {
            Zone::Utc => Ok(Self::Utc),
            Zone::Wall => Ok(Self::Wall),
            Zone::Named(name) => find(name).map(Self::Of),
        }
    }

    /// What the clock shows at a time of the value.
    pub(super) fn wall(self, time: i64) -> i64 {
        match self {
            Self::Utc | Self::Wall => time,
            Self::Of(zone) => zone.wall(time),
        }
    }
}

/// The zone of a name that a user gave, with its name as PostgreSQL spells it.
pub(super) fn named(name: &str) -> Result<(Zone<'static>, Clock), Report> {
    if name == UTC {
        return Ok((Zone::Utc, Clock::Utc));
    }
    let found = find(name)?;
    match found.name().to_str() {
        Ok(UTC) => Ok((Zone::Utc, Clock::Utc)),
        Ok(spelled) => Ok((Zone::Named(spelled), Clock::Of(found))),
        Err(_) => Err(unknown(name)),
    }
}

fn find(name: &str) -> Result<TimeZone, Report> {
    let is_name = (1..=MAX_ZONE_BYTES).contains(&name.len());
    let found = if is_name { TimeZone::named(name) } else { None };
    found.ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Report {
    report(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        format!("time zone \"{name}\" not recognized"),
    )
    .set_hint("The view pg_timezone_names lists the time zones.")
}

/// Two values that are not of one zone.
pub(super) fn two_zones(type_name: &str, one: Zone, other: Zone) -> Report {
    let name = |zone: Zone| zone.name().map_or("no time zone".into(), |name| format!("\"{name}\""));
    report(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        format!("cannot merge {type_name} of {} with {type_name} of {}", name(one), name(other)),
    )
    .set_hint("Give all rows the same time zone; rollup of rfm can be given the one to use.")
}

pub(super) fn finite_time(argument: &str, time: i64) -> Result<i64, Report> {
    let value = match time {
        i64::MAX => f64::INFINITY,
        i64::MIN => f64::NEG_INFINITY,
        _ => return Ok(time),
    };
    Err(Error::NotFiniteArgument { argument: argument.into(), value }.into())
}

fn is_valid(time: i64) -> bool {
    // From 4714-11-24 BC to the end of 294276, as PostgreSQL's.
    (-211_813_488_000_000_000..9_223_371_331_200_000_000).contains(&time)
}

fn out_of_range() -> Report {
    report(PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW, "timestamp out of range")
}
