//! Runs a computation on a private pool while this thread answers interrupts.
//!
//! The pool's threads are made with every signal blocked, so PostgreSQL's handlers run on the main thread alone; they
//! touch nothing of PostgreSQL. The main thread waits, and every 50 ms lets PostgreSQL cancel the statement: then the
//! computation is told to stop and joined before the error goes on. The pool ends with the computation, and its threads have
//! ended when the call returns: a backend that goes on to something else has one thread.
#![allow(unsafe_code, reason = "signal masks are set through libc")]

use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use pgrx::prelude::*;

use crate::algo::stop::Watch;

use super::error::{Report, report};
use super::guc;
use super::progress::Progress;

const POLL: Duration = Duration::from_millis(50);

/// Computes `work` on `persona.threads` threads; rayon's parallel iterators inside it use these.
pub(crate) fn run<T: Send>(
    progress: &Progress,
    work: impl FnOnce(&Watch) -> T + Send,
) -> Result<T, Report> {
    Pool::new()?.run(progress, work)
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
    let watch = Watch::new();
    let result = Mutex::new(None);
    let finished = Condvar::new();
    pool.in_place_scope(|scope| {
        scope.spawn(|_| {
            // Told also when the work panics: the scope hands the panic on after it has joined.
            let _tell = OnDrop(|| finished.notify_one());
            let value = work(&watch);
            *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        });
        let stop = OnDrop(|| watch.stop());
        wait(progress, &watch, &result, &finished);
        std::mem::forget(stop);
    });
    let value = result.into_inner().unwrap_or_else(PoisonError::into_inner);
    value.ok_or_else(|| {
        report(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, "the computation ended without a result")
    })
}

/// Returns when the work is done; unwinds when PostgreSQL cancels or ends the session.
fn wait<T>(progress: &Progress, watch: &Watch, result: &Mutex<Option<T>>, finished: &Condvar) {
    let mut guard = result.lock().unwrap_or_else(PoisonError::into_inner);
    while guard.is_none() {
        let (next, timeout) =
            finished.wait_timeout(guard, POLL).unwrap_or_else(PoisonError::into_inner);
        guard = next;
        if guard.is_some() {
            break;
        }
        drop(guard);
        let (done, total, metric) = watch.progress();
        progress.steps(done, total, metric);
        check_for_interrupts!();
        if !timeout.timed_out() {
            // Told without a result: the work panicked, and the scope says so.
            return;
        }
        guard = result.lock().unwrap_or_else(PoisonError::into_inner);
    }
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn pool(n_threads: usize) -> Result<Pool, Report> {
    let _blocked = BlockedSignals::new();
    let mut threads = Vec::with_capacity(n_threads);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(n_threads)
        .spawn_handler(|thread| {
            let name = format!("persona {}", thread.index());
            threads.push(std::thread::Builder::new().name(name).spawn(|| thread.run())?);
            Ok(())
        })
        .build()
        .map_err(|error| {
            report(
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES,
                format!("could not start threads: {error}"),
            )
        })?;
    Ok(Pool { pool: Some(pool), threads })
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
