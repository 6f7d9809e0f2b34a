//! A map from short keys to a few words of 64 bits, in one block of bytes that is changed in place: the state of an aggregate over
//! many groups, which PostgreSQL can count, spill, send to another process and store.
//!
//! Little-endian: a header of 24 bytes (format u32, words per value u16, head words u16, entries u32, slots u32, end of the entries
//! u32, unused u32); the head words; a hash table of slots, each the offset of an entry or 0; the entries in order of insertion, each
//! length of key u32, hash u32, words, key; room. A frozen map has its entries in the order of keys, no table and no room.

use super::hash::stable_hash;
use super::memory::{self, Refused};

const FORMAT: u32 = 1;
const HEADER: usize = 24;
/// Of an entry, before its words.
const ENTRY: usize = 8;
const FIRST_SLOTS: usize = 8;
const FIRST_ROOM: usize = 96;

pub type Word = [u8; 8];

/// What became of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Updated {
    Found,
    Added,
    /// Not updated: the map is to be [`grown`] first.
    Full,
}

/// A map that is read.
#[derive(Debug, Clone, Copy)]
pub struct FlatMap<'a> {
    bytes: &'a [u8],
    shape: Shape,
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    width: usize,
    n_head: usize,
    n_entries: usize,
    n_slots: usize,
    end: usize,
}

impl Shape {
    #[inline]
    fn of(bytes: &[u8]) -> Option<Self> {
        let half = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        let shape = Self {
            width: half(4)?.into(),
            n_head: half(6)?.into(),
            n_entries: word32(bytes, 8)?,
            n_slots: word32(bytes, 12)?,
            end: word32(bytes, 16)?,
        };
        let is_table = shape.n_slots == 0 || shape.n_slots.is_power_of_two();
        let fits = shape.end <= bytes.len() && shape.entries() <= shape.end && is_table;
        (word32(bytes, 0)? == FORMAT as usize && fits).then_some(shape)
    }

    fn slots(&self) -> usize {
        HEADER + 8 * self.n_head
    }

    /// Where the entries begin.
    fn entries(&self) -> usize {
        self.slots() + 4 * self.n_slots
    }

    fn entry_length(&self, key: &[u8]) -> usize {
        ENTRY + 8 * self.width + key.len()
    }

    fn write(&self, bytes: &mut [u8]) {
        let numbers = [self.n_entries, self.n_slots, self.end];
        bytes[0..4].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[4..6].copy_from_slice(&(self.width as u16).to_le_bytes());
        bytes[6..8].copy_from_slice(&(self.n_head as u16).to_le_bytes());
        for (place, number) in numbers.into_iter().enumerate() {
            bytes[8 + 4 * place..12 + 4 * place].copy_from_slice(&(number as u32).to_le_bytes());
        }
    }
}

/// An empty map with room for a few keys.
pub fn empty(width: usize, head: &[u64]) -> Vec<u8> {
    let mut shape = Shape { width, n_head: head.len(), n_entries: 0, n_slots: FIRST_SLOTS, end: 0 };
    shape.end = shape.entries();
    let mut bytes = vec![0; shape.end + FIRST_ROOM.max(ENTRY + 8 * width + 16)];
    shape.write(&mut bytes);
    write_head(&mut bytes, head);
    bytes
}

/// Collects entries, whose keys differ, for a frozen map.
#[derive(Default)]
pub struct Freezer {
    bytes: Vec<u8>,
    /// Of each entry where it begins, where its key does, and where it ends.
    entries: Vec<[usize; 3]>,
}

impl Freezer {
    pub fn add(&mut self, key: &[u8], words: impl Iterator<Item = u64>) -> Result<(), Refused> {
        let start = self.bytes.len();
        memory::extend(&mut self.bytes, &(key.len() as u32).to_le_bytes())?;
        memory::extend(&mut self.bytes, &(stable_hash(key) as u32).to_le_bytes())?;
        for word in words {
            memory::extend(&mut self.bytes, &word.to_le_bytes())?;
        }
        let key_at = self.bytes.len();
        memory::extend(&mut self.bytes, key)?;
        memory::push(&mut self.entries, [start, key_at, self.bytes.len()])
    }

    pub fn finish(mut self, width: usize, head: &[u64]) -> Result<Vec<u8>, Refused> {
        let entries = &self.bytes;
        self.entries.sort_unstable_by(|a, b| entries[a[1]..a[2]].cmp(&entries[b[1]..b[2]]));
        let n_entries = self.entries.len();
        let mut shape = Shape { width, n_head: head.len(), n_entries, n_slots: 0, end: 0 };
        let mut bytes = memory::filled(0, shape.entries())?;
        write_head(&mut bytes, head);
        memory::exact_room(&mut bytes, entries.len())?;
        for &[start, _, end] in &self.entries {
            bytes.extend_from_slice(&entries[start..end]);
        }
        shape.end = bytes.len();
        shape.write(&mut bytes);
        Ok(bytes)
    }
}

