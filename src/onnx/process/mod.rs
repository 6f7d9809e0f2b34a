//! The ONNX process: it loads ONNX Runtime, keeps sessions, and answers backends over a Unix socket.
//!
//! It is given everything at its start and reads no configuration: the listening socket as standard input, a pipe as
//! standard output on which it says once that it is ready or why it cannot be, the rest as arguments. It trusts neither
//! its clients nor the models, and expects to be killed at any time: nothing in here is worth keeping.

mod answer;
mod arguments;
mod cache;
mod convert;
mod cuda;
mod hangup;
mod library;
mod load;
mod problem;
mod run;
mod serve;
mod sessions;
mod system;

use std::ffi::OsString;
use std::io::Write;
use std::os::fd::AsFd;
use std::process::ExitCode;

pub use arguments::Arguments;
pub use system::WithReserve;

/// Why the process cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("argument {argument}: {problem}")]
    Argument { argument: String, problem: String },
    #[error("{what}: {source}")]
    System { what: &'static str, source: std::io::Error },
    #[error("the supervisor is gone")]
    Orphaned,
    /// Without the path, which is the administrators' alone to see; the server's log has it.
    #[error("the library {problem}")]
    Library { problem: String },
    #[error("ONNX Runtime: {0}")]
    Runtime(String),
    #[error("provider \"{provider}\" is not available: {problem}")]
    Provider { provider: String, problem: String },
}

impl Error {
    /// The first word of the line that the supervisor reads.
    fn room(&self) -> &'static str {
        match self {
            Self::Library { .. } => "library",
            Self::Provider { .. } => "provider",
            Self::Argument { .. } | Self::System { .. } | Self::Orphaned | Self::Runtime(_) => {
                "start"
            }
        }
    }
}

/// Runs until the supervisor is gone or nobody has asked for anything for a while.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    // A panic is answered as an error of the one request; its text may hold a client's values and goes nowhere.
    std::panic::set_hook(Box::new(|_| ()));
    match start(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let message = error.to_string().replace(['\n', '\r'], " ");
            let _ = writeln!(std::io::stdout(), "{}: {message}", error.room());
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: impl Iterator<Item = OsString>) -> Result<(), Error> {
    let arguments = Arguments::parse(arguments)?;
    system::die_with_parent(arguments.parent)?;
    let slots = std::fs::File::options()
        .read(true)
        .write(true)
        .open(&arguments.slots)
        .map_err(|source| Error::System { what: "slots", source })?;
    std::env::set_current_dir(&arguments.directory)
        .map_err(|source| Error::System { what: "directory", source })?;
    system::refuse_telemetry();
    system::default_signals();
    let version = library::check(&arguments.library)?;
    // The library itself is loaded before the limit: it is the same for every model.
    let runtime = sessions::Runtime::load(&arguments, version)?;
    system::limit(&arguments)?;
    let listener = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map_err(|source| Error::System { what: "socket", source })?;
    serve::serve(listener.into(), runtime, slots, arguments)
}
