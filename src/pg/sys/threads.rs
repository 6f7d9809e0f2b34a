//! Runs a computation on a private pool while this thread answers interrupts.
//!
//! The pool's threads are made with every signal blocked, so PostgreSQL's handlers run on the main thread alone; they
//! touch nothing of PostgreSQL. The main thread waits, and every 50 ms lets PostgreSQL cancel the statement: then the
//! computation is told to stop and joined before the error goes on, or the session ends. The pool ends with the
//! computation, and its threads have ended when the call returns: a backend that goes on to something else has one thread.
#![allow(
    unsafe_code,
    reason = "signal masks and the allocator's options are the C library's, and PostgreSQL calls back when it exits"
)]

use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::algo::memory;
use crate::algo::stop::Watch;

use crate::pg::error::{Report, report};
use crate::pg::sys::guc;
use crate::pg::sys::progress::Progress;
use crate::pg::sys::reserve;

const POLL: Duration = Duration::from_millis(50);

/// Computes `work` on `persona.threads` threads; rayon's parallel iterators inside it use these.
pub(crate) fn run<T: Send>(
    progress: &Progress,
    work: impl FnOnce(&Watch) -> T + Send,
) -> Result<T, Report> {
    Pool::new()?.run(progress, work)
}

/// What this thread computes itself, because it most often takes less than to have others do it. An interrupt stops it, is answered,
/// and it begins again where that was none that ends the statement.
pub(crate) fn here<T, E: Into<Report>>(
    work: impl Fn(&Watch) -> Result<T, E>,
    is_stopped: impl Fn(&E) -> bool,
) -> Result<T, Report> {
    memory::begin();
    loop {
        match work(&Watch::asking(is_interrupted)) {
            Err(error) if is_stopped(&error) => {
                memory::check()?;
                check_for_interrupts!();
            }
            result => return result.map_err(Into::into),
        }
    }
}

/// Whether an interrupt waits that would be answered now.
fn is_interrupted() -> bool {
    // SAFETY: variables of this process, whose main thread alone asks; a signal handler sets the first.
    unsafe {
        std::ptr::read_volatile(&raw const pg_sys::InterruptPending) != 0
            && pg_sys::InterruptHoldoffCount == 0
            && pg_sys::CritSectionCount == 0
    }
}

/// Threads for many computations, one after the other, as an aggregate has for its groups.
pub(crate) struct Pool {
    /// Always there until the drop.
    pool: Option<rayon::ThreadPool>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    pub(crate) fn new() -> Result<Self, Report> {
        pool(guc::threads())
    }

