//! What the process asks of the kernel: to die with its supervisor, to be limited, who a client is.
// Neither std nor rustix has a safe form of signal and _exit, ONNX Runtime is a C library, and an allocator is unsafe by its
// nature.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use ort::AsPointer;
use ort::value::DynValue;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, Signal};

use super::{Arguments, Error};
use crate::onnx::wire::slots::SLOTS_BYTES;

/// The stack of a thread that serves a connection, which counts as memory from the start; ONNX Runtime resolves graphs
/// recursively, and the scan bounds their depth.
pub(super) const STACK: usize = 1 << 20;

/// The kernel kills this process when the thread that started it ends.
pub(super) fn die_with_parent(parent: u32) -> Result<(), Error> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(at("parent"))?;
    // No program started from here can gain rights.
    rustix::thread::set_no_new_privs(true).map_err(at("privileges"))?;
    // The parent may have ended before the first call.
    if std::os::unix::process::parent_id() != parent {
        return Err(Error::Orphaned);
    }
    // The kernel's out-of-memory killer takes this process before any of the database's. It may not be allowed.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    Ok(())
}

/// ONNX Runtime 1.31 opens a database under the home directory and knows an upload host, unless this is set before it is loaded.
pub(super) fn refuse_telemetry() {
    // SAFETY: called before any thread is started, so that nobody reads the environment meanwhile.
    unsafe { std::env::set_var("ORT_DISABLE_TELEMETRY", "1") };
}

/// Rust's own handlers tell a stack overflow from other faults, and let one signal from outside pass; here every fault
/// is the end.
pub(super) fn default_signals() {
    set_action(libc::SIGSEGV, libc::SIG_DFL);
    set_action(libc::SIGBUS, libc::SIG_DFL);
}

/// The action is the default one, or to ignore the signal.
fn set_action(signal: i32, action: libc::sighandler_t) {
    // SAFETY: neither action runs code of ours, nor touches memory.
    unsafe { libc::signal(signal, action) };
}

/// Tells the supervisor why the process is about to end; it goes into the server's log. Standard error may be the log itself,
/// a file that is larger than this process may write.
pub(super) fn say(why: &str) {
    let mut ready_pipe = io::stdout();
    let _ = writeln!(ready_pipe, "{}", why.replace(['\n', '\r'], " "));
    let _ = ready_pipe.flush();
}

/// Ends the process without what others want done at its end: a broken driver may never finish that.
pub(super) fn end_at_once(code: i32) -> ! {
    // SAFETY: _exit only ends the process.
    unsafe { libc::_exit(code) }
}

/// No core dumps (they hold customers' rows), a ceiling for memory, and no files but the slots.
///
/// RLIMIT_DATA counts what is written to privately, and not reserved addresses as RLIMIT_AS does: an allocator reserves
/// 64 MiB a thread, CUDA many gigabytes. What a provider takes for itself (CUDA's context some 600 MiB) is there by now.
pub(super) fn limit(arguments: &Arguments) -> Result<(), Error> {
    set_limit(Resource::Core, 0, 0)?;
    let data = data_in_use().saturating_add(arguments.memory);
    LIMIT.store(data, Relaxed);
    set_limit(Resource::Data, data, data.saturating_add(RESERVE))?;
    // A write past the limit then fails instead of killing.
    set_action(libc::SIGXFSZ, libc::SIG_IGN);
    set_limit(Resource::Fsize, SLOTS_BYTES as u64, SLOTS_BYTES as u64)
}

/// Memory for our own small needs when models have taken all that they may.
///
/// Rust ends the process when a few bytes are refused. What is large we ask for and are ready to be refused, and so is ONNX
/// Runtime; for the rest the limit is raised by this much, and lowered again ten milliseconds later.
pub struct WithReserve;

const RESERVE: u64 = 32 << 20;
/// Larger needs do not touch the reserve.
const SMALL: usize = 1 << 20;
/// Of data, or 0 before it is set.
static LIMIT: AtomicU64 = AtomicU64::new(0);
static IS_RESERVE_IN_USE: AtomicBool = AtomicBool::new(false);

