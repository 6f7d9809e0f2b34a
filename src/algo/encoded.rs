//! Values as bytes and as JSON, written into memory that may be refused: the libraries' own functions end the process there.

use std::io;

use postcard::ser_flavors::Flavor;
use serde::Serialize;

use super::memory::{self, Refused};

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("it cannot be written: {0}")]
    Unwritable(String),
}

/// The value in the bytes of a stored model or SQL value.
pub fn to_bytes(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    postcard::serialize_with_flavor(value, Growing::default()).map_err(|error| match error {
        postcard::Error::SerializeBufferFull => Refused { bytes: size_of_val(value) }.into(),
        error => Error::Unwritable(error.to_string()),
    })
}

pub fn to_json(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    let mut written = Growing::default();
    serde_json::to_writer(&mut written, value).map_err(|error| match error.io_error_kind() {
        Some(_) => Refused { bytes: 2 * written.0.len() }.into(),
        None => Error::Unwritable(error.to_string()),
    })?;
    Ok(written.0)
}

#[derive(Default)]
struct Growing(Vec<u8>);

impl Flavor for Growing {
    type Output = Vec<u8>;

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        memory::extend(&mut self.0, bytes).map_err(|_| postcard::Error::SerializeBufferFull)
    }

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        memory::push(&mut self.0, byte).map_err(|_| postcard::Error::SerializeBufferFull)
    }

    fn finalize(self) -> postcard::Result<Vec<u8>> {
        Ok(self.0)
    }
}

impl io::Write for Growing {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        memory::extend(&mut self.0, bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_the_libraries_write() {
        let value = (vec![1.5, f64::MAX], "text", Some(7));
        assert_eq!(to_bytes(&value).unwrap(), postcard::to_stdvec(&value).unwrap());
        assert_eq!(to_json(&value).unwrap(), serde_json::to_vec(&value).unwrap());
    }
}
