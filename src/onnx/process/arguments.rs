//! The command line, as the supervisor writes it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::Error;
use crate::onnx::wire::Sha256;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arguments {
    /// The ONNX Runtime library, an absolute path.
    pub library: PathBuf,
    /// In the order of trial.
    pub providers: Vec<Provider>,
    /// The first provider is a must.
    pub require_first: bool,
    /// What models, sessions and batches may take.
    pub memory: u64,
    /// Zero for never.
    pub idle_timeout: Duration,
    /// After which a model that is still being loaded is given up, and the process with it.
    pub load_timeout: Duration,
    /// Threads of one session.
    pub threads: usize,
    /// An empty directory to run in.
    pub directory: PathBuf,
    /// The file of `wire::slots`.
    pub slots: PathBuf,
    /// The supervisor's process id.
    pub parent: u32,
    /// Models that brought earlier processes down.
    pub refused: Vec<Sha256>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    Cpu,
    Cuda,
}

impl Provider {
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }
}

const LEAST_MEMORY: u64 = 64 << 20;

impl Arguments {
    pub fn parse(mut given: impl Iterator<Item = OsString>) -> Result<Self, Error> {
        let mut arguments = Self {
            library: PathBuf::new(),
            providers: vec![Provider::Cpu],
            require_first: false,
            memory: 1 << 30,
            idle_timeout: Duration::from_secs(300),
            load_timeout: Duration::from_secs(60),
            threads: 1,
            directory: PathBuf::new(),
            slots: PathBuf::new(),
            parent: 0,
            refused: Vec::new(),
        };
        while let Some(name) = given.next() {
            let name = name.to_string_lossy().into_owned();
            if name == "--require-first" {
                arguments.require_first = true;
                continue;
            }
            let value = given.next().ok_or_else(|| wrong(&name, "has no value"))?;
            match name.as_str() {
                "--library" => arguments.library = value.into(),
                "--directory" => arguments.directory = value.into(),
                "--slots" => arguments.slots = value.into(),
                "--providers" => arguments.providers = list(&name, &value, provider)?,
                "--refuse" => arguments.refused = list(&name, &value, sha256)?,
                "--memory" => arguments.memory = number(&name, &value)?,
                "--idle-timeout" => {
                    arguments.idle_timeout = Duration::from_secs(number(&name, &value)?)
                }
                "--load-timeout" => {
                    arguments.load_timeout = Duration::from_secs(number(&name, &value)?)
                }
                "--threads" => arguments.threads = number(&name, &value)?,
                "--parent" => arguments.parent = number(&name, &value)?,
                _ => return Err(wrong(&name, "is unknown")),
            }
        }
        arguments.check()
    }

    fn check(mut self) -> Result<Self, Error> {
        for (name, path) in [
            ("--library", &self.library),
            ("--directory", &self.directory),
            ("--slots", &self.slots),
        ] {
            if !path.is_absolute() {
                return Err(wrong(name, "is no absolute path"));
            }
        }
        if self.memory < LEAST_MEMORY {
            return Err(wrong("--memory", "is less than 64 MiB"));
        }
        if self.load_timeout.is_zero() {
            return Err(wrong("--load-timeout", "is 0"));
        }
        if !(1..=256).contains(&self.threads) {
            return Err(wrong("--threads", "is not between 1 and 256"));
        }
        let mut seen = Vec::new();
        self.providers.retain(|provider| {
            !seen.contains(provider) && {
                seen.push(*provider);
                true
            }
        });
        if self.providers.is_empty() {
            return Err(wrong("--providers", "is empty"));
        }
        Ok(self)
    }
}

fn wrong(argument: &str, problem: &str) -> Error {
    Error::Argument { argument: argument.to_owned(), problem: problem.to_owned() }
}

fn number<T: std::str::FromStr>(name: &str, value: &OsString) -> Result<T, Error> {
    value.to_str().and_then(|value| value.parse().ok()).ok_or_else(|| wrong(name, "is no number"))
}

fn list<T>(name: &str, value: &OsString, one: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, Error> {
    let value = value.to_str().ok_or_else(|| wrong(name, "is not UTF-8"))?;
    value
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| one(part).ok_or_else(|| wrong(name, &format!("does not know \"{part}\""))))
        .collect()
}

fn provider(name: &str) -> Option<Provider> {
    [Provider::Cpu, Provider::Cuda].into_iter().find(|provider| provider.name() == name)
}

fn sha256(hex: &str) -> Option<Sha256> {
    let mut sha256 = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (byte, at) in sha256.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&hex[at..at + 2], 16).ok()?;
    }
    Some(sha256)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split_whitespace().map(OsString::from))
            .map_err(|error| error.to_string())
    }

    #[track_caller]
    fn check_refused(extra: &str, expected: &str) {
        assert_eq!(
            parse(&format!("--library /l --directory /d --slots /s {extra}")),
            Err(expected.to_owned())
        );
    }

    #[test]
    fn a_full_line_is_understood() {
        let line = "--library /l.so --directory /d --slots /s --providers cuda,cpu --require-first --memory 134217728 \
                    --idle-timeout 5 --threads 2 --parent 7 --refuse";
        let arguments = parse(&format!("{line} {}", "0f".repeat(32))).expect("a valid line");
        assert_eq!(arguments.providers, [Provider::Cuda, Provider::Cpu]);
        assert!(arguments.require_first);
        assert_eq!(arguments.refused, [[15; 32]]);
        assert_eq!((arguments.memory, arguments.threads, arguments.parent), (128 << 20, 2, 7));
    }

    #[test]
    fn wrong_lines_are_refused_by_name() {
        check_refused("--memory 1", "argument --memory: is less than 64 MiB");
        check_refused("--memory", "argument --memory: has no value");
        check_refused("--load-timeout 0", "argument --load-timeout: is 0");
        check_refused("--threads 0", "argument --threads: is not between 1 and 256");
        check_refused("--providers tpu", "argument --providers: does not know \"tpu\"");
        check_refused("--providers ,", "argument --providers: is empty");
        check_refused("--refuse 12", "argument --refuse: does not know \"12\"");
        check_refused("--shell sh", "argument --shell: is unknown");
        assert!(parse("--library l --directory /d --slots /s").is_err());
    }
}
