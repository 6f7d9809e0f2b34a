//! The models in memory, and which of them a GPU has no room for.

use std::collections::HashMap;
use std::sync::{Arc, atomic::Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::arguments::Provider;
use super::sessions::Model;
use crate::onnx::wire::Sha256;

/// How long a model that the GPU had no room for stays on the CPU.
const GPU_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// Models that are in turn too much for the GPU would else do nothing but leave it and come back.
const LEAVE_GPU_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Cache {
    models: HashMap<Sha256, Arc<Model>>,
    /// Models that the GPU had no room for, and until when they run on the CPU.
    cpu_only: HashMap<Sha256, Instant>,
    /// When all models last left the GPU.
    left_gpu: Option<Instant>,
}

impl Cache {
    pub(super) fn get(&mut self, sha256: &Sha256) -> Option<Arc<Model>> {
        if self.cpu_only.get(sha256).is_some_and(|until| *until <= Instant::now()) {
            // The GPU may have room again: as if it had never been loaded.
            self.cpu_only.remove(sha256);
            self.models.remove(sha256);
        }
        self.models.get(sha256).cloned()
    }

    pub(super) fn insert(&mut self, sha256: Sha256, model: Arc<Model>) {
        self.models.insert(sha256, model);
    }

    pub(super) fn remove(&mut self, sha256: &Sha256) -> Option<Arc<Model>> {
        self.models.remove(sha256)
    }

    /// How many, and what they are reckoned to take.
    pub(super) fn usage(&self) -> (u32, u64) {
        (self.models.len() as u32, self.models.values().map(|model| model.cost).sum())
    }

    /// Drops the least recently used until `cost` more fits. A model in use lives until its run ends.
    pub(super) fn make_room(&mut self, cost: u64, allowed: u64) {
        while self.usage().1.saturating_add(cost) > allowed {
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

    /// Forgets all models, which hold on to the memory of their largest batch. They are for the caller to drop, without the
    /// lock; one in use lives until its run ends.
    pub(super) fn forget_all(&mut self) -> Vec<Arc<Model>> {
        self.models.drain().map(|(_, model)| model).collect()
    }

    pub(super) fn is_cpu_only(&self, sha256: &Sha256) -> bool {
        self.cpu_only.get(sha256).is_some_and(|until| Instant::now() < *until)
    }

    pub(super) fn use_cpu(&mut self, sha256: Sha256) {
        self.cpu_only.insert(sha256, Instant::now() + GPU_AGAIN_AFTER);
    }

    /// Takes the models from the GPU, where each needs a hundred megabytes however small it is, to make room for one that
    /// somebody wants now. They are for the caller to drop, without the lock: freeing waits for what the GPU does.
    pub(super) fn leave_gpu(&mut self) -> Vec<Arc<Model>> {
        if self.left_gpu.is_some_and(|at| at.elapsed() < LEAVE_GPU_EVERY) {
            return Vec::new();
        }
        let left: Vec<_> = self
            .models
            .extract_if(|_, model| model.provider != Provider::Cpu)
            .map(|(_, model)| model)
            .collect();
        if !left.is_empty() {
            self.left_gpu = Some(Instant::now());
        }
        left
    }
}
