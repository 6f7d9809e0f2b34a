//! A customer's events by day and kind: how many, and the sum of their amounts. Features at any day are read off it.
//!
//! As the state of an aggregate it is a flat map from day and kind to count and sum, with one more entry for each kind by itself,
//! and one for the time zone of the days where that is not UTC.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::algo::flat_map::{self, FlatMap, Freezer, Word};
use crate::algo::hash::stable_hash;
use crate::algo::memory::Refused;

use super::purchases::Zone;
use super::{check_zone, total, utc};

/// Kinds of a value: a state has all that it saw, of which the most frequent are left at the end.
pub const MAX_KINDS: usize = 64;
/// What all others are called.
const OTHER: &str = "other";
pub const MAX_KIND_BYTES: usize = 63;
/// Words of a value of the flat map, and of its head: the number of kinds and, in its upper half, a hash of the time zone.
pub const WIDTH: usize = 2;
pub const HEAD: usize = 1;
/// The windows of features, in days.
pub const WINDOWS: [i32; 3] = [7, 30, 90];
/// Counts, sums and means over the windows and over all time, trends over the windows, and what there is to tell of its days.
const FEATURES_OF_A_KIND: usize = 3 * (WINDOWS.len() + 1) + WINDOWS.len() + 5;
/// The order in which customers come to buy; other kinds follow by name.
const FUNNEL: [&str; 5] = ["view", "search", "cart", "purchase", "review"];
/// The days of the entries of a kind by itself, and of the time zone; no event has them.
const NO_DAY: i32 = i32::MIN;
const ZONE_DAY: i32 = NO_DAY + 1;

/// Per kind the days with events in their order, each with the number of events and the sum of amounts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behaviour {
    /// Where days begin; None for those of a clock on the wall.
    #[serde(default = "utc")]
    pub zone: Option<String>,
    pub events: BTreeMap<String, Vec<(i32, u64, f64)>>,
}

/// An empty state of days of a zone. One that is not UTC has its own entry, at [`zone_key_in`].
pub fn empty(zone: Zone) -> Vec<u8> {
    flat_map::empty(WIDTH, &[zone_word(zone)])
}

/// The head of a state without kinds.
fn zone_word(zone: Zone) -> u64 {
    match zone {
        Zone::Utc => 0,
        Zone::Wall => 1 << 32,
        Zone::Named(name) => (stable_hash(name.as_bytes()) >> 32).max(2) << 32,
    }
}

/// The number of kinds in a head.
pub fn n_kinds(head: u64) -> u64 {
    head & u64::from(u32::MAX)
}

/// Whether the head is of a state of this zone.
pub fn is_of(head: u64, zone: Zone) -> bool {
    head - n_kinds(head) == zone_word(zone)
}

/// The zone of a state, which is told by its entry; None where the bytes do not fit together.
pub fn zone(map: FlatMap<'_>) -> Option<Zone<'_>> {
    if is_of(map.head(0), Zone::Utc) {
        return Some(Zone::Utc);
    }
    let mut zones = map.iter().filter_map(|(key, _)| match parts(key)? {
        (ZONE_DAY, "") => Some(Zone::Wall),
        (ZONE_DAY, name) => Some(Zone::of(name)),
        _ => None,
    });
    zones.next()
}

/// A key on the stack.
pub type Key = [u8; 4 + MAX_KIND_BYTES];

/// The key of a day and a kind, so that keys are in the order of days. The kind is one by [`is_kind`].
#[inline]
pub fn key_in<'a>(key: &'a mut Key, day: i32, kind: &str) -> &'a [u8] {
    let length = 4 + kind.len();
    key[..4].copy_from_slice(&((day as u32) ^ (1 << 31)).to_be_bytes());
    key[4..length].copy_from_slice(kind.as_bytes());
    &key[..length]
}

/// The key of the kind by itself.
pub fn kind_key_in<'a>(key: &'a mut Key, kind: &str) -> &'a [u8] {
    key_in(key, NO_DAY, kind)
}

/// The key of the zone's entry; None for UTC, which has none.
pub fn zone_key_in<'a>(key: &'a mut Key, zone: Zone) -> Option<&'a [u8]> {
    match zone {
        Zone::Utc => None,
        Zone::Wall => Some(key_in(key, ZONE_DAY, "")),
        Zone::Named(name) => Some(key_in(key, ZONE_DAY, name)),
    }
}

pub const EMPTY_KEY: Key = [0; 4 + MAX_KIND_BYTES];

/// Adds events to the words of a key.
#[inline]
pub fn add(words: &mut [Word], n: u64, amount: f64) {
    if let [count, sum] = words {
        *count = (u64::from_le_bytes(*count).saturating_add(n)).to_le_bytes();
        *sum = total(f64::from_le_bytes(*sum), amount).to_le_bytes();
    }
}

