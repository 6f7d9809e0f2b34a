//! A customer's purchases as the state of an aggregate: 16 bytes each, its time and its amount, one behind another. They are
//! sorted when the aggregate ends, so that whatever is up to a time is what lies before a place.
//!
//! Little-endian: format u8, flags u8, length of the zone u8, unused u8, number of purchases u32; the zone's name; the purchases,
//! each its time i64 and its amount f64, NaN for one that is not known; room. While lines of orders are collected, each has the
//! hash of its order behind it (u64, 0 without one); they become purchases when the aggregate ends.

use std::borrow::Cow;

use crate::algo::memory::{self, Refused};

use super::Sum;

const FORMAT: u8 = 2;
const HEADER: usize = 8;
const PURCHASE: usize = 16;
const LINE: usize = 24;
/// The shortest state, with PostgreSQL's header of 4 bytes before it; a longer one has a power of two bytes with it, as the blocks
/// of memory that PostgreSQL gives out.
const LEAST_BYTES: usize = 64;

const UNSORTED: u8 = 1;
const LINES: u8 = 2;
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
    /// Not added: the state is first to be made one [`with_lines`].
    WithoutLines,
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
    fn stride(self) -> usize {
        if self.flags & LINES == 0 { PURCHASE } else { LINE }
    }

    #[inline]
    fn end(self) -> usize {
        self.start + self.n * self.stride()
    }
}

/// An empty state with room for a few purchases, or lines of orders.
pub fn empty(zone: Zone, lines: bool) -> Vec<u8> {
    let (flags, name) = zone.parts();
    let mut bytes = vec![0; state_length(HEADER + name.len() + LINE)];
    bytes[0] = FORMAT;
    bytes[1] = flags | if lines { LINES } else { 0 };
    bytes[2] = name.len() as u8;
    bytes[HEADER..HEADER + name.len()].copy_from_slice(name);
    bytes
}

/// As many bytes as a state has that needs so many.
pub fn state_length(needed: usize) -> usize {
    (needed + 4).max(LEAST_BYTES).next_power_of_two() - 4
}

