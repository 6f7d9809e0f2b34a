//! Memory that the system refuses: a limit on the process, or no overcommit. Rust ends the process where a `Vec` or a map cannot
//! grow, and a backend that ends so restarts the whole cluster.
//!
//! So what grows with the data does it in one of three ways. Where the size is known, [`probe`] asks before the work begins. Where
//! it is not, room is made by [`room`] or [`push`], which can fail. What is left are many small blocks: when one of them is refused
//! the extension takes it from a reserve and raises [`SHORT`], and whoever looks there ends the work.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytemuck::Pod;
use memmap2::MmapMut;

use super::store;

/// The system has no room for so many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no room for {bytes} bytes of memory")]
pub struct Refused {
    pub bytes: usize,
}

impl From<Refused> for std::io::Error {
    fn from(refused: Refused) -> Self {
        Self::new(std::io::ErrorKind::OutOfMemory, refused)
    }
}

/// Whether a small block was refused and lent from the reserve.
pub static SHORT: AtomicBool = AtomicBool::new(false);

/// Less than this is not asked for: the reserve has it.
const LEAST_PROBED: usize = 128 << 10;

/// Fails where so many bytes, a quarter more for what an estimate leaves out, and some room for errors cannot be had now. Takes
/// and gives back addresses alone: two calls into the system, some microseconds whatever the size.
pub fn probe(bytes: usize) -> Result<(), Refused> {
    const MARGIN: usize = 4 << 20;
    if bytes < LEAST_PROBED {
        return Ok(());
    }
    let refused = Refused { bytes };
    let wanted = bytes.checked_add(bytes / 4).and_then(|bytes| bytes.checked_add(MARGIN));
    MmapMut::map_anon(wanted.ok_or(refused)?).map(drop).map_err(|_| refused)
}

/// Asks for what a decoder may make of so many bytes: an empty text of one byte is a `String` of 24 bytes, and a vector holds its
/// values twice while it grows.
pub fn probe_decoding(bytes: usize) -> Result<(), Refused> {
    const GROWS_BY: usize = 16;
    probe(bytes.saturating_mul(GROWS_BY))
}

/// Makes room for so many values more, as `reserve` does.
#[inline]
pub fn room<T>(values: &mut Vec<T>, more: usize) -> Result<(), Refused> {
    // A vector doubles.
    let wanted = values.len().saturating_add(more).max(2 * values.capacity());
    let refused = |_| Refused { bytes: wanted.saturating_mul(size_of::<T>()) };
    values.try_reserve(more).map_err(refused)
}

/// As [`room`], and no more.
pub fn exact_room<T>(values: &mut Vec<T>, more: usize) -> Result<(), Refused> {
    let refused = |_| Refused { bytes: more.saturating_mul(size_of::<T>()) };
    values.try_reserve_exact(more).map_err(refused)
}

/// Appends a value.
#[inline]
pub fn push<T>(values: &mut Vec<T>, value: T) -> Result<(), Refused> {
    if values.len() == values.capacity() {
        room(values, 1)?;
    }
    values.push(value);
    Ok(())
}

/// Appends values.
#[inline]
pub fn extend<T: Copy>(values: &mut Vec<T>, more: &[T]) -> Result<(), Refused> {
    room(values, more.len())?;
    values.extend_from_slice(more);
    Ok(())
}

/// What `collect` makes, with room for as many values as the iterator says to have.
pub fn collect<T>(values: impl ExactSizeIterator<Item = T>) -> Result<Vec<T>, Refused> {
    let mut all = Vec::new();
    room(&mut all, values.len())?;
    all.extend(values);
    Ok(all)
}

/// What `vec![value; n]` makes.
pub fn filled<T: Clone>(value: T, n: usize) -> Result<Vec<T>, Refused> {
    let mut all = Vec::new();
    room(&mut all, n)?;
    all.resize(n, value);
    Ok(all)
}

/// What `vec![0; n]` makes.
pub fn zeros<T: Pod>(n: usize) -> Result<Vec<T>, Refused> {
    store::zeros(n).map_err(|_| Refused { bytes: n.saturating_mul(size_of::<T>()) })
}

/// What `to_vec` makes.
pub fn copied<T: Copy>(values: &[T]) -> Result<Vec<T>, Refused> {
    let mut all = Vec::new();
    extend(&mut all, values)?;
    Ok(all)
}

/// What `to_owned` makes of a text.
#[inline]
pub fn owned(text: &str) -> Result<String, Refused> {
    let mut owned = String::new();
    owned.try_reserve_exact(text.len()).map_err(|_| Refused { bytes: text.len() })?;
    owned.push_str(text);
    Ok(owned)
}

/// Inserts a key that is not there yet.
#[inline]
pub fn insert<K: Eq + Hash, V, S: BuildHasher>(
    map: &mut HashMap<K, V, S>,
    key: K,
    value: V,
) -> Result<(), Refused> {
    let bytes = map.capacity().saturating_mul(2 * size_of::<(K, V)>());
    map.try_reserve(1).map_err(|_| Refused { bytes })?;
    map.insert(key, value);
    Ok(())
}

/// A computation begins: what was short before is another's.
pub fn begin() {
    SHORT.store(false, Relaxed);
}

/// Fails after a small block was refused, once.
#[inline]
pub fn check() -> Result<(), Refused> {
    if SHORT.load(Relaxed) && SHORT.swap(false, Relaxed) {
        return Err(Refused { bytes: LEAST_PROBED });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_system_has_is_refused() {
        assert_eq!(probe(usize::MAX), Err(Refused { bytes: usize::MAX }));
        assert!(probe(1 << 60).is_err());
        assert!(room(&mut Vec::<u64>::new(), usize::MAX / 8).is_err());
        assert!(filled(0u8, isize::MAX as usize).is_err());
    }

    #[test]
    fn what_is_there_is_given() {
        assert_eq!(probe(0), Ok(()));
        assert_eq!(probe(1 << 20), Ok(()));
        let mut values = copied(&[1, 2]).unwrap();
        push(&mut values, 3).unwrap();
        extend(&mut values, &[4]).unwrap();
        assert_eq!(values, collect(1..5).unwrap());
        let mut map = HashMap::new();
        insert(&mut map, owned("a").unwrap(), 1).unwrap();
        assert_eq!((map["a"], filled(7, 3).unwrap()), (1, vec![7; 3]));
    }
}
