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

/// Appends a frame whose payload of `size` bytes `write` makes.
pub(super) fn put_frame(
    out: &mut Vec<u8>,
    kind: u8,
    size: u64,
    write: impl FnOnce(&mut Vec<u8>),
) -> Result<(), Error> {
    if size > MAX_FRAME as u64 {
        return Err(Error::FrameTooLarge { found: size, allowed: MAX_FRAME as u64 });
    }
    let len = size as usize;
    out.try_reserve_exact(HEADER + len).map_err(|_| Error::NoMemory { bytes: size })?;
    out.extend_from_slice(&(len as u32).to_le_bytes());
    out.push(kind);
    let start = out.len();
    write(out);
    debug_assert_eq!(out.len() - start, len, "the size of a frame of kind {kind}");
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

/// As [`read_frame`]; a frame of more than `allowed` bytes, or one for which memory is refused, is read past and is an
/// error of its own.
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
    if len > allowed {
        let error = Error::FrameTooLarge { found: len as u64, allowed: allowed as u64 };
        return skip(stream, len, error);
    }
    let mut payload = Vec::new();
    while payload.len() < len {
        let step = step(payload.len(), len);
        if payload.try_reserve_exact(step).is_err() {
            let left = len - payload.len();
            drop(payload);
            return skip(stream, left, Error::NoMemory { bytes: len as u64 });
        }
        if stream.take(step as u64).read_to_end(&mut payload)? < step {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Some(Ok(Frame { kind, payload })))
}

/// How much more to make room for, when `filled` of `len` bytes are there: as much again, so that what a frame claims costs no
/// more than what it brings.
fn step(filled: usize, len: usize) -> usize {
    filled.max(STEP).min(len.saturating_sub(filled))
}

fn skip(
    stream: &mut impl Read,
    len: usize,
    error: Error,
) -> io::Result<Option<Result<Frame, Error>>> {
    let skipped = io::copy(&mut stream.take(len as u64), &mut io::sink())?;
    if skipped == len as u64 {
        Ok(Some(Err(error)))
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// What has arrived so far, for a side that polls.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
}

impl Inbox {
    /// Reads once; 0 means that the other side has hung up. `OutOfMemory` when there is no room for what comes.
    pub fn read_from(&mut self, stream: &mut impl Read) -> io::Result<usize> {
        let start = self.bytes.len();
        let whole = match self.bytes.first_chunk().map(|head| header(*head)) {
            Some(Ok((len, _))) => HEADER + len,
            _ => 0,
        };
        let wanted = whole.saturating_sub(start).clamp(FIRST_STEP, STEP);
        if self.bytes.capacity() - start < wanted {
            let room = step(start, whole).max(wanted);
            self.bytes.try_reserve_exact(room).map_err(|_| io::ErrorKind::OutOfMemory)?;
        }
        self.bytes.resize(start + wanted, 0);
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
