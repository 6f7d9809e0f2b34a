//! Long work, visible while it runs: the rows of persona.activity.
//!
//! Every session that fits writes its progress into a slot of one small memory-mapped file under the data directory. So it
//! works on any version, on standbys and without shared_preload_libraries, and it costs a few stores.
#![allow(unsafe_code, reason = "slots are shared memory")]

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::*, fence};
use std::time::Instant;

use memmap2::MmapOptions;
use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::algo::store::allocate;

use crate::pg::sys::guc;

/// The directory of the extension's files, relative to the data directory, in which every server process runs.
pub(crate) const DIRECTORY: &str = "pg_persona";
const FILE: &str = "pg_persona/activity";
const SLOTS: usize = 128;

/// A fit in progress. Its slot is given back when it is dropped, also on an error.
pub(crate) struct Progress {
    slot: Option<&'static Slot>,
    running: RefCell<Running>,
}

/// What runs, for the log and for notices.
struct Running {
    phase: String,
    since: Instant,
    rows: u64,
    said: Instant,
}

/// What a slot says.
pub(crate) struct Activity {
    pub(crate) pid: i32,
    pub(crate) database: u32,
    pub(crate) role: u32,
    pub(crate) function: String,
    pub(crate) model: String,
    pub(crate) phase: String,
    pub(crate) rows: u64,
    pub(crate) done: u64,
    pub(crate) total: u64,
    pub(crate) metric: f64,
    pub(crate) started_at: i64,
    pub(crate) phase_started_at: i64,
}

impl Progress {
    /// Takes a free slot, if the file can be had and one is free; without, the work goes on unseen.
    pub(crate) fn start(function: &str, model: &str) -> Self {
        let slot = slots().and_then(claim);
        if let Some(slot) = slot {
            // SAFETY: plain reads of this backend's own identity.
            let (database, role, now) = unsafe {
                (
                    pg_sys::MyDatabaseId.to_u32(),
                    pg_sys::GetUserId().to_u32(),
                    pg_sys::GetCurrentTimestamp(),
                )
            };
            slot.write(|slot| {
                slot.database.store(database, Relaxed);
                slot.role.store(role, Relaxed);
                slot.started_at.store(now as u64, Relaxed);
                slot.phase_started_at.store(now as u64, Relaxed);
                slot.rows.store(0, Relaxed);
                slot.done.store(0, Relaxed);
                slot.total.store(0, Relaxed);
                slot.metric.store(f64::NAN.to_bits(), Relaxed);
                store_text(&slot.phase, "starting");
                store_text(&slot.function, function);
                store_text(&slot.model, model);
            });
        }
        let now = Instant::now();
        let running = Running { phase: "starting".to_owned(), since: now, rows: 0, said: now };
        Self { slot, running: RefCell::new(running) }
    }

    pub(crate) fn phase(&self, phase: &str) {
        self.log_phase();
        let rows = self.running.borrow().rows;
        let now = Instant::now();
        self.running.replace(Running { phase: phase.to_owned(), since: now, rows, said: now });
        // SAFETY: reads the clock.
        let now = unsafe { pg_sys::GetCurrentTimestamp() };
        self.write(|slot| {
            store_text(&slot.phase, phase);
            slot.phase_started_at.store(now as u64, Relaxed);
            slot.done.store(0, Relaxed);
            slot.total.store(0, Relaxed);
        });
    }

    pub(crate) fn rows(&self, rows: u64) {
        self.write(|slot| slot.rows.store(rows, Relaxed));
        self.running.borrow_mut().rows = rows;
        self.say(|| format!("{rows} rows"));
    }

    /// How far a phase is, in its own steps, and its metric so far.
    pub(crate) fn steps(&self, done: u64, total: u64, metric: f64) {
        self.write(|slot| {
            slot.done.store(done, Relaxed);
            slot.total.store(total, Relaxed);
            slot.metric.store(metric.to_bits(), Relaxed);
        });
        self.say(|| match (total, metric.is_finite()) {
            (0, _) => String::new(),
            (_, true) => format!("{done} of {total} at most, metric {metric}"),
            (_, false) => format!("{done} of {total} at most"),
        });
    }

