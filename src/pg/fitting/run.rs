//! From a source to a version: lock, read, learn, store.

use serde_json::Value;

use crate::pg::error::Report;
use crate::pg::kind::Kind;
use crate::pg::models::registry::{self, Filing, NewVersion, Version};
use crate::pg::sys::progress::Progress;

/// A fit of a kind of models, with its arguments.
pub(crate) trait Fitting {
    const KIND: Kind;
    type Read;
    type Learnt;

    /// Reads the source; the model's lock is held.
    fn read(&self, run: &Run, progress: &mut Progress) -> Result<Self::Read, Report>;

    fn learn(&mut self, read: Self::Read, progress: &mut Progress) -> Result<Self::Learnt, Report>;

    /// What the registry keeps of it.
    fn filed(&self, learnt: &Self::Learnt) -> Result<Filed, Report>;
}

/// Which fit is run, and for whom.
pub(crate) struct Run<'a> {
    /// The SQL function, as `persona.activity` shows it.
    function: &'static str,
    pub(crate) model: &'a str,
    pub(crate) source: &'a str,
    filing: Filing,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        function: &'static str,
        model: &'a str,
        source: &'a str,
        filing: Filing,
    ) -> Self {
        Self { function, model, source, filing }
    }

    /// Of a refit, whose version is active at once: a caller who finds it worse than the live one raises an error, and the
    /// transaction takes it back.
    pub(crate) fn again(live: &'a Version, source: &'a str) -> Self {
        Self { function: "refit", model: &live.name, source, filing: Filing::REFIT }
    }
}

/// What the registry keeps of a fit.
pub(crate) struct Filed {
    pub(crate) algorithm: &'static str,
    pub(crate) payload: Vec<u8>,
    pub(crate) n_rows: usize,
    pub(crate) features: Vec<String>,
    /// The arguments, by which a refit runs it again.
    pub(crate) parameters: Value,
    pub(crate) metrics: Value,
}

pub(crate) struct Done<L> {
    pub(crate) version: Version,
    pub(crate) learnt: L,
    /// The version that was active before.
    pub(crate) replaced: Option<Version>,
    pub(crate) progress: Progress,
}

pub(crate) fn run<F: Fitting>(fitting: &mut F, run: &Run) -> Result<Done<F::Learnt>, Report> {
    let Run { function, model, source, filing } = *run;
    let before = registry::lock_for_fit(model, F::KIND)?;
    let replaced = registry::fresh(|| before.map_or(Ok(None), |before| before.active()))?;
    let mut progress = Progress::start(function, model);
    let read = fitting.read(run, &mut progress)?;
    progress.phase("fitting");
    let learnt = fitting.learn(read, &mut progress)?;
    progress.phase("storing");
    let Filed { algorithm, payload, n_rows, features, parameters, metrics } =
        fitting.filed(&learnt)?;
    let version = registry::store(&NewVersion {
        model,
        kind: F::KIND,
        algorithm,
        payload: &payload,
        n_rows,
        features,
        parameters,
        metrics,
        source: Some(source),
        filing,
    })?;
    Ok(Done { version, learnt, replaced, progress })
}
