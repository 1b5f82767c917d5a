//! Many threads at once.

use std::{sync::Barrier, thread};

use super::{MS, NS, Stand, bucket};

fn admitted_by_eight(stand: &Stand, each: usize) -> usize {
    let start = Barrier::new(8);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    (0..each).filter(|_| stand.admits()).count()
                })
            })
            .collect();
        threads.into_iter().map(|one| one.join().unwrap()).sum()
    })
}

#[test]
fn eight_threads_share_a_burst() {
    for _ in 0..20 {
        let stand = Stand::new(bucket(1000, 10.0));
        assert_eq!(admitted_by_eight(&stand, 500), 1000);
    }
}

#[test]
fn eight_threads_and_a_clock_that_moves() {
    let stand = Stand::new(bucket(100, 1000.0));
    let admitted = thread::scope(|scope| {
        let mover = scope.spawn(|| {
            for _ in 0..1000 {
                stand.hand.advance(MS);
                thread::yield_now();
            }
        });
        let admitted = admitted_by_eight(&stand, 100_000);
        mover.join().unwrap();
        admitted + stand.admitted()
    });
    // A second, and a burst; nothing is lost unless the bucket was full, which it seldom is here.
    assert!(admitted <= 1100, "{admitted}");
    assert!(admitted >= 100, "{admitted}");
}

/// New rules come and go while calls do: what is there can only become less.
#[test]
fn eight_threads_while_the_rules_change() {
    let stand = Stand::new(bucket(1000, 10.0));
    let admitted = thread::scope(|scope| {
        let changer = scope.spawn(|| {
            for round in 0..2000_u32 {
                let rate = f64::from(10 + round % 7 * 1000);
                stand
                    .limit
                    .reconfigure(bucket(1000 + round % 3 * 1_000_000, rate))
                    .unwrap();
            }
        });
        let admitted = admitted_by_eight(&stand, 500);
        changer.join().unwrap();
        admitted + stand.admitted()
    });
    assert!(admitted <= 1000, "{admitted}");
    // Each change may round away a sliver of a token.
    assert!(admitted >= 998, "{admitted}");
    stand.hand.advance(NS);
}