    /// A notice, if it is time for one.
    fn say(&self, what: impl FnOnce() -> String) {
        let Some(interval) = guc::progress_interval() else { return };
        let mut running = self.running.borrow_mut();
        if running.said.elapsed() < interval {
            return;
        }
        running.said = Instant::now();
        let (phase, seconds) = (running.phase.clone(), running.since.elapsed().as_secs_f64());
        // A notice can end in an error, as when the client is gone.
        drop(running);
        let what = Some(what()).filter(|what| !what.is_empty());
        let what = what.map_or(String::new(), |what| format!("{what}, "));
        notice!("persona: {phase}: {what}{seconds:.0} s");
    }

    /// How long the phase took that ends now, for who sets client_min_messages or log_min_messages to debug1.
    fn log_phase(&self) {
        let Running { phase, since, .. } = &*self.running.borrow();
        if phase != "starting" {
            debug1!("persona: {phase} took {:.1} ms", 1e3 * since.elapsed().as_secs_f64());
        }
    }

    fn write(&self, change: impl FnOnce(&Slot)) {
        if let Some(slot) = self.slot {
            slot.write(change);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // An error on its way ends the phase without a word of its own.
        if !std::thread::panicking() {
            self.log_phase();
        }
        if let Some(slot) = self.slot {
            slot.pid.store(0, Release);
        }
    }
}

/// The work in progress, of every session.
pub(crate) fn activities() -> Vec<Activity> {
    slots().map(|slots| slots.iter().filter_map(Slot::read).collect()).unwrap_or_default()
}

/// 512 bytes. One writer, the owner; readers try again while `version` is odd or changes.
#[repr(C)]
struct Slot {
    pid: AtomicU32,
    version: AtomicU32,
    database: AtomicU32,
    role: AtomicU32,
    started_at: AtomicU64,
    rows: AtomicU64,
    done: AtomicU64,
    total: AtomicU64,
    metric: AtomicU64,
    phase_started_at: AtomicU64,
    phase: [AtomicU64; 4],
    function: [AtomicU64; 8],
    model: [AtomicU64; 32],
    /// When the server and the process began that have the slot: another one may have the same pid by now.
    server_born: AtomicU64,
    process_born: AtomicU64,
    unused: [AtomicU64; 10],
}

const _: () = assert!(size_of::<Slot>() == 512);

impl Slot {
    fn write(&self, change: impl FnOnce(&Slot)) {
        self.version.fetch_add(1, Acquire);
        change(self);
        self.version.fetch_add(1, Release);
    }

