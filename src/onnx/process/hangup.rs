//! Ends the work that nobody waits for any more, and the loads that take too long.
//!
//! A backend that is cancelled closes its connection. One thread looks at the connections of all that is loaded or run
//! every ten milliseconds; it sleeps while there is nothing. A run is told to end, which ONNX Runtime heeds between two
//! nodes. A load cannot be told, nor can a node that never ends: with what does not end the whole process ends, and the
//! supervisor starts another. The requests of others have a moment to finish first. What comes later is for the next
//! process: no connection is read from any more, so that a client who sends is told at once, and asks again.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ort::session::RunOptions;

use super::problem::failure;
use super::system::{self, Awaited, poll};
use crate::onnx::wire::slots::{self, ENDED_ITSELF};
use crate::onnx::wire::{ErrorKind, Sha256};

const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Looks at an empty table before it goes to sleep, so that a busy client need not wake it for each request.
const LOOKS_BEFORE_SLEEP: u32 = 100;
/// How long a run may go on that nobody waits for.
const RUN_GRACE: Duration = Duration::from_secs(1);
/// And a load: one that ends in that time is of use to the next who asks.
const LOAD_GRACE: Duration = Duration::from_secs(5);
/// How long others may go on once the process is to end.
const LAST_ORDERS: Duration = Duration::from_secs(1);

pub(super) struct HangUps {
    table: Mutex<Table>,
    woken: Condvar,
    is_ending: AtomicBool,
    slots: File,
    load_timeout: Duration,
}

#[derive(Default)]
struct Table {
    next: u64,
    /// All connections, by their slots.
    connected: HashMap<usize, Arc<UnixStream>>,
    at_work: HashMap<u64, AtWork>,
    asleep: bool,
    ending: Option<Instant>,
}

struct AtWork {
    stream: Arc<UnixStream>,
    slot: usize,
    sha256: Sha256,
    work: Work,
    /// None while a run waits for others of its model.
    begun: Option<Instant>,
    /// When its client hung up.
    left: Option<Instant>,
    is_late: bool,
}

pub(super) enum Work {
    Run(Arc<RunOptions>),
    Load,
}

/// Work that is looked after until this is dropped.
pub(super) struct Watched<'a> {
    hang_ups: &'a HangUps,
    id: u64,
}

impl HangUps {
    pub(super) fn start(slots: File, load_timeout: Duration) -> std::io::Result<Arc<Self>> {
        let hang_ups = Arc::new(Self {
            table: Mutex::default(),
            woken: Condvar::new(),
            is_ending: AtomicBool::new(false),
            slots,
            load_timeout,
        });
        let looked_after = Arc::clone(&hang_ups);
        std::thread::Builder::new().name("hang-ups".to_owned()).stack_size(256 << 10).spawn(
            move || {
                // Without it nothing would ever be given up.
                let _ = catch_unwind(AssertUnwindSafe(|| looked_after.look()));
                system::end_at_once(1)
            },
        )?;
        Ok(hang_ups)
    }

