//! A service registry behind a retry and a breaker that know nothing of registries.

use std::{sync::Arc, time::Duration};

use rs_patterns::{
    backends::{Backend, BackendError, File, FileConfig, Guarded},
    breaker::{Breaker, BreakerConfig, BreakerState, Trip},
    core::{Backoff, Shared},
    metrics::Surroundings,
    policies::{Retry, RetryConfig},
};

#[tokio::test(start_paused = true)]
async fn a_registry_that_is_away_is_tried_again_and_then_left_alone() {
    let around = Surroundings::apart();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("instances.json");
    let file = File::within(&around, "registry", FileConfig::new(&path).unwrap());
    let tripping = BreakerConfig::default().with_trip([Trip::consecutive_failures(6)]);
    let breaker = Breaker::within(&around, "registry", tripping).unwrap();
    let backoff = Backoff::constant(Duration::from_millis(10));
    let retry = Retry::within(&around, "registry", RetryConfig::new(3, backoff)).unwrap();
    let registry: Arc<dyn Backend> =
        Arc::new(Guarded::new(file, (Shared::new(retry), breaker.clone())));

    for _ in 0..2 {
        let away = registry.discover("payments").await;
        assert!(
            matches!(away, Err(BackendError::Unreachable(_))),
            "{away:?}"
        );
    }
    assert_eq!(breaker.state(), BreakerState::Open, "three attempts each");
    let refused = registry.discover("payments").await;
    assert!(
        matches!(refused, Err(BackendError::Rejected(_))),
        "{refused:?}"
    );
    let mistaken = registry.discover("").await;
    assert!(mistaken.is_err(), "{mistaken:?}");

    std::fs::write(&path, r#"{"instances":[]}"#).unwrap();
    tokio::time::advance(Duration::from_secs(120)).await;
    assert!(registry.discover("payments").await.unwrap().is_empty());
}
