//! A customer's purchases as the state of an aggregate: 16 bytes each, its time and its amount, one behind another; 12 while all
//! times are whole seconds. They are sorted when the aggregate ends, so that what is up to a time is what lies before a place.
//!
//! Little-endian: format u8, flags u8, length of the zone u8, unused u8, number of purchases u32; the zone's name; the purchases in
//! one [`Form`]; room. Lines of orders become purchases when the aggregate ends. An amount that is not known is NaN.

mod form;

use std::borrow::Cow;

use crate::algo::memory::{self, Refused};

use super::Sum;

pub use form::Form;
use form::{LINES, read, seconds, write};

const FORMAT: u8 = 2;
const HEADER: usize = 8;
const UNSORTED: u8 = 1;
const WALL: u8 = 4;

/// Names of time zones are shorter.
pub const MAX_ZONE_BYTES: usize = 63;
pub const UTC: &str = "UTC";

/// What the times are, and where their days begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone<'a> {
    /// Instants, with the days of UTC.
    Utc,
    /// Instants, with the days of the zone of this name.
    Named(&'a str),
    /// What a clock on a wall showed: no zone is known.
    Wall,
}

impl<'a> Zone<'a> {
    pub fn of(name: &'a str) -> Self {
        if name == UTC { Self::Utc } else { Self::Named(name) }
    }

    pub fn name(self) -> Option<&'a str> {
        match self {
            Self::Utc => Some(UTC),
            Self::Named(name) => Some(name),
            Self::Wall => None,
        }
    }

    fn parts(self) -> (u8, &'a [u8]) {
        match self {
            Self::Utc => (0, b""),
            // A longer one, which is none, is cut.
            Self::Named(name) => (0, &name.as_bytes()[..name.len().min(MAX_ZONE_BYTES)]),
            Self::Wall => (WALL, b""),
        }
    }
}

/// What became of a purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    Done,
    /// Not added: the state needs at least so many bytes.
    Full(usize),
    /// Not added: the state is first to be [`reshaped`].
    Narrow(Form),
    /// The bytes are no state.
    Corrupt,
}

/// A state that is read.
#[derive(Debug, Clone, Copy)]
pub struct Purchases<'a> {
    zone: &'a [u8],
    flags: u8,
    bytes: &'a [u8],
}

#[derive(Clone, Copy)]
struct Shape {
    flags: u8,
    start: usize,
    n: usize,
}

impl Shape {
    #[inline]
    fn of(bytes: &[u8]) -> Option<Self> {
        let header: &[u8; HEADER] = bytes.first_chunk()?;
        let [format, flags, zone, _, n @ ..] = *header;
        let n = u32::from_le_bytes(n) as usize;
        let shape = Self { flags, start: HEADER + usize::from(zone), n };
        (format == FORMAT && shape.end() <= bytes.len()).then_some(shape)
    }

    #[inline]
    fn form(self) -> Form {
        Form::of(self.flags)
    }

    #[inline]
    fn end(self) -> usize {
        self.start + self.n * self.form().stride()
    }
}

/// An empty state with room for a few purchases, or lines of orders.
pub fn empty(zone: Zone, form: Form) -> Vec<u8> {
    let (flags, name) = zone.parts();
    let mut bytes = vec![0; state_length(HEADER + name.len() + form.stride())];
    bytes[0] = FORMAT;
    bytes[1] = flags | form.flags();
    bytes[2] = name.len() as u8;
    bytes[HEADER..HEADER + name.len()].copy_from_slice(name);
    bytes
}

/// As many bytes as a state has that needs so many: with PostgreSQL's 4 before it a power of two, as the blocks of memory that
/// PostgreSQL gives out. What a state leaves behind when it grows is lost to most others, so the first step is a long one.
pub fn state_length(needed: usize) -> usize {
    match needed + 4 {
        0..=64 => 64 - 4,
        65..=256 => 256 - 4,
        more => more.next_power_of_two() - 4,
    }
}

