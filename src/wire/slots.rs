//! What the scorer is busy with, in a small file that outlives it.
//!
//! One slot a connection: state, sha256, and how many runs of that model the process has finished. The scorer writes it
//! before and after each request (a pwrite of 48 bytes, under a microsecond); when it dies, the supervisor reads which
//! models it was busy with, and so which one to blame. It may also end itself, to be rid of work that does not end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::Sha256;

/// As many as the scorer serves connections; each backend keeps its own.
pub const N_SLOTS: usize = 512;
const SLOT: usize = 48;
pub const SLOTS_BYTES: usize = N_SLOTS * SLOT;

const IDLE: u8 = 0;
const BUSY: u8 = 1;
/// Loading takes longer than it may.
const LATE: u8 = 2;

/// The exit code of a scorer that ended itself because of work that nobody waits for or that takes too long. Who else was at
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
#[derive(Debug, Default)]
pub struct Blame {
    /// Ends in a row at which a model was at work that had not finished a run in that process.
    never_ran: BTreeMap<Sha256, u32>,
    /// Ends in a row that only models which had run well can explain. Others of them may have been at work at the same time: it is
    /// the one that was there each time.
    ran_before: BTreeMap<Sha256, u32>,
}

impl Blame {
    /// The process ended by itself, with slots that read `bytes`, or was killed from outside. Returns the models to be refused from
    /// now on.
    pub fn ended(&mut self, bytes: &[u8], was_killed: bool) -> Vec<Sha256> {
        let (ran, never): (BTreeMap<_, _>, BTreeMap<_, _>) =
            at_work(bytes).into_iter().partition(|&(_, finished)| finished > 0);
        let is_explained = was_killed || !never.is_empty();
        // One that never ran is blamed even then: what it asks of the machine may be why it was killed.
        let mut refused = count(&mut self.never_ran, &never);
        let suspects = count(&mut self.ran_before, if is_explained { &never } else { &ran });
        if let [one] = suspects[..] {
            refused.push(one);
        }
        for sha256 in &refused {
            self.never_ran.remove(sha256);
            self.ran_before.remove(sha256);
        }
        refused
    }
}

/// One more end for those at work, none any more for all others. Returns who has reached the number that is allowed.
fn count(ends: &mut BTreeMap<Sha256, u32>, at_work: &BTreeMap<Sha256, u64>) -> Vec<Sha256> {
    ends.retain(|sha256, _| at_work.contains_key(sha256));
    for sha256 in at_work.keys() {
        *ends.entry(*sha256).or_default() += 1;
    }
    ends.iter().filter(|&(_, &n)| n >= ENDS_ALLOWED).map(|(sha256, _)| *sha256).collect()
}

/// The models that the process was busy with, and how many runs each had finished in it.
fn at_work(bytes: &[u8]) -> BTreeMap<Sha256, u64> {
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

    /// Slots of a process at whose end these models were at work, each with the runs that it had finished.
    fn at_the_end(models: &[(u8, u64)]) -> Vec<u8> {
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
    fn check_blamed(ends: &[(&[(u8, u64)], bool, &[u8])]) {
        let mut blame = Blame::default();
        for (number, (models, was_killed, refused)) in ends.iter().enumerate() {
            let found = blame.ended(&at_the_end(models), *was_killed);
            assert_eq!(first(&found), *refused, "end {number}");
        }
    }

    #[test]
    fn an_idle_process_blames_nobody() {
        let nobody: (&[(u8, u64)], bool, &[u8]) = (&[], false, &[]);
        check_blamed(&[nobody; 5]);
        let idle_again = written(|file| {
            busy(file, 3, &[7; 32], 0).expect("write");
            idle(file, 3).expect("write");
        });
        assert_eq!(at_work(&idle_again).len(), 0);
    }

    #[test]
    fn the_third_end_in_a_row_refuses_who_never_ran_and_no_bystander() {
        let end: &[(u8, u64)] = &[(1, 9), (2, 0), (1, 9)];
        check_blamed(&[(end, false, &[]), (end, true, &[]), (end, false, &[2])]);
        // In a row: an end without it clears it.
        let other: &[(u8, u64)] = &[(3, 0)];
        check_blamed(&[
            (end, false, &[]),
            (end, false, &[]),
            (other, false, &[]),
            (end, false, &[]),
        ]);
        // The same model in two slots, of which one had not seen it finish.
        assert_eq!(at_work(&at_the_end(&[(1, 0), (1, 9)])).into_values().collect::<Vec<_>>(), [9]);
    }

    #[test]
    fn one_that_ran_well_is_refused_when_nobody_else_was_there_each_time() {
        let alone: &[(u8, u64)] = &[(1, 5)];
        check_blamed(&[(alone, false, &[]), (alone, false, &[]), (alone, false, &[1])]);
        // Two that are always there together: it may be either.
        let both: &[(u8, u64)] = &[(1, 5), (2, 7)];
        check_blamed(&[
            (both, false, &[]),
            (both, false, &[]),
            (both, false, &[]),
            (alone, false, &[1]),
        ]);
        // Who kills the process from outside, as the kernel does when memory is short, says nothing against a model that runs.
        check_blamed(&[
            (alone, false, &[]),
            (alone, false, &[]),
            (alone, true, &[]),
            (alone, false, &[]),
        ]);
        // A model that never ran explains the end.
        let with_new: &[(u8, u64)] = &[(1, 5), (9, 0)];
        check_blamed(&[(with_new, false, &[]), (with_new, false, &[]), (with_new, false, &[9])]);
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
            assert_eq!(Blame::default().ended(bytes, false).len(), 0);
        }
        assert_eq!(all_late(&[2; 100]).len(), 1);
    }
}
