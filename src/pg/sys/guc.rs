//! The settings, all under `persona.`: what a user may use, the administrator's caps, and where ONNX Runtime is.

use std::ffi::{CStr, CString};
use std::time::Duration;

use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};

/// Bytes that a fit of this session may use for its data.
pub(crate) fn max_fit_memory() -> usize {
    let kilobytes = MAX_FIT_MEMORY.get().min(FIT_MEMORY_LIMIT.get());
    kilobytes as usize * 1024
}

/// Threads that a fit of this session may use.
pub(crate) fn threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = match THREADS.get() {
        0 => max_parallel_maintenance_workers() + 1,
        n => n as usize,
    };
    wanted.min(THREAD_LIMIT.get() as usize).min(cores).max(1)
}

/// How often a fit of this session says how far it is; None for never.
pub(crate) fn progress_interval() -> Option<Duration> {
    let seconds = PROGRESS_INTERVAL.get();
    (seconds > 0).then(|| Duration::from_secs(seconds as u64))
}

/// How the ONNX process is run; from the configuration file alone, since one process serves every session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OnnxSettings {
    pub(crate) library: Option<String>,
    pub(crate) providers: Vec<String>,
    pub(crate) require_first_provider: bool,
    pub(crate) onnx_path: Option<String>,
    pub(crate) memory_bytes: u64,
    pub(crate) idle_timeout: Duration,
    pub(crate) load_timeout: Duration,
}

pub(crate) fn onnx_settings() -> OnnxSettings {
    let text = |setting: &GucSetting<Option<CString>>| {
        setting.get().and_then(|value| value.into_string().ok()).filter(|value| !value.is_empty())
    };
    OnnxSettings {
        library: text(&ONNXRUNTIME_LIBRARY),
        providers: text(&ONNX_PROVIDERS)
            .unwrap_or_default()
            .split(',')
            .map(|provider| provider.trim().to_lowercase())
            .filter(|provider| !provider.is_empty())
            .collect(),
        require_first_provider: ONNX_REQUIRE_FIRST_PROVIDER.get(),
        onnx_path: text(&ONNX_PATH),
        memory_bytes: ONNX_MEMORY.get() as u64 * 1024,
        idle_timeout: Duration::from_secs(ONNX_IDLE_TIMEOUT.get() as u64),
        load_timeout: Duration::from_secs(ONNX_LOAD_TIMEOUT.get() as u64),
    }
}

static MAX_FIT_MEMORY: GucSetting<i32> = GucSetting::<i32>::new(1 << 20);
static FIT_MEMORY_LIMIT: GucSetting<i32> = GucSetting::<i32>::new(i32::MAX);
static THREADS: GucSetting<i32> = GucSetting::<i32>::new(0);
static PROGRESS_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(0);
static THREAD_LIMIT: GucSetting<i32> = GucSetting::<i32>::new(1024);
static ONNX_PROVIDERS: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(c"cpu"));
static ONNX_REQUIRE_FIRST_PROVIDER: GucSetting<bool> = GucSetting::<bool>::new(false);
static ONNXRUNTIME_LIBRARY: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static ONNX_PATH: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static ONNX_MEMORY: GucSetting<i32> = GucSetting::<i32>::new(4 << 20);
static ONNX_IDLE_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(600);
static ONNX_LOAD_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(60);

/// Names the settings to PostgreSQL; once in a process. From then on there are no others whose names begin like theirs.
pub(crate) fn define() {
    define_all();
    reserve_prefix();
}

#[allow(unsafe_code, reason = "pgrx has no word for it")]
fn reserve_prefix() {
    // SAFETY: while the library is loaded, after its settings are defined. PostgreSQL copies the name.
    unsafe { pgrx::pg_sys::MarkGUCPrefixReserved(c"persona".as_ptr()) };
}

