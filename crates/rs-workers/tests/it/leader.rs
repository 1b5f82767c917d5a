//! One leader at a time, in one process.

use crate::support::*;
use rs_workers::{
    Claim, Epoch, LeaderConfig, Lease, LeaseError, LeaseFuture, ManagerConfig, MemoryLease,
    Surroundings, WorkerContext, WorkerError, WorkerManager, leader_only, worker,
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

/// A lease that can be cut off.
#[derive(Clone)]
struct Wire {
    lease: MemoryLease,
    cut: Arc<AtomicBool>,
    hangs: Arc<AtomicBool>,
}

impl Wire {
    fn new(lease: &MemoryLease) -> Self {
        Self {
            lease: lease.clone(),
            cut: Arc::default(),
            hangs: Arc::default(),
        }
    }

    async fn pass(&self) -> Result<(), LeaseError> {
        if self.hangs.load(SeqCst) {
            std::future::pending::<()>().await;
        }
        match self.cut.load(SeqCst) {
            true => Err(LeaseError::new("cut off")),
            false => Ok(()),
        }
    }
}

impl Lease for Wire {
    fn acquire<'a>(&'a self, claim: &'a Claim) -> LeaseFuture<'a, Option<Epoch>> {
        Box::pin(async move {
            self.pass().await?;
            self.lease.acquire(claim).await
        })
    }

    fn renew<'a>(&'a self, claim: &'a Claim, epoch: Epoch) -> LeaseFuture<'a, bool> {
        Box::pin(async move {
            self.pass().await?;
            self.lease.renew(claim, epoch).await
        })
    }

    fn release<'a>(&'a self, claim: &'a Claim, epoch: Epoch) -> LeaseFuture<'a, ()> {
        Box::pin(async move {
            self.pass().await?;
            self.lease.release(claim, epoch).await
        })
    }
}

/// A replica whose leader writes down its epoch, and how many lead at once.
struct Replica {
    workers: WorkerManager,
    wire: Wire,
    around: Surroundings,
}

#[derive(Clone, Default)]
struct Led {
    epochs: Arc<Mutex<Vec<(String, u64)>>>,
    leading: Alive,
    doubled: Arc<AtomicBool>,
}

fn replica(name: &'static str, lease: &MemoryLease, led: &Led) -> Replica {
    let around = Surroundings::apart();
    let workers = WorkerManager::within(&around, name, ManagerConfig::default()).unwrap();
    let (wire, led) = (Wire::new(lease), led.clone());
    let relay = worker("relay", move |ctx: WorkerContext| {
        let led = led.clone();
        async move {
            let _leading = led.leading.enter();
            led.doubled.fetch_or(led.leading.count() > 1, SeqCst);
            led.epochs
                .lock()
                .unwrap()
                .push((name.to_owned(), ctx.epoch().unwrap().number()));
            ctx.stopped().await;
        }
    });
    let config = LeaderConfig::default()
        .with_lease(9 * SECOND)
        .with_holder(name);
    let relay = leader_only(relay, wire.clone(), config);
    workers
        .register_with(relay, |it| it.ready_within(SECOND))
        .unwrap();
    Replica {
        workers,
        wire,
        around,
    }
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_the_next_follows_when_it_stops() {
    let (lease, led) = (MemoryLease::new(), Led::default());
    let (a, b) = (replica("a", &lease, &led), replica("b", &lease, &led));
    a.workers.start_all().await.unwrap();
    settle().await;
    b.workers.start_all().await.unwrap();
    sleep(5 * MINUTE).await;
    assert_eq!(*led.epochs.lock().unwrap(), [("a".to_owned(), 1)]);
    assert_eq!(led.leading.count(), 1);
    let report = a.workers.stop_all().await;
    assert!(report.is_clean(), "{report}");
    // Given back, not left to run out.
    sleep(3100 * MILLI).await;
    assert_eq!(
        led.epochs.lock().unwrap().last().unwrap(),
        &("b".to_owned(), 2)
    );
    assert!(!led.doubled.load(SeqCst));
}

#[tokio::test(start_paused = true)]
async fn who_is_cut_off_stops_before_another_leads() {
    for hangs in [false, true] {
        let (lease, led) = (MemoryLease::new(), Led::default());
        let (a, b) = (replica("a", &lease, &led), replica("b", &lease, &led));
        a.workers.start_all().await.unwrap();
        settle().await;
        b.workers.start_all().await.unwrap();
        sleep(MINUTE).await;
        match hangs {
            true => a.wire.hangs.store(true, SeqCst),
            false => a.wire.cut.store(true, SeqCst),
        }
        sleep(MINUTE).await;
        assert_eq!(
            *led.epochs.lock().unwrap(),
            [("a".to_owned(), 1), ("b".to_owned(), 2)]
        );
        assert!(!led.doubled.load(SeqCst), "never two at once");
        let said: Vec<_> = a
            .around
            .recorder()
            .recent(10)
            .iter()
            .map(|it| it.signal.to_string())
            .collect();
        assert_eq!(
            said,
            [
                "worker relay: leads, epoch 1",
                "worker relay: no longer leads, epoch 1: the lease could not be renewed in time"
            ],
        );
        // Back on the wire it waits like any other.
        a.wire.cut.store(false, SeqCst);
        a.wire.hangs.store(false, SeqCst);
        sleep(MINUTE).await;
        assert_eq!(led.leading.count(), 1);
        b.workers.stop_all().await;
        sleep(10 * SECOND).await;
        assert_eq!(
            led.epochs.lock().unwrap().last().unwrap(),
            &("a".to_owned(), 3)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_break_of_the_wire_is_borne() {
    let (lease, led) = (MemoryLease::new(), Led::default());
    let a = replica("a", &lease, &led);
    a.workers.start_all().await.unwrap();
    for _ in 0..20 {
        sleep(7 * SECOND).await;
        a.wire.cut.store(true, SeqCst);
        sleep(3 * SECOND).await;
        a.wire.cut.store(false, SeqCst);
    }
    assert_eq!(*led.epochs.lock().unwrap(), [("a".to_owned(), 1)]);
}

#[tokio::test(start_paused = true)]
async fn who_hears_that_another_leads_is_dropped_at_once() {
    let (lease, led) = (MemoryLease::new(), Led::default());
    let a = replica("a", &lease, &led);
    a.workers.start_all().await.unwrap();
    sleep(SECOND).await;
    lease.revoke("relay");
    let claim = Claim::new("relay", "a stranger", MINUTE);
    assert_eq!(lease.acquire(&claim).await.unwrap(), Some(Epoch::new(2)));
    sleep(4 * SECOND).await;
    assert_eq!(led.leading.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_fails_or_panics_gives_its_lease_back() {
    for panics in [false, true] {
        let lease = MemoryLease::new();
        let bench = Bench::new();
        let dies = worker("dies", move |_: WorkerContext| async move {
            sleep(SECOND).await;
            match panics {
                true => std::panic::resume_unwind(Box::new("dead")),
                false => Err(WorkerError::from("dead")),
            }
        });
        let config = LeaderConfig::default().with_lease(MINUTE);
        let long = rs_core::Backoff::constant(MINUTE * 10);
        let dies = leader_only(dies, lease.clone(), config);
        bench
            .workers
            .register_with(dies, |it| it.with_backoff(long))
            .unwrap();
        bench.workers.start_all().await.unwrap();
        sleep(500 * MILLI).await;
        assert!(lease.leader("dies").is_some());
        sleep(SECOND).await;
        assert!(lease.leader("dies").is_none());
        assert!(bench.heard("dead"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_memory_lease_keeps_the_contract() {
    keeps_the_contract(&MemoryLease::new(), 200 * MILLI, sleep).await;
}

/// What every lease has to do that lasts two units.
pub(crate) async fn keeps_the_contract(
    lease: &impl Lease,
    unit: Duration,
    pass: impl AsyncFn(Duration),
) {
    let claim = |holder: &str| Claim::new("job", holder, 2 * unit);
    let (a, b) = (claim("a"), claim("b"));
    let first = lease.acquire(&a).await.unwrap().unwrap();
    assert_eq!(lease.acquire(&b).await.unwrap(), None);
    assert!(lease.renew(&a, first).await.unwrap());
    assert!(
        !lease.renew(&b, first).await.unwrap(),
        "not somebody else's"
    );
    // Whoever did not hear the answer begins a new term.
    let second = lease.acquire(&a).await.unwrap().unwrap();
    assert!(second > first);
    assert!(
        !lease.renew(&a, first).await.unwrap(),
        "the old term is over"
    );
    lease.release(&a, first).await.unwrap();
    assert_eq!(
        lease.acquire(&b).await.unwrap(),
        None,
        "an old term gives nothing back"
    );
    lease.release(&b, second).await.unwrap();
    assert_eq!(
        lease.acquire(&b).await.unwrap(),
        None,
        "nor does another holder"
    );
    lease.release(&a, second).await.unwrap();
    let third = lease.acquire(&b).await.unwrap().unwrap();
    assert!(third > second);
    // Other names have leases of their own.
    let other = Claim::new("other job", "a", 2 * unit);
    assert!(lease.acquire(&other).await.unwrap().is_some());
    // Renewed it lasts, and left alone it ends.
    for _ in 0..4 {
        pass(unit).await;
        assert!(lease.renew(&b, third).await.unwrap());
    }
    pass(3 * unit).await;
    assert!(!lease.renew(&b, third).await.unwrap());
    assert!(lease.acquire(&a).await.unwrap().unwrap() > third);
}
