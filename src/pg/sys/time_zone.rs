//! Time zones as PostgreSQL knows them.
#![allow(unsafe_code, reason = "time zones are PostgreSQL's")]

use std::ffi::{CStr, CString};

use pgrx::pg_sys;

/// A time zone. PostgreSQL keeps each that it has found as long as the process lives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeZone(*mut pg_sys::pg_tz);

impl TimeZone {
    pub(crate) fn named(name: &str) -> Option<Self> {
        let name = CString::new(name).ok()?;
        // SAFETY: the name is a C string.
        unsafe {
            let zone = pg_sys::pg_tzset(name.as_ptr());
            (!zone.is_null() && pg_sys::pg_tz_acceptable(zone)).then_some(Self(zone))
        }
    }

    pub(crate) fn of_session() -> Self {
        // SAFETY: the session's zone is always one.
        Self(unsafe { pg_sys::session_timezone })
    }

    /// The name as PostgreSQL spells it.
    pub(crate) fn name(self) -> &'static CStr {
        // SAFETY: the name lives as long as the zone.
        unsafe { CStr::from_ptr(pg_sys::pg_get_timezone_name(self.0)) }
    }

    /// As PostgreSQL's `timestamptz AT TIME ZONE zone`, in microseconds since 2000.
    pub(crate) fn wall(self, instant: i64) -> i64 {
        let (mut offset, mut second) = (0, 0);
        // SAFETY: a zeroed pg_tm is one, and the zone is PostgreSQL's.
        unsafe {
            let mut parts: pg_sys::pg_tm = std::mem::zeroed();
            let name = std::ptr::null_mut();
            pg_sys::timestamp2tm(instant, &mut offset, &mut parts, &mut second, name, self.0);
        }
        instant - i64::from(offset) * 1_000_000
    }

    /// As PostgreSQL's `timestamp AT TIME ZONE zone`, in microseconds since 2000.
    pub(crate) fn instant(self, wall: i64) -> i64 {
        let mut second = 0;
        // SAFETY: as above.
        let offset = unsafe {
            let mut parts: pg_sys::pg_tm = std::mem::zeroed();
            let (offset, name, zone) =
                (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
            pg_sys::timestamp2tm(wall, offset, &mut parts, &mut second, name, zone);
            pg_sys::DetermineTimeZoneOffset(&mut parts, self.0)
        };
        wall.saturating_add(i64::from(offset) * 1_000_000)
    }
}