/// The days and kinds of a state: day, kind, count, sum.
pub fn cells<'a>(map: FlatMap<'a>) -> impl Iterator<Item = (i32, &'a str, u64, f64)> {
    map.iter().filter_map(|(key, words)| {
        let (day, kind) = parts(key)?;
        let [count, sum] = words else { return None };
        (day > ZONE_DAY).then(|| (day, kind, u64::from_le_bytes(*count), f64::from_le_bytes(*sum)))
    })
}

/// The day and the kind of a key.
fn parts(key: &[u8]) -> Option<(i32, &str)> {
    let (day, kind) = key.split_first_chunk()?;
    let day = (u32::from_be_bytes(*day) ^ (1 << 31)) as i32;
    Some((day, std::str::from_utf8(kind).ok()?))
}

impl Behaviour {
    pub fn from_flat(bytes: &[u8]) -> Option<Self> {
        let map = FlatMap::read(bytes, WIDTH, HEAD)?;
        let zone = zone(map)?.name().map(str::to_owned);
        let mut behaviour = Self { zone, events: BTreeMap::new() };
        for (day, kind, n, sum) in cells(map) {
            match behaviour.events.get_mut(kind) {
                Some(days) => days.push((day, n, sum)),
                None => _ = behaviour.events.insert(kind.to_owned(), vec![(day, n, sum)]),
            }
        }
        behaviour.events.values_mut().for_each(|days| days.sort_unstable_by_key(|day| day.0));
        Some(behaviour)
    }

    pub fn to_flat(&self) -> Result<Vec<u8>, Refused> {
        let mut freezer = Freezer::default();
        let mut key = EMPTY_KEY;
        if let Some(key) = zone_key_in(&mut key, self.zone()) {
            freezer.add(key, [0; WIDTH].into_iter())?;
        }
        for (kind, days) in &self.events {
            freezer.add(kind_key_in(&mut key, kind), [0; WIDTH].into_iter())?;
            for (day, n, sum) in days {
                let words = [*n, sum.to_bits()];
                freezer.add(key_in(&mut key, *day, kind), words.into_iter())?;
            }
        }
        freezer.finish(WIDTH, &[zone_word(self.zone()) + self.events.len() as u64])
    }

    /// Leaves the most frequent kinds, of equal ones the first by name, and makes one of all others.
    pub fn fold_rare_kinds(&mut self) {
        if self.events.len() <= MAX_KINDS {
            return;
        }
        let n_events =
            |days: &[(i32, u64, f64)]| days.iter().fold(0, |n: u64, day| n.saturating_add(day.1));
        let mut kinds: Vec<_> =
            self.events.iter().map(|(kind, days)| (n_events(days), kind.clone())).collect();
        kinds.retain(|(_, kind)| kind != OTHER);
        kinds.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        let mut others = BTreeMap::new();
        let rare = kinds.drain(MAX_KINDS - 1..).map(|(_, kind)| kind);
        for kind in rare.chain([OTHER.to_owned()]) {
            for (day, n, sum) in self.events.remove(&kind).into_iter().flatten() {
                let of_day: &mut (u64, f64) = others.entry(day).or_default();
                *of_day = (of_day.0.saturating_add(n), total(of_day.1, sum));
            }
        }
        let days = others.into_iter().map(|(day, (n, sum))| (day, n, sum)).collect();
        self.events.insert(OTHER.to_owned(), days);
    }

