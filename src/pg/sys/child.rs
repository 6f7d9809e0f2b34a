//! A child that has nothing of the server's descriptors and signals.
#![allow(unsafe_code, reason = "what a child does between fork and exec has no safe form")]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Has the child of the command begin clean.
pub(crate) fn clean(command: &mut Command) {
    // SAFETY: the function calls only what is allowed between fork and exec: system calls, no allocation, no lock.
    unsafe { command.pre_exec(clean_child) };
}

/// The postmaster's descriptors leak into its children, and some signals come blocked or ignored.
fn clean_child() -> io::Result<()> {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
    // SAFETY: numbers only. The descriptors close at exec, so that the one on which exec's failure is told still works.
    let marked =
        unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, CLOSE_RANGE_CLOEXEC) };
    if marked != 0 {
        // A kernel before 5.11.
        for fd in 3..65_536 {
            // SAFETY: numbers only; an unused descriptor is an error that does not matter.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    for signal in 1..=64 {
        // SAFETY: the child has one thread; the two that cannot be changed fail, which does not matter.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: the set is initialised by the first call before the second reads it.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
    Ok(())
}
