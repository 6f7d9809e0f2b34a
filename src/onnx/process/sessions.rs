//! ONNX Runtime itself: loaded once, one session a model, the least used dropped when memory is short.
//!
//! A session has a fixed number of threads, because the last digits of boosted trees change with it, and no provider is
//! taken silently: what was asked for and is missing becomes an error or a warning.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ort::environment::Environment;
use ort::ep::ExecutionProviderDispatch;
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::SessionBuilder;
use ort::value::{TensorElementType, ValueType};

use super::cache::Cache;
use super::problem::{first_line, is_out_of_memory};
use super::{Arguments, Error, arguments::Provider, cuda};
use crate::onnx::wire::{Element, Port, Sha256};

/// What a session takes beside its share of the model's bytes.
const SESSION_BASE: u64 = 1 << 20;
/// The library, its environment and the models in memory.
#[derive(Debug)]
pub(super) struct Runtime {
    environment: Environment,
    pub(super) version: String,
    /// Those that work, the last "cpu".
    pub(super) providers: Vec<Provider>,
    /// Why one that was asked for is missing.
    pub(super) warning: Option<String>,
    require_first: bool,
    threads: usize,
    directory: String,
    memory: u64,
    cache: Mutex<Cache>,
    clock: AtomicU64,
}

/// A model ready to run.
#[derive(Debug)]
pub(super) struct Model {
    session: Mutex<Session>,
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Port>,
    pub(super) warning: Option<String>,
    pub(super) provider: Provider,
    pub(super) finished: AtomicU64,
    pub(super) cost: u64,
    pub(super) used: AtomicU64,
}

impl Runtime {
    pub(super) fn load(arguments: &Arguments, version: String) -> Result<Self, Error> {
        let library = |problem: &str| Error::Library { problem: problem.to_owned() };
        let builder = ort::init_from(&arguments.library).map_err(|error| {
            // Standard error is the server's log.
            match &error {
                ort::LoadDynamicError::Dlopen { error: cause, .. } => {
                    eprintln!("persona-onnx: {error}: {:?}", std::error::Error::source(cause));
                }
                _ => eprintln!("persona-onnx: {error}"),
            }
            library("cannot be loaded; the server log says why")
        })?;
        // From here on a panic of the binding means that the library lacks what it promises.
        let built = catch_unwind(AssertUnwindSafe(move || {
            builder.with_name("persona").with_telemetry(false).build()
        }));
        let environment = built
            .map_err(|_| library("does not have the symbols of its version"))?
            .map_err(|error| Error::Runtime(first_line(&error.to_string())))?;
        environment.set_log_level(LogLevel::Fatal);
        let mut runtime = Self {
            environment,
            version,
            providers: Vec::new(),
            warning: None,
            require_first: arguments.require_first,
            threads: arguments.threads,
            directory: arguments.directory.display().to_string(),
            memory: arguments.memory,
            cache: Mutex::default(),
            clock: AtomicU64::new(0),
        };
        runtime.try_providers(&arguments.providers)?;
        Ok(runtime)
    }

    /// Finds out which providers work, by running a small model: what the library was built with says little.
    fn try_providers(&mut self, asked: &[Provider]) -> Result<(), Error> {
        for (position, &provider) in asked.iter().enumerate() {
            if provider == Provider::Cpu {
                break;
            }
            match self.try_out(provider) {
                Ok(()) => self.providers.push(provider),
                // It works, and has no room now: whether it has when a model comes, that model is told.
                Err(error) if is_out_of_memory(&error) => self.providers.push(provider),
                Err(error) if position == 0 && self.require_first => {
                    return Err(Error::Provider {
                        provider: provider.name().to_owned(),
                        problem: first_line(&error),
                    });
                }
                Err(error) => {
                    // Standard error is the server's log; the clients get one line without the paths.
                    eprintln!("persona-onnx: {}: {error}", provider.name());
                    self.warning = Some(format!(
                        "provider \"{}\" is not available: {}",
                        provider.name(),
                        first_line(&error)
                    ));
                }
            }
        }
        self.providers.push(Provider::Cpu);
        Ok(())
    }