    fn read(&self) -> Option<Activity> {
        for _ in 0..100 {
            let version = self.version.load(Acquire);
            let pid = self.pid.load(Acquire) as i32;
            if pid == 0 || !self.is_held_by(pid) {
                return None;
            }
            let activity = Activity {
                pid,
                database: self.database.load(Relaxed),
                role: self.role.load(Relaxed),
                function: load_text(&self.function),
                model: load_text(&self.model),
                phase: load_text(&self.phase),
                rows: self.rows.load(Relaxed),
                done: self.done.load(Relaxed),
                total: self.total.load(Relaxed),
                metric: f64::from_bits(self.metric.load(Relaxed)),
                started_at: self.started_at.load(Relaxed) as i64,
                phase_started_at: self.phase_started_at.load(Relaxed) as i64,
            };
            fence(Acquire);
            if version.is_multiple_of(2) && self.version.load(Relaxed) == version {
                return Some(activity);
            }
        }
        None
    }
}

fn claim(slots: &'static [Slot]) -> Option<&'static Slot> {
    let own = std::process::id();
    let slot = slots.iter().find(|slot| {
        let holder = slot.pid.load(Acquire);
        if holder != 0 && slot.is_held_by(holder as i32) {
            return false;
        }
        // Until the new holder says when it began nobody takes it for one that left.
        slot.process_born.store(0, Release);
        slot.pid.compare_exchange(holder, own, AcqRel, Relaxed).is_ok()
    })?;
    slot.server_born.store(server_born(), Relaxed);
    slot.process_born.store(process_born(own as i32).unwrap_or(0), Release);
    Some(slot)
}

impl Slot {
    /// Whether the process that took the slot is still there. One that was killed left it as it was.
    fn is_held_by(&self, pid: i32) -> bool {
        let said = (self.server_born.load(Acquire), self.process_born.load(Acquire));
        process_born(pid).is_some_and(|born| said.1 == 0 || said == (server_born(), born))
    }
}

fn server_born() -> u64 {
    // SAFETY: reads a global.
    unsafe { pg_sys::PgStartTime as u64 }
}

/// When the process began, in ticks since the machine did; None for one that is not there.
fn process_born(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The 22nd field; the second, the program's name in parentheses, may hold blanks.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// The file's slots, mapped at first use in this process and kept.
fn slots() -> Option<&'static [Slot]> {
    static SLOT_MAP: std::sync::OnceLock<Option<&'static [Slot]>> = std::sync::OnceLock::new();
    *SLOT_MAP.get_or_init(|| map().ok())
}

fn map() -> std::io::Result<&'static [Slot]> {
    let size = SLOTS * size_of::<Slot>();
    fs::create_dir_all(DIRECTORY)?;
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(FILE)?;
    // With all its blocks: a store into a hole of a file on a full disk ends the process, and so the server's sessions.
    allocate(&file, size)?;
    let mapped = Box::leak(Box::new(MmapOptions::new().len(size).map_raw(&file)?));
    // SAFETY: a shared mapping of this size, which stays, of a file that nobody truncates; slots are atomics alone, for
    // which any bytes are valid, and the mapping is page-aligned.
    Ok(unsafe { std::slice::from_raw_parts(mapped.as_ptr().cast(), SLOTS) })
}

/// Stores as much of the text as there is room for, cut at a character, and zeros behind it.
fn store_text(words: &[AtomicU64], text: &str) {
    let mut end = text.len().min(words.len() * 8);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let bytes = &text.as_bytes()[..end];
    for (index, word) in words.iter().enumerate() {
        let mut part = [0; 8];
        for (to, from) in part.iter_mut().zip(bytes.iter().skip(index * 8)) {
            *to = *from;
        }
        word.store(u64::from_ne_bytes(part), Relaxed);
    }
}

fn load_text(words: &[AtomicU64]) -> String {
    let bytes: Vec<u8> = words
        .iter()
        .flat_map(|word| word.load(Relaxed).to_ne_bytes())
        .take_while(|byte| *byte != 0)
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The rows of persona.activity: all sessions' for pg_read_all_stats, else those of the caller's own roles.
#[pg_extern]
fn activity_rows() -> TableIterator<
    'static,
    (
        name!(pid, i32),
        name!(database_oid, pg_sys::Oid),
        name!(role_oid, pg_sys::Oid),
        name!(function_name, String),
        name!(model, String),
        name!(phase, String),
        name!(n_rows, i64),
        name!(done, i64),
        name!(total, i64),
        name!(metric, Option<f64>),
        name!(started_at, TimestampWithTimeZone),
        name!(phase_started_at, TimestampWithTimeZone),
    ),
> {
    let visible = |activity: &Activity| {
        // SAFETY: catalogue look-ups by role.
        unsafe {
            let reader = pg_sys::GetUserId();
            pg_sys::has_privs_of_role(reader, pg_sys::Oid::from(activity.role))
                || pg_sys::has_privs_of_role(
                    reader,
                    pg_sys::Oid::from(pg_sys::ROLE_PG_READ_ALL_STATS),
                )
        }
    };
    let rows = activities().into_iter().filter(visible).map(|activity| {
        (
            activity.pid,
            pg_sys::Oid::from(activity.database),
            pg_sys::Oid::from(activity.role),
            activity.function,
            activity.model,
            activity.phase,
            activity.rows as i64,
            activity.done as i64,
            activity.total as i64,
            Some(activity.metric).filter(|metric| metric.is_finite()),
            TimestampWithTimeZone::try_from(activity.started_at).unwrap_or_else(|_| now()),
            TimestampWithTimeZone::try_from(activity.phase_started_at).unwrap_or_else(|_| now()),
        )
    });
    TableIterator::new(rows.collect::<Vec<_>>())
}