    pub fn zone(&self) -> Zone<'_> {
        self.zone.as_deref().map_or(Zone::Wall, Zone::of)
    }

    pub fn check(&self) -> Result<(), String> {
        check_zone(self.zone.as_deref())?;
        if self.events.len() > MAX_KINDS {
            return Err(format!("{} kinds of events are more than {MAX_KINDS}", self.events.len()));
        }
        for (kind, days) in &self.events {
            if !is_kind(kind) {
                return Err(format!("a kind of event has 1 to {MAX_KIND_BYTES} bytes"));
            }
            let ascends = days.windows(2).all(|pair| pair[0].0 < pair[1].0);
            let is_fine = |(day, n, sum): &(i32, u64, f64)| {
                // As PostgreSQL's timestamps.
                (-2_500_000..=110_000_000).contains(day) && *n > 0 && sum.is_finite()
            };
            if days.is_empty() || !ascends || !days.iter().all(is_fine) {
                return Err(format!("the days of \"{kind}\" do not fit together"));
            }
        }
        Ok(())
    }

    /// The kinds, in the order of the funnel.
    pub fn kinds(&self) -> Vec<String> {
        let mut kinds: Vec<String> = self.events.keys().cloned().collect();
        let place = |kind: &String| FUNNEL.iter().position(|known| known == kind).unwrap_or(99);
        kinds.sort_by_key(|kind| (place(kind), kind.clone()));
        kinds
    }

    /// The features of [`feature_names`], from whole days before `as_of`; None where there is nothing to tell.
    pub fn features(&self, as_of: i32, kinds: &[String]) -> Vec<Option<f64>> {
        let none = Vec::new();
        let mut features = Vec::new();
        let mut all_days = Vec::new();
        for days in self.events.values() {
            all_days.extend(days.iter().map(|day| day.0).filter(|day| *day < as_of));
        }
        all_days.sort_unstable();
        all_days.dedup();
        push_days(&mut features, &all_days, as_of);
        let mut counts = Vec::new();
        // Of a kind that is not told where the rarest are one nobody knows how often it was.
        let has_others = self.events.len() >= MAX_KINDS && self.events.contains_key(OTHER);
        for kind in kinds {
            if has_others && !self.events.contains_key(kind) {
                features.extend([None; FEATURES_OF_A_KIND]);
                counts.push(None);
                continue;
            }
            let days = self.events.get(kind).unwrap_or(&none);
            let days = &days[..days.partition_point(|day| day.0 < as_of)];
            let since = |first: i64| {
                let days = &days[days.partition_point(|day| i64::from(day.0) < first)..];
                (
                    days.iter().map(|day| day.1).sum::<u64>() as f64,
                    days.iter().fold(0.0, |sum, day| sum + day.2),
                )
            };
            let starts = WINDOWS.map(|window| i64::from(as_of) - i64::from(window));
            let windows: Vec<(f64, f64)> =
                starts.into_iter().chain([i64::MIN]).map(since).collect();
            features.extend(windows.iter().map(|(n, _)| Some(*n)));
            features.extend(windows.iter().map(|(_, sum)| Some(*sum)));
            features.extend(windows.iter().map(|(n, sum)| (*n > 0.0).then(|| sum / n)));
            for (window, (recent, _)) in WINDOWS.into_iter().zip(&windows) {
                let both: (f64, f64) = since(i64::from(as_of) - 2 * i64::from(window));
                let before = both.0 - recent;
                features.push(Some(if both.0 > 0.0 { (recent - before) / both.0 } else { 0.0 }));
            }
            let active: Vec<i32> = days.iter().map(|day| day.0).collect();
            push_days(&mut features, &active, as_of);
            counts.push(Some(windows[WINDOWS.len()].0));
        }
        for (from, count) in counts.iter().enumerate() {
            let of_count = |to: &Option<f64>| {
                let (to, count) = ((*to)?, (*count)?);
                (count > 0.0).then(|| to / count)
            };
            features.extend(counts[from + 1..].iter().map(of_count));
        }
        features
    }
}

/// Names of the features: of all events, of each kind, and of each pair of kinds in the given order.
pub fn feature_names(kinds: &[String]) -> Vec<String> {
    const DAYS: [&str; 5] =
        ["active_days", "mean_gap", "last_gap", "days_since_first", "days_since_last"];
    let mut names: Vec<String> = DAYS.iter().map(|name| (*name).to_owned()).collect();
    for kind in kinds {
        for what in ["count", "sum", "mean"] {
            names.extend(WINDOWS.iter().map(|window| format!("{kind}_{what}_{window}")));
            names.push(format!("{kind}_{what}"));
        }
        names.extend(WINDOWS.iter().map(|window| format!("{kind}_trend_{window}")));
        names.extend(DAYS.iter().map(|name| format!("{kind}_{name}")));
    }
    for (from, kind) in kinds.iter().enumerate() {
        names.extend(kinds[from + 1..].iter().map(|to| format!("{kind}_to_{to}")));
    }
    names
}

pub fn is_kind(kind: &str) -> bool {
    (1..=MAX_KIND_BYTES).contains(&kind.len()) && !kind.contains('\0')
}

/// Of ascending days: how many, mean and last gap between them, days from the first and the last to `as_of`.
fn push_days(features: &mut Vec<Option<f64>>, days: &[i32], as_of: i32) {
    let between = |a: i32, b: i32| f64::from(b) - f64::from(a);
    let gap = |pair: &[i32]| between(pair[0], pair[1]);
    let ends = days.first().zip(days.last());
    let several = ends.filter(|_| days.len() > 1);
    features.extend([
        Some(days.len() as f64),
        several.map(|(first, last)| between(*first, *last) / (days.len() - 1) as f64),
        days.windows(2).last().map(gap),
        ends.map(|(first, _)| between(*first, as_of)),
        ends.map(|(_, last)| between(*last, as_of)),
    ]);
}
