//! Pipelines by name.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use rs_core::{Policy, Shared};
use rs_policies::{Bulkhead, BulkheadConfig, Pipelines, Surroundings, Timeout};

use crate::pipeline::Broken;

fn bulkhead(name: &'static str) -> Bulkhead {
    Bulkhead::within(&Surroundings::apart(), name, BulkheadConfig::of(1)).unwrap()
}

async fn call(policy: &impl Policy<(), Broken>) -> Result<(), String> {
    let called = policy.call("call", async |_call| Ok(()));
    called.await.map_err(|failure| failure.to_string())
}

#[tokio::test]
async fn a_name_is_refused_until_something_is_registered() {
    let pipelines = Pipelines::new();
    let named = pipelines.named("bank");
    let refused = Err("pipeline `bank` refused the call: not_registered".to_owned());
    assert_eq!(call(&named).await, refused);
    assert!(!named.is_registered() && pipelines.get("bank").is_none());

    assert!(pipelines.register("bank", bulkhead("first")).is_none());
    assert_eq!(call(&named).await, Ok(()));
    assert_eq!(call(&pipelines.named("bank")).await, Ok(()));
    assert_eq!(call(&pipelines.get("bank").unwrap()).await, Ok(()));

    assert!(pipelines.remove("bank").is_some());
    assert!(pipelines.remove("bank").is_none());
    assert_eq!(call(&named).await, refused);
}

#[tokio::test(start_paused = true)]
async fn a_call_stays_with_the_pipeline_that_it_began_with() {
    let pipelines = Pipelines::new();
    let (first, second) = (bulkhead("first"), bulkhead("second"));
    pipelines.register("bank", first.clone());
    let named = pipelines.named("bank");
    let inside = AtomicU32::new(0);
    let slow = named.call("slow", async |_call| {
        inside.fetch_add(1, Relaxed);
        rs_core::Clock::tokio().sleep(Duration::from_secs(1)).await;
        Ok::<_, Broken>(())
    });
    let replace = async {
        while inside.load(Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert!(pipelines.register("bank", second.clone()).is_some());
        assert_eq!((first.in_flight(), second.in_flight()), (1, 0));
        call(&named).await.unwrap();
        assert_eq!(first.in_flight(), 1);
    };
    let (slow, ()) = tokio::join!(slow, replace);
    slow.unwrap();
    assert_eq!(first.in_flight(), 0);
}

#[tokio::test]
async fn surroundings_have_their_own() {
    let (one, other) = (Surroundings::apart(), Surroundings::apart());
    Pipelines::of(&one).register("bank", bulkhead("bank"));
    assert!(Pipelines::of(&one).get("bank").is_some());
    assert!(Pipelines::of(&other).get("bank").is_none());
    let given = Pipelines::new();
    given.register("bank", bulkhead("bank"));
    assert!(Pipelines::of(&other.with(given)).get("bank").is_some());
}

#[tokio::test]
async fn any_policy_can_be_registered() {
    let pipelines = Pipelines::new();
    let limit = Timeout::total("bank", Duration::from_secs(1)).unwrap();
    pipelines.register("bank", Shared::new((limit, bulkhead("bank"))));
    assert_eq!(call(&pipelines.named("bank")).await, Ok(()));
    assert_eq!(
        format!("{:?}", pipelines.named("bank")),
        r#"NamedPipeline { name: "bank", registered: true }"#
    );
    assert_eq!(format!("{pipelines:?}"), r#"{"bank"}"#);
}

#[test]
fn threads_find_the_same_place() {
    let pipelines = Arc::new(Pipelines::new());
    let named: Vec<_> = std::thread::scope(|scope| {
        let asking = [(); 8].map(|()| scope.spawn(|| pipelines.named("bank")));
        asking
            .into_iter()
            .map(|asked| asked.join().unwrap())
            .collect()
    });
    pipelines.register("bank", bulkhead("bank"));
    assert!(named.iter().all(rs_policies::NamedPipeline::is_registered));
}
