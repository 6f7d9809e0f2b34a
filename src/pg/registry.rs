//! Models as rows: versions that never change, found by name under the statement's snapshot, loaded once per backend.
//!
//! Reads use read-only SPI (no transaction id, so they work on standbys and in parallel workers). Every look-up runs with
//! pg_catalog alone on the search_path, and as the caller, so row-level security decides what is there.

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use pgrx::prelude::*;
use pgrx::{JsonB, pg_sys};
use sha2::{Digest, Sha256};

use super::error::{Error, Report, report};
use super::security::{current_role, has_rights_of, is_read_only, with_catalog_names};

/// A version of a model, as the registry describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) model_id: i64,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) owner: pg_sys::Oid,
    pub(crate) version: i32,
    pub(crate) algorithm: String,
    pub(crate) sha256: [u8; 32],
}

/// What a fit or an import writes.
pub(crate) struct NewVersion<'a> {
    pub(crate) model: &'a str,
    pub(crate) kind: &'static str,
    pub(crate) algorithm: &'a str,
    pub(crate) payload: &'a [u8],
    pub(crate) n_rows: usize,
    pub(crate) features: Vec<String>,
    /// The arguments of the fit, by which a refit runs it again.
    pub(crate) parameters: serde_json::Value,
    pub(crate) metrics: serde_json::Value,
    pub(crate) source: Option<&'a str>,
    pub(crate) activate: bool,
}

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

/// The bytes of a chunk in the registry: an out-of-line value that is fetched quickly.
const CHUNK: usize = 1 << 20;

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

/// The active version of the model of this name and kind.
pub(crate) fn active(name: &str, kind: &'static str) -> Result<Version, Report> {
    let version = find(name, None)?;
    if version.kind == kind {
        return Ok(version);
    }
    Err(Error::WrongKind { name: version.name, is: version.kind, wanted: kind }.into())
}

