//! Configuration from files, and other configuration while it runs.

use std::{sync::Arc, time::Duration};

use crate::{ids, instance, until};
use rs_backends::{Backend, BackendConfig, File, FileConfig, ServiceInstance};
use rs_core::{Action, Directory, FlightRecorder, Mandate, Value};
use rs_metrics::Surroundings;

fn refused(text: &str) -> String {
    toml::from_str::<BackendConfig>(text)
        .unwrap_err()
        .to_string()
}

#[track_caller]
fn says(text: &str, why: &str) {
    let error = refused(text);
    assert!(error.contains(why), "{text}: {error}");
}

#[tokio::test]
async fn a_file_chooses_the_registry() {
    let text = include_str!("../../../../fuzz/seeds/config/all.toml");
    #[cfg(all(
        feature = "consul",
        feature = "dns",
        feature = "etcd",
        feature = "redis"
    ))]
    {
        let config: BackendConfig = toml::from_str(text).unwrap();
        let directory = Directory::new();
        let around = Surroundings::apart().with_directory(directory.clone());
        let registry = config.build_within(&around, "registry").unwrap();
        assert_eq!(registry.kind(), "failover");
        let names: Vec<_> = directory
            .list()
            .iter()
            .map(|entry| entry.name().to_string())
            .collect();
        for name in [
            "registry",
            "registry/primary",
            "registry/primary/0",
            "registry/primary/2",
            "registry/primary/3",
            "sessions",
            "registry/secondary",
        ] {
            assert!(names.iter().any(|known| known == name), "{name}: {names:?}");
        }
        let set = registry.discover("a").await.unwrap();
        assert_eq!(ids(&set), ["10.0.0.7:80"], "the secondary knows");
    }
    #[cfg(not(all(
        feature = "consul",
        feature = "dns",
        feature = "etcd",
        feature = "redis"
    )))]
    says(text, "needs the feature");
}

#[test]
fn what_is_wrong_is_said_with_where_and_what_is_right() {
    says("kind = \"memry\"", "did you mean `memory`");
    says("", "kind");
    says("kind = \"memory\"\npath = \"x\"", "unknown field `path`");
    says("kind = \"file\"", "path");
    says(
        "kind = \"file\"\npath = \"x.toml\"\npoll_intervall = \"1s\"",
        "did you mean `poll_interval`",
    );
    says(
        "kind = \"file\"\npath = \"x.toml\"\npoll_interval = \"1\"",
        "no unit",
    );
    says(
        "kind = \"file\"\npath = \"x.toml\"\npoll_interval = \"2h\"",
        "poll_interval",
    );
    says(
        "kind = \"file\"\npath = \"x.yaml\"",
        "is of no known format",
    );
    says("kind = \"merge\"\nparts = []", "parts: 0 is out of range");
    says(
        "kind = \"failover\"\n[primary]\nkind = \"memory\"",
        "secondary",
    );
    says(
        "kind = \"cached\"\npath = \"x\"\n[of]\nkind = \"static\"\ninstances = [{ service = \"a\", host = \"h\", port = 0 }]",
        "of.instances[0].port: 0 is out of range",
    );
}

#[cfg(feature = "kubernetes")]
#[test]
fn a_cluster_is_said_in_one_of_three_ways() {
    for (keys, why) in [
        ("", "is not set: this is no pod"),
        ("context = \"x\"", "kubeconfig"),
        ("kubeconfig = \"/nonexistent/x\"", "kubeconfig"),
        (
            "kubeconfig = \"x\"\nurl = \"https://x\"",
            "what the kubeconfig says",
        ),
        ("kubeconfig = \"x\"\ntoken = \"s3cr3t\"", "kubeconfig"),
        (
            "url = \"http://x\"\ntoken = \"s3cr3t\"",
            "anybody can read it",
        ),
        ("url = \"https://x\"\nnamespace = \"X\"", "is no namespace"),
        (
            "url = \"https://x\"\nnamspace = \"x\"",
            "did you mean `namespace`",
        ),
    ] {
        let text = format!("kind = \"kubernetes\"\n{keys}");
        says(&text, why);
        assert!(!refused(&text).contains("s3cr3t") || text.contains("http://x"));
    }
    let right = "kind = \"kubernetes\"\nurl = \"https://x\"\ntoken = \"s3cr3t\"";
    let right: BackendConfig = toml::from_str(right).unwrap();
    assert!(!format!("{right:?}").contains("s3cr3t"), "{right:?}");
}