/// Changes the words of a key, which are 0 when it is new.
#[inline]
pub fn update(bytes: &mut [u8], key: &[u8], change: impl FnOnce(&mut [Word])) -> Updated {
    let Some(mut shape) = Shape::of(bytes) else { return Updated::Full };
    if shape.n_slots == 0 {
        return Updated::Full;
    }
    let hash = stable_hash(key) as u32;
    let mask = shape.n_slots - 1;
    let mut slot = hash as usize & mask;
    // A table is never full, unless its bytes are of somebody else.
    for n_tried in 0.. {
        let at = shape.slots() + 4 * slot;
        let Some(entry) = word32(bytes, at).filter(|_| n_tried < shape.n_slots) else {
            return Updated::Full;
        };
        if entry == 0 {
            break;
        }
        let is_it = word32(bytes, entry) == Some(key.len())
            && word32(bytes, entry + 4) == Some(hash as usize);
        let words = entry + ENTRY..entry + ENTRY + 8 * shape.width;
        if is_it && bytes.get(words.end..words.end + key.len()) == Some(key) {
            change(bytes[words].as_chunks_mut().0);
            return Updated::Found;
        }
        slot = (slot + 1) & mask;
    }
    let (entry, length) = (shape.end, shape.entry_length(key));
    if entry + length > bytes.len() || 4 * (shape.n_entries + 1) > 3 * shape.n_slots {
        return Updated::Full;
    }
    let at = shape.slots() + 4 * slot;
    bytes[at..at + 4].copy_from_slice(&(entry as u32).to_le_bytes());
    bytes[entry..entry + 4].copy_from_slice(&(key.len() as u32).to_le_bytes());
    bytes[entry + 4..entry + 8].copy_from_slice(&hash.to_le_bytes());
    let words = entry + ENTRY..entry + ENTRY + 8 * shape.width;
    bytes[words.end..words.end + key.len()].copy_from_slice(key);
    bytes[words.clone()].fill(0);
    change(bytes[words].as_chunks_mut().0);
    shape.n_entries += 1;
    shape.end = entry + length;
    shape.write(bytes);
    Updated::Added
}

/// The same map with room for twice as much and for this key. A frozen one gets a table.
pub fn grown(bytes: &[u8], key: &[u8]) -> Result<Vec<u8>, Refused> {
    let Some(map) = Shape::of(bytes).map(|shape| FlatMap { bytes, shape }) else {
        return Ok(Vec::new());
    };
    // The entries that are there, and not what the header says of them: else the table could be too small.
    let mut old = map.shape;
    (old.n_entries, old.end) = (0, old.entries());
    for (key, _) in map.iter() {
        (old.n_entries, old.end) = (old.n_entries + 1, old.end + old.entry_length(key));
    }
    let n_slots = (2 * (old.n_entries + 1)).next_power_of_two().max(FIRST_SLOTS);
    let length = old.end - old.entries();
    let mut shape = Shape { n_slots, ..old };
    shape.end = shape.entries() + length;
    let room = length.max(FIRST_ROOM) + old.entry_length(key);
    let mut larger = memory::filled(0, shape.end + room)?;
    shape.write(&mut larger);
    larger[HEADER..old.slots()].copy_from_slice(&bytes[HEADER..old.slots()]);
    larger[shape.entries()..shape.end].copy_from_slice(&bytes[old.entries()..old.end]);
    let mut entry = shape.entries();
    while let (true, Some(key_length), Some(hash)) =
        (entry < shape.end, word32(&larger, entry), word32(&larger, entry + 4))
    {
        let mut slot = hash & (n_slots - 1);
        while word32(&larger, shape.slots() + 4 * slot).is_some_and(|taken| taken != 0) {
            slot = (slot + 1) & (n_slots - 1);
        }
        let at = shape.slots() + 4 * slot;
        larger[at..at + 4].copy_from_slice(&(entry as u32).to_le_bytes());
        entry += ENTRY + 8 * shape.width + key_length;
    }
    Ok(larger)
}

/// The map as it is stored: without table and room, and the same for the same entries whatever their order was.
pub fn frozen(map: FlatMap) -> Result<Vec<u8>, Refused> {
    let head: Vec<u64> = (0..map.shape.n_head).map(|word| map.head(word)).collect();
    let mut freezer = Freezer::default();
    for (key, words) in map.iter() {
        freezer.add(key, words.iter().map(|word| u64::from_le_bytes(*word)))?;
    }
    freezer.finish(map.shape.width, &head)
}

/// Changes a head word.
pub fn set_head(bytes: &mut [u8], place: usize, word: u64) {
    if let Some(target) = bytes.get_mut(HEADER + 8 * place..HEADER + 8 * place + 8) {
        target.copy_from_slice(&word.to_le_bytes());
    }
}

