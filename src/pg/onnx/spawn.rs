//! Starting the process as a clean child: nothing of the server's environment, descriptors or signals goes with it.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use super::place::{EMPTY, SLOTS, make_directory};
use crate::onnx::wire::slots::SLOTS_BYTES;
use crate::onnx::wire::{ErrorKind, Sha256};
use crate::pg::sys::child::clean;
use crate::pg::sys::guc::OnnxSettings;
use crate::pg::sys::server::library_directory;

/// The process and the pipe on which it says that it is ready, whose end means its own.
pub(super) struct Process {
    child: Child,
    pub(super) ready_pipe: ChildStdout,
    line: Vec<u8>,
}

/// What the ready pipe has said so far.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Nothing,
    Ready,
    Failed { kind: ErrorKind, reason: String },
    End,
}

pub(super) fn spawn(
    settings: &OnnxSettings,
    listener: &UnixListener,
    refused: &[Sha256],
) -> Result<Process, (ErrorKind, String)> {
    let unavailable =
        |what: &str, error: io::Error| (ErrorKind::Unavailable, format!("{what}: {error}"));
    let data_directory =
        std::env::current_dir().map_err(|error| unavailable("data directory", error))?;
    let beside = |name: &str| library_directory().join(name);
    let path =
        absolute("persona.onnx_path", settings.onnx_path.as_deref(), || beside("persona-onnx"))?;
    let library = settings.library.as_deref();
    let library = absolute("persona.onnxruntime_library", library, || beside("libonnxruntime.so"))?;
    make_directory(EMPTY).map_err(|error| unavailable(EMPTY, error))?;
    std::fs::write(SLOTS, vec![0; SLOTS_BYTES]).map_err(|error| unavailable(SLOTS, error))?;
    let stdin =
        listener.as_fd().try_clone_to_owned().map_err(|error| unavailable("socket", error))?;

    let mut command = Command::new(&path);
    command
        .arg("--library")
        .arg(&library)
        .arg("--directory")
        .arg(data_directory.join(EMPTY))
        .arg("--slots")
        .arg(data_directory.join(SLOTS))
        .args(["--providers", &settings.providers.join(",")])
        .args(["--memory", &settings.memory_bytes.to_string()])
        .args(["--idle-timeout", &settings.idle_timeout.as_secs().to_string()])
        .args(["--load-timeout", &settings.load_timeout.as_secs().to_string()])
        .args(["--parent", &std::process::id().to_string()]);
    if settings.require_first_provider {
        command.arg("--require-first");
    }
    if !refused.is_empty() {
        command.args(["--refuse", &refused.iter().map(hex).collect::<Vec<_>>().join(",")]);
    }
    command
        .env_clear()
        .env("ORT_DISABLE_TELEMETRY", "1")
        .current_dir(data_directory.join(EMPTY))
        .stdin(Stdio::from(stdin))
        .stdout(Stdio::piped());
    clean(&mut command);
    let mut child =
        command.spawn().map_err(|error| unavailable(&format!("\"{}\"", path.display()), error))?;
    match child.stdout.take() {
        Some(ready_pipe) => Ok(Process { child, ready_pipe, line: Vec::new() }),
        None => Err((ErrorKind::Unavailable, "the process has no pipe".to_owned())),
    }
}

fn absolute(
    name: &str,
    given: Option<&str>,
    otherwise: impl FnOnce() -> PathBuf,
) -> Result<PathBuf, (ErrorKind, String)> {
    let path = given.map_or_else(otherwise, PathBuf::from);
    if path.is_absolute() {
        Ok(path)
    } else {
        Err((ErrorKind::Unavailable, format!("{name} is not an absolute path")))
    }
}

fn hex(sha256: &Sha256) -> String {
    sha256.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Process {
    /// Reads what is there; to be called when the pipe is readable, and then never blocks.
    pub(super) fn hear(&mut self) -> Heard {
        let mut bytes = [0; 1024];
        match self.ready_pipe.read(&mut bytes) {
            Ok(0) => return self.verdict(true),
            Ok(n) if self.line.len() < 4096 => self.line.extend_from_slice(&bytes[..n]),
            Ok(_) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
                ) => {}
            Err(_) => return Heard::End,
        }
        self.verdict(false)
    }

    fn verdict(&self, at_end: bool) -> Heard {
        let text = String::from_utf8_lossy(&self.line);
        let line = match text.split_once('\n') {
            Some((line, _)) => line.to_owned(),
            None if at_end => return Heard::End,
            None => return Heard::Nothing,
        };
        match line.split_once(": ") {
            None if line == "ready" && at_end => Heard::End,
            None if line == "ready" => Heard::Ready,
            None => Heard::Failed { kind: ErrorKind::Unavailable, reason: line },
            Some((room, reason)) => {
                let kind = match room {
                    "library" => ErrorKind::Library,
                    "provider" => ErrorKind::Provider,
                    _ => ErrorKind::Unavailable,
                };
                Heard::Failed { kind, reason: reason.to_owned() }
            }
        }
    }

    /// Why it ended, if it has said so.
    pub(super) fn last_words(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.line);
        let (_, words) = text.split_once('\n')?;
        Some(words.trim().replace('\n', "; ")).filter(|words| !words.is_empty())
    }

    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once; it has nothing to lose.
    pub(super) fn end(mut self) -> Option<ExitStatus> {
        let _ = self.child.kill();
        self.child.wait().ok()
    }
}
