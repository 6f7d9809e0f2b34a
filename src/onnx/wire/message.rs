//! The requests and the responses.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::bytes::{Reader, put_text};
use super::columns::{Batch, Data, Output, Tensor, limit};
use super::frame::put_frame;
use super::{CHUNK, Element, Error, Frame, MAX_COLUMNS, MAX_MODEL, Sha256};

#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// First on every connection.
    Hello {
        version: u32,
    },
    /// Is the model there?
    Have {
        sha256: Sha256,
    },
    /// The model follows, in chunks of [`CHUNK`] bytes or less.
    LoadBegin {
        sha256: Sha256,
        total: u64,
    },
    LoadChunk(Vec<u8>),
    Describe {
        sha256: Sha256,
    },
    Run(Run),
    Status,
}

/// Rows to score. There is no message to cancel: the caller hangs up.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub sha256: Sha256,
    /// The outputs wanted; none means all.
    pub outputs: Vec<String>,
    pub batch: Batch,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Response {
    Hello(Hello),
    /// The model is loaded. The warning says what it does not run on.
    Ready {
        warning: Option<String>,
    },
    NeedModel,
    Described(Described),
    Outputs {
        outputs: Vec<Output>,
        warning: Option<String>,
    },
    Status(Status),
    Error {
        kind: ErrorKind,
        message: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    pub version: u32,
    /// The version of ONNX Runtime.
    pub runtime: String,
    /// Those that really work, in the order of trial; the last is always "cpu".
    pub providers: Vec<String>,
    /// Why a provider that was asked for is missing.
    pub warning: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Described {
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
    pub warning: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    pub name: String,
    pub element: Element,
    /// -1 for an open dimension. A sequence of maps has none.
    pub shape: Vec<i64>,
    /// A classifier's ZipMap: classes to probabilities, row by row.
    pub zipmap: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub runtime: String,
    pub providers: Vec<String>,
    pub warning: Option<String>,
    pub process_id: u32,
    pub uptime_s: u64,
    pub connections: u32,
    pub models: u32,
    pub model_bytes: u64,
    pub memory_bytes: u64,
    pub runs: u64,
    pub rows: u64,
    pub cancelled: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorKind {
    /// The peer did not keep to this protocol, or comes from another build.
    Protocol,
    /// The process could not be started; the message is the reason.
    Unavailable,
    /// The runtime library is missing, too old or no library.
    Library,
    /// Not the server's own user.
    Forbidden,
    Busy,
    ModelTooLarge,
    /// The scan refuses the model.
    ModelRefused,
    /// ONNX Runtime refuses the model.
    ModelInvalid,
    /// The model has brought the process down too often.
    ModelPoisonous,
    InputMismatch,
    RunFailed,
    Cancelled,
    OutOfMemory,
    /// Loading took longer than it may.
    LoadTimeout,
    /// The provider that must come first cannot be had.
    Provider,
    Internal,
    /// A value that the input's type cannot hold.
    ValueOutOfRange,
}

const HELLO: u8 = 1;
const HAVE: u8 = 2;
const LOAD_BEGIN: u8 = 3;
const LOAD_CHUNK: u8 = 4;
const DESCRIBE: u8 = 5;
const RUN: u8 = 6;
const STATUS: u8 = 7;

const HELLO_BACK: u8 = 129;
const READY: u8 = 130;
const NEED_MODEL: u8 = 131;
const DESCRIBED: u8 = 132;
const OUTPUTS: u8 = 133;
const STATUS_BACK: u8 = 134;
const ERROR: u8 = 135;

impl Request {
    /// Appends the request as one frame.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        match self {
            Self::Hello { version } => {
                put_frame(out, HELLO, 4, |out| out.extend_from_slice(&version.to_le_bytes()))
            }
            Self::Have { sha256 } => put_frame(out, HAVE, 32, |out| out.extend_from_slice(sha256)),
            Self::LoadBegin { sha256, total } => put_frame(out, LOAD_BEGIN, 40, |out| {
                out.extend_from_slice(sha256);
                out.extend_from_slice(&total.to_le_bytes());
            }),
            Self::LoadChunk(chunk) => {
                put_frame(out, LOAD_CHUNK, chunk.len() as u64, |out| out.extend_from_slice(chunk))
            }
            Self::Describe { sha256 } => {
                put_frame(out, DESCRIBE, 32, |out| out.extend_from_slice(sha256))
            }
            Self::Run(run) => {
                run.batch.check()?;
                put_frame(out, RUN, run.size(), |out| run.put(out))
            }
            Self::Status => put_frame(out, STATUS, 0, |_| ()),
        }
    }

    pub fn decode(frame: Frame) -> Result<Self, Error> {
        let Frame { kind, payload } = frame;
        if kind == LOAD_CHUNK {
            limit("bytes of a chunk", payload.len() as u64, CHUNK as u64)?;
            return Ok(Self::LoadChunk(payload));
        }
        let mut reader = Reader::new(&payload);
        let request = match kind {
            HELLO => Self::Hello { version: reader.u32()? },
            HAVE => Self::Have { sha256: reader.array()? },
            LOAD_BEGIN => {
                let (sha256, total) = (reader.array()?, reader.u64()?);
                limit("bytes of a model", total, MAX_MODEL)?;
                Self::LoadBegin { sha256, total }
            }
            DESCRIBE => Self::Describe { sha256: reader.array()? },
            RUN => Self::Run(Run::get(&mut reader)?),
            STATUS => Self::Status,
            _ => return Err(Error::UnknownKind { kind }),
        };
        reader.end()?;
        Ok(request)
    }
}

impl Run {
    /// The bytes that [`Self::put`] writes.
    fn size(&self) -> u64 {
        let outputs = self.outputs.iter().map(|name| 4 + name.len() as u64).sum::<u64>();
        44 + outputs + self.batch.tensors.iter().map(Tensor::size).sum::<u64>()
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.sha256);
        out.extend_from_slice(&(self.outputs.len() as u32).to_le_bytes());
        self.outputs.iter().for_each(|name| put_text(out, name));
        out.extend_from_slice(&self.batch.n_rows.to_le_bytes());
        out.extend_from_slice(&(self.batch.tensors.len() as u32).to_le_bytes());
        for Tensor { name, width, data } in &self.batch.tensors {
            put_text(out, name);
            out.extend_from_slice(&width.to_le_bytes());
            data.put(out);
        }
    }

    fn get(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let sha256 = reader.array()?;
        let outputs = (0..reader.count("outputs", MAX_COLUMNS)?)
            .map(|_| reader.text())
            .collect::<Result<Vec<_>, _>>()?;
        let n_rows = reader.u32()?;
        let tensors = (0..reader.count("inputs", MAX_COLUMNS)?)
            .map(|_| {
                Ok(Tensor { name: reader.text()?, width: reader.u32()?, data: Data::get(reader)? })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let batch = Batch { n_rows, tensors };
        batch.check()?;
        Ok(Self { sha256, outputs, batch })
    }
}

impl Response {
    /// Appends the response as one frame.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        match self {
            Self::Hello(hello) => put_small(out, HELLO_BACK, hello),
            Self::Ready { warning } => put_small(out, READY, warning),
            Self::NeedModel => put_frame(out, NEED_MODEL, 0, |_| ()),
            Self::Described(described) => put_small(out, DESCRIBED, described),
            Self::Outputs { outputs, warning } => {
                let size = 5
                    + warning.as_ref().map_or(0, |warning| 4 + warning.len() as u64)
                    + outputs.iter().map(Output::size).sum::<u64>();
                put_frame(out, OUTPUTS, size, |out| {
                    out.push(u8::from(warning.is_some()));
                    warning.iter().for_each(|warning| put_text(out, warning));
                    out.extend_from_slice(&(outputs.len() as u32).to_le_bytes());
                    outputs.iter().for_each(|output| output.put(out));
                })
            }
            Self::Status(status) => put_small(out, STATUS_BACK, status),
            Self::Error { kind, message } => put_small(out, ERROR, &(kind, message)),
        }
    }

    pub fn decode(frame: Frame) -> Result<Self, Error> {
        let Frame { kind, payload } = frame;
        match kind {
            HELLO_BACK => Ok(Self::Hello(get_small(&payload)?)),
            READY => Ok(Self::Ready { warning: get_small(&payload)? }),
            NEED_MODEL => Ok(Self::NeedModel),
            DESCRIBED => Ok(Self::Described(get(&payload, MAX_DESCRIPTION)?)),
            OUTPUTS => {
                let mut reader = Reader::new(&payload);
                let warning = match reader.u8()? {
                    0 => None,
                    _ => Some(reader.text()?),
                };
                let outputs = (0..reader.count("outputs", MAX_COLUMNS)?)
                    .map(|_| Output::get(&mut reader))
                    .collect::<Result<Vec<_>, _>>()?;
                reader.end()?;
                Ok(Self::Outputs { outputs, warning })
            }
            STATUS_BACK => Ok(Self::Status(get_small(&payload)?)),
            ERROR => {
                let (kind, message) = get_small(&payload)?;
                Ok(Self::Error { kind, message })
            }
            _ => Err(Error::UnknownKind { kind }),
        }
    }
}

fn put_small(out: &mut Vec<u8>, kind: u8, value: &impl Serialize) -> Result<(), Error> {
    let bytes = postcard::to_stdvec(value).map_err(|_| Error::Malformed { what: "message" })?;
    put_frame(out, kind, bytes.len() as u64, |out| out.extend_from_slice(&bytes))
}

/// What postcard reads takes memory without asking.
const MAX_SMALL: u64 = 1 << 20;
/// Two times [`MAX_COLUMNS`] names.
const MAX_DESCRIPTION: u64 = 64 << 20;

fn get_small<T: DeserializeOwned>(payload: &[u8]) -> Result<T, Error> {
    get(payload, MAX_SMALL)
}

fn get<T: DeserializeOwned>(payload: &[u8], allowed: u64) -> Result<T, Error> {
    limit("bytes of a message", payload.len() as u64, allowed)?;
    let (value, rest) =
        postcard::take_from_bytes(payload).map_err(|_| Error::Malformed { what: "message" })?;
    if rest.is_empty() { Ok(value) } else { Err(Error::TrailingBytes { bytes: rest.len() }) }
}
