//! Temporary files for arrays that are larger than a fit may hold in memory: in PostgreSQL's own temporary tablespaces, within
//! `temp_file_limit`, and without a name, so that nothing is left behind whatever ends the session.
#![allow(unsafe_code, reason = "PostgreSQL is asked where its temporary files are")]

use std::ffi::CStr;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pgrx::pg_sys;

use crate::algo::store::{Disk, Place};

/// A place on the disk for the arrays of one fit.
pub(crate) fn place() -> Place {
    let directory = directory();
    // SAFETY: an int that only this thread writes; in kilobytes, below 0 for no limit.
    let limit = unsafe { pg_sys::temp_file_limit };
    let limit = u64::try_from(limit).map_or(u64::MAX, |kilobytes| kilobytes * 1024);
    Place::Disk(Arc::new(Disk::new(limit, move || nameless_file(&directory))))
}

/// The directory that PostgreSQL would put the session's next temporary file in.
fn directory() -> PathBuf {
    let mut path = [0; pg_sys::MAXPGPATH as usize];
    // SAFETY: the path has room for what TempTablespacePath writes, which ends with a NUL.
    let path = unsafe {
        pg_sys::PrepareTempTablespaces();
        let mut tablespace = pg_sys::GetNextTempTableSpace();
        if tablespace == pg_sys::InvalidOid {
            tablespace = pg_sys::MyDatabaseTableSpace;
        }
        pg_sys::TempTablespacePath(path.as_mut_ptr(), tablespace);
        CStr::from_ptr(path.as_ptr())
    };
    PathBuf::from(path.to_string_lossy().into_owned())
}

/// A file that takes a name of PostgreSQL's for such files (which a restart sweeps) and loses it at once.
fn nameless_file(directory: &Path) -> io::Result<File> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Relaxed);
    let path = directory.join(format!("pgsql_tmp{}.persona.{number}", std::process::id()));
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    let file = match options.open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            DirBuilder::new().mode(0o700).recursive(true).create(directory)?;
            options.open(&path)?
        }
        opened => opened?,
    };
    std::fs::remove_file(&path)?;
    Ok(file)
}
