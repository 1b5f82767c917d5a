//! Two processes, two real Redis servers, hot keys: no wrong value, no deleted key, whatever happens to whom.
//!
//! The test runs itself once more as the second process. Each writes down when each of its operations began and
//! ended, by the clock of the machine; the first judges all of them together.

use std::{
    collections::HashMap,
    io::{Read, Write},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rs_cache_migrate::{
    BackfillConfig, CacheAdapter, CacheMigration, Entry, MigrationConfig, RedisCache, RedisFleet,
    Stage,
};
use rs_core::{Label, Rate, Share};
use rs_metrics::Surroundings;
use rs_testkit::{Fault, FaultProxy, Redis, wait_until};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::{
    redis_cache::Text,
    support::{HOUR, by, runs},
};

pub(crate) const KEYS: u64 = 128;
const WRITERS: u64 = 3;
/// What each server may take for an operation.
pub(crate) const LIMIT: Duration = Duration::from_millis(250);
/// The two processes differ by one step for less than this.
pub(crate) const PROPAGATION: Duration = Duration::from_millis(300);
/// Who is not heard of for this long is lost to its fleet.
pub(crate) const LEASE: Duration = Duration::from_millis(800);
/// Tells the second process that it is one: where the servers are, its name, where it writes.
pub(crate) const SECOND: &str = "RS_CACHE_MIGRATE_SECOND";

pub(crate) type Raced = CacheMigration<u64, u64, RedisCache<Text>, RedisCache<Text>>;

pub(crate) fn make(
    legacy: &str,
    new: &str,
    propagation: Duration,
) -> (Raced, RedisCache<Text>, RedisCache<Text>) {
    let cache = |url: &str| {
        RedisCache::new(url, Text)
            .unwrap()
            .with_prefix("race:")
            .with_limit(LIMIT)
    };
    let (legacy, new) = (cache(legacy).bare(), cache(new));
    let config = MigrationConfig::default()
        .shared_by_processes()
        .with_propagation(propagation)
        .with_doubts(1_000_000)
        .with_steps([Share::of(0.5).unwrap(), Share::ALL]);
    let around = Surroundings::apart();
    let migration =
        CacheMigration::within(&around, "race", legacy.clone(), new.clone(), config).unwrap();
    (migration, legacy, new)
}

pub(crate) fn micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_micros() as u64
}

/// Lines of `number kind key value began ended`: a change has a line when it begins, with `ended` 0, and one when
/// it went well. A process that is killed leaves what it had begun.
#[derive(Clone)]
pub(crate) struct Log(Arc<std::fs::File>);

impl Log {
    pub(crate) fn to(path: &str) -> Self {
        let open = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path);
        Self(Arc::new(open.unwrap()))
    }

    fn line(&self, (kind, key, value): (char, u64, u64), began: u64, ended: u64) {
        let line = format!("{kind} {key} {value} {began} {ended}\n");
        (&*self.0).write_all(line.as_bytes()).unwrap();
    }
}

