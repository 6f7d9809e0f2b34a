//! How the caller of a long computation stops it and watches it.
//!
//! A fit runs on pool threads while the caller's thread waits and answers interrupts; the two share one [`Watch`]. A
//! computation calls [`Watch::check`] at least every few milliseconds of work on each thread.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::memory;

/// The computation was asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stopped on request")]
pub struct Stopped;

#[derive(Debug, Default)]
pub struct Watch {
    stop: AtomicBool,
    asked: Option<fn() -> bool>,
    done: AtomicU64,
    total: AtomicU64,
    metric: AtomicU64,
}

impl Watch {
    pub fn new() -> Self {
        Self::default()
    }

    /// Of a computation on its caller's own thread: it also stops when this says so.
    pub fn asking(stop: fn() -> bool) -> Self {
        Self { asked: Some(stop), ..Self::default() }
    }

    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    /// Also where memory has become short, which whoever waits for the computation will say.
    #[inline]
    pub fn check(&self) -> Result<(), Stopped> {
        let is_short = memory::SHORT.load(Relaxed);
        if self.stop.load(Relaxed) | is_short || self.asked.is_some_and(|stop| stop()) {
            return Err(Stopped);
        }
        Ok(())
    }

    /// Says how far the computation is, in steps of its own (iterations, users), and its metric so far (inertia, loss).
    pub fn report(&self, done: u64, total: u64, metric: f64) {
        self.done.store(done, Relaxed);
        self.total.store(total, Relaxed);
        self.metric.store(metric.to_bits(), Relaxed);
    }

    /// What was last reported: steps done, steps in all, metric.
    pub fn progress(&self) -> (u64, u64, f64) {
        (
            self.done.load(Relaxed),
            self.total.load(Relaxed),
            f64::from_bits(self.metric.load(Relaxed)),
        )
    }
}