#[cfg(feature = "dns")]
#[test]
fn a_name_server_is_asked_in_one_of_two_ways() {
    for (keys, why) in [
        ("", "services"),
        ("addresses = \"{service}.x\"", "port"),
        (
            "services = \"{service}.x\"\nport = 80",
            "what the services say",
        ),
        ("services = \"x\"", "does not say where the service stands"),
        ("services = \"{service}.x\"\nservers = [\"x\"]", "servers"),
        (
            "services = \"{service}.x\"\nrefresh_most = \"10ms\"",
            "refresh_most",
        ),
        (
            "services = \"{service}.x\"\nserver = []",
            "did you mean `servers`",
        ),
    ] {
        says(&format!("kind = \"dns\"\n{keys}"), why);
    }
    let right = "kind = \"dns\"\naddresses = \"{service}.x\"\nport = 80\nipv6 = false";
    assert!(toml::from_str::<BackendConfig>(right).is_ok());
}

#[cfg(all(feature = "consul", feature = "redis"))]
#[test]
fn secrets_are_read_and_never_shown() {
    let config: BackendConfig =
        toml::from_str("kind = \"consul\"\nurl = \"http://127.0.0.1:8500\"\ntoken = \"s3cr3t\"")
            .unwrap();
    assert!(!format!("{config:?}").contains("s3cr3t"), "{config:?}");
    let wrong = refused("kind = \"redis\"\nurl = \"redis:/:s3cr3t@x\"");
    assert!(
        !wrong.contains("is not the address") || wrong.contains('…'),
        "{wrong}"
    );
    let config: BackendConfig =
        toml::from_str("kind = \"redis\"\nurl = \"redis://:s3cr3t@127.0.0.1/0\"").unwrap();
    let directory = Directory::new();
    let around = Surroundings::apart().with_directory(directory.clone());
    let _redis = config.build_within(&around, "redis").unwrap();
    let shown = directory
        .find("backend", "redis")
        .unwrap()
        .snapshot()
        .to_string();
    assert!(
        shown.contains("127.0.0.1") && !shown.contains("s3cr3t"),
        "{shown}"
    );
}