/// Adds a purchase, or a line of an order that is not 0. An amount that is not known is NaN.
#[inline]
pub fn add(bytes: &mut [u8], at: i64, amount: f64, order: u64) -> Added {
    let Some(shape) = Shape::of(bytes) else { return Added::Corrupt };
    let (end, form) = (shape.end(), shape.form());
    let stride = form.stride();
    if order != 0 && form != Form::Lines {
        return Added::Narrow(Form::Lines);
    }
    if form == Form::Seconds && seconds(at).is_none() {
        return Added::Narrow(Form::Purchases);
    }
    let Some(place) = bytes.get_mut(end..end + stride) else { return Added::Full(end + stride) };
    write(place, at, amount, order);
    if shape.n > 0 && shape.flags & (UNSORTED | LINES) == 0 {
        let before = read(&bytes[end - stride..end]);
        if !in_order(before, (at, amount)) {
            bytes[1] |= UNSORTED;
        }
    }
    set_number(bytes, shape.n + 1);
    Added::Done
}

/// Adds what another state of the same zone holds.
pub fn merge(bytes: &mut [u8], other: &Purchases) -> Added {
    let Some(shape) = Shape::of(bytes) else { return Added::Corrupt };
    let (end, n, form) = (shape.end(), other.n(), shape.form());
    if form < other.form() && n > 0 {
        return Added::Narrow(other.form());
    }
    let stride = form.stride();
    let wanted = end + n * stride;
    if wanted > bytes.len() {
        return Added::Full(wanted);
    }
    if form == other.form() {
        bytes[end..wanted].copy_from_slice(other.bytes);
    } else {
        for (place, (at, amount)) in bytes[end..wanted].chunks_exact_mut(stride).zip(other.all()) {
            write(place, at, amount, 0);
        }
    }
    let fits = shape.n == 0 || n == 0 || {
        let at_joint = |at: usize| read(&bytes[at..at + stride]);
        in_order(at_joint(end - stride), at_joint(end))
    };
    bytes[1] |= other.flags & UNSORTED | if fits { 0 } else { UNSORTED };
    set_number(bytes, shape.n + n);
    Added::Done
}

/// The same state in a form that holds more.
pub fn reshaped(bytes: &[u8], form: Form) -> Result<Vec<u8>, Refused> {
    let Some(old) = Purchases::read(bytes).filter(|old| old.form() < form) else {
        return memory::copied(bytes);
    };
    let start = HEADER + old.zone.len();
    let stride = form.stride();
    let mut new = memory::filled(0, state_length(start + (old.n() + 1) * stride))?;
    new[..start].copy_from_slice(&bytes[..start]);
    new[1] = old.flags & (WALL | UNSORTED) | form.flags();
    for (place, (at, amount)) in new[start..].chunks_exact_mut(stride).zip(old.all()) {
        write(place, at, amount, 0);
    }
    Ok(new)
}

/// A state in its smallest form: the purchases in their order, and no room. None where the bytes are no state.
pub fn frozen(bytes: &[u8]) -> Result<Option<Cow<'_, [u8]>>, Refused> {
    let Some(state) = Purchases::read(bytes) else { return Ok(None) };
    if state.flags & (UNSORTED | LINES) == 0 {
        let end = HEADER + state.zone.len() + state.bytes.len();
        return Ok(Some(Cow::Borrowed(&bytes[..end])));
    }
    let mut purchases = match state.form() {
        Form::Lines => purchases_of_lines(state.bytes)?,
        _ => memory::collect(state.all())?,
    };
    sort(&mut purchases);
    Ok(Some(Cow::Owned(packed(state.zone, state.flags & WALL, &purchases)?)))
}

/// The state of these purchases, which need not be sorted.
pub fn pack(zone: Zone, purchases: &mut [(i64, f64)]) -> Result<Vec<u8>, Refused> {
    sort(purchases);
    let (flags, name) = zone.parts();
    packed(name, flags, purchases)
}

