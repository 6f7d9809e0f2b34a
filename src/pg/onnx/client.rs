//! A backend's conversation with the process.
//!
//! One connection a backend, kept between calls and dropped at the first doubt: it is taken out of its place during a
//! call, so that a cancel, which unwinds from the wait, closes it, and the process stops what nobody waits for.

use std::cell::{Cell, RefCell};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use pgrx::bgworkers::{BackgroundWorkerBuilder, BgWorkerStartTime};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};

use super::place::{self, DIRECTORY, SOCKET, START_LOCK};
use super::{Error, supervisor};
use crate::onnx::wire::{
    self, Batch, CHUNK, Hello, Inbox, Output, Request, Response, Run, Sha256, Status, VERSION,
};
use crate::pg::sys::server::{For, wait};

/// From the first knock to the first answer; the supervisor gives the process half of it.
const START_DEADLINE: Duration = Duration::from_secs(30);
/// Between two tries; the socket is there some 5 ms after the worker is registered.
const RETRY_EVERY: Duration = Duration::from_millis(5);
const A_WHILE: Duration = Duration::from_secs(60);

/// A request that was sent; its answer may be waited for later. Dropped, it closes the connection, and the process stops.
pub(crate) struct Sent {
    connection: Connection,
    bytes: Vec<u8>,
    sha256: Sha256,
}

/// Sends a batch to be scored.
pub(crate) fn send_batch(sha256: &Sha256, outputs: &[String], batch: Batch) -> Result<Sent, Error> {
    let run = Request::Run(Run { sha256: *sha256, outputs: outputs.to_vec(), batch });
    Sent::new(sha256, &run)
}

impl Sent {
    fn new(sha256: &Sha256, request: &Request) -> Result<Self, Error> {
        let mut bytes = Vec::new();
        request.encode(&mut bytes)?;
        let connection = Connection::with_sent(&bytes)?;
        Ok(Self { connection, bytes, sha256: *sha256 })
    }

    /// Waits for the scores. `load` gives the model's bytes, and is called only when the process does not have them.
    pub(crate) fn outputs<B: AsRef<[u8]>>(
        self,
        load: impl FnOnce() -> B,
    ) -> Result<Vec<Output>, Error> {
        match self.response(load)? {
            Response::Outputs { outputs, warning } => {
                warn_once(warning);
                Ok(outputs)
            }
            other => Err(unexpected(&other)),
        }
    }

