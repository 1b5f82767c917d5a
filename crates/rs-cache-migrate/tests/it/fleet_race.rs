//! Two processes in a fleet, three real Redis servers, hot keys: whatever happens to the record or to one of
//! them, no wrong value and no deleted key.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use rs_cache_migrate::Stage;
use rs_core::Share;
use rs_testkit::{Redis, wait_until};

use crate::{
    processes::{LEASE, LIMIT, Log, Raced, SECOND, Second, make, member, second, verdict, work},
    support::{by, runs},
};

/// Some step that is legal here; it may be refused, and then the next is tried.
async fn somewhere(migration: &Raced) -> bool {
    let stage = migration.state().stage;
    let taken = match fastrand::u8(0..10) {
        0 if stage == Stage::Live => {
            let share = Share::percent(f64::from(fastrand::u8(1..100))).unwrap();
            migration.set_share(share, by()).await
        }
        1 if stage != Stage::Off => migration.step_back(by()).await,
        // From complete nothing leads back.
        _ if stage == Stage::RampDown => migration.step_back(by()).await,
        _ => migration.advance(by()).await,
    };
    taken.is_ok()
}

fn signal(process: u32, what: &str) {
    let sent = std::process::Command::new("kill")
        .args([what, &process.to_string()])
        .status();
    assert!(sent.unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_never_serves_a_wrong_value() {
    if let Ok(told) = std::env::var(SECOND) {
        return second(&told).await;
    }
    let test = "fleet_race::a_fleet_never_serves_a_wrong_value";
    let server = || {
        Redis::builder()
            .append_only(true)
            .setting("appendfsync", "always")
    };
    let (legacy, new, record) = (
        server().start().await.unwrap(),
        server().start().await.unwrap(),
        // It forgets when it is killed.
        Redis::builder().append_only(false).start().await.unwrap(),
    );
    let folder = legacy.folder().to_owned();
    let path = |number: u64| folder.join(format!("log-{number}")).display().to_string();
    let (migration, old_cache, new_cache) = make(&legacy.url(), &new.url(), Duration::ZERO);
    let joined = migration.join_fleet(member(&record.url(), "first")).await;
    joined.unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let log = Log::to(&path(0));
    let working = tokio::spawn(work(migration.clone(), log, 1, Arc::clone(&over)));
    let mut number = 1;
    let told = |number: u64| {
        let (first, path) = (number * 1_000_000_000, path(number));
        let (legacy, new, record) = (legacy.url(), new.url(), record.url());
        format!("{legacy}\n{new}\n{path}\n{first}\noff\n0\n1\n{record}")
    };
    let mut other = Second::start(test, told(number)).await;
    let (mut steps, mut back) = (0_u32, 0_u32);
    for _ in 0..runs(6) {
        for _ in 0..20 {
            steps += u32::from(somewhere(&migration).await);
            tokio::time::sleep(Duration::from_millis(fastrand::u64(20..120))).await;
        }
        let a_while = || tokio::time::sleep(LEASE.mul_f64(fastrand::f64() * 2.0));
        match fastrand::u8(0..7) {
            0 => {
                record.kill().await;
                a_while().await;
                record.restart().await.unwrap();
            }
            1 => {
                record.pause().unwrap();
                a_while().await;
                record.resume().unwrap();
            }
            // The other sleeps, perhaps for longer than its lease, and the rest goes on without it.
            2 => {
                let process = other.child.id().unwrap();
                signal(process, "-STOP");
                for _ in 0..20 {
                    steps += u32::from(somewhere(&migration).await);
                    tokio::time::sleep(LEASE / 8).await;
                }
                signal(process, "-CONT");
            }
            3 => {
                other.child.kill().await.unwrap();
                number += 1;
                other = Second::start(test, told(number)).await;
            }
            // Both of them go back, or one, with or without a record.
            4 => {
                back += 1;
                let down = fastrand::bool();
                if down {
                    record.kill().await;
                }
                if fastrand::bool() {
                    let _ = migration.rollback(by());
                } else if migration.state().stage != Stage::Off {
                    other.order("try rollback").await;
                    other.hear("@done").await;
                }
                a_while().await;
                if down {
                    record.restart().await.unwrap();
                }
            }
            _ => {}
        }
        if migration.state().held {
            let released = || async { migration.release(by()) || !migration.state().held };
            let limit = Duration::from_secs(10);
            wait_until("released", limit, released).await.unwrap();
        }
    }
    let alike = || async {
        let heard = migration.report().fleet.unwrap();
        heard.away.is_none() && heard.waiting == 0
    };
    let limit = Duration::from_secs(10);
    wait_until("they stand alike", limit, alike).await.unwrap();
    over.store(true, SeqCst);
    working.await.unwrap();
    other.order("stop").await;
    other.hear("@over").await;
    other.child.wait().await.unwrap();
    tokio::time::sleep(LIMIT * 2).await;

    let logs: Vec<_> = (0..=number).map(path).collect();
    let (reads, done) = verdict(&migration, &old_cache, &new_cache, &logs).await;
    println!(
        "{reads} reads and {done} changes, {steps} steps, {back} rollbacks, {number} second processes: none wrong"
    );
    assert!(steps > 0, "{}", migration.report());
}