/// Adds a purchase, or a line of an order that is not 0. An amount that is not known is NaN.
#[inline]
pub fn add(bytes: &mut [u8], at: i64, amount: f64, order: u64) -> Added {
    let Some(shape) = Shape::of(bytes) else { return Added::Corrupt };
    let (end, stride) = (shape.end(), shape.stride());
    if order != 0 && stride == PURCHASE {
        return Added::WithoutLines;
    }
    let Some(place) = bytes.get_mut(end..end + stride) else { return Added::Full(end + stride) };
    place[..8].copy_from_slice(&at.to_le_bytes());
    place[8..16].copy_from_slice(&amount.to_le_bytes());
    if stride == LINE {
        place[16..].copy_from_slice(&order.to_le_bytes());
    } else if shape.n > 0 && shape.flags & UNSORTED == 0 {
        let before = read(&bytes[end - PURCHASE..end]);
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
    if shape.stride() == PURCHASE && other.flags & LINES != 0 {
        return Added::WithoutLines;
    }
    let (end, n) = (shape.end(), other.n());
    let wanted = end + n * shape.stride();
    if wanted > bytes.len() {
        return Added::Full(wanted);
    }
    if shape.stride() == other.stride() {
        bytes[end..wanted].copy_from_slice(other.bytes);
        let joint = end.checked_sub(PURCHASE).filter(|_| shape.n > 0 && n > 0);
        let fits = joint.is_none_or(|at| in_order(read(&bytes[at..end]), read(&bytes[end..])));
        bytes[1] |= other.flags & UNSORTED | if fits { 0 } else { UNSORTED };
    } else {
        let places = bytes[end..wanted].chunks_exact_mut(LINE);
        for (place, purchase) in places.zip(other.bytes.chunks_exact(PURCHASE)) {
            place[..PURCHASE].copy_from_slice(purchase);
            place[PURCHASE..].fill(0);
        }
    }
    set_number(bytes, shape.n + n);
    Added::Done
}

/// The same state with room for the orders of its lines.
pub fn with_lines(bytes: &[u8]) -> Result<Vec<u8>, Refused> {
    let Some(old) = Purchases::read(bytes).filter(|old| old.flags & LINES == 0) else {
        return memory::copied(bytes);
    };
    let start = HEADER + old.zone.len();
    let mut new = memory::filled(0, state_length(start + (old.n() + 1) * LINE))?;
    new[..start].copy_from_slice(&bytes[..start]);
    new[1] = old.flags & !UNSORTED | LINES;
    for (place, purchase) in
        new[start..].chunks_exact_mut(LINE).zip(old.bytes.chunks_exact(PURCHASE))
    {
        place[..PURCHASE].copy_from_slice(purchase);
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
    let mut purchases = if state.flags & LINES == 0 {
        memory::collect(state.bytes.chunks_exact(PURCHASE).map(read))?
    } else {
        purchases_of_lines(state.bytes)?
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
    let mut bytes = Vec::new();
    memory::exact_room(&mut bytes, HEADER + zone.len() + purchases.len() * PURCHASE)?;
    bytes.extend_from_slice(&[FORMAT, flags, zone.len() as u8, 0]);
    bytes.extend_from_slice(&(purchases.len() as u32).to_le_bytes());
    bytes.extend_from_slice(zone);
    for (at, amount) in purchases {
        bytes.extend_from_slice(&at.to_le_bytes());
        bytes.extend_from_slice(&amount.to_le_bytes());
    }
    Ok(bytes)
}

/// One purchase of each order: at the time of its first line, with the sum of the amounts that are known.
fn purchases_of_lines(bytes: &[u8]) -> Result<Vec<(i64, f64)>, Refused> {
    let order =
        |line: &[u8]| line[16..].first_chunk().map_or(0, |order| u64::from_le_bytes(*order));
    let mut lines =
        memory::collect(bytes.chunks_exact(LINE).map(|line| (order(line), read(line))))?;
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

    fn stride(&self) -> usize {
        if self.flags & LINES == 0 { PURCHASE } else { LINE }
    }

    /// Purchases, or lines.
    pub fn n(&self) -> usize {
        self.bytes.len() / self.stride()
    }

    /// The purchases up to a time, that time included: times in their order, and amounts. The state is [`frozen`].
    pub fn until(&self, as_of: i64) -> impl ExactSizeIterator<Item = (i64, f64)> + Clone + use<'a> {
        let (purchases, _) = self.bytes.as_chunks::<PURCHASE>();
        let n = purchases.partition_point(|purchase| read(purchase).0 <= as_of);
        purchases[..n].iter().map(|purchase| read(purchase))
    }
}

fn read(purchase: &[u8]) -> (i64, f64) {
    let word = |at: usize| {
        purchase.get(at..).and_then(|word| word.first_chunk()).copied().unwrap_or_default()
    };
    (i64::from_le_bytes(word(0)), f64::from_le_bytes(word(8)))
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Line = (i64, Option<i32>, u64);

    fn observe(state: &mut Vec<u8>, line: Line) {
        let amount = line.1.map_or(f64::NAN, f64::from);
        loop {
            match add(state, line.0, amount, line.2) {
                Added::Done => return,
                Added::Full(needed) => state.resize(state_length(needed), 0),
                Added::WithoutLines => *state = with_lines(state).unwrap(),
                Added::Corrupt => panic!("no state"),
            }
        }
    }

    fn of(lines: &[Line]) -> Vec<u8> {
        let mut state = empty(Zone::Named("Europe/Berlin"), false);
        lines.iter().for_each(|line| observe(&mut state, *line));
        state
    }

    fn merged(a: &[u8], b: &[u8]) -> Vec<u8> {
        let (mut state, other) = (a.to_vec(), Purchases::read(b).unwrap());
        loop {
            match merge(&mut state, &other) {
                Added::Done => return state,
                Added::Full(needed) => state.resize(state_length(needed), 0),
                Added::WithoutLines => state = with_lines(&state).unwrap(),
                Added::Corrupt => panic!("no state"),
            }
        }
    }

    fn ended(state: &[u8]) -> Vec<u8> {
        frozen(state).unwrap().unwrap().into_owned()
    }

    fn lines(most_orders: u64) -> impl Strategy<Value = Vec<Line>> {
        let line = (-9..9_i64, prop::option::of(-5..5_i32), 0..=most_orders);
        prop::collection::vec(line, 0..30)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn parts_in_any_order_merge_to_the_whole(
            (a, b, c) in (0..4_u64).prop_flat_map(|orders| (lines(orders), lines(0), lines(orders))),
        ) {
            let whole = ended(&of(&[a.clone(), b.clone(), c.clone()].concat()));
            let (sa, sb, sc) = (of(&a), of(&b), of(&c));
            prop_assert_eq!(&ended(&merged(&merged(&sa, &sb), &sc)), &whole);
            prop_assert_eq!(&ended(&merged(&sc, &merged(&sb, &sa))), &whole);
            prop_assert_eq!(ended(&ended(&sa)), ended(&sa));
        }

        #[test]
        fn what_is_up_to_a_time_is_what_a_filter_leaves(lines in lines(0), as_of in -10..10_i64) {
            let state = ended(&of(&lines));
            let mut kept: Vec<_> = lines.iter().filter(|line| line.0 <= as_of).map(|line| line.0).collect();
            kept.sort_unstable();
            let read: Vec<_> = Purchases::read(&state).unwrap().until(as_of).map(|one| one.0).collect();
            prop_assert_eq!(read, kept);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..90), tag in any::<bool>()) {
            let mut bytes = bytes;
            if let (true, Some(first)) = (tag, bytes.first_mut()) {
                *first = FORMAT;
            }
            if let Some(state) = Purchases::read(&bytes) {
                _ = (state.zone(), state.n(), frozen(&bytes).unwrap(), with_lines(&bytes).unwrap());
                _ = state.until(0).count();
            }
            _ = add(&mut bytes, 0, 1.0, 7);
        }
    }

    #[test]
    fn twenty_purchases_take_twenty_times_sixteen_bytes() {
        let lines: Vec<Line> = (0..20).map(|i| (i, Some(1), 0)).collect();
        assert_eq!(ended(&of(&lines)).len(), 8 + "Europe/Berlin".len() + 320);
    }

    #[test]
    fn lines_of_one_order_are_one_purchase_at_its_first_time() {
        let state = ended(&of(&[
            (5, Some(1), 1),
            (3, None, 1),
            (4, Some(2), 2),
            (4, Some(2), 0),
            (4, None, 0),
        ]));
        let purchases: Vec<_> = Purchases::read(&state).unwrap().until(9).collect();
        assert_eq!(purchases[..3], [(3, 1.0), (4, 2.0), (4, 2.0)]);
        assert!(purchases[3].1.is_nan() && purchases.len() == 4);
    }
}
