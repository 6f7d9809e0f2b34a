//! The background worker that keeps the process: binds the socket, starts the process when somebody knocks, sees it end.
//!
//! One to a cluster, by a file lock. It must not spin: a process that does not come up is tried again at growing
//! intervals, and who knocks meanwhile is told the reason at once. It never ends with a code other than 0, so that the
//! server forgets it and does not restart.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use pgrx::bgworkers::{BackgroundWorker, SignalWakeFlags};

use super::place::{self, DIRECTORY, SLOTS, SOCKET, SUPERVISOR_LOCK};
use super::spawn::{Heard, Process, spawn};
use crate::onnx::wire::slots::Blame;
use crate::onnx::wire::{ErrorKind, Response, Sha256, slots};
use crate::pg::sys::guc::{OnnxSettings, onnx_settings};
use crate::pg::sys::server::{
    For, background_worker, is_binary_upgrade, reload_configuration, wait,
};

pub(super) const LIBRARY: &str = "pg_persona";
pub(super) const ENTRY: &str = "persona_onnx_supervisor";

/// Half of what a client waits.
const READY_DEADLINE: Duration = Duration::from_secs(15);
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(60);
/// A process that lived so long was well: what comes after is a new story.
const WELL: Duration = Duration::from_secs(10);
/// Models that are refused, at most: they are arguments of the process, and the kernel takes some 2,000.
const REFUSED_ALLOWED: usize = 1_000;
/// How long the worker stays without a process and without a knock, where the settings do not say.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_secs(5);

background_worker!(persona_onnx_supervisor = work);

fn work() {
    BackgroundWorker::attach_signal_handlers(
        SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM | SignalWakeFlags::SIGCHLD,
    );
    if is_binary_upgrade() {
        return;
    }
    if let Err(error) = supervise() {
        pgrx::log!("persona onnx supervisor: {error}");
    }
}

fn supervise() -> io::Result<()> {
    place::make_directory(DIRECTORY)?;
    // The file stays: a lock on a file that somebody removes is a lock that two can have.
    let Some(_lock) = place::try_lock(SUPERVISOR_LOCK)? else { return Ok(()) };
    let listener = bind()?;
    let mut supervisor = Supervisor {
        settings: onnx_settings(),
        listener,
        blame: Blame::default(),
        refused: VecDeque::new(),
        failures: 0,
        not_before: Instant::now(),
        reason: None,
        last_knock: Instant::now(),
    };
    let result = supervisor.serve();
    // Under the lock: after it the name is the next supervisor's.
    let _ = std::fs::remove_file(SOCKET);
    result
}