    pub(crate) fn run<T: Send>(
        &self,
        progress: &Progress,
        work: impl FnOnce(&Watch) -> T + Send,
    ) -> Result<T, Report> {
        match &self.pool {
            Some(pool) => compute(pool, progress, work),
            None => Err(report(
                PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
                "the threads of the computation have ended",
            )),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // rayon tells its threads to end and does not wait for them.
        drop(self.pool.take());
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn compute<T: Send>(
    pool: &rayon::ThreadPool,
    progress: &Progress,
    work: impl FnOnce(&Watch) -> T + Send,
) -> Result<T, Report> {
    reserve::begin();
    let running = Running::default();
    let _shown = running.show();
    let result = Mutex::new(None);
    pool.in_place_scope(|scope| {
        scope.spawn(|_| {
            // Told also when the work panics: the scope hands the panic on after it has joined.
            let _tell = OnDrop(|| running.end());
            let value = work(&running.watch);
            *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        });
        let stop = OnDrop(|| running.watch.stop());
        while !running.has_ended_within(POLL) {
            let (done, total, metric) = running.watch.progress();
            progress.steps(done, total, metric);
            // Unwinds when PostgreSQL cancels the statement, and does not return when it ends the session.
            check_for_interrupts!();
        }
        std::mem::forget(stop);
    });
    let value = result.into_inner().unwrap_or_else(PoisonError::into_inner);
    // The computation was told to stop, by an error that says nothing of memory.
    memory::check()?;
    value.ok_or_else(|| {
        report(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, "the computation ended without a result")
    })
}

/// A computation that the main thread waits for.
#[derive(Default)]
struct Running {
    watch: Watch,
    has_ended: Mutex<bool>,
    told: Condvar,
}

/// The running computation of this process, for [`stop_at_exit`]; null without one.
static RUNNING: AtomicPtr<Running> = AtomicPtr::new(std::ptr::null_mut());
static IS_REGISTERED: AtomicBool = AtomicBool::new(false);

impl Running {
    /// Lets the end of the session find the computation, until what this returns is dropped.
    fn show(&self) -> impl Drop {
        if !IS_REGISTERED.swap(true, Relaxed) {
            // SAFETY: the callback is a function of this library, which stays loaded.
            unsafe { pg_sys::before_shmem_exit(Some(stop_at_exit), pg_sys::Datum::null()) };
        }
        let before = RUNNING.swap(std::ptr::from_ref(self).cast_mut(), Relaxed);
        OnDrop(move || RUNNING.store(before, Relaxed))
    }

    fn end(&self) {
        *self.has_ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.told.notify_all();
    }

    fn has_ended_within(&self, time: Duration) -> bool {
        let has_ended = self.has_ended.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.told.wait_timeout_while(has_ended, time, |has_ended| !*has_ended);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// A session that is ended neither unwinds nor returns: PostgreSQL frees the memory of its statement, which the threads may be
/// reading, and exits. This runs before that.
unsafe extern "C-unwind" fn stop_at_exit(_code: i32, _argument: pg_sys::Datum) {
    // SAFETY: null, or a computation in a frame of this thread's stack, below which this runs.
    let running = unsafe { RUNNING.load(Relaxed).as_ref() };
    if let Some(running) = running {
        running.watch.stop();
        while !running.has_ended_within(POLL) {}
    }
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn pool(n_threads: usize) -> Result<Pool, Report> {
    // A thread that has a stack and no room for its own variables ends the process.
    memory::probe(n_threads * (STACK + ROOM_OF_A_THREAD))?;
    share_one_arena();
    let _blocked = BlockedSignals::new();
    let mut threads = Vec::with_capacity(n_threads);
    let built = rayon::ThreadPoolBuilder::new()
        .num_threads(n_threads)
        .spawn_handler(|thread| {
            let name = format!("persona {}", thread.index());
            let thread =
                std::thread::Builder::new().name(name).stack_size(STACK).spawn(|| thread.run());
            threads.push(thread?);
            Ok(())
        })
        .build();
    match built {
        Ok(pool) => Ok(Pool { pool: Some(pool), threads }),
        Err(error) => {
            // The first ones, when a later one could not be started.
            drop(Pool { pool: None, threads });
            Err(report(
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES,
                format!("could not start threads: {error}"),
            ))
        }
    }
}

/// What Rust gives a thread by itself.
const STACK: usize = 2 << 20;
const ROOM_OF_A_THREAD: usize = 256 << 10;

/// Each thread has an arena of its own to allocate from, for which the C library sets 64 MB of addresses aside. Where these are
/// limited, they are what a fit will want: then all threads share one.
fn share_one_arena() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    if rustix::process::getrlimit(rustix::process::Resource::As).current.is_some() {
        // SAFETY: sets an option of the allocator.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    }
}

/// Blocks all signals of this thread, and so of the threads it makes, until dropped.
struct BlockedSignals {
    before: libc::sigset_t,
}

impl BlockedSignals {
    fn new() -> Self {
        // SAFETY: both sets are locals that sigfillset and pthread_sigmask fill.
        unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            let mut before: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
            Self { before }
        }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: restores the mask that was read above.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut());
        }
    }
}
