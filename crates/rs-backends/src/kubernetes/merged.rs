//! The slices of one service as one set.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde_json::Value;

use super::{
    config::KubernetesConfig,
    slice::{self, Candidate},
};
use crate::{BackendError, InstanceHealth, ServiceInstance};

/// How many instances a service may have.
pub(super) const MOST: usize = 100_000;

/// What is known of a service: what each of its slices names.
#[derive(Debug, Default)]
pub(super) struct Merged {
    slices: BTreeMap<String, Vec<Candidate>>,
}

impl Merged {
    /// This slice is so now. How many of its endpoints could not be used.
    pub(super) fn put(&mut self, service: &str, config: &KubernetesConfig, object: Value) -> u64 {
        let Some(name) = name(&object) else { return 1 };
        let contents = slice::read(service, config, object);
        match contents.candidates.is_empty() {
            true => self.slices.remove(&name),
            false => self.slices.insert(name, contents.candidates),
        };
        contents.skipped
    }

    /// This slice is no more.
    pub(super) fn remove(&mut self, object: &Value) {
        if let Some(name) = name(object) {
            self.slices.remove(&name);
        }
    }

    /// Everybody once: an endpoint that moves between slices is in both for a while, and a pod with two
    /// families of addresses is in slices of each. The preferred family counts, then the better health.
    pub(super) fn instances(&self) -> Result<Vec<Arc<ServiceInstance>>, BackendError> {
        let count = self.slices.values().map(Vec::len).sum::<usize>();
        if count > MOST {
            return Err(BackendError::TooMany {
                what: "instances",
                limit: MOST,
            });
        }
        let mut best: HashMap<&str, &Candidate> = HashMap::with_capacity(count);
        for candidate in self.slices.values().flatten() {
            let known = best.entry(&candidate.who).or_insert(candidate);
            if rank(candidate) < rank(known) {
                *known = candidate;
            }
        }
        // An address that went from one pod to the next is of both for a moment.
        let mut by_id: HashMap<&str, &Candidate> = HashMap::with_capacity(best.len());
        for candidate in best.into_values() {
            let known = by_id.entry(candidate.instance.id()).or_insert(candidate);
            if (rank(candidate), &candidate.who) < (rank(known), &known.who) {
                *known = candidate;
            }
        }
        let all = by_id.into_values();
        Ok(all
            .map(|candidate| Arc::clone(&candidate.instance))
            .collect())
    }
}

fn rank(candidate: &Candidate) -> (bool, InstanceHealth) {
    (candidate.second_choice, candidate.instance.health())
}

fn name(object: &Value) -> Option<String> {
    let name = object["metadata"]["name"].as_str()?;
    Some(name.to_owned())
}