// SAFETY: every call goes to the system's allocator as it came; one that was refused may be made twice.
unsafe impl GlobalAlloc for WithReserve {
    // SAFETY: the caller promises what the trait asks for.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by the caller's promise.
        or_of_reserve(layout.size(), || unsafe { System.alloc(layout) })
    }

    // SAFETY: the caller promises what the trait asks for.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by the caller's promise.
        or_of_reserve(layout.size(), || unsafe { System.alloc_zeroed(layout) })
    }

    // SAFETY: the caller promises what the trait asks for.
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: by the caller's promise; a refused call leaves the block as it was.
        or_of_reserve(size, || unsafe { System.realloc(block, layout, size) })
    }

    // SAFETY: the caller promises what the trait asks for.
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: by the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

#[inline]
fn or_of_reserve(size: usize, allocate: impl Fn() -> *mut u8) -> *mut u8 {
    let block = allocate();
    if !block.is_null() || size > SMALL {
        return block;
    }
    let limit = LIMIT.load(Relaxed);
    if limit == 0 {
        return block;
    }
    IS_RESERVE_IN_USE.store(true, Relaxed);
    let raised = limit.saturating_add(RESERVE);
    match set_limit(Resource::Data, raised, raised) {
        Ok(()) => allocate(),
        Err(_) => block,
    }
}

/// Lowers the limit again, if it was raised.
pub(super) fn take_back_reserve() {
    if IS_RESERVE_IN_USE.swap(false, Relaxed) {
        let limit = LIMIT.load(Relaxed);
        let _ = set_limit(Resource::Data, limit, limit.saturating_add(RESERVE));
    }
}

/// Bytes of private data now: the sixth figure of statm, in pages.
fn data_in_use() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|line| line.split_whitespace().nth(5)?.parse::<u64>().ok());
    pages.unwrap_or(16_384) * 4096
}

fn set_limit(resource: Resource, bytes: u64, most: u64) -> Result<(), Error> {
    let limit = Rlimit { current: Some(bytes), maximum: Some(most) };
    rustix::process::setrlimit(resource, limit).map_err(at("limit"))
}

fn at(what: &'static str) -> impl Fn(Errno) -> Error {
    move |error| Error::System { what, source: error.into() }
}

/// The bytes of all strings of a tensor, which the binding takes memory for without asking.
pub(super) fn strings_length(value: &DynValue) -> Result<u64, ort::Error> {
    let mut length = 0;
    // SAFETY: the value lives, and length is written before it is read; of another kind of value it is an error.
    let status = unsafe { (ort::api().GetStringTensorDataLength)(value.ptr(), &raw mut length) };
    // SAFETY: the status is ONNX Runtime's own, and is used once.
    unsafe { ort::Error::result_from_status(status) }?;
    Ok(length as u64)
}

/// Does the socket's other end belong to this process's user?
pub(super) fn is_own_user(socket: &impl AsFd) -> bool {
    let peer = rustix::net::sockopt::socket_peercred(socket);
    peer.is_ok_and(|peer| peer.uid == rustix::process::geteuid())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaited {
    /// Somebody knocks, or a message has come.
    Readable,
    /// The other end hangs up.
    HangUp,
}

/// What to wait for on each descriptor; the answer has the same order.
pub(super) fn poll(awaited: &[(BorrowedFd, Awaited)], timeout: Duration) -> Vec<bool> {
    let mut fds: Vec<PollFd> = awaited
        .iter()
        .map(|&(fd, awaited)| {
            let events = match awaited {
                Awaited::Readable => PollFlags::IN,
                // Told without being asked for.
                Awaited::HangUp => PollFlags::empty(),
            };
            PollFd::from_borrowed_fd(fd, events)
        })
        .collect();
    let timeout = Timespec::try_from(timeout).ok();
    // A signal or a full kernel is an error, after which nothing is ready.
    let is_any_ready = rustix::event::poll(&mut fds, timeout.as_ref()).is_ok();
    fds.iter().map(|fd| is_any_ready && !fd.revents().is_empty()).collect()
}