fn bind() -> io::Result<UnixListener> {
    match std::fs::remove_file(SOCKET) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(SOCKET)?;
    std::fs::set_permissions(SOCKET, PermissionsExt::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

struct Supervisor {
    settings: OnnxSettings,
    listener: UnixListener,
    blame: Blame,
    /// Models that ended it so often, or took too long to load; the oldest first.
    refused: VecDeque<Sha256>,
    /// Starts or short lives in a row that went wrong.
    failures: u32,
    not_before: Instant,
    /// Why the process does not come up; None when it did.
    reason: Option<(ErrorKind, String)>,
    last_knock: Instant,
}

/// Why a life of the process is over.
enum End {
    /// It, or we, or the settings wanted so.
    Quiet,
    Failure,
    Stop,
}

impl Supervisor {
    fn serve(&mut self) -> io::Result<()> {
        loop {
            if BackgroundWorker::sigterm_received() {
                return Ok(());
            }
            self.reload(false);
            if !self.somebody_knocks() {
                if self.last_knock.elapsed() > self.patience() {
                    return Ok(());
                }
                continue;
            }
            self.last_knock = Instant::now();
            let pause = self.not_before.saturating_duration_since(Instant::now());
            if !pause.is_zero() {
                match self.reason.clone() {
                    // Known to fail: no use in letting them wait.
                    Some((kind, reason)) => self.answer_all(kind, &reason),
                    None => {
                        wait(For::Latch, pause);
                    }
                }
                continue;
            }
            match self.live() {
                End::Stop => return Ok(()),
                End::Quiet => {
                    self.failures = 0;
                    self.not_before = Instant::now();
                }
                End::Failure => self.back_off(),
            }
            self.last_knock = Instant::now();
        }
    }

    fn patience(&self) -> Duration {
        if self.settings.idle_timeout.is_zero() {
            PATIENCE
        } else {
            self.settings.idle_timeout.min(PATIENCE)
        }
    }

    fn somebody_knocks(&self) -> bool {
        wait(For::Readable(self.listener.as_raw_fd()), LOOK_EVERY.min(self.patience()))
    }

    /// New settings take hold at once, and old failures are forgotten. Says whether a process that refuses models, or
    /// not, has to be started anew.
    fn reload(&mut self, refuses: bool) -> bool {
        if !BackgroundWorker::sighup_received() {
            return false;
        }
        reload_configuration();
        self.blame = Blame::default();
        self.refused.clear();
        self.failures = 0;
        self.not_before = Instant::now();
        self.reason = None;
        let old = std::mem::replace(&mut self.settings, onnx_settings());
        old != self.settings || refuses
    }

    /// One life of the process, from start to end.
    fn live(&mut self) -> End {
        let has_refused = !self.refused.is_empty();
        let refused = self.refused.make_contiguous();
        let mut process = match spawn(&self.settings, &self.listener, refused) {
            Ok(process) => process,
            Err((kind, reason)) => {
                self.fail(kind, reason);
                return End::Failure;
            }
        };
        let born = Instant::now();
        let mut is_ready = false;
        loop {
            if BackgroundWorker::sigterm_received() {
                process.end();
                return End::Stop;
            }
            if self.reload(has_refused) {
                process.end();
                return End::Quiet;
            }
            let patience =
                if is_ready { LOOK_EVERY } else { READY_DEADLINE.saturating_sub(born.elapsed()) };
            if patience.is_zero() {
                process.end();
                self.fail(
                    ErrorKind::Unavailable,
                    format!("it was not ready within {} s", READY_DEADLINE.as_secs()),
                );
                return End::Failure;
            }
            if !wait(For::Readable(process.ready_pipe.as_raw_fd()), patience) {
                continue;
            }
            match process.hear() {
                Heard::Nothing => {}
                Heard::Ready if is_ready => {}
                Heard::Ready => {
                    is_ready = true;
                    self.reason = None;
                    pgrx::log!("persona onnx process is ready as process {}", process.id());
                }
                Heard::Failed { kind, reason } => {
                    process.end();
                    self.fail(kind, reason);
                    return End::Failure;
                }
                Heard::End => {
                    let (id, words) = (process.id(), process.last_words());
                    let status = wait_for_end(process);
                    let how = status.map_or_else(|| "unknown".to_owned(), |s| s.to_string());
                    let how = words.map_or_else(|| how.clone(), |words| format!("{how}: {words}"));
                    return self.judge(id, status, &how, is_ready, born.elapsed());
                }
            }
        }
    }

    /// What the end of the pipe meant.
    fn judge(
        &mut self,
        id: u32,
        status: Option<ExitStatus>,
        how: &str,
        was_ready: bool,
        age: Duration,
    ) -> End {
        if !was_ready {
            self.fail(ErrorKind::Unavailable, format!("it ended before it was ready ({how})"));
            return End::Failure;
        }
        if status.is_some_and(|status| status.success()) {
            pgrx::log!("persona onnx process, process {id}, ended: nobody asked for anything");
            return End::Quiet;
        }
        pgrx::log!("persona onnx process, process {id}, ended: {how}");
        let slots = std::fs::read(SLOTS).unwrap_or_default();
        if status.and_then(|status| status.code()) == Some(slots::ENDED_ITSELF) {
            // It was left, or was late: nothing is known against who else was at work, and nothing against a new start.
            slots::all_late(&slots).into_iter().for_each(|sha256| self.refuse(sha256));
            return End::Quiet;
        }
        let was_killed = status.and_then(|status| status.signal()) == Some(libc::SIGKILL);
        self.blame.ended(&slots, was_killed).into_iter().for_each(|sha256| self.refuse(sha256));
        if age >= WELL {
            self.failures = 0;
        }
        End::Failure
    }

    fn refuse(&mut self, sha256: Sha256) {
        if !self.refused.contains(&sha256) {
            self.refused.push_back(sha256);
        }
        while self.refused.len() > REFUSED_ALLOWED {
            self.refused.pop_front();
        }
    }

    fn fail(&mut self, kind: ErrorKind, reason: String) {
        pgrx::log!("persona onnx process could not be started: {reason}");
        self.answer_all(kind, &reason);
        self.reason = Some((kind, reason));
    }

    /// After a process that came up and ended, the first restart is at once; one that did not come up waits.
    fn back_off(&mut self) {
        let steps =
            if self.reason.is_some() { self.failures } else { self.failures.saturating_sub(3) };
        self.failures = self.failures.saturating_add(1);
        let longest = if self.reason.is_some() { LONGEST_BACK_OFF } else { FIRST_BACK_OFF };
        let pause = if self.reason.is_none() && self.failures <= 3 {
            Duration::ZERO
        } else {
            FIRST_BACK_OFF.saturating_mul(1 << steps.min(6)).min(longest)
        };
        self.not_before = Instant::now() + pause;
    }

    /// Tells all who wait why nobody will serve them.
    fn answer_all(&self, kind: ErrorKind, reason: &str) {
        let mut bytes = Vec::new();
        let response = Response::Error { kind, message: reason.to_owned() };
        if response.encode(&mut bytes).is_err() {
            return;
        }
        while let Ok((stream, _)) = self.listener.accept() {
            answer(stream, &bytes);
        }
    }
}

/// Reads what the client has said before it closes: a socket that is closed with unread bytes takes the answer along.
fn answer(mut stream: UnixStream, bytes: &[u8]) {
    let _ = stream.set_nonblocking(true);
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.read(&mut [0; 1024]);
}

/// The pipe has ended, so the process is about to.
fn wait_for_end(mut process: Process) -> Option<ExitStatus> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(1) {
        if let Some(status) = process.ended() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    process.end()
}
