//! What the process is busy with, in a small file that outlives it.
//!
//! One slot a connection: state, sha256, and how many runs of that model the process has finished. The process writes it
//! before and after each request (a pwrite of 48 bytes, under a microsecond); when it dies, the supervisor reads which
//! models it was busy with, and so which one to blame. It may also end itself, to be rid of work that does not end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::Sha256;

/// As many as the process serves connections; each backend keeps its own.
pub const N_SLOTS: usize = 512;
const SLOT: usize = 48;
pub const SLOTS_BYTES: usize = N_SLOTS * SLOT;

const IDLE: u8 = 0;
const BUSY: u8 = 1;
/// Loading takes longer than it may.
const LATE: u8 = 2;

/// The exit code of a process that ended itself because of work that nobody waits for or that takes too long. Who else was at
/// work in it is not to blame.
pub const ENDED_ITSELF: i32 = 3;

/// Says in slot `index` (modulo their number) that the model is being loaded or run, and how many of its runs this
/// process has finished before.
pub fn busy(file: &File, index: usize, sha256: &Sha256, finished: u64) -> io::Result<()> {
    let mut bytes = [0_u8; SLOT];
    bytes[0] = BUSY;
    bytes[8..16].copy_from_slice(&finished.to_le_bytes());
    bytes[16..].copy_from_slice(sha256);
    file.write_all_at(&bytes, offset(index))
}

pub fn idle(file: &File, index: usize) -> io::Result<()> {
    file.write_all_at(&[IDLE], offset(index))
}

/// Says that loading the slot's model takes longer than it may.
pub fn late(file: &File, index: usize) -> io::Result<()> {
    file.write_all_at(&[LATE], offset(index))
}

fn offset(index: usize) -> u64 {
    (index % N_SLOTS * SLOT) as u64
}

/// Ends in a row that a model may cause before it is refused.
const ENDS_ALLOWED: u32 = 3;

/// Who brings the process down, as the ends of it tell, one after another.
///
/// Only an end at which one model alone was at work says which. Where several were, it may have been any of them, and whoever owns
/// one that ends the process could have somebody else's refused by running it beside.
#[derive(Debug, Default)]
pub struct Blame {
    /// Ends in a row that the model alone can explain.
    last: Option<(Sha256, u32)>,
}

impl Blame {
    /// The process ended by itself, with slots that read `bytes`, or was killed from outside. Returns the model to be refused from now
    /// on, if one is.
    pub fn ended(&mut self, bytes: &[u8], was_killed: bool) -> Option<Sha256> {
        let at_work = at_work(bytes);
        let mut models = at_work.into_iter();
        let (Some((sha256, finished)), None) = (models.next(), models.next()) else { return None };
        // Nothing is said against a model that runs well by who kills the process from outside, as the kernel does for want of memory.
        if was_killed && finished > 0 {
            self.last = None;
            return None;
        }
        let n = match self.last {
            Some((last, n)) if last == sha256 => n + 1,
            _ => 1,
        };
        self.last = (n < ENDS_ALLOWED).then_some((sha256, n));
        (n >= ENDS_ALLOWED).then_some(sha256)
    }
}

/// The models that the process was busy with, and how many runs each had finished in it.
pub fn at_work(bytes: &[u8]) -> BTreeMap<Sha256, u64> {
    let mut found: BTreeMap<Sha256, u64> = BTreeMap::new();
    for slot in bytes.as_chunks::<SLOT>().0.iter().take(N_SLOTS) {
        let (Some(count), Some(sha256)) = (slot[8..].first_chunk(), slot.last_chunk::<32>()) else {
            continue;
        };
        if slot[0] == BUSY {
            *found.entry(*sha256).or_default() |= u64::from_le_bytes(*count);
        }
    }
    found
}

