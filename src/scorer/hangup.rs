//! Stops the runs that nobody waits for any more.
//!
//! A backend that is cancelled closes its connection. One thread looks at the connections of all running requests every
//! ten milliseconds and tells ONNX Runtime to end theirs; it sleeps while nothing runs.

use std::collections::HashMap;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ort::session::RunOptions;

use super::system::{Awaited, poll};

const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Looks at an empty table before it goes to sleep, so that a busy client need not wake it for each request.
const LOOKS_BEFORE_SLEEP: u32 = 100;

#[derive(Default)]
pub(super) struct HangUps {
    table: Mutex<Table>,
    woken: Condvar,
}

#[derive(Default)]
struct Table {
    next: u64,
    running: HashMap<u64, Running>,
    asleep: bool,
}

struct Running {
    fd: RawFd,
    options: Arc<RunOptions>,
    hung_up: Arc<AtomicBool>,
}

/// A run that is looked after until this is dropped.
pub(super) struct Watched<'a> {
    hang_ups: &'a HangUps,
    id: u64,
    hung_up: Arc<AtomicBool>,
}

impl HangUps {
    pub(super) fn start() -> std::io::Result<Arc<Self>> {
        let hang_ups = Arc::new(Self::default());
        let looked_after = Arc::clone(&hang_ups);
        std::thread::Builder::new()
            .name("hang-ups".to_owned())
            .stack_size(256 << 10)
            .spawn(move || looked_after.look())?;
        Ok(hang_ups)
    }

    pub(super) fn watch(&self, fd: RawFd, options: Arc<RunOptions>) -> Watched<'_> {
        let hung_up = Arc::new(AtomicBool::new(false));
        let mut table = self.table();
        let id = table.next;
        table.next += 1;
        table.running.insert(id, Running { fd, options, hung_up: Arc::clone(&hung_up) });
        if table.asleep {
            self.woken.notify_one();
        }
        Watched { hang_ups: self, id, hung_up }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) {
        let mut n_empty = 0;
        loop {
            std::thread::sleep(LOOK_EVERY);
            let mut table = self.table();
            if table.running.is_empty() {
                n_empty += 1;
                if n_empty < LOOKS_BEFORE_SLEEP {
                    continue;
                }
                table.asleep = true;
                while table.running.is_empty() {
                    table = self.woken.wait(table).unwrap_or_else(PoisonError::into_inner);
                }
                table.asleep = false;
            }
            n_empty = 0;
            // Under the lock, so that no descriptor is closed and given to another connection meanwhile.
            let awaited: Vec<_> =
                table.running.values().map(|running| (running.fd, Awaited::HangUp)).collect();
            for (running, is_gone) in table.running.values().zip(poll(&awaited, Duration::ZERO)) {
                if is_gone && !running.hung_up.swap(true, Relaxed) {
                    let _ = running.options.terminate();
                }
            }
        }
    }
}

impl Watched<'_> {
    pub(super) fn hung_up(&self) -> bool {
        self.hung_up.load(Relaxed)
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.hang_ups.table().running.remove(&self.id);
    }
}
