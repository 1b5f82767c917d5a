//! Every decoder, with what must hold whatever it is given.
//!
//! The same functions are fuzzed (`cargo xtask fuzz`) and are property tests here.

use std::{path::Path, time::Duration};

use rs_core::{Clock, hash};

use crate::{BackendConfig, InstanceSet, ServiceInstance, cached, file};

/// One of them.
pub type Decode = fn(&[u8]);

/// The decoders by name.
pub const ALL: &[(&str, Decode)] = &[
    ("instance", instance),
    ("file_json", file_json),
    ("file_toml", file_toml),
    ("snapshot", snapshot),
    ("config", config),
    #[cfg(feature = "consul")]
    ("consul", consul),
    #[cfg(feature = "dns")]
    ("dns", dns),
    #[cfg(feature = "etcd")]
    ("etcd", etcd),
    #[cfg(feature = "kubernetes")]
    ("kubeconfig", kubeconfig),
    #[cfg(feature = "kubernetes")]
    ("kubernetes", kubernetes),
    #[cfg(feature = "redis")]
    ("redis", redis),
];

/// An instance as JSON. What is taken is right, and comes back as it was.
pub fn instance(data: &[u8]) {
    let Ok(instance) = serde_json::from_slice::<ServiceInstance>(data) else {
        return;
    };
    right(&instance);
    let again = serde_json::to_vec(&instance).map(|text| serde_json::from_slice(&text));
    assert!(
        matches!(again, Ok(Ok(same)) if instance == same),
        "{instance:?}"
    );
}

/// A file of instances as JSON.
pub fn file_json(data: &[u8]) {
    file(data, "x.json");
}

/// A file of instances as TOML.
pub fn file_toml(data: &[u8]) {
    file(data, "x.toml");
}

fn file(data: &[u8], name: &str) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok((listing, _)) = file::parse(Path::new(name), text) else {
        return;
    };
    for (service, all) in listing.all() {
        each_once(service, all.iter().map(|one| (**one).clone()));
    }
}

/// A snapshot whose sum is right: all else may be wrong.
pub fn snapshot(data: &[u8]) {
    let (clock, _hand) = Clock::manual();
    let signed = [
        format!("rs-backends snapshot 1 {:016x}\n", hash::stable(data)).as_bytes(),
        data,
    ]
    .concat();
    let now = cached::Moment {
        monotonic: clock.now(),
        wall: Duration::from_secs(1_800_000_000),
    };
    for text in [data, &signed] {
        for (service, known) in cached::read(text, now, None).unwrap_or_default() {
            assert!(known.confirmed <= clock.now());
            each_once(&service, known.instances.iter().map(|one| (**one).clone()));
        }
    }
}

/// Which backend it is to be, as TOML.
pub fn config(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = toml::from_str::<BackendConfig>(text).map(|config| format!("{config:?}"));
    }
}

/// What an agent answers about the service `a`.
#[cfg(feature = "consul")]
pub fn consul(data: &[u8]) {
    if let Ok(listed) = crate::consul::read("a", data) {
        each_once("a", listed.instances);
    }
}

/// What a name server answers about `a`.
#[cfg(feature = "dns")]
pub fn dns(data: &[u8]) {
    let name = crate::dns::Domain::new("a");
    if let (Ok(message), Some(name)) = (crate::dns::Message::read(data), name) {
        each_once("a", crate::dns::read(&message, &name));
    }
}

/// What etcd answers about the service `a`: all of it, or a line of a watch.
#[cfg(feature = "etcd")]
pub fn etcd(data: &[u8]) {
    if let Ok(range) = crate::etcd::read_range("a", "/rs-backends/a/", data) {
        each_once("a", range.known.into_values());
    }
    let _ = crate::etcd::read_watch("a", data).map(|watched| format!("{watched:?}"));
}

/// A kubeconfig, which names no files that are there.
#[cfg(feature = "kubernetes")]
pub fn kubeconfig(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        crate::kubernetes::read_kubeconfig(text);
    }
}

/// What an API server says about the service `a`: a list, an event or a slice.
#[cfg(feature = "kubernetes")]
pub fn kubernetes(data: &[u8]) {
    each_once("a", crate::kubernetes::read(data));
}

/// Ids and texts in turn, one a line, as Redis answers about the service `a`.
#[cfg(feature = "redis")]
pub fn redis(data: &[u8]) {
    let rows: Vec<_> = data
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    if let Ok(listed) = crate::redis::read("a", rows.len() / 2, &rows) {
        let count = listed.instances.len() as u64 + listed.skipped;
        assert_eq!(count, rows.len().div_ceil(2) as u64);
        each_once("a", listed.instances);
    }
}

fn each_once(service: &str, instances: impl IntoIterator<Item = ServiceInstance>) {
    let set = InstanceSet::new(service, instances, Clock::manual().0.now());
    for instance in set.instances().iter() {
        right(instance);
        assert_eq!(instance.service(), service);
        assert!(
            set.get(instance.id())
                .is_some_and(|found| found == instance)
        );
    }
    let sorted = set
        .instances()
        .is_sorted_by(|one, next| one.id() < next.id());
    assert!(sorted, "{set:?}");
}

fn right(instance: &ServiceInstance) {
    for name in [instance.service(), instance.id()] {
        assert!(
            (1..=ServiceInstance::MAX_NAME).contains(&name.len()),
            "{name:?}"
        );
        assert!(!name.chars().any(char::is_control), "{name:?}");
    }
    assert!(instance.port() > 0 && instance.weight() > 0);
    assert!(instance.ports().all(|(_, port)| port > 0));
    assert!(!instance.host().is_empty());
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn seeds(name: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
        let files = fs::read_dir(folder.join(name)).unwrap();
        files
            .map(|file| fs::read(file.unwrap().path()).unwrap())
            .collect()
    }

    /// A real answer with some of its bytes changed, cut or doubled.
    fn damaged(seed: &[u8], (at, byte, how): (prop::sample::Index, u8, u8)) -> Vec<u8> {
        let mut data = seed.to_vec();
        let at = at.index(data.len().max(1));
        match how % 4 {
            0 if at < data.len() => data[at] = byte,
            1 => data.truncate(at),
            2 => data.insert(at.min(data.len()), byte),
            _ => data.extend_from_slice(&seed[at.min(seed.len())..]),
        }
        data
    }

    proptest! {
        #[test]
        fn damage_and_rubbish_are_no_panic_and_no_wrong_set(
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<u8>()), 1..4),
            rubbish in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            for (name, decode) in ALL {
                decode(&rubbish);
                for seed in seeds(name) {
                    decode(&seed);
                    let data = damage.iter().fold(seed, |data, damage| damaged(&data, *damage));
                    decode(&data);
                }
            }
        }
    }
}