/// The models of which loading took too long.
pub fn all_late(bytes: &[u8]) -> Vec<Sha256> {
    let slots = bytes.as_chunks::<SLOT>().0.iter().take(N_SLOTS);
    let late = slots.filter(|slot| slot[0] == LATE);
    let mut late: Vec<Sha256> = late.filter_map(|slot| slot.last_chunk().copied()).collect();
    late.sort_unstable();
    late.dedup();
    late
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the file says after `write`.
    fn written(write: impl Fn(&File)) -> Vec<u8> {
        let path = std::env::temp_dir().join(format!(
            "persona-slots-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .expect("a temporary file");
        std::fs::remove_file(&path).expect("just made");
        write(&file);
        let mut bytes = vec![0; SLOTS_BYTES];
        let _ = file.read_at(&mut bytes, 0);
        bytes
    }

    /// Models at work, each with the runs that it had finished.
    type AtWork = &'static [(u8, u64)];

    /// Slots of a process at whose end these models were at work, each with the runs that it had finished.
    fn at_the_end(models: AtWork) -> Vec<u8> {
        written(|file| {
            for (slot, &(model, finished)) in models.iter().enumerate() {
                busy(file, slot, &[model; 32], finished).expect("write");
            }
        })
    }

    fn first(all: &[Sha256]) -> Vec<u8> {
        all.iter().map(|sha256| sha256[0]).collect()
    }

    /// Ends of the process, one after another: who was at work, whether it was killed, and who is to be refused then.
    #[track_caller]
    fn check_blamed(ends: &[(AtWork, bool, Option<u8>)]) {
        let mut blame = Blame::default();
        for (number, (models, was_killed, refused)) in ends.iter().enumerate() {
            let found = blame.ended(&at_the_end(models), *was_killed);
            assert_eq!(found.map(|sha256| sha256[0]), *refused, "end {number}");
        }
    }

    const NEW: AtWork = &[(2, 0)];
    const RAN: AtWork = &[(1, 9), (1, 9)];

    #[test]
    fn an_idle_process_blames_nobody() {
        let nobody: (AtWork, bool, Option<u8>) = (&[], false, None);
        check_blamed(&[nobody; 5]);
        let idle_again = written(|file| {
            busy(file, 3, &[7; 32], 0).expect("write");
            idle(file, 3).expect("write");
        });
        assert_eq!(at_work(&idle_again).len(), 0);
    }

    #[test]
    fn the_third_end_in_a_row_refuses_who_was_alone_at_work() {
        check_blamed(&[(NEW, false, None), (NEW, true, None), (NEW, false, Some(2))]);
        check_blamed(&[(RAN, false, None), (RAN, false, None), (RAN, false, Some(1))]);
        // An end by another one clears it.
        check_blamed(&[
            (NEW, false, None),
            (NEW, false, None),
            (RAN, false, None),
            (NEW, false, None),
        ]);
        // Who kills the process from outside says nothing against a model that runs.
        check_blamed(&[
            (RAN, false, None),
            (RAN, false, None),
            (RAN, true, None),
            (RAN, false, None),
        ]);
        // The same model in two slots, of which one had not seen it finish.
        assert_eq!(at_work(&at_the_end(&[(1, 0), (1, 9)])).into_values().collect::<Vec<_>>(), [9]);
    }

    #[test]
    fn nobody_is_refused_for_what_ran_beside() {
        let (one, other): (AtWork, AtWork) = (&[(1, 9), (7, 3)], &[(1, 9), (8, 3)]);
        check_blamed(&[
            (one, false, None),
            (one, false, None),
            (other, false, None),
            (one, false, None),
        ]);
        let first_run: AtWork = &[(1, 0), (7, 3)];
        check_blamed(&[(first_run, false, None); 5]);
        // Such an end neither counts nor clears.
        check_blamed(&[
            (NEW, false, None),
            (one, false, None),
            (NEW, false, None),
            (NEW, false, Some(2)),
        ]);
    }

    #[test]
    fn a_model_that_takes_too_long_is_named_once() {
        let bytes = written(|file| {
            for slot in [4, 9, 5] {
                busy(file, slot, &[slot as u8 % 5; 32], 0).expect("write");
                late(file, slot).expect("write");
            }
            busy(file, 7, &[7; 32], 0).expect("write");
        });
        assert_eq!(first(&all_late(&bytes)), [0, 4]);
    }

    #[test]
    fn garbage_is_read_without_a_panic() {
        for bytes in [&[0xff; 100][..], &[1; 100], &[]] {
            assert_eq!(Blame::default().ended(bytes, false), None);
        }
        assert_eq!(all_late(&[2; 100]).len(), 1);
    }
}
