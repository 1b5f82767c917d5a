//! What instances and silence cost.

use crate::{instance, until};
use allocation_counter::measure;
use rs_backends::{Backend, File, FileConfig, ServiceInstance};
use std::time::Duration;

fn full(id: usize) -> ServiceInstance {
    let builder = instance("a", &format!("10.0.{}.{}:8443", id / 256, id % 256)).to_builder();
    let builder = builder
        .zone("eu-1a")
        .version("1.4.2")
        .tag("canary")
        .tag("blue");
    builder
        .metadata("build", "b7")
        .metadata("rack", "17")
        .build()
        .unwrap()
}

#[test]
fn an_instance_takes_less_than_a_kibibyte() {
    let mut kept = Vec::with_capacity(10_000);
    let cost = measure(|| kept.extend((0..10_000).map(full)));
    let each = cost.bytes_current / 10_000;
    println!("an instance with zone, version, tags and metadata: {each} bytes");
    assert!((1..=1024).contains(&each), "{each}");
}

/// On a runtime of this thread, where its allocations can be counted.
#[test]
fn silence_allocates_little() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("instances.json");
    let all: Vec<_> = (0..1000).map(full).collect();
    std::fs::write(&path, serde_json::json!({ "instances": all }).to_string()).unwrap();
    let config = FileConfig::new(path).unwrap();
    let file = File::new(
        "silent",
        config
            .with_poll_interval(Duration::from_millis(10))
            .unwrap(),
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut watch = file.watch("a").unwrap();
    runtime.block_on(until(&mut watch, "all", |set| set.len() == 1000));
    // The first looks read the file again, to be sure that it stands still.
    let mut silent = |time| {
        let wait = rs_testkit::within("silence", Duration::from_millis(time), watch.changed());
        assert!(runtime.block_on(wait).is_err(), "nothing has changed");
    };
    silent(200);
    let cost = measure(|| silent(1000));
    println!(
        "a second of 100 looks at 1,000 instances: {} allocations",
        cost.count_total
    );
    assert!(cost.count_total < 10_000, "{}", cost.count_total);
}