    /// Does the provider work? An error in a kernel can end CUDA for the whole process.
    pub(super) fn try_out(&self, provider: Provider) -> Result<(), String> {
        cuda::try_out(self.builder(provider)?)
    }

    fn builder(&self, provider: Provider) -> Result<SessionBuilder, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let dispatches: Vec<ExecutionProviderDispatch> = match provider {
            Provider::Cpu => Vec::new(),
            Provider::Cuda => vec![cuda::dispatch(self.memory)],
        };
        Session::builder(&self.environment)
            .map_err(|error| text(&error))?
            .with_log_level(LogLevel::Fatal)
            .map_err(|error| text(&error))?
            .with_intra_threads(self.threads)
            .map_err(|error| text(&error))?
            .with_inter_threads(1)
            .map_err(|error| text(&error))?
            .with_intra_op_spinning(false)
            .map_err(|error| text(&error))?
            // Batches differ in size, so that the pattern of one is none for the next.
            .with_memory_pattern(false)
            .map_err(|error| text(&error))?
            .with_config_entry("session.load_model_format", "ONNX")
            .map_err(|error| text(&error))?
            // The scan has refused external data; whatever it missed is looked for in an empty directory.
            .with_config_entry(
                "session.model_external_initializers_file_folder_path",
                &self.directory,
            )
            .map_err(|error| text(&error))?
            .with_execution_providers(dispatches)
            .map_err(|error| text(&error))
    }

    /// The largest model that fits, beside its session and a batch.
    pub(super) fn max_model(&self) -> u64 {
        self.memory / 4
    }

    /// Makes a session of a scanned model and keeps it.
    pub(super) fn add(&self, sha256: Sha256, bytes: &[u8]) -> Result<Arc<Model>, LoadError> {
        let cost = (bytes.len() as u64).saturating_mul(3).saturating_add(SESSION_BASE);
        let must_use_cpu = {
            let mut cache = self.cache();
            cache.make_room(cost, self.memory / 2);
            cache.is_cpu_only(&sha256)
        };
        let mut warning = self.warning.clone();
        if must_use_cpu {
            warning = Some(no_room());
        }
        for &provider in &self.providers {
            let is_last = provider == Provider::Cpu;
            if must_use_cpu && !is_last {
                continue;
            }
            let mut session = self.session(provider, bytes);
            if session.as_ref().is_err_and(|problem| is_out_of_memory(problem)) {
                let mut cache = self.cache();
                let left = if is_last { cache.forget_all() } else { cache.leave_gpu() };
                drop(cache);
                if !left.is_empty() {
                    drop(left);
                    session = self.session(provider, bytes);
                }
            }
            match session {
                Ok(session) => {
                    let model = Arc::new(self.model(session, provider, warning, cost)?);
                    self.cache().insert(sha256, Arc::clone(&model));
                    return Ok(model);
                }
                Err(problem) if is_last => return Err(LoadError::Invalid(problem)),
                Err(problem) if self.require_first => {
                    return Err(if is_out_of_memory(&problem) {
                        LoadError::NoMemory(provider, problem)
                    } else {
                        LoadError::Provider(format!("\"{}\": {problem}", provider.name()))
                    });
                }
                Err(problem) if is_out_of_memory(&problem) => {
                    self.cache().use_cpu(sha256);
                    warning = Some(no_room());
                }
                Err(problem) => {
                    let text = format!(
                        "model does not run on \"{}\": {}",
                        provider.name(),
                        first_line(&problem)
                    );
                    warning = Some(text);
                }
            }
        }
        Err(LoadError::Invalid("no provider takes the model".to_owned()))
    }

    fn session(&self, provider: Provider, bytes: &[u8]) -> Result<Session, String> {
        self.builder(provider)?.commit_from_memory(bytes).map_err(|error| error.to_string())
    }

    fn model(
        &self,
        session: Session,
        provider: Provider,
        warning: Option<String>,
        cost: u64,
    ) -> Result<Model, LoadError> {
        let ports = |outlets: &[ort::value::Outlet]| -> Vec<Port> {
            outlets.iter().map(|outlet| port(outlet.name(), outlet.dtype())).collect()
        };
        let (inputs, outputs) = (ports(session.inputs()), ports(session.outputs()));
        if outputs.is_empty() {
            return Err(LoadError::Invalid("model has no outputs".to_owned()));
        }
        let used = AtomicU64::new(self.tick());
        Ok(Model {
            session: Mutex::new(session),
            inputs,
            outputs,
            warning,
            provider,
            finished: AtomicU64::new(0),
            cost,
            used,
        })
    }

    pub(super) fn get(&self, sha256: &Sha256) -> Option<Arc<Model>> {
        let model = self.cache().get(sha256)?;
        model.used.store(self.tick(), Relaxed);
        Some(model)
    }

    /// Forgets a model that holds on to too much.
    pub(super) fn drop_model(&self, sha256: &Sha256) {
        let dropped = self.cache().remove(sha256);
        drop(dropped);
    }

    /// After memory was refused: the next who asks has all of it.
    pub(super) fn forget_all(&self) {
        let forgotten = self.cache().forget_all();
        drop(forgotten);
    }

    /// After the GPU ran out of memory: may the model be loaded again, there or on the CPU?
    pub(super) fn fall_back(&self, sha256: Sha256) -> bool {
        let mut cache = self.cache();
        // Another session may have loaded it on the CPU meanwhile.
        let is_on_cpu = cache.is_cpu_only(&sha256);
        let dropped = if is_on_cpu { None } else { cache.remove(&sha256) };
        let left = cache.leave_gpu();
        let once_more = !left.is_empty();
        if !once_more && !self.require_first {
            cache.use_cpu(sha256);
        }
        drop(cache);
        drop((dropped, left));
        once_more || !self.require_first
    }

    /// Models in memory and what they are reckoned to take.
    pub(super) fn usage(&self) -> (u32, u64) {
        self.cache().usage()
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Relaxed)
    }
}