fn write(path: &std::path::Path, instances: &[ServiceInstance]) {
    let text = serde_json::json!({ "instances": instances }).to_string();
    std::fs::write(path, text).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_file_is_changed_for_another_while_it_is_watched() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (
        folder.path().join("one.json"),
        folder.path().join("two.json"),
    );
    write(&one, &[instance("a", "1")]);
    let (directory, recorder) = (Directory::new(), FlightRecorder::new(10));
    let around = Surroundings::apart()
        .with_directory(directory.clone())
        .with_recorder(recorder.clone());
    let slow = FileConfig::new(&one).unwrap();
    let slow = slow.with_poll_interval(Duration::from_secs(3600)).unwrap();
    let file = File::within(&around, "file", slow);
    let mut watch = file.watch("a").unwrap();
    let before = until(&mut watch, "the first", |set| set.len() == 1).await;
    let entry = directory.find("backend", "file").unwrap();

    // A wrong one is refused whole, and says why.
    let author = Mandate::new("a test", "to see");
    let with = |config: Value| Action::new("reconfigure").with("config", config);
    let wrong = with(Value::map([
        ("path", Value::from(two.display().to_string())),
        ("poll_interval", "never".into()),
    ]));
    let error = entry.control(&wrong, &author).unwrap_err();
    assert!(
        error.to_string().contains("config.poll_interval"),
        "{error}"
    );
    assert!(
        recorder
            .log(10)
            .to_string()
            .contains("the new one is wrong")
    );

    // One that is not there yet keeps what is known.
    let right = with(Value::map([
        ("path", Value::from(two.display().to_string())),
        ("poll_interval", "1s".into()),
    ]));
    entry.control(&right, &author).unwrap();
    let kept = until(&mut watch, "kept", |set| !set.is_current()).await;
    assert_eq!(ids(&kept), ["1"]);
    assert!(!entry.health().is_up());
    write(&two, &[instance("a", "1"), instance("a", "2")]);
    let after = until(&mut watch, "the second", |set| set.len() == 2).await;
    assert!(Arc::ptr_eq(
        before.get("1").unwrap(),
        after.get("1").unwrap()
    ));
    assert!(entry.health().is_up());
    assert!(entry.snapshot().to_string().contains("version: 2"));
    file.reconfigure(FileConfig::new(&one).unwrap());
    until(&mut watch, "the first again", |set| set.len() == 1).await;
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn another_registry_takes_over_and_nobody_sees_an_empty_set() {
    use rs_backends::{Redis, RedisConfig};

    let one = rs_testkit::Redis::start().await.unwrap();
    let two = rs_testkit::Redis::start().await.unwrap();
    let config = |server: &rs_testkit::Redis| RedisConfig::new(&server.url()).unwrap();
    let registry = Redis::new("registry", config(&one));
    let short = instance("a", "1").to_builder().ttl(Duration::from_secs(2));
    registry.register(short.build().unwrap()).await.unwrap();
    let mut watch = registry.watch("a").unwrap();
    until(&mut watch, "the one", |set| set.len() == 1).await;
    registry.reconfigure(config(&two));
    let doubted = until(&mut watch, "nobody is there yet", |set| !set.is_current()).await;
    assert_eq!(ids(&doubted), ["1"]);
    let back = until(&mut watch, "registered there", |set| set.is_current()).await;
    assert_eq!(ids(&back), ["1"]);
    let there = Redis::new("reader", config(&two));
    assert_eq!(there.discover("a").await.unwrap().len(), 1);
    let before = Redis::new("reader", config(&one));
    let gone = rs_testkit::wait_until(
        "its time is over there",
        Duration::from_secs(10),
        || async { before.discover("a").await.map(|set| set.is_empty()) },
    );
    gone.await.unwrap();
}

#[cfg(feature = "etcd")]
#[tokio::test]
async fn an_etcd_is_changed_for_another_and_its_secrets_are_not_shown() {
    use rs_backends::{Etcd, EtcdConfig};

    let one = rs_testkit::Etcd::start().await.unwrap();
    let two = rs_testkit::Etcd::start().await.unwrap();
    let directory = Directory::new();
    let around = Surroundings::apart().with_directory(directory.clone());
    let config = EtcdConfig::new(&one.url()).unwrap();
    let registry = Etcd::within(&around, "registry", config);
    let short = instance("a", "1").to_builder().ttl(Duration::from_secs(2));
    registry.register(short.build().unwrap()).await.unwrap();
    let mut watch = registry.watch("a").unwrap();
    until(&mut watch, "the one", |set| set.len() == 1).await;
    let entry = directory.find("backend", "registry").unwrap();
    let author = Mandate::new("a test", "to see");
    let with = |entries: Vec<(&'static str, Value)>| {
        let config = Value::map(entries);
        Action::new("reconfigure").with("config", config)
    };
    let urls = || Value::List(vec![two.url().into()]);
    let half = with(vec![("urls", urls()), ("user", "app".into())]);
    let error = entry.control(&half, &author).unwrap_err();
    assert!(error.to_string().contains("password"), "{error}");
    // Whoever lets everybody in lets a user in too.
    let whole = vec![
        ("urls", urls()),
        ("user", "app".into()),
        ("password", "s3cr3t".into()),
    ];
    entry.control(&with(whole), &author).unwrap();
    let back = until(&mut watch, "registered there", |set| {
        assert_eq!(ids(set), ["1"]);
        set.is_current()
    });
    back.await;
    let shown = entry.snapshot().to_string();
    assert!(
        shown.contains(&two.url()) && !shown.contains("s3cr3t"),
        "{shown}"
    );
    let there = Etcd::new("reader", EtcdConfig::new(&two.url()).unwrap());
    assert_eq!(there.discover("a").await.unwrap().len(), 1);
}

#[cfg(feature = "consul")]
#[tokio::test]
async fn a_consul_that_was_given_a_wrong_address_is_given_the_right_one() {
    use rs_backends::{Consul, ConsulConfig};

    let server = rs_testkit::Consul::start().await.unwrap();
    let registry = Consul::new("registry", ConsulConfig::new("http://127.0.0.1:1").unwrap());
    let mut watch = registry.watch("a").unwrap();
    let second = Duration::from_secs(1);
    let nothing = rs_testkit::within("a set", second, watch.changed()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    assert!(watch.trouble().is_some());
    registry.reconfigure(ConsulConfig::new(&server.url()).unwrap());
    until(&mut watch, "the empty set", |set| set.is_empty()).await;
    registry.register(instance("a", "1")).await.unwrap();
    until(&mut watch, "the one", |set| set.len() == 1).await;
    registry.close().await.unwrap();
}