    fn response<B: AsRef<[u8]>>(self, load: impl FnOnce() -> B) -> Result<Response, Error> {
        let Self { mut connection, bytes, sha256 } = self;
        let mut load = Some(load);
        let mut model = None;
        // Missing at first, once more when a GPU has no room for it, and when other sessions find the same meanwhile.
        for _ in 0..6 {
            let mut response = connection.receive(None)?;
            if response == Response::NeedModel {
                if let Some(load) = load.take() {
                    model = Some(load());
                }
                let model = model.as_ref().map_or(&[][..], |model| model.as_ref());
                response = match connection.send_model(&sha256, model) {
                    Ok(response) => response,
                    Err(Error::Closed) => {
                        connection = Connection::with_sent(&bytes)?;
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                if let Response::Ready { .. } = response {
                    match connection.send(&bytes) {
                        Err(Error::Closed) => connection = Connection::with_sent(&bytes)?,
                        sent => sent?,
                    }
                    continue;
                }
            }
            connection.keep();
            return match response {
                Response::Error { kind, message } => Err(Error::answered(kind, message)),
                response => Ok(response),
            };
        }
        Err(Error::Protocol("the model is forgotten as soon as it is sent".to_owned()))
    }
}

/// Loads the model, if it is not there: an import finds out so whether ONNX Runtime takes it.
pub(crate) fn load<B: AsRef<[u8]>>(sha256: &Sha256, load: impl FnOnce() -> B) -> Result<(), Error> {
    match Sent::new(sha256, &Request::Have { sha256: *sha256 })?.response(load)? {
        Response::Ready { warning } => {
            warn_once(warning);
            Ok(())
        }
        other => Err(unexpected(&other)),
    }
}

/// How the process is; starts it when it does not run.
pub(crate) fn status() -> Result<Status, Error> {
    let mut bytes = Vec::new();
    Request::Status.encode(&mut bytes)?;
    let mut connection = Connection::with_sent(&bytes)?;
    match connection.receive(None)? {
        Response::Status(status) => {
            connection.keep();
            Ok(status)
        }
        other => Err(unexpected(&other)),
    }
}

fn unexpected(response: &Response) -> Error {
    let name = match response {
        Response::Error { kind, message } => return Error::answered(*kind, message.clone()),
        Response::Hello(_) => "hello",
        Response::Ready { .. } => "ready",
        Response::NeedModel => "need of the model",
        Response::Described(_) => "description",
        Response::Outputs { .. } => "outputs",
        Response::Status(_) => "status",
    };
    Error::Protocol(name.to_owned())
}

/// Never silent, and not once a row either: the same again after a minute.
fn warn_once(warning: Option<String>) {
    thread_local! {
        static LAST: RefCell<Option<(String, Instant)>> = const { RefCell::new(None) };
    }
    let Some(warning) = warning else { return };
    let is_new = LAST.with_borrow_mut(|last| {
        let is_known =
            last.as_ref().is_some_and(|(told, at)| *told == warning && at.elapsed() < A_WHILE);
        if !is_known {
            *last = Some((warning.clone(), Instant::now()));
        }
        !is_known
    });
    if is_new {
        pgrx::warning!("{warning}");
    }
}

struct Connection {
    stream: UnixStream,
    inbox: Inbox,
}

thread_local! {
    static KEPT: Cell<Option<Connection>> = const { Cell::new(None) };
}

impl Connection {
    /// The kept one if it is still good, else a new one.
    fn take() -> Result<Self, Error> {
        match KEPT.take() {
            Some(connection) if connection.is_good() => Ok(connection),
            _ => Self::open(),
        }
    }

    /// One on which the request is sent. A process that is about to end does not read what it is sent, and so has done nothing
    /// with it: the request is for the next process.
    fn with_sent(request: &[u8]) -> Result<Self, Error> {
        let mut n_closed = 0;
        loop {
            let mut connection = Self::take()?;
            match connection.send(request) {
                Ok(()) => return Ok(connection),
                Err(Error::Closed) if n_closed < 5 => n_closed += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn keep(self) {
        KEPT.set(Some(self));
    }

    /// Nothing to read, and not hung up: the process may have ended since.
    fn is_good(&self) -> bool {
        let nothing = (&self.stream).read(&mut [0]);
        self.inbox.is_empty()
            && nothing.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    fn open() -> Result<Self, Error> {
        let start = Instant::now();
        let mut starting = Starting::default();
        loop {
            let tried = connect(SOCKET).map(|stream| Self { stream, inbox: Inbox::default() });
            match tried {
                Ok(mut connection) => match connection.greet(start) {
                    Ok(hello) => {
                        warn_once(hello.warning);
                        return Ok(connection);
                    }
                    // The supervisor ended between the knock and the answer.
                    Err(Error::Crashed) => {}
                    Err(error) => return Err(error),
                },
                Err(error) if is_nobody_there(&error) => starting.start()?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            if start.elapsed() > START_DEADLINE {
                return Err(Error::Timeout { seconds: START_DEADLINE.as_secs() });
            }
            wait(For::Latch, RETRY_EVERY);
        }
    }

    fn greet(&mut self, start: Instant) -> Result<Hello, Error> {
        let mut bytes = Vec::new();
        Request::Hello { version: VERSION }.encode(&mut bytes)?;
        match self.send(&bytes) {
            // The reason may lie in the socket all the same.
            Ok(()) | Err(Error::Closed) => {}
            Err(error) => return Err(error),
        }
        match self.receive(Some(start + START_DEADLINE))? {
            Response::Hello(hello) if hello.version == VERSION => Ok(hello),
            Response::Hello(hello) => Err(Error::Protocol(format!("version {}", hello.version))),
            other => Err(unexpected(&other)),
        }
    }

    fn send_model(&mut self, sha256: &Sha256, model: &[u8]) -> Result<Response, Error> {
        let mut bytes = wire::with_room(CHUNK + 64)?;
        Request::LoadBegin { sha256: *sha256, total: model.len() as u64 }.encode(&mut bytes)?;
        for chunk in model.chunks(CHUNK) {
            Request::LoadChunk(wire::collect(chunk.iter().copied())?).encode(&mut bytes)?;
            self.send(&bytes)?;
            bytes.clear();
        }
        if !bytes.is_empty() {
            self.send(&bytes)?;
        }
        self.receive(None)
    }

    fn send(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            match (&self.stream).write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait(For::Writable(self.stream.as_raw_fd()), A_WHILE);
                }
                Err(error) => hang_up_or(error, Error::Closed)?,
            }
        }
        Ok(())
    }

    fn receive(&mut self, deadline: Option<Instant>) -> Result<Response, Error> {
        loop {
            if let Some(frame) = self.inbox.take().map_err(Error::wrong_answer)? {
                return Response::decode(frame).map_err(Error::wrong_answer);
            }
            match self.inbox.read_from(&mut &self.stream) {
                Ok(0) => return Err(Error::Crashed),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let patience = deadline
                        .map_or(A_WHILE, |end| end.saturating_duration_since(Instant::now()));
                    if patience.is_zero() {
                        return Err(Error::Timeout { seconds: START_DEADLINE.as_secs() });
                    }
                    wait(For::Readable(self.stream.as_raw_fd()), patience);
                }
                Err(error) => hang_up_or(error, Error::Crashed)?,
            }
        }
    }
}

fn hang_up_or(error: io::Error, hang_up: Error) -> Result<(), Error> {
    match error.kind() {
        io::ErrorKind::Interrupted => Ok(()),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Err(hang_up),
        io::ErrorKind::OutOfMemory => Err(Error::NoMemory),
        _ => Err(error.into()),
    }
}

fn is_nobody_there(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// Of all backends that find nobody there, one registers the worker, and once only: the lock is held until it is heard.
#[derive(Default)]
struct Starting {
    lock: Option<std::fs::File>,
    registered: Option<Instant>,
}

/// After so long without a socket the worker has failed, and another is tried.
const WORKER_PATIENCE: Duration = Duration::from_secs(10);

impl Starting {
    fn start(&mut self) -> Result<(), Error> {
        if self.lock.is_none() {
            place::make_directory(DIRECTORY)?;
            self.lock = place::try_lock(START_LOCK)?;
            // The next try to connect comes first: somebody may have started it before this lock was taken.
            return Ok(());
        }
        if self.registered.is_none_or(|at| at.elapsed() > WORKER_PATIENCE) {
            register_supervisor()?;
            self.registered = Some(Instant::now());
        }
        Ok(())
    }
}

fn register_supervisor() -> Result<(), Error> {
    BackgroundWorkerBuilder::new("persona onnx supervisor")
        .set_type("persona onnx supervisor")
        .set_library(supervisor::LIBRARY)
        .set_function(supervisor::ENTRY)
        // On a standby too.
        .set_start_time(BgWorkerStartTime::ConsistentState)
        .set_restart_time(None)
        .load_dynamic()
        .map(drop)
        .map_err(|_| Error::WorkerSlotsFull)
}

/// A connection that neither reading, writing nor connecting blocks, which std has only in blocking form. `WouldBlock`: the
/// other side's queue is full.
fn connect(path: &str) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket.into())
}