impl Model {
    /// ONNX Runtime's sessions are not safe to run twice at once with every provider.
    pub(super) fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(super) enum LoadError {
    Invalid(String),
    Provider(String),
    /// Of the provider that is a must.
    NoMemory(Provider, String),
}

fn no_room() -> String {
    "model runs on \"cpu\" for now: the GPU has no memory for it".to_owned()
}

fn port(name: &str, kind: &ValueType) -> Port {
    let (element, shape, zipmap) = match kind {
        ValueType::Tensor { ty, shape, .. } => (element(*ty), shape.to_vec(), false),
        ValueType::Sequence(inner) => match inner.as_ref() {
            ValueType::Map { value, .. } => (element(*value), Vec::new(), true),
            _ => (Element::Other, Vec::new(), false),
        },
        _ => (Element::Other, Vec::new(), false),
    };
    Port { name: name.to_owned(), element, shape, zipmap }
}

fn element(kind: TensorElementType) -> Element {
    match kind {
        TensorElementType::Float32 => Element::Float,
        TensorElementType::Float64 => Element::Double,
        TensorElementType::Int64 => Element::Int64,
        TensorElementType::Float16 => Element::Half,
        TensorElementType::Bfloat16 => Element::BFloat,
        TensorElementType::Int32 => Element::Int32,
        TensorElementType::Int16 => Element::Int16,
        TensorElementType::Int8 => Element::Int8,
        TensorElementType::Uint64 => Element::Uint64,
        TensorElementType::Uint32 => Element::Uint32,
        TensorElementType::Uint16 => Element::Uint16,
        TensorElementType::Uint8 => Element::Uint8,
        TensorElementType::Bool => Element::Bool,
        TensorElementType::String => Element::String,
        _ => Element::Other,
    }
}
