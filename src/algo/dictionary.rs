//! Distinct texts and their codes, in order of first appearance.
//!
//! The table of hashes holds codes alone: each text is in memory once.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::memory::{self, Refused};

#[derive(Debug, Default)]
pub struct Dictionary {
    words: Vec<String>,
    codes: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Dictionary {
    /// The bytes that a word takes: a block of the allocator's; its `String` and its code, with the room that a vector and a table
    /// keep free and hold twice while they grow.
    pub fn bytes(word: &str) -> usize {
        (word.len() + 8).next_multiple_of(16).max(32) + 96
    }

    /// The code of a word, and whether it has just been given.
    #[inline]
    pub fn code(&mut self, word: &str) -> Result<(u32, bool), Refused> {
        let Self { words, codes, hasher } = self;
        let hash = hasher.hash_one(word);
        if let Some(&code) = codes.find(hash, |&code| words[code as usize] == word) {
            return Ok((code, false));
        }
        let code = words.len() as u32;
        let bytes = 2 * size_of::<u32>() * codes.capacity();
        let made = codes.try_reserve(1, |&code| hasher.hash_one(&words[code as usize]));
        made.map_err(|_| Refused { bytes })?;
        memory::push(words, memory::owned(word)?)?;
        codes.insert_unique(hash, code, |&code| hasher.hash_one(&words[code as usize]));
        Ok((code, true))
    }

    pub fn into_words(self) -> Vec<String> {
        self.words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_keeps_its_code_however_many_come_after_it() {
        let mut dictionary = Dictionary::default();
        let word = |n: u32| format!("customer {n}");
        for n in 0..10_000 {
            assert_eq!(dictionary.code(&word(n)), Ok((n, true)));
            assert_eq!(dictionary.code(&word(n / 2)), Ok((n / 2, false)));
        }
        let words = dictionary.into_words();
        assert_eq!(words.len(), 10_000);
        assert!(words.iter().zip(0..).all(|(found, n)| *found == word(n)));
    }
}
