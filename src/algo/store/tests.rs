//! Stores on disk and in memory hold the same.

use super::*;

/// Files in the directory for temporary ones.
pub(crate) fn disk(limit: u64) -> Place {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    Place::Disk(Arc::new(Disk::new(limit, || {
        let number = NUMBER.fetch_add(1, Relaxed);
        let name = format!("pg_persona-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut options = File::options();
        let file = options.read(true).write(true).create_new(true).open(&path)?;
        std::fs::remove_file(path)?;
        Ok(file)
    })))
}

#[test]
fn a_store_on_disk_holds_what_one_in_memory_holds() {
    for place in [Place::Memory, disk(1 << 20)] {
        let mut store = Store::<f64>::new(&place);
        assert!(store.is_empty());
        for step in 0..5 {
            store.reserve_exact(1000).unwrap();
            (0..1000).for_each(|i| store.push(f64::from(step * 1000 + i)));
        }
        assert!(store.iter().enumerate().all(|(i, &word)| word == i as f64));
        store[7] = -1.0;
        store.truncate(10);
        assert_eq!((store.len(), store[7], store.clone().len()), (10, -1.0, 10));
        assert_eq!(*Store::filled(&place, 3, 9u16).unwrap(), [9; 3]);
    }
}

#[test]
fn files_take_no_more_than_the_limit_and_give_it_back() {
    let place = disk(1000);
    let store = Store::filled(&place, 100, 1.0f64).unwrap();
    let refused = Store::filled(&place, 100, 1.0f64).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::QuotaExceeded);
    drop(store);
    assert!(Store::filled(&place, 100, 1.0f64).is_ok());
}

#[test]
fn more_words_than_there_are_addresses_are_refused() {
    for place in [Place::Memory, disk(1000)] {
        for n in [usize::MAX, usize::MAX / 8, isize::MAX as usize / 8] {
            assert!(Store::<f64>::zeroed(&place, n).is_err());
        }
    }
}

#[test]
#[should_panic(expected = "no room was made")]
fn a_push_without_room_is_stopped() {
    Store::<u32>::new(&disk(1000)).push(1);
}
