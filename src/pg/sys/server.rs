//! What a process of the server asks of it: as it loads the library, and as a background worker.
#![allow(unsafe_code, reason = "the latch and variables of PostgreSQL")]

use std::ffi::{CStr, OsStr, c_char, c_void};
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pgrx::pg_sys;

use crate::pg::sys::{guc, reserve, security};

/// Declares what runs once in each process that loads the library.
macro_rules! library {
    ($start:path) => {
        pgrx::pg_module_magic!();

        #[pgrx::pg_guard]
        #[allow(non_snake_case, unsafe_code, reason = "the name by which PostgreSQL finds it")]
        extern "C-unwind" fn _PG_init() {
            crate::pg::sys::server::start();
            $start();
        }
    };
}
pub(crate) use library;

/// Declares a background worker: the name by which it is started, and what it does.
macro_rules! background_worker {
    ($name:ident = $work:path) => {
        #[allow(unsafe_code, reason = "the name by which PostgreSQL finds it")]
        const _: () = {
            #[pgrx::pg_guard]
            #[unsafe(no_mangle)]
            extern "C-unwind" fn $name(_argument: pgrx::pg_sys::Datum) {
                $work();
            }
        };
    };
}
pub(crate) use background_worker;

/// Once in a process.
pub(crate) fn start() {
    // A panic's backtrace would reach the client as DETAIL, with paths of this machine: std reads these once, at the first
    // panic.
    // SAFETY: a process of the server has one thread while it loads a library.
    unsafe {
        std::env::set_var("RUST_BACKTRACE", "0");
        std::env::set_var("RUST_LIB_BACKTRACE", "0");
    }
    reserve::begin();
    guc::define();
    security::watch_memberships();
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    Latch,
    Readable(RawFd),
    Writable(RawFd),
}

/// Waits for the socket, the latch or the timeout, then lets PostgreSQL handle its interrupts: a cancel raises its
/// error from here. Ends the process when the postmaster is gone. Says whether the socket is ready.
pub(crate) fn wait(what: For, timeout: Duration) -> bool {
    let (socket, events) = match what {
        For::Latch => (pg_sys::PGINVALID_SOCKET, 0),
        For::Readable(fd) => (fd, pg_sys::WL_SOCKET_READABLE),
        For::Writable(fd) => (fd, pg_sys::WL_SOCKET_WRITEABLE),
    };
    let events = events | pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    let timeout = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX).min(i32::MAX.into());
    // SAFETY: called on the main thread of a server process, whose latch lives as long as it; the descriptor is open.
    let ready = unsafe {
        let ready = pg_sys::WaitLatchOrSocket(
            pg_sys::MyLatch,
            events as i32,
            socket,
            timeout,
            pg_sys::PG_WAIT_EXTENSION,
        );
        if ready & pg_sys::WL_LATCH_SET as i32 != 0 {
            pg_sys::ResetLatch(pg_sys::MyLatch);
        }
        ready as u32
    };
    pgrx::check_for_interrupts!();
    ready & (pg_sys::WL_SOCKET_READABLE | pg_sys::WL_SOCKET_WRITEABLE) != 0
}

/// Is the server running for pg_upgrade?
pub(crate) fn is_binary_upgrade() -> bool {
    // SAFETY: set once before any extension is loaded.
    unsafe { pg_sys::IsBinaryUpgrade }
}

/// Reads the configuration file again; a background worker must do so itself.
pub(crate) fn reload_configuration() {
    // SAFETY: on the main thread, outside any transaction.
    unsafe { pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP) };
}

/// The directory that this library was loaded from, which need not be the server's own; that one where nothing is known.
pub(crate) fn library_directory() -> PathBuf {
    let mut found = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    // SAFETY: the address is of this function; the name is a C string of the loader's, and the array one that PostgreSQL filled
    // before it loaded any extension.
    let (library, servers) = unsafe {
        let is_found = libc::dladdr(library_directory as *const c_void, &mut found) != 0;
        let library = (is_found && !found.dli_fname.is_null()).then(|| path(found.dli_fname));
        (library, path((&raw const pg_sys::pkglib_path).cast()))
    };
    let directory = library.as_deref().and_then(Path::parent).filter(|path| path.is_absolute());
    directory.map_or(servers, Path::to_owned)
}

/// # Safety
/// `text` is a C string.
unsafe fn path(text: *const c_char) -> PathBuf {
    // SAFETY: by the caller's promise.
    PathBuf::from(OsStr::from_bytes(unsafe { CStr::from_ptr(text) }.to_bytes()))
}