/// Writes, reads and copies until it is over.
pub(crate) async fn work(migration: Raced, log: Log, first: u64, over: Arc<AtomicBool>) {
    let next = Arc::new(AtomicU64::new(first));
    let hot = || match fastrand::bool() {
        true => fastrand::u64(0..8),
        false => fastrand::u64(0..KEYS),
    };
    let mut tasks = tokio::task::JoinSet::new();
    let (tended, ended) = (migration.clone(), Arc::clone(&over));
    tasks.spawn(async move {
        let end = async {
            while !ended.load(SeqCst) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! { () = tended.run() => {}, () = end => {} }
    });
    for _ in 0..WRITERS {
        let (migration, log, next, over) = (
            migration.clone(),
            log.clone(),
            Arc::clone(&next),
            Arc::clone(&over),
        );
        tasks.spawn(async move {
            while !over.load(SeqCst) {
                let (key, value, began) = (hot(), next.fetch_add(1, SeqCst), micros());
                let deletes = fastrand::u8(0..10) < 3;
                let what = (if deletes { 'd' } else { 'w' }, key, value);
                log.line(what, began, 0);
                let change = async {
                    match deletes {
                        true => migration.delete(&key).await,
                        false => migration.set(&key, value, HOUR).await,
                    }
                };
                let done = match fastrand::u8(..) < 4 {
                    // The caller goes away in the middle.
                    true => {
                        tokio::time::timeout(Duration::from_micros(fastrand::u64(0..800)), change)
                            .await
                    }
                    false => Ok(change.await),
                };
                if matches!(done, Ok(Ok(()))) {
                    log.line(what, began, micros());
                }
            }
        });
    }
    for _ in 0..2 {
        let (migration, log, over) = (migration.clone(), log.clone(), Arc::clone(&over));
        tasks.spawn(async move {
            while !over.load(SeqCst) {
                let (key, began) = (hot(), micros());
                if let Ok(found) = migration.get(&key).await
                    && let Some(value) = found.hit()
                {
                    log.line(('r', key, value), began, micros());
                }
            }
        });
    }
    let copying = Arc::clone(&over);
    tasks.spawn(async move {
        let fast = Rate::new(20_000.0, Duration::from_secs(1)).unwrap();
        while !copying.load(SeqCst) {
            let mut backfill = migration.backfill(BackfillConfig::at_most(fast)).unwrap();
            tokio::select! {
                _ = backfill.run() => {}
                () = async { while !copying.load(SeqCst) { tokio::time::sleep(Duration::from_millis(5)).await } } => {}
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

/// A replica of this name in the fleet whose record is there.
pub(crate) fn member(url: &str, replica: &str) -> RedisFleet {
    RedisFleet::new(url, replica)
        .unwrap()
        .with_lease(LEASE)
        .with_limit(LIMIT)
}

async fn step(migration: &Raced, order: &str) {
    let taken = match order.split_once(' ') {
        Some(("share", part)) => {
            migration
                .set_share(Share::of(part.parse().unwrap()).unwrap(), by())
                .await
        }
        _ => match order {
            "advance" => migration.advance(by()).await,
            "back" => migration.step_back(by()).await,
            "rollback" => migration.rollback(by()),
            "try rollback" => {
                let _ = migration.rollback(by());
                return;
            }
            "release" => {
                // The next step must not wait here while others take it.
                let settled = || async { migration.state().settled };
                wait_until("it settles", Duration::from_secs(10), settled)
                    .await
                    .unwrap();
                migration.release(by());
                return;
            }
            other => unreachable!("{other}"),
        },
    };
    taken.unwrap();
}

/// The second process: does as it is told until it is told to stop.
pub(crate) async fn second(told: &str) {
    let words: Vec<_> = told.split('\n').collect();
    let [legacy, new, path, first, stage, share, epoch, fleet] = words[..] else {
        unreachable!("{told}")
    };
    // A fleet says who has heard of a step.
    let propagation = if fleet.is_empty() {
        PROPAGATION
    } else {
        Duration::ZERO
    };
    let (migration, ..) = make(legacy, new, propagation);
    let stage = Stage::ALL
        .iter()
        .copied()
        .find(|known| known.as_str() == stage)
        .unwrap();
    let share = Share::of(share.parse().unwrap()).unwrap();
    match fleet {
        "" => {
            let join = migration.join(stage, share, epoch.parse().unwrap(), by());
            join.unwrap();
        }
        fleet => drop(migration.join_fleet(member(fleet, path)).await.unwrap()),
    }
    let over = Arc::new(AtomicBool::new(false));
    let log = Log::to(path);
    let working = tokio::spawn(work(
        migration.clone(),
        log,
        first.parse().unwrap(),
        Arc::clone(&over),
    ));
    println!("\n@ready");
    // Tokio's own standard input would keep the process from ending.
    let (sender, mut orders) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    while let Some(order) = orders.recv().await {
        if order == "stop" {
            break;
        }
        step(&migration, &order).await;
        println!("\n@done");
    }
    over.store(true, SeqCst);
    working.await.unwrap();
    println!("\n@over");
}

pub(crate) struct Second {
    pub(crate) child: Child,
    orders: ChildStdin,
    answers: tokio::io::Lines<BufReader<ChildStdout>>,
}

impl Second {
    pub(crate) async fn start(test: &str, told: String) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(SECOND, told)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let orders = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut second = Self {
            child,
            orders,
            answers,
        };
        second.hear("@ready").await;
        second
    }

    pub(crate) async fn hear(&mut self, answer: &str) {
        let heard = async {
            loop {
                let line = self.answers.next_line().await.unwrap();
                if line.unwrap() == answer {
                    return;
                }
            }
        };
        let heard = tokio::time::timeout(Duration::from_secs(20), heard).await;
        heard.unwrap_or_else(|_| panic!("no {answer}"));
    }

    pub(crate) async fn order(&mut self, order: &str) {
        self.orders
            .write_all(format!("{order}\n").as_bytes())
            .await
            .unwrap();
    }
}

#[derive(Debug, Clone, Copy)]
struct Change {
    began: u64,
    /// When it had happened at the latest: it was said to be done, or somebody read it.
    ended: u64,
}

/// Whatever was read must not have been overwritten before the read began.
pub(crate) fn judge(lines: &str, last: &[(u64, u64, u64)]) -> (usize, Vec<String>) {
    let mut changes: HashMap<(u64, u64), Change> = HashMap::new();
    let mut reads = vec![];
    for line in lines.lines() {
        let mut words = line.split(' ');
        let kind = words.next().unwrap();
        let numbers: Vec<u64> = words.filter_map(|word| word.parse().ok()).collect();
        // The last line of a process that was killed may be cut.
        let [key, value, began, ended] = numbers[..] else {
            continue;
        };
        match kind {
            "r" => reads.push((key, value, began, ended)),
            _ => {
                let ended = if ended == 0 { u64::MAX } else { ended };
                let change = Change { began, ended };
                let there = changes.entry((key, value)).or_insert(change);
                there.ended = there.ended.min(ended);
            }
        }
    }
    let now = micros();
    reads.extend(
        last.iter()
            .map(|(key, value, began)| (*key, *value, *began, now)),
    );
    for (key, value, _, ended) in &reads {
        let of = changes.get_mut(&(*key, *value)).unwrap();
        of.ended = of.ended.min(*ended);
    }
    let mut by_key: HashMap<u64, Vec<Change>> = HashMap::new();
    for ((key, _), change) in &changes {
        by_key.entry(*key).or_default().push(*change);
    }
    // For each key, by the latest end: the latest beginning of all that had ended by then.
    let mut newest: HashMap<u64, Vec<(u64, Change)>> = HashMap::new();
    for (key, mut of) in by_key {
        of.retain(|change| change.ended != u64::MAX);
        of.sort_by_key(|change| change.ended);
        let mut latest = of.first().copied();
        let of = of.into_iter().map(|change| {
            if latest.is_none_or(|latest| change.began > latest.began) {
                latest = Some(change);
            }
            (change.ended, latest.unwrap_or(change))
        });
        newest.insert(key, of.collect());
    }
    let mut wrong = vec![];
    for (key, value, began, _) in &reads {
        let of = &newest[key];
        let before = of.partition_point(|(ended, _)| ended < began);
        let Some((_, newer)) = before.checked_sub(1).map(|last| of[last]) else {
            continue;
        };
        let read = changes[&(*key, *value)];
        if read.ended < newer.began {
            wrong.push(format!(
                "key {key}: read {value} at {began} ({read:?}), and {newer:?} was done"
            ));
        }
    }
    (reads.len(), wrong)
}

#[derive(Clone, Copy, PartialEq)]
enum Trouble {
    None,
    Servers,
    Process,
}

/// Breaks something, and mends it.
async fn disturb(servers: [&Redis; 2], proxies: [&FaultProxy; 2]) {
    let side = usize::from(fastrand::bool());
    let a_while = || tokio::time::sleep(Duration::from_millis(fastrand::u64(50..600)));
    match fastrand::u8(0..5) {
        0 => {
            servers[side].kill().await;
            a_while().await;
            servers[side].restart().await.unwrap();
        }
        1 => {
            servers[side].pause().unwrap();
            a_while().await;
            servers[side].resume().unwrap();
        }
        2 => proxies[side].cut(),
        3 => {
            proxies[side].set(Fault::stall());
            a_while().await;
            proxies[side].heal();
        }
        _ => {
            proxies[side].set(Fault::black_hole());
            a_while().await;
            proxies[side].heal();
            proxies[side].cut();
        }
    }
}

async fn race(test: &str, steps: u64, trouble: Trouble) {
    if let Ok(told) = std::env::var(SECOND) {
        return second(&told).await;
    }
    // New forgets everything when it is killed, or nothing; legacy nothing. Without `always`, Redis may forget
    // what it has acknowledged while the disk is busy, with or without a migration.
    let server = |keeps: bool| {
        Redis::builder()
            .append_only(keeps)
            .setting("appendfsync", "always")
            .start()
    };
    let (legacy, new) = (
        server(true).await.unwrap(),
        server(fastrand::bool()).await.unwrap(),
    );
    // The second process sees both through bad networks.
    let (to_legacy, to_new) = (
        FaultProxy::start(legacy.addr()).await.unwrap(),
        FaultProxy::start(new.addr()).await.unwrap(),
    );
    let folder = legacy.folder().to_owned();
    let path = |number: u64| folder.join(format!("log-{number}")).display().to_string();
    let (migration, old_cache, new_cache) = make(&legacy.url(), &new.url(), PROPAGATION);
    let over = Arc::new(AtomicBool::new(false));
    let working = tokio::spawn(work(
        migration.clone(),
        Log::to(&path(0)),
        1,
        Arc::clone(&over),
    ));
    let mut number = 1;
    let told = |number: u64, migration: &Raced| {
        let state = migration.state();
        format!(
            "redis://{}\nredis://{}\n{}\n{}\n{}\n{}\n{}\n",
            to_legacy.addr(),
            to_new.addr(),
            path(number),
            number * 1_000_000_000,
            state.stage,
            state.share.get(),
            state.epoch,
        )
    };
    let mut other = Second::start(test, told(number, &migration)).await;
    let mut rolled_back = 0;
    for _ in 0..steps {
        let stage = migration.state().stage;
        let order = match fastrand::u8(0..10) {
            0 if stage != Stage::Off => "rollback".to_owned(),
            1 if stage != Stage::Off => "back".to_owned(),
            2 if stage == Stage::Live => {
                format!("share {}", f64::from(fastrand::u8(1..100)) / 100.0)
            }
            // From complete nothing leads back.
            _ if stage == Stage::RampDown => "back".to_owned(),
            _ => "advance".to_owned(),
        };
        rolled_back += u64::from(order == "rollback");
        // One of them hears of it first, and neither waits for the other to have settled.
        let a_little = || tokio::time::sleep(Duration::from_millis(fastrand::u64(0..30)));
        if fastrand::bool() {
            other.order(&order).await;
            a_little().await;
            step(&migration, &order).await;
        } else {
            let (own, told) = (step(&migration, &order), async {
                a_little().await;
                other.order(&order).await;
            });
            tokio::join!(own, told);
        }
        other.hear("@done").await;
        if order == "rollback" {
            step(&migration, "release").await;
            other.order("release").await;
            other.hear("@done").await;
        }
        match trouble {
            Trouble::Servers => {
                disturb([&legacy, &new], [&to_legacy, &to_new]).await;
            }
            Trouble::Process if fastrand::bool() => {
                other.child.kill().await.unwrap();
                number += 1;
                other = Second::start(test, told(number, &migration)).await;
            }
            _ => {}
        }
        // Until both know, and for the bound of each.
        tokio::time::sleep(PROPAGATION * 2).await;
    }
    over.store(true, SeqCst);
    working.await.unwrap();
    other.order("stop").await;
    other.hear("@over").await;
    other.child.wait().await.unwrap();

    let logs: Vec<_> = (0..=number).map(path).collect();
    let (reads, done) = verdict(&migration, &old_cache, &new_cache, &logs).await;
    println!(
        "{reads} reads and {done} changes, {rolled_back} rollbacks, {number} second processes: none wrong"
    );
}

/// When all have ended: what each has read, and what is left. How many reads and changes there were.
pub(crate) async fn verdict(
    migration: &Raced,
    old_cache: &RedisCache<Text>,
    new_cache: &RedisCache<Text>,
    logs: &[String],
) -> (usize, usize) {
    // When the dust has settled: what was given up is over, and marks have lapsed.
    tokio::time::sleep(LIMIT * 2).await;
    let up = || async {
        let legacy: Result<Option<Entry<u64>>, _> = old_cache.get(&0).await;
        let new: Result<Option<Entry<u64>>, _> = new_cache.get(&0).await;
        legacy.is_ok() && new.is_ok()
    };
    wait_until("both answer", Duration::from_secs(5), up)
        .await
        .unwrap();
    let state = migration.state();
    let mut last = vec![];
    for key in 0..KEYS {
        let began = micros();
        let legacy: Option<Entry<u64>> = old_cache.get(&key).await.unwrap();
        let new: Option<Entry<u64>> = new_cache.get(&key).await.unwrap();
        if let Some(new) = new.filter(|new| new.epoch == state.epoch && state.stage != Stage::Off) {
            let legacy = legacy.and_then(|legacy| legacy.value);
            assert_eq!(new.value, legacy, "key {key} at {state}: new, then legacy");
        }
        last.extend(
            legacy
                .and_then(|legacy| legacy.value)
                .map(|value| (key, value, began)),
        );
        if let Some(value) = migration.get(&key).await.unwrap().hit() {
            last.push((key, value, began));
        }
    }
    let mut lines = String::new();
    for path in logs {
        let mut file = std::fs::File::open(path).unwrap();
        file.read_to_string(&mut lines).unwrap();
    }
    let (reads, wrong) = judge(&lines, &last);
    let done = lines
        .lines()
        .filter(|line| !line.starts_with('r') && !line.ends_with(" 0"))
        .count();
    assert!(reads > 100 && done > 100, "it was busy");
    assert_eq!(wrong.len(), 0, "{:#?}", &wrong[..wrong.len().min(5)]);
    (reads, done)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_never_serve_a_wrong_value() {
    let test = "processes::two_processes_never_serve_a_wrong_value";
    race(test, runs(30), Trouble::None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_with_servers_killed_paused_and_cut_off() {
    let test = "processes::nor_with_servers_killed_paused_and_cut_off";
    race(test, runs(20), Trouble::Servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_with_processes_that_are_killed() {
    let test = "processes::nor_with_processes_that_are_killed";
    race(test, runs(20), Trouble::Process).await;
}
