//! Frames: four bytes of length, one of kind, the payload.

use std::io::{self, Read};

use super::Error;

/// 65,536 rows of a thousand floats.
pub const MAX_FRAME: usize = 256 << 20;
const HEADER: usize = 5;
/// What is read at once, at most, so that a frame that only claims to be large takes no memory.
const STEP: usize = 256 << 10;
/// What is read at once while nothing is known of the frame: an answer for a row or two.
const FIRST_STEP: usize = 4 << 10;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub payload: Vec<u8>,
}

/// Appends a frame whose payload `write` makes.
pub(super) fn put_frame(
    out: &mut Vec<u8>,
    kind: u8,
    write: impl FnOnce(&mut Vec<u8>),
) -> Result<(), Error> {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, kind]);
    write(out);
    let len = out.len() - start - HEADER;
    if len > MAX_FRAME {
        out.truncate(start);
        return Err(Error::FrameTooLarge { found: len as u64, allowed: MAX_FRAME as u64 });
    }
    out[start..start + 4].copy_from_slice(&(len as u32).to_le_bytes());
    Ok(())
}

fn header(bytes: [u8; HEADER]) -> Result<(usize, u8), Error> {
    let [a, b, c, d, kind] = bytes;
    let len = u32::from_le_bytes([a, b, c, d]) as usize;
    if len > MAX_FRAME {
        return Err(Error::FrameTooLarge { found: len as u64, allowed: MAX_FRAME as u64 });
    }
    Ok((len, kind))
}

/// Waits for one whole frame; None when the other side has hung up between frames.
pub fn read_frame(stream: &mut impl Read) -> io::Result<Option<Frame>> {
    match read_frame_within(stream, MAX_FRAME)? {
        Some(Ok(frame)) => Ok(Some(frame)),
        Some(Err(error)) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        None => Ok(None),
    }
}

/// As [`read_frame`]; a frame of more than `allowed` bytes is read past and is an error of its own.
pub fn read_frame_within(
    stream: &mut impl Read,
    allowed: usize,
) -> io::Result<Option<Result<Frame, Error>>> {
    let mut head = [0; HEADER];
    let mut filled = 0;
    while filled < HEADER {
        match stream.read(&mut head[filled..]) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    let (len, kind) = header(head).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
    let mut body = stream.take(len as u64);
    if len > allowed {
        let skipped = io::copy(&mut body, &mut io::sink())?;
        let error = Error::FrameTooLarge { found: len as u64, allowed: allowed as u64 };
        return if skipped == len as u64 {
            Ok(Some(Err(error)))
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        };
    }
    let mut payload = Vec::with_capacity(len.min(STEP));
    body.read_to_end(&mut payload)?;
    if payload.len() < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(Ok(Frame { kind, payload })))
}

/// What has arrived so far, for a side that polls.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
}

impl Inbox {
    /// Reads once; 0 means that the other side has hung up.
    pub fn read_from(&mut self, stream: &mut impl Read) -> io::Result<usize> {
        let start = self.bytes.len();
        let missing = match self.bytes.first_chunk().map(|head| header(*head)) {
            Some(Ok((len, _))) => (HEADER + len).saturating_sub(start),
            _ => 0,
        };
        self.bytes.resize(start + missing.clamp(FIRST_STEP, STEP), 0);
        let result = stream.read(&mut self.bytes[start..]);
        self.bytes.truncate(start + *result.as_ref().unwrap_or(&0));
        result
    }

    /// Takes the first frame, if it is all there.
    pub fn take(&mut self) -> Result<Option<Frame>, Error> {
        let Some(head) = self.bytes.first_chunk::<HEADER>() else { return Ok(None) };
        let (len, kind) = header(*head)?;
        if self.bytes.len() < HEADER + len {
            return Ok(None);
        }
        let rest = self.bytes.split_off(HEADER + len);
        let mut payload = std::mem::replace(&mut self.bytes, rest);
        payload.drain(..HEADER);
        Ok(Some(Frame { kind, payload }))
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}
