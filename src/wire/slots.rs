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

/// Whom to blame for the end of a scorer whose slots read `bytes`: the models that it was busy with and that had not
/// finished a run in it. A model that ran well in the same process was a bystander.
pub fn blamed(bytes: &[u8]) -> Vec<Sha256> {
    let mut finished: BTreeMap<Sha256, u64> = BTreeMap::new();
    for slot in bytes.as_chunks::<SLOT>().0.iter().take(N_SLOTS) {
        let (Some(count), Some(sha256)) = (slot[8..].first_chunk(), slot.last_chunk::<32>()) else {
            continue;
        };
        if slot[0] == BUSY {
            *finished.entry(*sha256).or_default() |= u64::from_le_bytes(*count);
        }
    }
    finished.into_iter().filter(|&(_, finished)| finished == 0).map(|(sha256, _)| sha256).collect()
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

    #[track_caller]
    fn check_blamed(write: impl Fn(&File), expected: &[u8], expected_late: &[u8]) {
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
        let first = |all: Vec<Sha256>| all.iter().map(|sha256| sha256[0]).collect::<Vec<u8>>();
        assert_eq!(first(blamed(&bytes)), expected);
        assert_eq!(first(all_late(&bytes)), expected_late);
    }

    #[test]
    fn an_idle_process_blames_nobody() {
        check_blamed(|_| (), &[], &[]);
        check_blamed(
            |file| {
                busy(file, 3, &[7; 32], 0).expect("write");
                idle(file, 3).expect("write");
            },
            &[],
            &[],
        );
    }

    #[test]
    fn a_model_that_never_finished_is_blamed_and_a_bystander_is_not() {
        check_blamed(
            |file| {
                busy(file, 0, &[1; 32], 0).expect("write");
                busy(file, N_SLOTS - 1, &[1; 32], 9).expect("write");
                busy(file, N_SLOTS + 1, &[2; 32], 0).expect("write");
            },
            &[2],
            &[],
        );
    }

    #[test]
    fn a_model_that_takes_too_long_is_named_once() {
        check_blamed(
            |file| {
                for slot in [4, 9, 5] {
                    busy(file, slot, &[slot as u8 % 5; 32], 0).expect("write");
                    late(file, slot).expect("write");
                }
                busy(file, 7, &[7; 32], 0).expect("write");
            },
            &[7],
            &[0, 4],
        );
    }

    #[test]
    fn garbage_is_read_without_a_panic() {
        assert_eq!(blamed(&[0xff; 100]).len(), 0);
        assert_eq!(blamed(&[1; 100]).len(), 0);
        assert_eq!(blamed(&[]).len(), 0);
        assert_eq!(all_late(&[2; 100]).len(), 1);
    }
}