/// A version of a model: the active one, or the one asked for.
pub(crate) fn find(name: &str, version: Option<i32>) -> Result<Version, Report> {
    let unknown = || Report::from(Error::UnknownModel { name: name.to_owned() });
    let found = with_catalog_names(|| {
        Spi::connect(|client| {
            let rows = client.select(
                "SELECT m.id, m.name, m.kind, m.owner::pg_catalog.oid, v.version, v.algorithm, v.sha256 \
                 FROM persona.model m JOIN persona.model_version v ON v.model_id = m.id \
                 WHERE m.name = $1 AND v.version = coalesce($2, m.active_version)",
                Some(1),
                &[name.into(), version.into()],
            )?;
            if rows.is_empty() {
                return Ok(None);
            }
            let row = rows.first();
            let sha256: Option<Vec<u8>> = row.get(7)?;
            Ok(Some((
                row.get::<i64>(1)?,
                row.get::<String>(2)?,
                row.get::<String>(3)?,
                row.get::<pg_sys::Oid>(4)?,
                row.get::<i32>(5)?,
                row.get::<String>(6)?,
                sha256.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()),
            )))
        })
    })
    .map_err(spi_failed)?;
    match found {
        Some((
            Some(model_id),
            Some(name),
            Some(kind),
            Some(owner),
            Some(version),
            Some(algorithm),
            Some(sha256),
        )) => Ok(Version { model_id, name, kind, owner, version, algorithm, sha256 }),
        _ if version.is_some() => Err(report(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("model \"{name}\" has no version {}", version.unwrap_or_default()),
        )
        .set_hint("The view persona.model_versions lists the versions of each model.")),
        _ => Err(unknown()),
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

/// The arguments of a version's fit or import.
pub(crate) fn parameters(version: &Version) -> Result<serde_json::Value, Report> {
    let parameters = with_catalog_names(|| {
        Spi::connect(|client| {
            let rows = client.select(
                "SELECT parameters FROM persona.model_version WHERE model_id = $1 AND version = $2",
                Some(1),
                &[version.model_id.into(), version.version.into()],
            )?;
            if rows.is_empty() { Ok(None) } else { rows.first().get_one::<JsonB>() }
        })
    })
    .map_err(spi_failed)?;
    let missing = || Error::UnknownModel { name: version.name.clone() };
    Ok(parameters.ok_or_else(missing)?.0)
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

/// Checks that the name can be written by the current role, before a long fit begins; takes the model's lock, so that one
/// fit, refit or activation of a model runs at a time. False: another session has the lock and `wait` is false.
pub(crate) fn lock(name: &str, kind: Option<&str>, wait: bool) -> Result<bool, Report> {
    if name.is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
        return Err(Error::InvalidModelName { name: name.to_owned() }.into());
    }
    // Here and not at the first write, which would find out after the fit; on a standby it would even ask for a
    // transaction id, which is an internal error.
    if is_read_only() {
        return Err(report(
            PgSqlErrorCode::ERRCODE_READ_ONLY_SQL_TRANSACTION,
            format!("cannot change model \"{name}\" in a read-only transaction"),
        ));
    }
    let query = if wait {
        "SELECT pg_advisory_xact_lock(1886548595, hashtext($1)) IS NOT NULL"
    } else {
        "SELECT pg_try_advisory_xact_lock(1886548595, hashtext($1))"
    };
    let (locked, found) = with_catalog_names(|| {
        Spi::connect_mut(|client| {
            let locked =
                client.update(query, Some(1), &[name.into()])?.first().get_one::<bool>()?;
            let rows = client.update(
                "SELECT kind, owner::pg_catalog.oid FROM persona.model WHERE name = $1",
                Some(1),
                &[name.into()],
            )?;
            let found = if rows.is_empty() {
                None
            } else {
                Some(rows.first().get_two::<String, pg_sys::Oid>()?)
            };
            Ok((locked, found))
        })
    })
    .map_err(spi_failed)?;
    if locked == Some(false) {
        return Ok(false);
    }
    if let Some((Some(is), Some(owner))) = found {
        if !has_rights_of(current_role(), owner) {
            return Err(Error::NotOwner { name: name.to_owned() }.into());
        }
        if kind.is_some_and(|kind| kind != is) {
            return Err(Error::NameTaken { name: name.to_owned(), kind: Some(is) }.into());
        }
    }
    Ok(true)
}

/// Writes a version, and the model if it is new; returns it. The caller holds the model's [`lock`].
pub(crate) fn store(new: &NewVersion) -> Result<Version, Report> {
    let sha256: [u8; 32] = Sha256::digest(new.payload).into();
    let owner = current_role();
    let search_path = current_search_path();
    let stored = with_catalog_names(|| {
        Spi::connect_mut(|client| {
            client.update(
                "INSERT INTO persona.model (name, kind, owner) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
                None,
                &[new.model.into(), new.kind.into(), owner.into()],
            )?;
            // Under an old snapshot the model may have been changed or dropped since: then this is an error.
            client.update(
                "SELECT FROM persona.model WHERE name = $1 FOR NO KEY UPDATE",
                None,
                &[new.model.into()],
            )?;
            let rows = client.update(
                "SELECT m.id, coalesce(max(v.version), 0) + 1, m.owner::pg_catalog.oid FROM persona.model m \
                 LEFT JOIN persona.model_version v ON v.model_id = m.id WHERE m.name = $1 GROUP BY m.id",
                Some(1),
                &[new.model.into()],
            )?;
            if rows.is_empty() {
                return Ok(None);
            }
            let (Some(model_id), Some(version), Some(owner)) =
                rows.first().get_three::<i64, i32, pg_sys::Oid>()?
            else {
                return Ok(None);
            };
            client.update(
                "INSERT INTO persona.model_version (model_id, version, algorithm, n_rows, features, parameters, \
                 metrics, source, search_path, sha256, n_bytes, created_by) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
                None,
                &[
                    model_id.into(),
                    version.into(),
                    new.algorithm.into(),
                    (new.n_rows as i64).into(),
                    new.features.clone().into(),
                    JsonB(new.parameters.clone()).into(),
                    JsonB(new.metrics.clone()).into(),
                    new.source.into(),
                    search_path.as_str().into(),
                    sha256.as_slice().into(),
                    (new.payload.len() as i64).into(),
                    current_role().into(),
                ],
            )?;
            for (position, chunk) in new.payload.chunks(CHUNK).enumerate() {
                client.update(
                    "INSERT INTO persona.model_chunk (model_id, version, position, bytes) VALUES ($1, $2, $3, $4)",
                    None,
                    &[model_id.into(), version.into(), (position as i32).into(), chunk.into()],
                )?;
            }
            if new.activate {
                client.update(
                    "UPDATE persona.model SET active_version = $2 WHERE id = $1",
                    None,
                    &[model_id.into(), version.into()],
                )?;
            }
            client.update(
                "WITH old AS (SELECT v.model_id, v.version FROM persona.model_version v JOIN persona.model m \
                 ON m.id = v.model_id WHERE m.id = $1 AND v.version IS DISTINCT FROM m.active_version \
                 AND v.version <= $2 - m.keep_versions), \
                 chunks AS (DELETE FROM persona.model_chunk c USING old \
                 WHERE c.model_id = old.model_id AND c.version = old.version) \
                 DELETE FROM persona.model_version v USING old \
                 WHERE v.model_id = old.model_id AND v.version = old.version",
                None,
                &[model_id.into(), version.into()],
            )?;
            Ok(Some(Version {
                model_id,
                name: new.model.to_owned(),
                kind: new.kind.to_owned(),
                owner,
                version,
                algorithm: new.algorithm.to_owned(),
                sha256,
            }))
        })
    })
    .map_err(spi_failed)?;
    // The name is taken by a model that row-level security hides from this role.
    stored.ok_or_else(|| Error::NameTaken { name: new.model.to_owned(), kind: None }.into())
}

/// A failure inside SPI that is no error of PostgreSQL's (those unwind by themselves).
pub(crate) fn spi_failed(error: pgrx::spi::Error) -> Report {
    report(
        PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
        format!("a look-up in the registry failed: {error}"),
    )
}

/// The names of the schemas that unqualified names resolve in now, as a setting's text.
pub(crate) fn current_search_path() -> String {
    Spi::connect(|client| {
        client
            .select(
                "SELECT pg_catalog.string_agg(pg_catalog.quote_ident(s), ', ') \
                 FROM pg_catalog.unnest(pg_catalog.current_schemas(false)) AS s",
                Some(1),
                &[],
            )?
            .first()
            .get_one::<String>()
    })
    .ok()
    .flatten()
    .unwrap_or_default()
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