    pub(super) fn watch(
        &self,
        stream: &Arc<UnixStream>,
        slot: usize,
        sha256: Sha256,
        work: Work,
    ) -> Watched<'_> {
        let begun = matches!(work, Work::Load).then(Instant::now);
        let mut table = self.table();
        let id = table.next;
        table.next += 1;
        let stream = Arc::clone(stream);
        let at_work = AtWork { stream, slot, sha256, work, begun, left: None, is_late: false };
        table.at_work.insert(id, at_work);
        if table.asleep {
            self.woken.notify_one();
        }
        Watched { hang_ups: self, id }
    }

    pub(super) fn enter(&self, slot: usize, stream: &Arc<UnixStream>) {
        let mut table = self.table();
        table.connected.insert(slot, Arc::clone(stream));
        if table.ending.is_some() {
            let _ = stream.shutdown(Shutdown::Read);
        }
    }

    pub(super) fn leave(&self, slot: usize) {
        let stream = self.table().connected.remove(&slot);
        drop(stream);
    }

    /// Nobody new is let in then.
    pub(super) fn is_ending(&self) -> bool {
        self.is_ending.load(Relaxed)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) {
        let mut n_empty = 0;
        loop {
            std::thread::sleep(LOOK_EVERY);
            system::take_back_reserve();
            let mut table = self.table();
            if table.at_work.is_empty() && table.ending.is_none() {
                n_empty += 1;
                if n_empty < LOOKS_BEFORE_SLEEP {
                    continue;
                }
                table.asleep = true;
                while table.at_work.is_empty() {
                    table = self.woken.wait(table).unwrap_or_else(PoisonError::into_inner);
                }
                table.asleep = false;
            }
            n_empty = 0;
            table.see_who_left();
            if table.ending.is_none() && self.finds_stuck(&mut table) {
                table.ending = Some(Instant::now());
                self.is_ending.store(true, Relaxed);
                for stream in table.connected.values() {
                    let _ = stream.shutdown(Shutdown::Read);
                }
            }
            let n_given_up = table.at_work.values().filter(|one| one.is_given_up()).count();
            let others = table.connected.len() > n_given_up;
            if table.ending.is_some_and(|since| !others || since.elapsed() > LAST_ORDERS) {
                system::end_at_once(ENDED_ITSELF);
            }
        }
    }

    /// Is there work for which the process has to end? A client whose load takes too long is told so.
    fn finds_stuck(&self, table: &mut Table) -> bool {
        let over = |since: Option<Instant>, grace| since.is_some_and(|at| at.elapsed() > grace);
        let late: Vec<Sha256> = table
            .loads()
            .filter(|load| over(load.begun, self.load_timeout))
            .map(|load| load.sha256)
            .collect();
        for load in table.at_work.values_mut() {
            if matches!(load.work, Work::Load) && late.contains(&load.sha256) {
                load.is_late = true;
                let _ = slots::late(&self.slots, load.slot);
                self.tell(load);
            }
        }
        if !late.is_empty() {
            let seconds = self.load_timeout.as_secs();
            system::say(&format!("a model was not loaded within {seconds} s"));
            return true;
        }
        let is_stuck = table.at_work.values().any(|one| match one.work {
            Work::Run(_) => over(one.left, RUN_GRACE) && over(one.begun, RUN_GRACE),
            Work::Load => {
                let mut same = table.loads().filter(|load| load.sha256 == one.sha256);
                over(one.left, LOAD_GRACE) && same.all(|load| load.left.is_some())
            }
        });
        if is_stuck {
            system::say("work that a session has left does not end");
        }
        is_stuck
    }

    /// Its own thread is busy. No other answer may follow this one.
    fn tell(&self, load: &AtWork) {
        let seconds = self.load_timeout.as_secs();
        let message = format!("model was not loaded within {seconds} s");
        let mut bytes = Vec::new();
        let mut stream = &*load.stream;
        if failure(ErrorKind::LoadTimeout, message).encode(&mut bytes).is_ok() {
            let _ = stream.set_nonblocking(true);
            let _ = stream.write_all(&bytes);
        }
        let _ = stream.shutdown(Shutdown::Both);
    }
}

impl Table {
    fn loads(&self) -> impl Iterator<Item = &AtWork> {
        self.at_work.values().filter(|one| matches!(one.work, Work::Load))
    }

    fn see_who_left(&mut self) {
        // The table holds the streams, so that no descriptor is closed and given to another connection meanwhile.
        let awaited: Vec<_> =
            self.at_work.values().map(|one| (one.stream.as_fd(), Awaited::HangUp)).collect();
        let are_gone = poll(&awaited, Duration::ZERO);
        for (one, is_gone) in self.at_work.values_mut().zip(are_gone) {
            if is_gone && one.left.is_none() {
                one.left = Some(Instant::now());
                if let Work::Run(options) = &one.work {
                    let _ = options.terminate();
                }
            }
        }
    }
}

impl AtWork {
    fn is_given_up(&self) -> bool {
        self.left.is_some() || self.is_late
    }
}

impl Watched<'_> {
    /// A run has waited for others of its model and begins.
    pub(super) fn begin(&self) {
        if let Some(run) = self.hang_ups.table().at_work.get_mut(&self.id) {
            run.begun = Some(Instant::now());
        }
    }

    pub(super) fn hung_up(&self) -> bool {
        self.hang_ups.table().at_work.get(&self.id).is_some_and(|one| one.left.is_some())
    }

    /// A load has come to its end: does not return when that was too late, for the process is about to end.
    pub(super) fn finish_load(self) {
        let load = self.hang_ups.table().at_work.remove(&self.id);
        while load.as_ref().is_some_and(|load| load.is_late) {
            std::thread::park();
        }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        let ended = self.hang_ups.table().at_work.remove(&self.id);
        drop(ended);
    }
}
