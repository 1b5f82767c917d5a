use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use super::Comes;
use crate::{erased, instance, until};
use rs_backends::{
    Backend, BackendError, Guarded, Memory, async_trait,
    conformance::{self, Subject},
};
use rs_core::{Call, Ending, Guard, Name, Outcome, Reason, Rejection};

/// Counts how calls ended, and lets nobody in after three failures in a row.
#[derive(Default)]
struct Fuse {
    failed: AtomicU32,
    ignored: AtomicU32,
    succeeded: AtomicU32,
}

static BLOWN: Reason = Reason::new("fuse", "blown");

impl Guard for Fuse {
    type Ticket = ();

    fn try_enter(&self, call: &Call) -> Result<(), Rejection> {
        assert!(call.is_safe_to_repeat());
        match self.failed.load(Relaxed) {
            0..3 => Ok(()),
            _ => Err(BLOWN.reject(Name::of("fuse"))),
        }
    }

    fn leave(&self, (): (), ending: Ending) {
        match ending {
            Ending::Finished { outcome, .. } => match outcome {
                Outcome::Success => self.succeeded.fetch_add(1, Relaxed),
                Outcome::Failure(_) => self.failed.fetch_add(1, Relaxed),
                _ => self.ignored.fetch_add(1, Relaxed),
            },
            _ => 0,
        };
    }
}

struct Under(Guarded<Memory, Arc<Fuse>>);

#[async_trait]
impl Subject for Under {
    async fn connect(&self) -> Arc<dyn Backend> {
        Arc::new(self.0.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_lets_all_through_keeps_all_promises() {
    let fuse = Arc::new(Fuse::default());
    let guarded = Guarded::new(Memory::new("guarded"), Arc::clone(&fuse));
    conformance::check(&Under(guarded)).await;
    assert_eq!(fuse.failed.load(Relaxed), 0);
    assert!(fuse.succeeded.load(Relaxed) > 20);
    assert!(fuse.ignored.load(Relaxed) > 0, "wrong names say nothing");
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_heard_and_what_is_refused_is_said() {
    let registry = Comes::new();
    let fuse = Arc::new(Fuse::default());
    let guarded = Guarded::new(registry.connect("guarded"), Arc::clone(&fuse));
    for _ in 0..3 {
        let failed = guarded.discover("a").await;
        assert!(
            matches!(failed, Err(BackendError::Unreachable(_))),
            "{failed:?}"
        );
    }
    let refused = guarded.discover("a").await.unwrap_err();
    assert!(refused.may_pass());
    assert_eq!(refused.to_string(), "fuse `fuse` refused the call: blown");
    let refused = guarded.register(instance("a", "1")).await;
    assert!(
        matches!(refused, Err(BackendError::Rejected(_))),
        "{refused:?}"
    );
    // A watch and a look at the registry go on.
    registry.says(&[instance("a", "1")]);
    assert!(guarded.health_check().await.health().is_up());
    let mut watch = erased(guarded).watch("a").unwrap();
    let there = until(&mut watch, "there", |set| set.len() == 1);
    rs_testkit::within("there", Duration::from_secs(5), there)
        .await
        .unwrap();
}
