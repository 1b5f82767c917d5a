//! A process that is told to end, once and twice.

use crate::support::*;
use rs_testkit::wait_until;
use rs_workers::{ManagerConfig, Stopped, WorkerContext, WorkerManager, worker};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

const ROLE: &str = "RS_WORKERS_TEST_PROCESS";
const SOON: Duration = Duration::from_secs(30);

struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Process {
    fn start(role: &str) -> Self {
        let binary = std::env::current_exe().unwrap();
        let mut child = Command::new(binary)
            .args(["process::child", "--exact", "--nocapture"])
            .env(ROLE, role)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || {
            out.lines()
                .map_while(Result::ok)
                .for_each(|line| drop(send.send(line)));
        });
        Self { child, lines }
    }

    /// What follows this word on the first line that has it.
    fn after(&self, word: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(SOON).unwrap();
            if let Some((_, rest)) = line.split_once(word) {
                return rest.to_owned();
            }
        }
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).unwrap();
    }

    async fn code(mut self) -> i32 {
        let ended = || std::future::ready(self.child.try_wait().unwrap());
        wait_until("it ends", SOON, ended)
            .await
            .unwrap()
            .code()
            .unwrap()
    }
}

#[tokio::test]
async fn one_signal_stops_in_order() {
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let process = Process::start("obeys");
        process.after("@ready");
        process.signal(signal);
        assert!(process.after("@told ").ends_with("1 returned"));
        assert_eq!(process.code().await, 0);
    }
}

#[tokio::test]
async fn two_signals_are_now() {
    let process = Process::start("deaf");
    process.after("@ready");
    process.signal(rustix::process::Signal::TERM);
    // It is being stopped, which would take it a minute.
    process.after("@stopping");
    process.signal(rustix::process::Signal::TERM);
    assert!(process.after("@twice ").contains("1 aborted"));
    assert_eq!(process.code().await, 0);
}

#[tokio::test]
async fn whoever_gives_up_may_end_the_process() {
    assert_eq!(Process::start("exits").code().await, 70);
}

/// What the other processes run; in this one nobody has a role.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        match role.as_str() {
            "exits" => gives_up().await,
            role => listens(role == "deaf").await,
        }
    });
}

async fn listens(deaf: bool) {
    let workers = WorkerManager::new("m", ManagerConfig::default()).unwrap();
    let ears = worker("ears", move |ctx: WorkerContext| async move {
        println!("@ready");
        ctx.stopped().await;
        if deaf {
            println!("@stopping");
            std::future::pending::<()>().await;
        }
    });
    workers
        .register_with(ears, |it| it.with_grace(MINUTE))
        .unwrap();
    match workers.run().await.unwrap() {
        Stopped::Told(report) => println!("@told {report}"),
        Stopped::ToldTwice(report) => println!("@twice {}", report.to_string().replace('\n', " ")),
        other => panic!("{other:?}"),
    }
}

async fn gives_up() {
    let config = root(rs_workers::GroupConfig::default().with_intensity(intensity(2, MINUTE)))
        .when_given_up(rs_workers::WhenGivenUp::Exit(70));
    let workers = WorkerManager::new("m", config).unwrap();
    let fails = worker("fails", |_: WorkerContext| async { Err("always") });
    workers
        .register_with(fails, |it| it.with_backoff(at_once()))
        .unwrap();
    let _ = workers.run().await;
    sleep(SOON).await;
}
