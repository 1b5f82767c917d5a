//! Instances of several processes, some of which are killed.

use std::{
    env,
    io::Read,
    process::{Child, ChildStdin, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use crate::{instance, now, until};
use rs_backends::{Backend, BackendConfig, InstanceSet, Watch};
use rs_testkit::{Consul, Etcd, Redis};

const TTL: Duration = Duration::from_secs(2);

/// This program once more, with one instance registered until its input ends.
struct Process {
    child: Child,
    input: Option<ChildStdin>,
}

impl Process {
    fn start(registry: &str, id: &str) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "processes::one_of_several", "--nocapture"])
            .env("RS_BACKENDS_REGISTRY", registry)
            .env("RS_BACKENDS_ID", id)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        Self { child, input }
    }

    /// As a crash: nothing can be said any more.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn end(&mut self) {
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(registry: &str) -> Arc<dyn Backend> {
    let config: BackendConfig = toml::from_str(registry).unwrap();
    config.build("registry").unwrap()
}

/// What the other processes do; run by itself it has its own registry.
#[tokio::test]
async fn one_of_several() {
    let registry = env::var("RS_BACKENDS_REGISTRY");
    let is_child = registry.is_ok();
    let registry = connect(&registry.unwrap_or_else(|_| "kind = \"memory\"".to_owned()));
    let id = env::var("RS_BACKENDS_ID").unwrap_or_else(|_| "only".to_owned());
    let own = instance("a", &id).to_builder().ttl(TTL).build().unwrap();
    registry.register(own).await.unwrap();
    assert!(registry.discover("a").await.unwrap().get(&id).is_some());
    if is_child {
        let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        ended.await.unwrap().unwrap();
    }
    registry.close().await.unwrap();
}

/// Three processes register, one is killed, one ends as it should; `gone` says when one is.
async fn story(kind: &str, registry: &str, gone: fn(&InstanceSet, &str) -> bool) {
    let reader = connect(registry);
    let mut watch: Watch = reader.watch("a").unwrap();
    let mut processes: Vec<_> = ["1", "2", "3"]
        .into_iter()
        .map(|id| Process::start(registry, id))
        .collect();
    until(&mut watch, "all three", |set| set.usable().count() == 3).await;
    processes[0].kill();
    let killed = now();
    let set = until(&mut watch, "one less", |set| gone(set, "1")).await;
    let took = killed.elapsed();
    println!("{kind}: a killed process is gone after {took:?}, with a time of {TTL:?}");
    assert!(took <= TTL + Duration::from_secs(1), "{took:?}");
    assert_eq!(set.usable().count(), 2, "{set:?}");
    let ended = now();
    processes[1].end();
    let set = until(&mut watch, "two less", |set| set.get("2").is_none()).await;
    println!("{kind}: one that ends is gone after {:?}", ended.elapsed());
    assert_eq!(set.usable().count(), 1, "{set:?}");
    // The one that crashed is started again: it replaces itself.
    let again = Process::start(registry, "1");
    until(&mut watch, "back", |set| set.usable().count() == 2).await;
    drop(again);
}

#[tokio::test]
async fn several_processes_at_one_redis() {
    let server = Redis::start().await.unwrap();
    let registry = format!("kind = \"redis\"\nurl = \"{}\"", server.url());
    story("redis", &registry, |set, id| set.get(id).is_none()).await;
}

#[tokio::test]
async fn several_processes_at_one_agent() {
    let server = Consul::start().await.unwrap();
    let registry = format!("kind = \"consul\"\nurl = \"{}\"", server.url());
    let gone = |set: &InstanceSet, id: &str| !set.usable().any(|one| one.id() == id);
    story("consul", &registry, gone).await;
}

#[tokio::test]
async fn several_processes_at_one_etcd() {
    let server = Etcd::start().await.unwrap();
    let registry = format!("kind = \"etcd\"\nurls = [\"{}\"]", server.url());
    story("etcd", &registry, |set, id| set.get(id).is_none()).await;
}
