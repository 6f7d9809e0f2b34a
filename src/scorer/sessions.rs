//! ONNX Runtime itself: loaded once, one session a model, the least used dropped when memory is short.
//!
//! A session has a fixed number of threads, because the last digits of boosted trees change with it, and no provider is
//! taken silently: what was asked for and is missing becomes an error or a warning.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ort::environment::Environment;
use ort::ep::{self, ExecutionProviderDispatch};
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::SessionBuilder;
use ort::value::{TensorElementType, ValueType};

use super::{Arguments, Error, arguments::Provider};
use crate::wire::{Element, Port, Sha256};

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

#[derive(Debug, Default)]
struct Cache {
    models: HashMap<Sha256, Arc<Model>>,
    /// Models that a GPU had no room for.
    cpu_only: HashSet<Sha256>,
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
    cost: u64,
    used: AtomicU64,
}

impl Runtime {
    pub(super) fn load(arguments: &Arguments, version: String) -> Result<Self, Error> {
        let library = |problem: &str| Error::Library { problem: problem.to_owned() };
        let builder = ort::init_from(&arguments.library).map_err(|error| {
            // Standard error is the server's log.
            match &error {
                ort::LoadDynamicError::Dlopen { error: cause, .. } => {
                    eprintln!("persona-scorer: {error}: {:?}", std::error::Error::source(cause));
                }
                _ => eprintln!("persona-scorer: {error}"),
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

    /// Finds out which providers work, by registering them: what the library was built with says little.
    fn try_providers(&mut self, asked: &[Provider]) -> Result<(), Error> {
        for (position, &provider) in asked.iter().enumerate() {
            if provider == Provider::Cpu {
                break;
            }
            match self.builder(provider) {
                Ok(_) => self.providers.push(provider),
                Err(error) if position == 0 && self.require_first => {
                    return Err(Error::Provider {
                        provider: provider.name().to_owned(),
                        problem: first_line(&error),
                    });
                }
                Err(error) => {
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

    fn builder(&self, provider: Provider) -> Result<SessionBuilder, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let dispatches: Vec<ExecutionProviderDispatch> = match provider {
            Provider::Cpu => Vec::new(),
            Provider::Cuda => vec![ep::CUDA::default().build().error_on_failure()],
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
            cache.cpu_only.contains(&sha256)
        };
        let mut warning = self.warning.clone();
        if must_use_cpu {
            warning = Some(
                "model runs on \"cpu\": the provider before it had no memory for it".to_owned(),
            );
        }
        for &provider in &self.providers {
            let is_last = provider == Provider::Cpu;
            if must_use_cpu && !is_last {
                continue;
            }
            let session = self.builder(provider).and_then(|mut builder| {
                builder.commit_from_memory(bytes).map_err(|error| error.to_string())
            });
            match session {
                Ok(session) => {
                    let model = Arc::new(self.model(session, provider, warning, cost)?);
                    self.cache().models.insert(sha256, Arc::clone(&model));
                    return Ok(model);
                }
                Err(problem) if is_last => return Err(LoadError::Invalid(problem)),
                Err(problem) if self.require_first => {
                    return Err(LoadError::Provider(first_line(&problem)));
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
        let model = self.cache().models.get(sha256).cloned()?;
        model.used.store(self.tick(), Relaxed);
        Some(model)
    }

    /// Forgets a model whose session is in doubt.
    pub(super) fn drop_model(&self, sha256: &Sha256) {
        self.cache().models.remove(sha256);
    }

    /// After the GPU ran out of memory: may the model be loaded again, on the CPU?
    pub(super) fn fall_back(&self, sha256: Sha256) -> bool {
        let mut cache = self.cache();
        cache.models.remove(&sha256);
        !self.require_first && cache.cpu_only.insert(sha256)
    }

    /// Models in memory and what they are reckoned to take.
    pub(super) fn usage(&self) -> (u32, u64) {
        let cache = self.cache();
        (cache.models.len() as u32, cache.models.values().map(|model| model.cost).sum())
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Relaxed)
    }
}

impl Cache {
    /// Drops the least recently used until `cost` more fits. A model in use lives until its run ends.
    fn make_room(&mut self, cost: u64, allowed: u64) {
        while self.models.values().map(|model| model.cost).sum::<u64>().saturating_add(cost)
            > allowed
        {
            let Some(oldest) = self
                .models
                .iter()
                .min_by_key(|(_, model)| model.used.load(Relaxed))
                .map(|(sha256, _)| *sha256)
            else {
                return;
            };
            self.models.remove(&oldest);
        }
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
        TensorElementType::Int32 => Element::Int32,
        TensorElementType::Bool => Element::Bool,
        TensorElementType::String => Element::String,
        _ => Element::Other,
    }
}

/// ONNX Runtime's messages go on for pages, with paths of the machine that built it.
pub(super) fn first_line(message: &str) -> String {
    let line = message.lines().find(|line| !line.trim().is_empty()).unwrap_or("no reason given");
    line.trim().chars().filter(|c| !c.is_control()).take(300).collect()
}