fn packed(zone: &[u8], flags: u8, purchases: &[(i64, f64)]) -> Result<Vec<u8>, Refused> {
    let is_short = purchases.iter().all(|purchase| seconds(purchase.0).is_some());
    let form = if is_short { Form::Seconds } else { Form::Purchases };
    let start = HEADER + zone.len();
    let mut bytes = memory::filled(0, start + purchases.len() * form.stride())?;
    bytes[0] = FORMAT;
    bytes[1] = flags | form.flags();
    bytes[2] = zone.len() as u8;
    bytes[HEADER..start].copy_from_slice(zone);
    set_number(&mut bytes, purchases.len());
    let places = bytes[start..].chunks_exact_mut(form.stride());
    for (place, (at, amount)) in places.zip(purchases) {
        write(place, *at, *amount, 0);
    }
    Ok(bytes)
}

/// One purchase of each order: at the time of its first line, with the sum of the amounts that are known.
fn purchases_of_lines(bytes: &[u8]) -> Result<Vec<(i64, f64)>, Refused> {
    let order =
        |line: &[u8]| line[16..].first_chunk().map_or(0, |order| u64::from_le_bytes(*order));
    let mut lines = memory::collect(
        bytes.chunks_exact(Form::Lines.stride()).map(|line| (order(line), read(line))),
    )?;
    lines.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| by_time(&a.1, &b.1)));
    let mut purchases = Vec::new();
    memory::exact_room(&mut purchases, lines.len())?;
    for lines in lines.chunk_by(|a, b| a.0 == b.0 && a.0 != 0) {
        let mut sum = Sum::default();
        let mut is_known = false;
        for (_, (_, amount)) in lines {
            if !amount.is_nan() {
                sum.add(*amount);
                is_known = true;
            }
        }
        if let Some((_, (first, _))) = lines.first() {
            purchases.push((*first, if is_known { sum.value() } else { f64::NAN }));
        }
    }
    Ok(purchases)
}

impl<'a> Purchases<'a> {
    #[inline]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let shape = Shape::of(bytes)?;
        let zone = &bytes[HEADER..shape.start];
        Some(Self { zone, flags: shape.flags, bytes: &bytes[shape.start..shape.end()] })
    }

    /// None where the zone's name is no text.
    pub fn zone(&self) -> Option<Zone<'a>> {
        if self.flags & WALL != 0 {
            return Some(Zone::Wall);
        }
        match self.zone {
            [] => Some(Zone::Utc),
            name => std::str::from_utf8(name).ok().map(Zone::Named),
        }
    }

    #[inline]
    pub fn is_of(&self, zone: Zone) -> bool {
        let (flags, name) = zone.parts();
        self.flags & WALL == flags && self.zone == name
    }

    #[inline]
    fn form(&self) -> Form {
        Form::of(self.flags)
    }

    /// Purchases, or lines.
    pub fn n(&self) -> usize {
        self.bytes.len() / self.form().stride()
    }

    fn all(&self) -> impl ExactSizeIterator<Item = (i64, f64)> + Clone + use<'a> {
        self.bytes.chunks_exact(self.form().stride()).map(read)
    }

    /// The purchases up to a time, that time included: times in their order, and amounts. The state is [`frozen`].
    pub fn until(&self, as_of: i64) -> impl ExactSizeIterator<Item = (i64, f64)> + Clone + use<'a> {
        let stride = self.form().stride();
        let (mut low, mut high) = (0, self.n());
        while low < high {
            let middle = low.midpoint(high);
            let purchase = &self.bytes[middle * stride..(middle + 1) * stride];
            (low, high) =
                if read(purchase).0 <= as_of { (middle + 1, high) } else { (low, middle) };
        }
        self.bytes[..low * stride].chunks_exact(stride).map(read)
    }
}

fn set_number(bytes: &mut [u8], n: usize) {
    bytes[4..8].copy_from_slice(&(n as u32).to_le_bytes());
}

/// By time and, at one time, by amount: the parts of a state merge to the same bytes in any order.
fn by_time(a: &(i64, f64), b: &(i64, f64)) -> std::cmp::Ordering {
    a.0.cmp(&b.0).then_with(|| a.1.total_cmp(&b.1))
}

#[inline]
fn in_order(a: (i64, f64), b: (i64, f64)) -> bool {
    a.0 < b.0 || by_time(&a, &b).is_le()
}

fn sort(purchases: &mut [(i64, f64)]) {
    purchases.sort_unstable_by(by_time);
}

#[cfg(test)]
mod tests;
