//! A model's way in: chunk by chunk, its sha256 checked, scanned, and only then given to ONNX Runtime.

use std::os::unix::net::UnixStream;
use std::sync::Arc;

use sha2::{Digest, Sha256 as Hasher};

use super::hangup::Work;
use super::problem::{failure, kind_of, no_memory};
use super::serve::{Shared, poisonous};
use super::sessions::LoadError;
use crate::onnx::scan;
use crate::onnx::wire::{ErrorKind, Response, Sha256, slots};

/// A model on its way in.
pub(super) struct Loading {
    sha256: Sha256,
    total: u64,
    received: u64,
    bytes: Vec<u8>,
    /// Why the bytes are thrown away: they must be taken from the socket all the same.
    refusal: Option<Response>,
}

pub(super) fn begin(sha256: Sha256, total: u64, shared: &Shared) -> Loading {
    let allowed = shared.runtime.max_model();
    let mut loading = Loading { sha256, total, received: 0, bytes: Vec::new(), refusal: None };
    if shared.refused.contains(&sha256) {
        loading.refusal = Some(poisonous());
    } else if total > allowed {
        let message = format!(
            "model of {total} bytes is more than a quarter of the process's memory, {allowed} bytes"
        );
        loading.refusal = Some(failure(ErrorKind::ModelTooLarge, message));
    } else if loading.bytes.try_reserve_exact(total as usize).is_err() {
        loading.refusal = Some(failure(ErrorKind::OutOfMemory, "no memory for the model"));
    }
    loading
}

/// A chunk for which there was no memory: the rest must be taken from the socket all the same, and then is the answer due.
pub(super) fn miss_chunk(
    mut begun: Loading,
    bytes: u64,
    refusal: Response,
    loading: &mut Option<Loading>,
) -> Option<Response> {
    begun.received = begun.received.saturating_add(bytes);
    begun.bytes = Vec::new();
    if begun.received >= begun.total {
        return Some(refusal);
    }
    begun.refusal.get_or_insert(refusal);
    *loading = Some(begun);
    None
}

/// The answer when the model is all there; None while more is to come.
pub(super) fn take_chunk(
    mut begun: Loading,
    chunk: &[u8],
    loading: &mut Option<Loading>,
    shared: &Shared,
    slot: usize,
    stream: &Arc<UnixStream>,
) -> Option<Response> {
    begun.received += chunk.len() as u64;
    if begun.received > begun.total || chunk.is_empty() {
        return Some(failure(ErrorKind::Protocol, "model is longer than it was said to be"));
    }
    if begun.refusal.is_none() {
        begun.bytes.extend_from_slice(chunk);
    }
    if begun.received < begun.total {
        *loading = Some(begun);
        return None;
    }
    if let Some(refusal) = begun.refusal {
        return Some(refusal);
    }
    if Hasher::digest(&begun.bytes)[..] != begun.sha256 {
        return Some(failure(
            ErrorKind::Protocol,
            "model does not have the sha256 it was said to have",
        ));
    }
    if let Err(error) = scan::scan(&begun.bytes) {
        return Some(failure(ErrorKind::ModelRefused, error.to_string()));
    }
    let _ = slots::busy(&shared.slots, slot, &begun.sha256, 0);
    let watched = shared.hang_ups.watch(stream, slot, begun.sha256, Work::Load);
    let added = shared.runtime.add(begun.sha256, &begun.bytes);
    watched.finish_load();
    let _ = slots::idle(&shared.slots, slot);
    Some(match added {
        Ok(model) => Response::Ready { warning: model.warning.clone() },
        Err(LoadError::Invalid(problem)) => {
            failure(kind_of(&problem, ErrorKind::ModelInvalid), problem)
        }
        Err(LoadError::Provider(problem)) => failure(ErrorKind::Provider, problem),
        Err(LoadError::NoMemory(provider, problem)) => no_memory(provider, "model", &problem),
    })
}
