//! The stable hash of keys: what is drawn by it today is drawn by it in every release and on every machine.
//!
//! FNV-1a (64 bits) over the bytes, then SplitMix64's finaliser, as FNV's low bits alone are weak.

use super::random::mix;

pub fn stable_hash(bytes: &[u8]) -> u64 {
    mix(fnv(bytes))
}

/// FNV-1a alone: good where it is mixed later.
pub(super) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_text_never_changes() {
        assert_eq!(stable_hash(b""), 0xF52A_15E9_A9B5_E89B);
        assert_eq!(stable_hash(b"customer 42"), stable_hash("customer 42".as_bytes()));
        assert_ne!(stable_hash(b"a"), stable_hash(b"b"));
    }
}
