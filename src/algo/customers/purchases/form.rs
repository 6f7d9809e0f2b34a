//! The forms in which a purchase lies in a state, and how it is read and written: the shortest holds what customers mostly have, times
//! of whole seconds.

/// Where whole seconds are counted from: 1960, in microseconds since 2000. They reach to 2096.
pub(super) const ORIGIN: i64 = -1_262_304_000_000_000;

/// Flags of a state.
pub(super) const LINES: u8 = 2;
const SECONDS: u8 = 8;

/// How a purchase lies there; each form holds what the ones before it hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// Seconds since 1960 u32, amount f64.
    Seconds,
    /// Time i64, amount f64.
    Purchases,
    /// Time i64, amount f64, hash of the order u64, which is 0 without one.
    Lines,
}

impl Form {
    #[inline]
    pub(super) fn of(flags: u8) -> Self {
        match (flags & LINES, flags & SECONDS) {
            (0, 0) => Self::Purchases,
            (0, _) => Self::Seconds,
            _ => Self::Lines,
        }
    }

    pub(super) fn flags(self) -> u8 {
        match self {
            Self::Seconds => SECONDS,
            Self::Purchases => 0,
            Self::Lines => LINES,
        }
    }

    #[inline]
    pub(super) fn stride(self) -> usize {
        match self {
            Self::Seconds => 12,
            Self::Purchases => 16,
            Self::Lines => 24,
        }
    }
}

/// Seconds since 1960, where a time is a whole number of them.
#[inline]
pub(super) fn seconds(at: i64) -> Option<u32> {
    let since = at.checked_sub(ORIGIN)?;
    if since % 1_000_000 != 0 {
        return None;
    }
    u32::try_from(since / 1_000_000).ok()
}

/// The time and the amount in a place, whose length is that of its form.
#[inline]
pub(super) fn read(place: &[u8]) -> (i64, f64) {
    fn chunk<const N: usize>(bytes: &[u8]) -> [u8; N] {
        bytes.first_chunk().copied().unwrap_or([0; N])
    }
    let (at, amount) = if place.len() == Form::Seconds.stride() {
        let (seconds, amount) = place.split_at(4);
        (ORIGIN + i64::from(u32::from_le_bytes(chunk(seconds))) * 1_000_000, amount)
    } else {
        let (at, amount) = place.split_at(8);
        (i64::from_le_bytes(chunk(at)), amount)
    };
    (at, f64::from_le_bytes(chunk(amount)))
}

#[inline]
pub(super) fn write(place: &mut [u8], at: i64, amount: f64, order: u64) {
    let behind = if place.len() == Form::Seconds.stride() {
        let (time, behind) = place.split_at_mut(4);
        time.copy_from_slice(&seconds(at).unwrap_or(0).to_le_bytes());
        behind
    } else {
        let (time, behind) = place.split_at_mut(8);
        time.copy_from_slice(&at.to_le_bytes());
        behind
    };
    let (money, behind) = behind.split_at_mut(8);
    money.copy_from_slice(&amount.to_le_bytes());
    if !behind.is_empty() {
        behind.copy_from_slice(&order.to_le_bytes());
    }
}
