//! Words and strings to and from bytes, with every length checked against what is there.
//!
//! Memory that grows with a message is asked for and may be refused: on either side an abort would end what others wait for.

use super::Error;

/// Reads a payload front to back.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn words<const N: usize>(
        &mut self,
        count: usize,
    ) -> Result<impl ExactSizeIterator<Item = [u8; N]> + 'a, Error> {
        let bytes = self.take(count.checked_mul(N).ok_or(Error::Truncated)?)?;
        // as_chunks leaves no remainder: the length is a multiple of N.
        Ok(bytes.as_chunks::<N>().0.iter().copied())
    }

    fn word<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        self.take(N)?.try_into().map_err(|_| Error::Truncated)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        self.word()
    }

    pub(super) fn u8(&mut self) -> Result<u8, Error> {
        Ok(u8::from_le_bytes(self.word()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.word()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.word()?))
    }

    pub(super) fn count(&mut self, what: &'static str, allowed: u32) -> Result<u32, Error> {
        let found = self.u32()?;
        if found > allowed {
            return Err(Error::TooMany { what, found: found.into(), allowed: allowed.into() });
        }
        Ok(found)
    }

    pub(super) fn text(&mut self) -> Result<String, Error> {
        let len = self.u32()? as usize;
        text(self.take(len)?)
    }

    pub(super) fn f32s(&mut self, count: usize) -> Result<Vec<f32>, Error> {
        collect(self.words(count)?.map(f32::from_le_bytes))
    }

    pub(super) fn f64s(&mut self, count: usize) -> Result<Vec<f64>, Error> {
        collect(self.words(count)?.map(f64::from_le_bytes))
    }

    pub(super) fn i64s(&mut self, count: usize) -> Result<Vec<i64>, Error> {
        collect(self.words(count)?.map(i64::from_le_bytes))
    }

    /// Lengths first, then all bytes.
    pub(super) fn texts(&mut self, count: usize) -> Result<Vec<String>, Error> {
        let lengths = self.words::<4>(count)?;
        let mut texts = with_room(count)?;
        for length in lengths {
            texts.push(text(self.take(u32::from_le_bytes(length) as usize)?)?);
        }
        Ok(texts)
    }

    pub(super) fn end(self) -> Result<(), Error> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Error::TrailingBytes { bytes: self.rest.len() })
        }
    }
}

fn text(bytes: &[u8]) -> Result<String, Error> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::Malformed { what: "text" })?;
    owned(text)
}

/// An empty vector with room for so many, unless memory is refused.
pub fn with_room<T>(count: usize) -> Result<Vec<T>, Error> {
    let mut values = Vec::new();
    let bytes = (count as u64).saturating_mul(size_of::<T>() as u64);
    values.try_reserve_exact(count).map_err(|_| Error::NoMemory { bytes })?;
    Ok(values)
}

/// As `collect`, unless memory is refused.
pub fn collect<T>(values: impl ExactSizeIterator<Item = T>) -> Result<Vec<T>, Error> {
    let mut collected = with_room(values.len())?;
    collected.extend(values);
    Ok(collected)
}

/// As `to_owned`, unless memory is refused.
pub fn owned(text: &str) -> Result<String, Error> {
    let mut owned = String::new();
    let bytes = text.len() as u64;
    owned.try_reserve_exact(text.len()).map_err(|_| Error::NoMemory { bytes })?;
    owned.push_str(text);
    Ok(owned)
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Appends words, for which there is room. The loop over equal chunks compiles to a copy.
pub(super) fn put_words<T: Copy, const N: usize>(
    out: &mut Vec<u8>,
    values: &[T],
    word: impl Fn(T) -> [u8; N],
) {
    let start = out.len();
    out.resize(start + values.len() * N, 0);
    for (place, &value) in out[start..].as_chunks_mut::<N>().0.iter_mut().zip(values) {
        *place = word(value);
    }
}

pub(super) fn put_texts(out: &mut Vec<u8>, texts: &[String]) {
    for text in texts {
        out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    }
    for text in texts {
        out.extend_from_slice(text.as_bytes());
    }
}
