//! Kubernetes, through EndpointSlices.

mod config;
mod credentials;
mod kubeconfig;
mod merged;
mod names;
mod registry;
mod slice;
mod source;
mod wire;
mod written;

use std::sync::Arc;

use rs_core::Name;
use rs_metrics::Surroundings;

pub use config::KubernetesConfig;

use crate::remote::{Remote, backend_by_remote};
use registry::KubernetesRegistry;

/// Kubernetes, through the EndpointSlices of a namespace (`discovery.k8s.io/v1`, Kubernetes 1.21 and later).
///
/// ```no_run
/// use rs_backends::{Backend, Kubernetes, KubernetesConfig};
///
/// # async fn doc() -> Result<(), Box<dyn std::error::Error>> {
/// let config = KubernetesConfig::in_cluster()?.with_port_name("grpc")?;
/// let kubernetes = Kubernetes::new("kubernetes", config);
/// let payments = kubernetes.discover("payments").await?;
/// # Ok(()) }
/// ```
///
/// It needs the right to `list` and `watch` `endpointslices` in the group `discovery.k8s.io`; to register,
/// also `get`, `create`, `patch` and `delete`.
///
/// # What an instance is
///
/// - All slices of a service are one set. An endpoint that two slices name, as while it moves, is there
///   once, in its better health. Of a pod with addresses of both families one counts, by default IPv4.
/// - Calls go to the first port for TCP, or to that of [`KubernetesConfig::with_port_name`]; the others are
///   its further ports. A slice without such a port is left out and counted.
///
/// | conditions | health |
/// |---|---|
/// | ready, or nothing said | passing |
/// | terminating and serving | draining |
/// | anything else | critical |
///
/// - The zone of the endpoint is the zone, the label `app.kubernetes.io/version` the version. Other labels of
///   the service are metadata, beside `pod`, `node`, `hostname`, `for-zones` (the zones that it is meant
///   for), `port-name` and `app-protocol`.
///
/// # What it does
///
/// - `discover` is as it is now, which costs the server a look at every slice of the namespace. A watch begins
///   with what the server has in memory, and goes on from that version, with bookmarks. The server ends it
///   after [`KubernetesConfig::with_wait`]; it goes on from the last version without a new list.
/// - Everything is listed anew, not older than what is known, and replaced as a whole, when the server has
///   forgotten the version (410, in the answer or inside it) and after every failure.
/// - A cluster that was restored from a backup has lower versions. So what is now is asked for when a server
///   refuses a version that is yet to come (504), when a version is lower than the one before, and when a
///   watch ended without having said anything.
/// - A watch that does not end in time is given up: the connection is dead, or the server.
///
/// # Registering
///
/// Inside a cluster its own controllers write the slices of services with a selector; registering is for
/// what they do not know: processes outside, or parts of a pod.
///
/// - Each instance is a slice of its own, applied by the server (`managed-by: rs-backends`). It says what
///   everybody understands in the slice's own fields, and everything else in an annotation.
/// - **There is no time to live.** Kubernetes has none for slices, and one made of renewals would wake every
///   node of the cluster at each. A crashed instance stays, unless its pod owns it
///   ([`KubernetesConfig::with_owner`]): then the cluster removes it with the pod. At a third of the time to
///   live it is looked for, and written again if it is gone.
/// - Kubernetes takes no loopback addresses. A name of a service that is no label is written as a
///   fingerprint of it, with the name in the annotation.
///
/// A service has at most 100,000 instances, an event 8 MiB.
#[derive(Debug, Clone)]
pub struct Kubernetes(Arc<Remote<KubernetesRegistry>>);

impl Kubernetes {
    /// This namespace. It is not asked for anything yet.
    #[must_use]
    pub fn new(name: impl Into<Name>, config: KubernetesConfig) -> Self {
        Self::within(&Surroundings::of_process(), name, config)
    }

    /// The same in surroundings of one's own.
    #[must_use]
    pub fn within(around: &Surroundings, name: impl Into<Name>, config: KubernetesConfig) -> Self {
        let rules = config.rules.clone();
        let registry = KubernetesRegistry::new(config, around.clock().clone());
        Self(Remote::within(around, name.into(), registry, rules))
    }

    /// Goes by another configuration from now on. Watches ask anew and keep what they know meanwhile. What is
    /// registered is put into another cluster or namespace when it is due to be looked for; where it was it
    /// stays until somebody deletes it.
    ///
    /// The directory has this as the action `reconfigure`.
    pub fn reconfigure(&self, config: KubernetesConfig) {
        let rules = config.rules.clone();
        let registry = KubernetesRegistry::new(config, self.0.station().clock().clone());
        self.0.reconfigure(registry, rules);
    }
}

backend_by_remote!(Kubernetes);

#[cfg(any(fuzzing, test))]
pub(crate) fn read_kubeconfig(text: &str) {
    let _ = kubeconfig::parse(text, None, std::path::Path::new("/nonexistent"));
}

/// Whatever these bytes may be of all that is read here, and the instances of the service `a` in them.
#[cfg(any(fuzzing, test))]
pub(crate) fn read(data: &[u8]) -> Vec<crate::ServiceInstance> {
    let mut objects = wire::page(data).map_or_else(|_| Vec::new(), |page| page.items);
    if let Ok(wire::Event::Is { object, .. } | wire::Event::Gone { object, .. }) = wire::event(data)
    {
        objects.push(object);
    }
    objects.extend(serde_json::from_slice::<serde_json::Value>(data));
    let Ok(config) = KubernetesConfig::new("http://x") else {
        return Vec::new();
    };
    let mut merged = merged::Merged::default();
    for object in objects {
        merged.put("a", &config, object);
    }
    let all = merged.instances().unwrap_or_default();
    all.into_iter().map(Arc::unwrap_or_clone).collect()
}

#[cfg(test)]
mod tests;
