//! The socket: one thread a connection, requests answered one after another.
//!
//! Nothing that a client or a model does may end the process on our side: every request runs under a guard that turns a
//! panic into an answer. What ONNX Runtime does beyond that, the supervisor notices.

use std::fs::File;
use std::io::{BufReader, ErrorKind as IoErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::arguments::Arguments;
use super::hangup::HangUps;
use super::load::{Loading, begin, miss_chunk, take_chunk};
use super::problem::failure;
use super::run::score;
use super::sessions::{Model, Runtime};
use super::{Error, system};
use crate::onnx::scan;
use crate::onnx::wire::slots::{self, N_SLOTS};
use crate::onnx::wire::{
    self, Described, ErrorKind, Hello, MAX_FRAME, Request, Response, Sha256, Status,
    read_frame_within,
};

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A client that takes no answer for so long is given up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(120);
/// A buffer that one large batch has grown is not kept.
const KEEP: usize = 1 << 20;

pub(super) struct Shared {
    pub(super) runtime: Runtime,
    pub(super) hang_ups: Arc<HangUps>,
    pub(super) slots: File,
    free_slots: Mutex<Vec<usize>>,
    pub(super) refused: Vec<Sha256>,
    memory: u64,
    /// The largest batch, and the largest answer.
    pub(super) max_batch: usize,
    start: Instant,
    /// Milliseconds from the start to the last request.
    last_request_ms: AtomicU64,
    answering: AtomicU32,
    pub(super) runs: AtomicU64,
    pub(super) rows: AtomicU64,
    pub(super) cancelled: AtomicU64,
    /// CUDA does not work any more in this process, which ends when the client that met it has its answer.
    pub(super) broken: AtomicBool,
}

/// Says that the process is ready and serves until it is not needed.
pub(super) fn serve(
    listener: UnixListener,
    runtime: Runtime,
    slots: File,
    arguments: Arguments,
) -> Result<(), Error> {
    let system = |what| move |source| Error::System { what, source };
    let own_slots = slots.try_clone().map_err(system("slots"))?;
    let hang_ups = HangUps::start(own_slots, arguments.load_timeout).map_err(system("thread"))?;
    // A batch is there as bytes, as numbers and as the answer; ONNX Runtime has its own part of the memory.
    let eighth = usize::try_from(arguments.memory / 8).unwrap_or(usize::MAX);
    let shared = Arc::new(Shared {
        runtime,
        hang_ups,
        max_batch: eighth.min(MAX_FRAME),
        slots,
        free_slots: Mutex::new((0..N_SLOTS).rev().collect()),
        refused: arguments.refused,
        memory: arguments.memory,
        start: Instant::now(),
        last_request_ms: AtomicU64::new(0),
        answering: AtomicU32::new(0),
        runs: AtomicU64::new(0),
        rows: AtomicU64::new(0),
        cancelled: AtomicU64::new(0),
        broken: AtomicBool::new(false),
    });
    listener.set_nonblocking(true).map_err(system("socket"))?;
    let mut ready_pipe = std::io::stdout();
    writeln!(ready_pipe, "ready").and_then(|()| ready_pipe.flush()).map_err(system("pipe"))?;

    let awaited = [
        (listener.as_fd(), system::Awaited::Readable),
        // Nobody reads the pipe any more: the supervisor is gone.
        (ready_pipe.as_fd(), system::Awaited::HangUp),
    ];
    loop {
        let ready = system::poll(&awaited, LOOK_EVERY);
        if ready[1] {
            return Err(Error::Orphaned);
        }
        if shared.hang_ups.is_ending() {
            // Who knocks now is for the next process.
            std::thread::sleep(Duration::from_millis(10));
        } else if ready[0] {
            match listener.accept() {
                Ok((stream, _)) => welcome(stream, &shared),
                Err(error)
                    if matches!(
                        error.kind(),
                        IoErrorKind::WouldBlock | IoErrorKind::Interrupted
                    ) => {}
                // Out of descriptors or memory: the client waits in the queue.
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        } else if shared.is_idle(arguments.idle_timeout) {
            return Ok(());
        }
    }
}

fn welcome(stream: UnixStream, shared: &Arc<Shared>) {
    shared.touch();
    // Accepted sockets do not take over the listener's non-blocking mode on Linux; this says so.
    let _ = stream.set_nonblocking(false);
    let _ = stream.set_write_timeout(Some(WRITE_TIMEOUT));
    if !system::is_own_user(&stream) {
        return refuse(&stream, ErrorKind::Forbidden, "only the server's own user is served");
    }
    let Some(slot) = shared.free_slots.lock().unwrap_or_else(PoisonError::into_inner).pop() else {
        return refuse(&stream, ErrorKind::Busy, "too many connections");
    };
    let theirs = Arc::clone(shared);
    let stream = Arc::new(stream);
    let theirs_too = Arc::clone(&stream);
    shared.hang_ups.enter(slot, &stream);
    let spawned = std::thread::Builder::new().stack_size(system::STACK).spawn(move || {
        let _ = catch_unwind(AssertUnwindSafe(|| converse(&theirs_too, &theirs, slot)));
        let _ = slots::idle(&theirs.slots, slot);
        theirs.hang_ups.leave(slot);
        theirs.free_slots.lock().unwrap_or_else(PoisonError::into_inner).push(slot);
    });
    if spawned.is_err() {
        shared.hang_ups.leave(slot);
        shared.free_slots.lock().unwrap_or_else(PoisonError::into_inner).push(slot);
        refuse(&stream, ErrorKind::OutOfMemory, "no memory for another connection");
    }
}

fn refuse(mut stream: &UnixStream, kind: ErrorKind, message: &str) {
    let mut bytes = Vec::new();
    let _ = stream.set_write_timeout(Some(Duration::from_millis(100)));
    if (Response::Error { kind, message: message.to_owned() }).encode(&mut bytes).is_ok() {
        let _ = stream.write_all(&bytes);
    }
}

fn converse(stream: &Arc<UnixStream>, shared: &Shared, slot: usize) -> std::io::Result<()> {
    let mut writer = &**stream;
    let mut reader = BufReader::with_capacity(64 << 10, &**stream);
    let mut answer_bytes = Vec::new();
    let mut loading: Option<Loading> = None;
    while let Some(frame) = read_frame_within(&mut reader, shared.max_batch)? {
        shared.touch();
        shared.answering.fetch_add(1, Relaxed);
        let answered = catch_unwind(AssertUnwindSafe(|| match frame.and_then(Request::decode) {
            Ok(request) => answer(request, &mut loading, shared, slot, stream),
            Err(wire::Error::FrameTooLarge { found, allowed }) => {
                let message = format!(
                    "batch of {found} bytes is more than an eighth of the process's memory, {allowed} bytes"
                );
                Some(failure(ErrorKind::OutOfMemory, message))
            }
            Err(error @ wire::Error::NoMemory { bytes }) => {
                shared.runtime.forget_all();
                let refusal = failure(ErrorKind::OutOfMemory, error.to_string());
                match loading.take() {
                    Some(begun) => miss_chunk(begun, bytes, refusal, &mut loading),
                    None => Some(refusal),
                }
            }
            Err(error) => Some(failure(ErrorKind::Protocol, error.to_string())),
        }));
        let response = answered.unwrap_or_else(|_| {
            loading = None;
            Some(failure(ErrorKind::Internal, "ONNX Runtime's binding panicked"))
        });
        let mut written = Ok(());
        if let Some(response) = response {
            answer_bytes.clear();
            if let Err(error) = response.encode(&mut answer_bytes) {
                drop(response);
                answer_bytes = Vec::new();
                failure(ErrorKind::OutOfMemory, error.to_string())
                    .encode(&mut answer_bytes)
                    .map_err(std::io::Error::other)?;
            }
            written = writer.write_all(&answer_bytes);
            answer_bytes.shrink_to(KEEP);
        }
        if shared.broken.load(Relaxed) {
            system::end_at_once(1);
        }
        shared.answering.fetch_sub(1, Relaxed);
        shared.touch();
        written?;
    }
    Ok(())
}

fn answer(
    request: Request,
    loading: &mut Option<Loading>,
    shared: &Shared,
    slot: usize,
    stream: &Arc<UnixStream>,
) -> Option<Response> {
    if let Request::LoadChunk(chunk) = request {
        return match loading.take() {
            Some(begun) => take_chunk(begun, &chunk, loading, shared, slot, stream),
            None => Some(failure(ErrorKind::Protocol, "a chunk of no model")),
        };
    }
    if loading.take().is_some() {
        return Some(failure(ErrorKind::Protocol, "model was not sent to its end"));
    }
    Some(match request {
        Request::Hello { version } if version == wire::VERSION => Response::Hello(hello(shared)),
        Request::Hello { version } => failure(
            ErrorKind::Protocol,
            format!("ONNX process speaks version {}, not {version}", wire::VERSION),
        ),
        Request::Have { sha256 } => match known(&sha256, shared) {
            Ok(model) => Response::Ready { warning: model.warning.clone() },
            Err(response) => *response,
        },
        Request::LoadBegin { sha256, total } => {
            let begun = begin(sha256, total, shared);
            if total == 0 {
                return Some(failure(ErrorKind::ModelRefused, scan::Error::Empty.to_string()));
            }
            *loading = Some(begun);
            return None;
        }
        Request::Describe { sha256 } => match known(&sha256, shared) {
            Ok(model) => Response::Described(Described {
                inputs: model.inputs.clone(),
                outputs: model.outputs.clone(),
                warning: model.warning.clone(),
            }),
            Err(response) => *response,
        },
        Request::Run(run) => match known(&run.sha256, shared) {
            Ok(model) => {
                let _ = slots::busy(&shared.slots, slot, &run.sha256, model.finished.load(Relaxed));
                let response = score(&run, &model, shared, slot, stream);
                // The slot goes on to say who broke the process, if anybody did.
                if !shared.broken.load(Relaxed) {
                    let _ = slots::idle(&shared.slots, slot);
                }
                response
            }
            Err(response) => *response,
        },
        Request::Status => Response::Status(status(shared)),
        Request::LoadChunk(_) => failure(ErrorKind::Protocol, "a chunk of no model"),
    })
}

fn known(sha256: &Sha256, shared: &Shared) -> Result<Arc<Model>, Box<Response>> {
    if shared.refused.contains(sha256) {
        return Err(Box::new(poisonous()));
    }
    shared.runtime.get(sha256).ok_or_else(|| Box::new(Response::NeedModel))
}

pub(super) fn poisonous() -> Response {
    failure(
        ErrorKind::ModelPoisonous,
        "model has brought the process down several times, or took too long to load, and is not run again",
    )
}

fn provider_names(shared: &Shared) -> Vec<String> {
    shared.runtime.providers.iter().map(|provider| provider.name().to_owned()).collect()
}

fn hello(shared: &Shared) -> Hello {
    Hello {
        version: wire::VERSION,
        runtime: shared.runtime.version.clone(),
        providers: provider_names(shared),
        warning: shared.runtime.warning.clone(),
    }
}

fn status(shared: &Shared) -> Status {
    let (models, model_bytes) = shared.runtime.usage();
    let n_free = shared.free_slots.lock().unwrap_or_else(PoisonError::into_inner).len();
    Status {
        runtime: shared.runtime.version.clone(),
        providers: provider_names(shared),
        warning: shared.runtime.warning.clone(),
        process_id: std::process::id(),
        uptime_s: shared.start.elapsed().as_secs(),
        connections: (N_SLOTS - n_free) as u32,
        models,
        model_bytes,
        memory_bytes: shared.memory,
        runs: shared.runs.load(Relaxed),
        rows: shared.rows.load(Relaxed),
        cancelled: shared.cancelled.load(Relaxed),
    }
}

impl Shared {
    fn touch(&self) {
        self.last_request_ms.store(self.start.elapsed().as_millis() as u64, Relaxed);
    }

    fn is_idle(&self, timeout: Duration) -> bool {
        if timeout.is_zero() {
            return false;
        }
        let quiet = self.start.elapsed().as_millis() as u64 - self.last_request_ms.load(Relaxed);
        self.answering.load(Relaxed) == 0 && quiet > timeout.as_millis() as u64
    }
}
