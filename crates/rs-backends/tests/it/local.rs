//! The backends of one process.

use std::sync::Arc;

use crate::{erased, ids, instance, until};
use rs_backends::{
    Backend, BackendError, Memory, ServiceInstance, StaticList, async_trait,
    conformance::{self, Subject},
    metrics::{Answered, OPERATIONS, Operation, SKIPPED},
};
use rs_core::Directory;
use rs_metrics::{Registry, Surroundings};

struct InMemory(Memory);

#[async_trait]
impl Subject for InMemory {
    async fn connect(&self) -> Arc<dyn Backend> {
        Arc::new(self.0.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn a_memory_keeps_all_promises() {
    conformance::check(&InMemory(Memory::new("conformance"))).await;
}

/// A list cannot change: each handle has the newest.
#[derive(Default)]
struct Lists(std::sync::Mutex<Vec<ServiceInstance>>);

#[async_trait]
impl Subject for Lists {
    async fn connect(&self) -> Arc<dyn Backend> {
        let all = self.0.lock().unwrap().clone();
        Arc::new(StaticList::new("conformance", all))
    }

    async fn write(&self, instances: &[ServiceInstance]) -> bool {
        *self.0.lock().unwrap() = instances.to_vec();
        true
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_keeps_all_promises() {
    // Its `connect` comes before `write` in one place: what is gone is asked of a new handle.
    let lists = Lists::default();
    conformance::check_reading(&lists).await;
}

#[tokio::test]
async fn a_list_takes_no_registrations() {
    let list = erased(StaticList::new(
        "list",
        [instance("a", "1"), instance("a", "1")],
    ));
    assert!(matches!(
        list.register(instance("a", "2")).await,
        Err(BackendError::Unsupported(_))
    ));
    assert_eq!(
        list.discover("a").await.unwrap().len(),
        1,
        "the id counts once"
    );
}

#[tokio::test]
async fn a_watch_holds_only_the_newest_set() {
    let memory = Memory::new("newest");
    let mut watch = memory.watch("a").unwrap();
    for id in 0..100 {
        memory
            .register(instance("a", &id.to_string()))
            .await
            .unwrap();
    }
    assert_eq!(
        watch.changed().await.unwrap().len(),
        100,
        "what was missed is in the newest"
    );
    let mut second = memory.watch("a").unwrap();
    assert_eq!(second.changed().await.unwrap().len(), 100);
}

#[tokio::test]
async fn a_dropped_wait_loses_nothing() {
    let memory = Memory::new("dropped");
    let mut watch = memory.watch("a").unwrap();
    until(&mut watch, "nobody", |set| set.is_empty()).await;
    for count in 1..=50 {
        let waiting = watch.changed();
        drop(waiting);
        memory
            .register(instance("a", &count.to_string()))
            .await
            .unwrap();
        let set = until(&mut watch, "one more", |set| set.len() == count).await;
        assert_eq!(set.len(), count);
    }
}

#[tokio::test]
async fn it_counts_and_is_in_the_directory() {
    let (registry, directory) = (Registry::new(), Directory::new());
    let around = Surroundings::apart()
        .with_metrics(registry.clone())
        .with_directory(directory.clone());
    let memory = Memory::within(&around, "north");
    memory.register(instance("a", "1")).await.unwrap();
    memory.discover("a").await.unwrap();
    let read = |operation| OPERATIONS.read(&registry, "north", (operation, Answered::Ok));
    assert_eq!(read(Operation::Register), Some(1));
    assert_eq!(read(Operation::Discover), Some(1));
    let shown = directory
        .find("backend", "north")
        .unwrap()
        .snapshot()
        .to_string();
    assert_eq!(shown, "{registry: memory, services: 1, instances: 1}");
    let _list = StaticList::within(&around, "south", [instance("a", "1"), instance("a", "1")]);
    assert_eq!(SKIPPED.read(&registry, "south", ()), Some(1));
    drop(memory);
    assert!(directory.find("backend", "north").is_none());
}

#[tokio::test]
async fn services_without_instances_or_watchers_take_no_room() {
    let memory = Memory::new("bounded");
    for service in 0..Memory::MAX_SERVICES {
        memory
            .register(instance(&service.to_string(), "1"))
            .await
            .unwrap();
    }
    let full = memory.register(instance("one more", "1")).await;
    assert_eq!(
        full,
        Err(BackendError::TooMany {
            what: "services",
            limit: Memory::MAX_SERVICES
        })
    );
    memory.deregister("7", "1").await.unwrap();
    memory.register(instance("one more", "1")).await.unwrap();
    let set = memory.discover("one more").await.unwrap();
    assert_eq!(ids(&set), ["1"]);
}
