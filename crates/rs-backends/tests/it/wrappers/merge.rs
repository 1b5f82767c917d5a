use std::{sync::Arc, time::Duration};

use super::Comes;
use crate::{ids, instance, until};
use rs_backends::{
    Backend, BackendError, Memory, Merge, RegisterWith, ServiceInstance, Standing, StaticList,
    async_trait,
    conformance::{self, Subject},
};
use rs_core::{Clock, Condition, Directory};
use rs_metrics::Surroundings;

struct Merged(Merge);

#[async_trait]
impl Subject for Merged {
    async fn connect(&self) -> Arc<dyn Backend> {
        Arc::new(self.0.clone())
    }
}

fn of(parts: Vec<Arc<dyn Backend>>) -> Merge {
    Merge::new("merged", parts, RegisterWith::First).unwrap()
}

#[tokio::test(start_paused = true)]
async fn it_keeps_all_promises() {
    for register in [RegisterWith::First, RegisterWith::All] {
        let parts: [Arc<dyn Backend>; 3] = [
            Arc::new(Memory::new("first")),
            Arc::new(Memory::new("second")),
            Arc::new(StaticList::new("third", [])),
        ];
        let merge = Merge::new("merged", parts, register).unwrap();
        conformance::check(&Merged(merge)).await;
    }
}

fn in_zone(id: &str, zone: &str) -> ServiceInstance {
    let builder = instance("a", id).to_builder().zone(zone);
    builder.build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn of_two_with_one_id_the_earlier_counts_unless_it_is_away() {
    let (first, second) = (Comes::new(), Comes::new());
    first.says(&[in_zone("1", "first"), in_zone("2", "first")]);
    second.says(&[in_zone("2", "second"), in_zone("3", "second")]);
    let merge = of(vec![
        Arc::new(first.connect("first")),
        Arc::new(second.connect("second")),
    ]);
    let mut watch = merge.watch("a").unwrap();
    let set = until(&mut watch, "all", |set| set.is_current()).await;
    assert_eq!(ids(&set), ["1", "2", "3"]);
    assert_eq!(set.get("2").unwrap().zone(), Some("first"));
    first.goes_away();
    let set = until(&mut watch, "kept", |set| !set.is_current()).await;
    assert_eq!(ids(&set), ["1", "2", "3"], "its part is kept");
    assert_eq!(
        set.get("2").unwrap().zone(),
        Some("second"),
        "who is current knows better"
    );
    assert!(matches!(
        set.standing(),
        Standing::Kept(BackendError::Unreachable(_))
    ));
    let error = merge.discover("a").await.unwrap_err();
    assert!(
        error.may_pass(),
        "half of the world is not the world: {error}"
    );
    // What is current goes on changing.
    second.says(&[in_zone("4", "second")]);
    let set = until(&mut watch, "a change of the other", |set| {
        set.get("4").is_some()
    });
    assert_eq!(ids(&set.await), ["1", "2", "4"]);
    first.says(&[in_zone("1", "first")]);
    let set = until(&mut watch, "back", |set| set.is_current()).await;
    assert_eq!(ids(&set), ["1", "4"]);
}

#[tokio::test(start_paused = true)]
async fn the_age_is_that_of_the_oldest_part() {
    let (first, second) = (Comes::new(), Comes::new());
    first.says(&[instance("a", "1")]);
    second.says(&[instance("a", "2")]);
    let merge = of(vec![
        Arc::new(first.connect("first")),
        Arc::new(second.connect("second")),
    ]);
    let mut watch = merge.watch("a").unwrap();
    until(&mut watch, "both", |set| set.len() == 2).await;
    first.goes_away();
    until(&mut watch, "kept", |set| !set.is_current()).await;
    let minute = Duration::from_secs(60);
    let nothing = rs_testkit::within("a change", minute, watch.changed()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    let age = watch.age(Clock::default().now()).unwrap();
    assert!(
        (minute..minute + Duration::from_secs(5)).contains(&age),
        "{age:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_never_answered_is_missing_and_the_set_says_so() {
    let (first, second) = (Comes::new(), Comes::new());
    second.says(&[instance("a", "2")]);
    let merge = of(vec![
        Arc::new(first.connect("first")),
        Arc::new(second.connect("second")),
    ]);
    let mut watch = merge.watch("a").unwrap();
    let set = watch.changed().await.unwrap();
    assert_eq!(ids(&set), ["2"]);
    assert!(matches!(set.standing(), Standing::Kept(_)), "{set:?}");
    let health = merge.health_check().await;
    assert_eq!(health.condition(), Condition::Degraded);
    assert!(health.health().why().starts_with("first: "), "{health:?}");
    first.says(&[instance("a", "1")]);
    let set = until(&mut watch, "both", |set| set.is_current()).await;
    assert_eq!(ids(&set), ["1", "2"]);
}

#[tokio::test]
async fn what_is_alike_in_both_stays_the_same_allocation() {
    let (first, second) = (Memory::new("first"), Memory::new("second"));
    let merge = of(vec![Arc::new(first.clone()), Arc::new(second.clone())]);
    second.register(instance("a", "1")).await.unwrap();
    let mut watch = merge.watch("a").unwrap();
    let before = until(&mut watch, "the second's", |set| set.len() == 1).await;
    // It moves: the same instance, now also in the first.
    first.register(instance("a", "1")).await.unwrap();
    first.register(instance("a", "2")).await.unwrap();
    let after = until(&mut watch, "both", |set| set.len() == 2).await;
    assert!(Arc::ptr_eq(
        before.get("1").unwrap(),
        after.get("1").unwrap()
    ));
}

#[tokio::test]
async fn there_must_be_one_and_it_is_in_the_directory() {
    assert!(Merge::new("none", [], RegisterWith::All).is_err());
    let directory = Directory::new();
    let around = Surroundings::apart().with_directory(directory.clone());
    let parts: [Arc<dyn Backend>; 1] = [Arc::new(Memory::new("only"))];
    let merge = Merge::within(&around, "one", parts, RegisterWith::All).unwrap();
    let shown = directory.find("backend", "one").unwrap().snapshot();
    assert_eq!(shown.to_string(), "{registry: merge, parts: [only]}");
    drop(merge);
    assert!(directory.find("backend", "one").is_none());
}
