//! Counts by key in an open-addressed table: 16 bytes a key and no allocation per key.

/// A key is there when its count is not 0.
#[derive(Debug, Clone)]
pub(super) struct Counts {
    slots: Vec<(u64, u64)>,
    len: usize,
}

const FIRST_SLOTS: usize = 64;

impl Default for Counts {
    fn default() -> Self {
        Self { slots: vec![(0, 0); FIRST_SLOTS], len: 0 }
    }
}

impl Counts {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds to the key's count, and says whether the key is new.
    #[inline]
    pub(super) fn add(&mut self, key: u64, n: u64) -> bool {
        let slot = self.slot(key);
        let (found, count) = &mut self.slots[slot];
        if *count != 0 {
            *count += n;
            return false;
        }
        (*found, *count) = (key, n);
        self.len += 1;
        // Up to nine sixteenths, so that as many keys as are ever counted fit into 16,384 slots, which stay in the cache.
        if 16 * self.len > 9 * self.slots.len() {
            self.grow();
        }
        true
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.slots.iter().copied().filter(|(_, count)| *count != 0)
    }

    /// Where the key is, or would be. The table is never full, so there is an end.
    #[inline]
    fn slot(&self, key: u64) -> usize {
        let mask = self.slots.len() - 1;
        // Fibonacci hashing: neighboring keys, as those of buckets are, spread over the table.
        let hash = key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut slot = (hash >> (64 - self.slots.len().trailing_zeros())) as usize;
        loop {
            let (found, count) = self.slots[slot & mask];
            if count == 0 || found == key {
                return slot & mask;
            }
            slot += 1;
        }
    }

    #[cold]
    fn grow(&mut self) {
        let doubled = vec![(0, 0); 2 * self.slots.len()];
        for (key, count) in std::mem::replace(&mut self.slots, doubled) {
            if count != 0 {
                let slot = self.slot(key);
                self.slots[slot] = (key, count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_a_hash_map() {
        let mut counts = Counts::default();
        let mut expected = std::collections::HashMap::new();
        for i in 0..20_000_u64 {
            let key = (i * i) % 3001;
            counts.add(key, 1 + i % 3);
            *expected.entry(key).or_insert(0) += 1 + i % 3;
        }
        assert_eq!(counts.len(), expected.len());
        assert!(counts.iter().all(|(key, count)| expected[&key] == count));
    }
}
