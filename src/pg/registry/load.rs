//! Models in memory: a call site finds the version that its snapshot sees, and a backend loads each version once.

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use pgrx::pg_sys;
use pgrx::prelude::*;
use sha2::{Digest, Sha256};

use crate::pg::error::{Error, Report, report};
use crate::pg::security::{current_role, with_catalog_names};

use super::{Version, active, spi_failed};

/// What a kind of model is in memory.
pub(crate) trait Model: Sized + 'static {
    /// The kind in the registry and in messages: `segments`, `scorer`, `recommender`.
    const KIND: &'static str;

    /// Loads a version; [`payload`] gives its checked bytes. An `Err` says why they are not a model of this kind.
    fn load(version: &Version) -> Result<Self, LoadError>;
}

/// Why a version could not be loaded.
pub(crate) enum LoadError {
    Corrupt(String),
    Other(Report),
}

impl From<Report> for LoadError {
    fn from(report: Report) -> Self {
        LoadError::Other(report)
    }
}

/// A call site's model: found again when the statement's snapshot, the name or the role is another.
pub(crate) struct Found<T> {
    key: Option<(SnapshotKey, String, pg_sys::Oid)>,
    found: Option<(Version, Rc<T>)>,
}

impl<T> Default for Found<T> {
    fn default() -> Self {
        Self { key: None, found: None }
    }
}

impl<T: Model> Found<T> {
    /// The active version of the model, and whether it is another one than at the call before.
    #[inline]
    pub(crate) fn get(&mut self, name: &str) -> Result<(&Version, &Rc<T>, bool), Report> {
        let snapshot = SnapshotKey::now();
        let role = current_role();
        let is_same =
            self.key.as_ref().is_some_and(|(s, n, r)| *s == snapshot && *r == role && n == name);
        let mut is_new = false;
        if !is_same {
            let version = active(name, T::KIND)?;
            if self.found.as_ref().is_none_or(|(known, _)| *known != version) {
                let model = load(&version)?;
                self.found = Some((version, model));
                is_new = true;
            }
            self.key = Some((snapshot, name.to_owned(), role));
        }
        match &self.found {
            Some((version, model)) => Ok((version, model, is_new)),
            None => Err(Error::UnknownModel { name: name.to_owned() }.into()),
        }
    }
}

/// What a snapshot sees, in seven numbers: two snapshots of a session with equal keys see the same rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct SnapshotKey {
    xmin: u32,
    xmax: u32,
    /// Transactions and subtransactions in progress: of those below one xmax they only ever become fewer. An imported
    /// snapshot has no count of completions, and is told apart by these.
    in_progress: (u32, i32),
    command: u32,
    /// A rollback to a savepoint takes rows back and leaves all the other numbers as they are in a transaction that keeps its
    /// snapshot.
    subtransaction: u32,
    completions: u64,
}

impl SnapshotKey {
    #[inline]
    #[allow(unsafe_code, reason = "the active snapshot is a global of PostgreSQL")]
    fn now() -> Self {
        // SAFETY: a function runs with an active snapshot; a null one is answered below.
        unsafe {
            let snapshot = pg_sys::GetActiveSnapshot();
            if snapshot.is_null() {
                return Self::default();
            }
            let snapshot = &*snapshot;
            Self {
                xmin: u32::from(snapshot.xmin),
                xmax: u32::from(snapshot.xmax),
                in_progress: (snapshot.xcnt, snapshot.subxcnt),
                subtransaction: pg_sys::GetCurrentSubTransactionId(),
                command: snapshot.curcid,
                completions: snapshot.snapXactCompletionCount,
            }
        }
    }
}

/// A version's model, from this backend's memory or the registry.
pub(crate) fn load<T: Model>(version: &Version) -> Result<Rc<T>, Report> {
    if let Some(model) = CACHED.with_borrow_mut(|cache| cache.get::<T>(&version.sha256)) {
        return Ok(model);
    }
    let model = T::load(version).map_err(|error| match error {
        LoadError::Other(report) => report,
        LoadError::Corrupt(why) => {
            Error::CorruptModel { name: version.name.clone(), version: version.version, why }.into()
        }
    })?;
    let model = Rc::new(model);
    CACHED.with_borrow_mut(|cache| cache.insert(version.sha256, Rc::clone(&model)));
    Ok(model)
}

/// A version's bytes; their sha256 is checked.
pub(crate) fn payload(version: &Version) -> Result<Vec<u8>, Report> {
    let bytes = with_catalog_names(|| {
        Spi::connect(|client| {
            let rows = client.select(
                "SELECT bytes FROM persona.model_chunk WHERE model_id = $1 AND version = $2 ORDER BY position",
                None,
                &[version.model_id.into(), version.version.into()],
            )?;
            let mut bytes = Vec::new();
            for row in rows {
                bytes.extend_from_slice(row.get::<&[u8]>(1)?.unwrap_or_default());
            }
            Ok(bytes)
        })
    })
    .map_err(spi_failed)?;
    if Sha256::digest(&bytes)[..] == version.sha256 {
        return Ok(bytes);
    }
    let why =
        format!("its {} bytes do not have the sha256 that was written with them", bytes.len());
    Err(Error::CorruptModel { name: version.name.clone(), version: version.version, why }.into())
}

/// Decodes a payload that was written by [`encode`]; every model checks its parts itself after.
pub(crate) fn decode<T: serde::de::DeserializeOwned>(version: &Version) -> Result<T, LoadError> {
    postcard::from_bytes(&payload(version)?).map_err(|error| LoadError::Corrupt(error.to_string()))
}

pub(crate) fn encode<T: serde::Serialize>(model: &T) -> Result<Vec<u8>, Report> {
    postcard::to_stdvec(model).map_err(|error| {
        report(
            PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            format!("a model cannot be written: {error}"),
        )
    })
}

thread_local! {
    static CACHED: RefCell<Cache> = RefCell::default();
}

/// Loaded models by the sha256 of their bytes: a version never changes, so nothing here can be stale.
#[derive(Default)]
struct Cache {
    models: HashMap<[u8; 32], Cached>,
    clock: u64,
}

struct Cached {
    model: Rc<dyn Any>,
    used_at: u64,
}

impl Cache {
    fn get<T: 'static>(&mut self, sha256: &[u8; 32]) -> Option<Rc<T>> {
        self.clock += 1;
        let cached = self.models.get_mut(sha256)?;
        cached.used_at = self.clock;
        Rc::clone(&cached.model).downcast().ok()
    }

    fn insert<T: 'static>(&mut self, sha256: [u8; 32], model: Rc<T>) {
        const MODELS: usize = 64;
        self.clock += 1;
        if self.models.len() >= MODELS
            && let Some(oldest) =
                self.models.iter().min_by_key(|(_, cached)| cached.used_at).map(|(sha, _)| *sha)
        {
            self.models.remove(&oldest);
        }
        self.models.insert(sha256, Cached { model, used_at: self.clock });
    }
}
