//! Time zones as PostgreSQL knows them, and the times that functions are given: instants, or what a clock on the wall shows.
//! The session's zone has a say only where an instant meets times of no zone, as it has in PostgreSQL's own casts.
#![allow(unsafe_code, reason = "time zones are PostgreSQL's")]

use std::ffi::{CStr, CString};

use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::algo::customers::MICROSECONDS_A_DAY;
use crate::algo::customers::purchases::{MAX_ZONE_BYTES, UTC, Zone};
use crate::pg::error::{Error, Report, report};

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
            // SAFETY: the session's zone is always one.
            (Self::Instant(instant), Clock::Wall) => {
                wall(instant, unsafe { pg_sys::session_timezone })
            }
            (Self::Wall(time), Clock::Utc | Clock::Wall) => time,
            (Self::Wall(time), Clock::Of(zone)) => instant(time, zone),
        };
        if is_valid(time) { Ok(time) } else { Err(out_of_range()) }
    }
}

macro_rules! time_of {
    ($($sql:ident $time:ident => $made:expr;)*) => {
        $(impl TryFrom<$sql> for Time {
            type Error = Report;

            fn try_from($time: $sql) -> Result<Self, Report> {
                $made
            }
        })*
    };
}
time_of! {
    TimestampWithTimeZone time => Ok(Self::Instant(time.into_inner()));
    Timestamp time => Ok(Self::Wall(time.into_inner()));
    Date date => Self::of_date(date.into_inner());
}

/// How the times of a value are counted, and where their days begin.
#[derive(Debug, Clone, Copy)]
pub(super) enum Clock {
    Utc,
    Wall,
    /// A zone, which PostgreSQL keeps as long as the process lives.
    Of(*mut pg_sys::pg_tz),
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
            Self::Of(zone) => wall(time, zone),
        }
    }
}

/// Hands out the zone of a name that a user gave, with its name as PostgreSQL spells it.
pub(super) fn named<T>(
    name: &str,
    then: impl FnOnce(Zone, Clock) -> Result<T, Report>,
) -> Result<T, Report> {
    if name == UTC {
        return then(Zone::Utc, Clock::Utc);
    }
    let found = find(name)?;
    // SAFETY: the name is a text that lives as long as the zone.
    let spelled = unsafe { CStr::from_ptr(pg_sys::pg_get_timezone_name(found)) };
    match spelled.to_str() {
        Ok(UTC) => then(Zone::Utc, Clock::Utc),
        Ok(spelled) => then(Zone::Named(spelled), Clock::Of(found)),
        Err(_) => Err(unknown(name)),
    }
}

fn find(name: &str) -> Result<*mut pg_sys::pg_tz, Report> {
    let c_name = CString::new(name).map_err(|_| unknown(name))?;
    // SAFETY: the name is a C string; what is found lives as long as the process.
    unsafe {
        let zone = pg_sys::pg_tzset(c_name.as_ptr());
        let is_name = (1..=MAX_ZONE_BYTES).contains(&name.len());
        if !is_name || zone.is_null() || !pg_sys::pg_tz_acceptable(zone) {
            return Err(unknown(name));
        }
        Ok(zone)
    }
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

/// As PostgreSQL's `timestamptz AT TIME ZONE zone`.
fn wall(instant: i64, zone: *mut pg_sys::pg_tz) -> i64 {
    let (mut offset, mut second) = (0, 0);
    // SAFETY: a zeroed pg_tm is one, and the zone is PostgreSQL's.
    unsafe {
        let mut parts: pg_sys::pg_tm = std::mem::zeroed();
        let name = std::ptr::null_mut();
        pg_sys::timestamp2tm(instant, &mut offset, &mut parts, &mut second, name, zone);
    }
    instant - i64::from(offset) * 1_000_000
}

/// As PostgreSQL's `timestamp AT TIME ZONE zone`.
fn instant(wall: i64, zone: *mut pg_sys::pg_tz) -> i64 {
    let mut second = 0;
    // SAFETY: as above.
    let offset = unsafe {
        let mut parts: pg_sys::pg_tm = std::mem::zeroed();
        let none = std::ptr::null_mut();
        pg_sys::timestamp2tm(
            wall,
            none,
            &mut parts,
            &mut second,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        );
        pg_sys::DetermineTimeZoneOffset(&mut parts, zone)
    };
    wall.saturating_add(i64::from(offset) * 1_000_000)
}

fn is_valid(time: i64) -> bool {
    // From 4714-11-24 BC to the end of 294276, as PostgreSQL's.
    (-211_813_488_000_000_000..9_223_371_331_200_000_000).contains(&time)
}

fn out_of_range() -> Report {
    report(PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW, "timestamp out of range")
}