fn define_all() {
    memory(
        c"persona.max_fit_memory",
        c"Memory that a fit may use for its data.",
        &MAX_FIT_MEMORY,
        GucContext::Userset,
        1024,
    );
    memory(
        c"persona.fit_memory_limit",
        c"Upper limit of persona.max_fit_memory, set by an administrator.",
        &FIT_MEMORY_LIMIT,
        GucContext::Suset,
        1024,
    );
    GucRegistry::define_int_guc(
        c"persona.threads",
        c"Threads that a fit may use; 0 takes max_parallel_maintenance_workers + 1.",
        c"Never more than the machine's cores. The result of a fit does not depend on it.",
        &THREADS,
        0,
        1024,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"persona.thread_limit",
        c"Upper limit of persona.threads, set by an administrator.",
        c"",
        &THREAD_LIMIT,
        1,
        1024,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"persona.progress_interval",
        c"Seconds between two notices of how far a fit is; 0 gives none.",
        c"",
        &PROGRESS_INTERVAL,
        0,
        i32::MAX / 1000,
        GucContext::Userset,
        GucFlags::UNIT_S,
    );
    file_text(
        c"persona.onnx_providers",
        c"ONNX Runtime execution providers in order of preference, separated by commas.",
        &ONNX_PROVIDERS,
    );
    GucRegistry::define_bool_guc(
        c"persona.onnx_require_first_provider",
        c"Fail, rather than warn, when the first provider cannot be had.",
        c"",
        &ONNX_REQUIRE_FIRST_PROVIDER,
        GucContext::Sighup,
        GucFlags::SUPERUSER_ONLY,
    );
    file_text(
        c"persona.onnxruntime_library",
        c"Absolute path of ONNX Runtime's shared library; empty takes the one beside the extension.",
        &ONNXRUNTIME_LIBRARY,
    );
    file_text(
        c"persona.onnx_path",
        c"Absolute path of persona-onnx; empty takes the one beside the extension.",
        &ONNX_PATH,
    );
    memory(
        c"persona.onnx_memory",
        c"Memory that the ONNX process may use.",
        &ONNX_MEMORY,
        GucContext::Sighup,
        256 * 1024,
    );
    GucRegistry::define_int_guc(
        c"persona.onnx_idle_timeout",
        c"Seconds without a request after which the ONNX process ends; 0 keeps it.",
        c"",
        &ONNX_IDLE_TIMEOUT,
        0,
        i32::MAX / 1000,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_int_guc(
        c"persona.onnx_load_timeout",
        c"Seconds that the ONNX process may take to load a model, which it then refuses.",
        c"A reload of the configuration makes it try again.",
        &ONNX_LOAD_TIMEOUT,
        1,
        i32::MAX / 1000,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
}

fn memory(
    name: &'static CStr,
    short: &'static CStr,
    setting: &'static GucSetting<i32>,
    context: GucContext,
    min: i32,
) {
    GucRegistry::define_int_guc(
        name,
        short,
        c"",
        setting,
        min,
        i32::MAX,
        context,
        GucFlags::UNIT_KB,
    );
}

fn file_text(
    name: &'static CStr,
    short: &'static CStr,
    setting: &'static GucSetting<Option<CString>>,
) {
    GucRegistry::define_string_guc(
        name,
        short,
        c"",
        setting,
        GucContext::Sighup,
        GucFlags::SUPERUSER_ONLY,
    );
}

/// Bytes that one operation of a query may take.
#[allow(unsafe_code, reason = "a setting of PostgreSQL's own")]
pub(crate) fn work_mem() -> usize {
    // SAFETY: an int that only this thread writes.
    unsafe { pgrx::pg_sys::work_mem.max(0) as usize * 1024 }
}

#[allow(unsafe_code, reason = "a setting of PostgreSQL's own")]
fn max_parallel_maintenance_workers() -> usize {
    // SAFETY: an int that only this thread writes.
    unsafe { pgrx::pg_sys::max_parallel_maintenance_workers.max(0) as usize }
}