impl<'a> FlatMap<'a> {
    /// The map, if these bytes are one of this shape.
    pub fn read(bytes: &'a [u8], width: usize, n_head: usize) -> Option<Self> {
        let shape = Shape::of(bytes)?;
        (shape.width == width && shape.n_head == n_head).then_some(Self { bytes, shape })
    }

    /// As [`Self::read`], for maps whose values are of any number of words.
    pub fn read_any(bytes: &'a [u8], n_head: usize) -> Option<Self> {
        let shape = Shape::of(bytes)?;
        (shape.n_head == n_head).then_some(Self { bytes, shape })
    }

    pub fn len(&self) -> usize {
        self.shape.n_entries
    }

    pub fn is_empty(&self) -> bool {
        self.shape.n_entries == 0
    }

    pub fn width(&self) -> usize {
        self.shape.width
    }

    pub fn head(&self, place: usize) -> u64 {
        let at = HEADER + 8 * place;
        let word = self.bytes.get(at..at + 8).and_then(|word| word.try_into().ok());
        word.map_or(0, u64::from_le_bytes)
    }

    /// Keys and their words, in order of insertion, or of the keys in a frozen map.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [Word])> {
        let (bytes, shape) = (self.bytes, self.shape);
        let mut at = shape.entries();
        std::iter::from_fn(move || {
            let entry = bytes.get(at..shape.end)?;
            let words = entry.get(ENTRY..ENTRY + 8 * shape.width)?;
            let key = entry.get(ENTRY + words.len()..)?.get(..word32(entry, 0)?)?;
            at += ENTRY + words.len() + key.len();
            Some((key, words.as_chunks().0))
        })
    }
}

fn write_head(bytes: &mut [u8], head: &[u64]) {
    for (place, word) in head.iter().enumerate() {
        set_head(bytes, place, *word);
    }
}

#[inline]
fn word32(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn count(map: &mut Vec<u8>, key: &[u8]) -> Updated {
        loop {
            let updated = update(map, key, |words| {
                words[0] = (u64::from_le_bytes(words[0]) + 1).to_le_bytes();
            });
            if updated != Updated::Full {
                return updated;
            }
            *map = grown(map, key).unwrap();
        }
    }

    #[test]
    fn a_map_counts_as_a_tree_does_and_freezes_in_order() {
        let mut map = empty(2, &[7]);
        let mut expected = BTreeMap::new();
        for i in 0..5_000_u32 {
            let key = format!("key {}", (i * i) % 701);
            let added = count(&mut map, key.as_bytes()) == Updated::Added;
            assert_eq!(added, !expected.contains_key(&key));
            *expected.entry(key).or_insert(0_u64) += 1;
        }
        let bytes = frozen(FlatMap::read(&map, 2, 1).unwrap()).unwrap();
        let read = FlatMap::read(&bytes, 2, 1).unwrap();
        assert_eq!((read.head(0), read.len()), (7, expected.len()));
        let found: Vec<(String, u64)> = read
            .iter()
            .map(|(key, words)| {
                (String::from_utf8(key.to_vec()).unwrap(), u64::from_le_bytes(words[0]))
            })
            .collect();
        assert_eq!(found, expected.clone().into_iter().collect::<Vec<_>>());
        let mut again = bytes;
        assert_eq!(count(&mut again, b"key 0"), Updated::Found);
        assert_eq!(count(&mut again, b""), Updated::Added);
    }

    #[test]
    fn bytes_that_are_no_map_are_refused_or_read_short() {
        assert!(FlatMap::read(&[], 1, 0).is_none());
        assert!(FlatMap::read(&[1; 40], 1, 0).is_none());
        let mut map = empty(1, &[]);
        count(&mut map, b"abc");
        assert!(FlatMap::read(&map, 2, 0).is_none());
        let end = map.len() - 1;
        for (at, flip) in (0..end).flat_map(|at| [0x01, 0x80, 0xFF].map(|flip| (at, flip))) {
            let mut broken = map.clone();
            broken[at] ^= flip;
            if let Some(read) = FlatMap::read(&broken, 1, 0) {
                assert!(read.iter().count() <= end);
                // A key finds its place or there is none, and the search ends.
                if update(&mut broken, b"other", |_| ()) == Updated::Full {
                    let mut larger = grown(&broken, b"other").unwrap();
                    assert_ne!(update(&mut larger, b"other", |_| ()), Updated::Full);
                }
            }
        }
        let mut full = map;
        let (slots, n_slots) = (HEADER, FIRST_SLOTS);
        full[slots..slots + 4 * n_slots].fill(1);
        assert_eq!(update(&mut full, b"other", |_| ()), Updated::Full);
    }
}
