//! Is the file an ONNX Runtime that we know, before it is loaded?
//!
//! Loading runs the file's code, and some releases of the binding panic or hang on a wrong one. ONNX Runtime marks its
//! symbols with its version (`VERS_1.31.1`), so that the version can be read like text.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::Error;

/// The oldest release that is tested. The symbols asked for are those of 1.17.
const OLDEST_MINOR: u32 = 20;
const MARK: &[u8] = b"VERS_1.";
const ELF: &[u8] = b"\x7fELF\x02";
const STEP: usize = 1 << 20;

/// The version, such as "1.31.1".
pub(super) fn check(path: &Path) -> Result<String, Error> {
    let (minor, version) =
        version(path).map_err(|problem| Error::Library { problem: problem.to_owned() })?;
    if minor < OLDEST_MINOR {
        let problem = format!("version 1.{minor} is older than 1.{OLDEST_MINOR}");
        return Err(Error::Library { problem });
    }
    Ok(version)
}

fn version(path: &Path) -> Result<(u32, String), &'static str> {
    let mut file = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "does not exist",
        std::io::ErrorKind::PermissionDenied => "may not be read",
        _ => "cannot be opened",
    })?;
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err("is not a file");
    }
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let mut window = Vec::with_capacity(STEP + 64);
    let mut is_first = true;
    loop {
        let read = file
            .by_ref()
            .take(STEP as u64)
            .read_to_end(&mut window)
            .map_err(|_| "cannot be read")?;
        if is_first && !window.starts_with(ELF) {
            return Err("is not a 64-bit ELF library");
        }
        if is_first && least_length(&window).is_none_or(|least| length < least) {
            return Err("is cut short");
        }
        is_first = false;
        if let Some(found) = find_version(&window) {
            return Ok(found);
        }
        if read == 0 {
            return Err("is not ONNX Runtime 1.x");
        }
        // The mark may lie across two reads.
        let keep = window.len().min(32);
        window.drain(..window.len() - keep);
    }
}

/// Where the last segment and the table of sections end: a file that is shorter kills whoever maps it.
fn least_length(header: &[u8]) -> Option<u64> {
    let word =
        |at: usize| header.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_le_bytes);
    let half =
        |at: usize| header.get(at..at.checked_add(2)?)?.try_into().ok().map(u16::from_le_bytes);
    let sections = word(0x28)?.checked_add(u64::from(half(0x3a)?) * u64::from(half(0x3c)?))?;
    let segments = usize::try_from(word(0x20)?).ok()?;
    let mut least = sections;
    for segment in 0..usize::from(half(0x38)?) {
        let at = segments.checked_add(segment * usize::from(half(0x36)?))?;
        least = least.max(word(at.checked_add(8)?)?.checked_add(word(at.checked_add(32)?)?)?);
    }
    Some(least)
}

/// What follows the first mark with a number, a dot and more.
fn find_version(window: &[u8]) -> Option<(u32, String)> {
    let mut from = 0;
    while let Some(at) = window[from..].windows(MARK.len()).position(|bytes| bytes == MARK) {
        from += at + MARK.len();
        let rest: String = window[from..]
            .iter()
            .take(16)
            .take_while(|byte| byte.is_ascii_digit() || **byte == b'.')
            .map(|&byte| char::from(byte))
            .collect();
        if let Some((minor, _)) = rest.split_once('.') {
            return Some((minor.parse().ok()?, format!("1.{rest}")));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_problem(bytes: &[u8], expected: &str) {
        let path = std::env::temp_dir().join(format!(
            "persona-library-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        std::fs::write(&path, bytes).expect("a temporary file");
        let found = check(&path).err().map_or_else(String::new, |error| error.to_string());
        std::fs::remove_file(&path).expect("just made");
        assert!(found.ends_with(expected), "{found}");
    }

    #[test]
    fn only_a_known_runtime_passes() {
        let library = |mark: &str| [ELF, &[0; 3 << 20], mark.as_bytes(), &[0; 9]].concat();
        assert_eq!(
            find_version(b"VERS_1. VERS_1.31.1\0VERS_1.2."),
            Some((31, "1.31.1".to_owned()))
        );
        check_problem(&library("VERS_1.31.1"), "");
        check_problem(&library("VERS_1.x VERS_1.20.1"), "");
        check_problem(&library("VERS_1.17.3"), "version 1.17 is older than 1.20");
        check_problem(&library("VERS_2.0.0"), "is not ONNX Runtime 1.x");
        check_problem(b"#!/bin/sh VERS_1.31.1", "is not a 64-bit ELF library");
        check_problem(b"", "is not a 64-bit ELF library");
        check_problem(&[ELF, &[0; 40]].concat(), "is cut short");
        check_problem(&[ELF, &[0; 35], &[9; 8], &[0; 99]].concat(), "is cut short");
        assert!(
            check(Path::new("/nowhere/lib.so"))
                .is_err_and(|error| error.to_string().ends_with("does not exist"))
        );
        assert!(check(Path::new("/tmp")).is_err());
    }

    #[test]
    fn a_mark_across_two_reads_is_found() {
        for shift in 0..16 {
            let mut bytes = vec![0; STEP + 64];
            bytes[..ELF.len()].copy_from_slice(ELF);
            bytes[STEP - shift..STEP - shift + 11].copy_from_slice(b"VERS_1.31.1");
            check_problem(&bytes, "");
        }
    }
}
