//! Models in memory: a backend loads each version once, and checks its bytes.

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use sha2::{Digest, Sha256};

use crate::algo::encoded;
use crate::algo::memory;
use crate::pg::error::Report;
use crate::pg::kind::Kind;

use super::{Version, select};

/// What a kind of model is in memory.
pub(crate) trait Stored: Sized + 'static {
    const KIND: Kind;

    /// Loads a version; [`payload`] gives its checked bytes. An `Err` says why they are not a model of this kind.
    fn load(version: &Version) -> Result<Self, LoadError>;
}

/// Why a version could not be loaded.
pub(crate) enum LoadError {
    Corrupt(String),
    Other(Report),
}

impl LoadError {
    /// That this version cannot be loaded.
    pub(crate) fn of(self, version: &Version) -> Report {
        match self {
            LoadError::Corrupt(why) => version.corrupt(why),
            LoadError::Other(report) => report,
        }
    }
}

impl From<Report> for LoadError {
    fn from(report: Report) -> Self {
        LoadError::Other(report)
    }
}

/// A version's model, from this backend's memory or the registry.
pub(crate) fn load<T: Stored>(version: &Version) -> Result<Rc<T>, Report> {
    if let Some(model) = CACHED.with_borrow_mut(|cache| cache.get::<T>(version)) {
        return Ok(model);
    }
    let model = T::load(version).map_err(|error| error.of(version))?;
    let model = Rc::new(model);
    CACHED.with_borrow_mut(|cache| cache.insert(version, Rc::clone(&model)));
    Ok(model)
}

/// A version's bytes; their sha256 is checked.
pub(crate) fn payload(version: &Version) -> Result<Vec<u8>, Report> {
    let read = RefCell::new((Vec::new(), Ok(())));
    select(
        "SELECT bytes FROM persona.model_chunk WHERE model_id = $1 AND version = $2 ORDER BY position",
        &[version.model_id.into(), version.version.into()],
        |row| {
            let (bytes, room) = &mut *read.borrow_mut();
            if let (Some(chunk), Ok(())) = (row.get::<&[u8]>(1), &room) {
                *room = memory::extend(bytes, chunk);
            }
        },
    )?;
    let (bytes, room) = read.into_inner();
    room?;
    if Sha256::digest(&bytes)[..] == version.sha256 {
        return Ok(bytes);
    }
    let n_bytes = bytes.len();
    Err(version
        .corrupt(format!("its {n_bytes} bytes do not have the sha256 that was written with them")))
}

/// Decodes a payload that was written by [`encode`]; every model checks its parts itself after.
pub(crate) fn decode<T: serde::de::DeserializeOwned>(version: &Version) -> Result<T, LoadError> {
    let bytes = payload(version)?;
    memory::probe_decoding(bytes.len() / 2).map_err(Report::from)?;
    postcard::from_bytes(&bytes).map_err(|error| LoadError::Corrupt(error.to_string()))
}

pub(crate) fn encode<T: serde::Serialize>(model: &T) -> Result<Vec<u8>, Report> {
    Ok(encoded::to_bytes(model)?)
}

thread_local! {
    static CACHED: RefCell<Cache> = RefCell::default();
}

/// Loaded models. A version never changes, and its id and digest are never another's, so nothing here can be stale.
#[derive(Default)]
struct Cache {
    models: HashMap<Key, Cached>,
    clock: u64,
}

/// Model, version, when it was written, digest of the bytes. By the digest alone two imports of the same bytes would bind alike.
type Key = (i64, i32, i64, [u8; 32]);

struct Cached {
    model: Rc<dyn Any>,
    used_at: u64,
}

impl Cache {
    fn get<T: 'static>(&mut self, version: &Version) -> Option<Rc<T>> {
        self.clock += 1;
        let cached = self.models.get_mut(&key(version))?;
        cached.used_at = self.clock;
        Rc::clone(&cached.model).downcast().ok()
    }

    fn insert<T: 'static>(&mut self, version: &Version, model: Rc<T>) {
        const MODELS: usize = 64;
        self.clock += 1;
        if self.models.len() >= MODELS
            && let Some(oldest) =
                self.models.iter().min_by_key(|(_, cached)| cached.used_at).map(|(key, _)| *key)
        {
            self.models.remove(&oldest);
        }
        self.models.insert(key(version), Cached { model, used_at: self.clock });
    }
}

fn key(version: &Version) -> Key {
    (version.model_id, version.version, version.written_at, version.sha256)
}
