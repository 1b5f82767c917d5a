//! Backends whose sets come from whole lists: written in code, or read from a file.

use std::{collections::HashMap, fmt, sync::Arc};

use crate::{ServiceInstance, set::sort};

/// All services of a list.
#[derive(Default, PartialEq)]
pub(crate) struct Listing(HashMap<String, Arc<[Arc<ServiceInstance>]>>);

impl Listing {
    /// The listing, and how many were left out because another has their id.
    pub(crate) fn new(instances: impl IntoIterator<Item = ServiceInstance>) -> (Self, u64) {
        let mut services: HashMap<String, Vec<_>> = HashMap::new();
        for instance in instances {
            let list = services.entry(instance.service().to_owned()).or_default();
            list.push(Arc::new(instance));
        }
        let mut twice = 0;
        let sorted = services.into_iter().map(|(service, mut list)| {
            twice += sort(&mut list);
            (service, list.into())
        });
        let listing = Self(sorted.collect());
        (listing, twice)
    }

    pub(crate) fn of(&self, service: &str) -> Arc<[Arc<ServiceInstance>]> {
        let known = self.0.get(service).cloned();
        known.unwrap_or_else(|| Arc::new([]))
    }

    #[cfg(any(fuzzing, test))]
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &Arc<[Arc<ServiceInstance>]>)> {
        self.0
            .iter()
            .map(|(service, list)| (service.as_str(), list))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.values().map(|list| list.len()).sum()
    }
}

impl fmt::Debug for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing")
            .field("services", &self.0.len())
            .field("instances", &self.len())
            .finish()
    }
}
