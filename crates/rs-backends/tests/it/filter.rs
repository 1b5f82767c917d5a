//! A backend of which only some instances are seen.

use std::{sync::Arc, time::Duration};

use crate::{ids, instance, until};
use rs_backends::{
    Backend, Filter, Memory, ServiceInstance, async_trait,
    conformance::{self, Subject},
};

struct All(Filter<Memory>);

#[async_trait]
impl Subject for All {
    async fn connect(&self) -> Arc<dyn Backend> {
        Arc::new(self.0.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_leaves_nothing_out_keeps_all_promises() {
    conformance::check(&All(Filter::new(Memory::new("all"), |_| true))).await;
}

fn tagged(id: &str) -> ServiceInstance {
    instance("a", id)
        .to_builder()
        .tag("canary")
        .build()
        .unwrap()
}

#[tokio::test]
async fn changes_of_what_is_left_out_are_not_told() {
    let memory = Memory::new("filtered");
    let canaries = Filter::new(memory.clone(), |instance| instance.has_tag("canary"));
    let second = Filter::new(canaries.clone(), |instance| instance.id() == "2");
    let mut watch = canaries.watch("a").unwrap();
    let mut both = second.watch("a").unwrap();
    assert!(watch.changed().await.unwrap().is_empty());
    memory.register(instance("a", "0")).await.unwrap();
    let untold = rs_testkit::within("a change", Duration::from_millis(50), watch.changed()).await;
    assert!(untold.is_err(), "{untold:?}");
    for id in ["1", "2"] {
        memory.register(tagged(id)).await.unwrap();
    }
    let set = until(&mut watch, "both", |set| set.len() == 2).await;
    assert_eq!(ids(&set), ["1", "2"]);
    assert_eq!(ids(&watch.latest().unwrap()), ["1", "2"]);
    let set = until(&mut both, "the second", |set| set.len() == 1).await;
    assert_eq!(ids(&set), ["2"], "filters stack");
    memory.register(instance("a", "1")).await.unwrap();
    memory.register(instance("a", "2")).await.unwrap();
    let set = until(&mut watch, "nobody", |set| set.is_empty()).await;
    assert!(
        set.is_current(),
        "nothing is doubted: the registry says nothing of the kind"
    );
    assert_eq!(memory.discover("a").await.unwrap().len(), 3);
}
