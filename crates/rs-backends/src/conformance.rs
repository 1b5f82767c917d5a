//! What every backend promises, as tests for backends of your own.
//!
//! ```
//! use rs_backends::{Backend, Memory, async_trait, conformance::{self, Subject}};
//! use std::sync::Arc;
//!
//! struct InMemory(Memory);
//!
//! #[async_trait]
//! impl Subject for InMemory {
//!     async fn connect(&self) -> Arc<dyn Backend> {
//!         Arc::new(self.0.clone())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! conformance::check(&InMemory(Memory::new("subject"))).await;
//! # }
//! ```
//!
//! Use registries with a short grace and instances may live for a second only; the whole takes a few
//! seconds, or none on a paused clock. A broken promise is a panic that begins with `conformance:` and says
//! which it is.
//!
//! - [`check`] is for backends that register, [`check_reading`] for those that only read, [`check_addresses`]
//!   for those of them that know only hosts and ports: those implement [`Subject::write`], so that there is
//!   something to read.
//! - [`Subject::go_away`] cuts the line to the registry, by a proxy, a stopped process or a flag. With it the
//!   suite checks what matters most: that a registry that cannot be asked is not taken for an empty one.
//! - [`Subject::connect`] is a further handle as another process has it. A backend within one process may
//!   return clones.

#![expect(
    clippy::expect_used,
    reason = "a broken promise is told by a panic, as in any test"
)]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use rs_core::Clock;
use tokio::select;

use crate::{Backend, BackendError, InstanceHealth, InstanceSet, ServiceInstance, Watch};

/// A backend that is put to the test.
#[async_trait]
pub trait Subject: Send + Sync {
    /// A further handle to the same registry, as another process has it.
    async fn connect(&self) -> Arc<dyn Backend>;

    /// Makes these all that the registry knows, if it cannot be told by registering.
    ///
    /// Whether it did so: what registers need not.
    async fn write(&self, instances: &[ServiceInstance]) -> bool {
        let _ = instances;
        false
    }

    /// Makes the registry unreachable for all handles, or reachable again.
    ///
    /// Whether it did so. What is promised about a registry that is away is checked only then.
    async fn go_away(&self, away: bool) -> bool {
        let _ = away;
        false
    }

    /// How long a change may take to be seen.
    fn patience(&self) -> Duration {
        Duration::from_secs(5)
    }
}

/// Checks every promise, one after the other.
///
/// # Panics
/// When one is broken, saying which.
///
/// # Cancel safety
/// What was registered meanwhile is forgotten after its time to live.
pub async fn check(subject: &dyn Subject) {
    {
        let backend = subject.connect().await;
        registering_again_replaces(&*backend).await;
    }
    a_watch_hears_of_every_change(subject).await;
    the_last_one_leaves(subject).await;
    what_is_registered_stays(subject).await;
    several_register_the_same_service(subject).await;
    check_reading(subject).await;
}

/// Checks the promises of a backend that cannot register.
///
/// # Panics
/// When one is broken, saying which.
///
/// # Cancel safety
/// Nothing is lost.
pub async fn check_reading(subject: &dyn Subject) {
    {
        let backend = subject.connect().await;
        a_service_that_nobody_knows_is_empty(&*backend).await;
        wrong_names_are_refused(&*backend).await;
        it_says_how_it_is(&*backend).await;
    }
    everything_about_an_instance_survives(subject).await;
    names_of_all_kinds_stay_apart(subject).await;
    an_error_is_not_an_empty_set(subject).await;
    closed_is_closed(subject).await;
}

/// Checks the promises of a backend that knows only hosts and ports, and gives its instances ids of its own.
///
/// # Panics
/// When one is broken, saying which.
///
/// # Cancel safety
/// Nothing is lost.
pub async fn check_addresses(subject: &dyn Subject) {
    {
        let backend = subject.connect().await;
        a_service_that_nobody_knows_is_empty(&*backend).await;
        wrong_names_are_refused(&*backend).await;
        it_says_how_it_is(&*backend).await;
    }
    addresses_are_seen_as_they_change(subject).await;
    an_error_is_not_an_empty_set(subject).await;
    closed_is_closed(subject).await;
}

async fn addresses_are_seen_as_they_change(subject: &dyn Subject) {
    let service = unique("addresses");
    let there = |host: &str, port| {
        let instance = ServiceInstance::builder(&service, host, port).build();
        instance.expect("it is right")
    };
    let all = [
        there("10.0.0.7", 80),
        there("10.0.0.7", 65_535),
        there("10.0.0.8", 80),
    ];
    let seen = |set: &InstanceSet, expected: &[ServiceInstance]| {
        let same = |known: &ServiceInstance, one: &ServiceInstance| {
            known.host() == one.host() && known.port() == one.port()
        };
        let each = |one| set.instances().iter().any(|known| same(known, one));
        set.len() == expected.len() && expected.iter().all(each)
    };
    let first = &all[..1];
    assert!(
        subject.write(first).await,
        "conformance: there is something to read"
    );
    let backend = subject.connect().await;
    let mut watch = backend.watch(&service).expect("watching");
    until(subject, &mut watch, "the first", |set| seen(set, first)).await;
    subject.write(&all).await;
    until(subject, &mut watch, "all three", |set| seen(set, &all)).await;
    let set = backend.discover(&service).await.expect("discovering");
    assert!(seen(&set, &all), "conformance: {set:?}");
    let last = &all[1..];
    subject.write(last).await;
    until(subject, &mut watch, "one less", |set| seen(set, last)).await;
    subject.write(&[]).await;
    let left = until(
        subject,
        &mut watch,
        "nobody after the grace",
        InstanceSet::is_empty,
    );
    assert!(left.await.is_current(), "conformance: it is believed");
}

async fn a_service_that_nobody_knows_is_empty(backend: &dyn Backend) {
    let set = backend.discover(&unique("nobody")).await;
    let set = set.expect("conformance: a service that nobody knows is no error");
    assert!(set.is_empty() && set.is_current(), "conformance: {set:?}");
}

async fn wrong_names_are_refused(backend: &dyn Backend) {
    for wrong in ["", "a\0b", "a\nb", &"x".repeat(300)] {
        let discovered = backend.discover(wrong).await;
        assert!(
            matches!(discovered, Err(BackendError::Invalid(_))),
            "conformance: discover took {wrong:?}: {discovered:?}"
        );
        assert!(
            matches!(backend.watch(wrong), Err(BackendError::Invalid(_))),
            "conformance: watch took {wrong:?}"
        );
    }
}

async fn everything_about_an_instance_survives(subject: &dyn Subject) {
    let service = unique("everything");
    let full = ServiceInstance::builder(&service, "fd00::7", 65_535)
        .id("the one")
        .port_named("grpc", 9000)
        .port_named("admin", 1)
        .weight(300)
        .zone("zone, a=1;")
        .version("1.4.2+b7")
        .tag("b")
        .tag("a")
        .tag("with spaces, and commas")
        .metadata("plain", "value")
        .metadata("a key: with \"everything\" √", "\\ \" ' = ; \u{1F600}")
        .metadata("empty", "")
        .metadata("rs_zone", "not ours")
        .health(InstanceHealth::Warning)
        .ttl(Duration::from_secs(20));
    let full = full.build().expect("it is right");
    let mut all = vec![full.clone()];
    for (id, health) in [
        ("draining", InstanceHealth::Draining),
        ("unknown", InstanceHealth::Unknown),
        ("critical", InstanceHealth::Critical),
    ] {
        let other = full.to_builder().id(id).health(health).build();
        all.push(other.expect("it is right"));
    }
    let writer = put(subject, &all).await;
    let backend = subject.connect().await;
    let set = backend.discover(&service).await.expect("it was just there");
    for instance in &all {
        let found = set.get(instance.id()).map(|found| &**found);
        assert_eq!(
            found,
            Some(instance),
            "conformance: an instance comes back as it was"
        );
    }
    assert_eq!(
        set.usable().count(),
        2,
        "conformance: draining and critical are not usable"
    );
    clear(subject, writer, &all).await;
}

async fn names_of_all_kinds_stay_apart(subject: &dyn Subject) {
    let one = unique("names");
    let kinds = [
        "",
        "b",
        "/b",
        "/../b",
        "%2Fb",
        "/",
        "..",
        " ",
        " with spaces ",
        "?x=1&y#z",
        ":b",
        "*",
        "[b]",
        "√ü漢字😀",
        "\"quoted\"",
        "\\",
        "{b}",
    ];
    let long = format!("{one}{}", "x".repeat(ServiceInstance::MAX_NAME - one.len()));
    let mut names: Vec<String> = kinds.iter().map(|kind| format!("{one}{kind}")).collect();
    names.extend(["..".to_owned(), ".".to_owned(), format!("../{one}"), long]);
    let instances: Vec<_> = names
        .iter()
        .map(|name| {
            instance(name, "same id")
                .id(name.clone())
                .build()
                .expect("it is right")
        })
        .collect();
    let writer = put(subject, &instances).await;
    let backend = subject.connect().await;
    for (name, instance) in names.iter().zip(&instances) {
        let set = backend.discover(name).await;
        let set = set.unwrap_or_else(|error| panic!("conformance: discover {name:?}: {error}"));
        let found: Vec<_> = set
            .instances()
            .iter()
            .map(|found| (**found).clone())
            .collect();
        assert_eq!(
            found,
            std::slice::from_ref(instance),
            "conformance: service {name:?} has its own instance"
        );
    }
    clear(subject, writer, &instances).await;
    let backend = subject.connect().await;
    for name in &names {
        let set = backend.discover(name).await.expect("it was just there");
        assert!(set.is_empty(), "conformance: {name:?} is gone");
    }
}

async fn registering_again_replaces(backend: &dyn Backend) {
    let service = unique("again");
    let first = instance(&service, "one")
        .zone("a")
        .build()
        .expect("it is right");
    let second = first.to_builder().zone("b").build().expect("it is right");
    for instance in [&first, &second] {
        backend
            .register(instance.clone())
            .await
            .expect("registering");
    }
    let set = backend.discover(&service).await.expect("discovering");
    assert_eq!(set.len(), 1, "conformance: one id, one instance");
    assert_eq!(
        set.instances()[0].zone(),
        Some("b"),
        "conformance: the last one counts"
    );
    for _ in 0..2 {
        let gone = backend.deregister(&service, "one").await;
        gone.expect("conformance: deregistering twice is no error");
    }
    let set = backend.discover(&service).await.expect("discovering");
    assert!(set.is_empty(), "conformance: deregistered is gone");
}

async fn a_watch_hears_of_every_change(subject: &dyn Subject) {
    let (writer, reader) = (subject.connect().await, subject.connect().await);
    let service = unique("watched");
    let mut watch = reader.watch(&service).expect("watching");
    until(subject, &mut watch, "the empty set", InstanceSet::is_empty).await;
    for count in 1..=3 {
        let new = instance(&service, &count.to_string())
            .build()
            .expect("it is right");
        writer.register(new).await.expect("registering");
        until(subject, &mut watch, "one more", |set| set.len() == count).await;
    }
    let moved = instance(&service, "2")
        .zone("elsewhere")
        .build()
        .expect("it is right");
    writer.register(moved).await.expect("registering");
    let seen = until(subject, &mut watch, "a changed instance", |set| {
        set.get("2")
            .is_some_and(|two| two.zone() == Some("elsewhere"))
    });
    let seen = seen.await;
    writer
        .deregister(&service, "2")
        .await
        .expect("deregistering");
    let after = until(subject, &mut watch, "one less", |set| {
        set.get("2").is_none()
    })
    .await;
    let (before, after) = (seen.get("1"), after.get("1"));
    assert!(
        before
            .zip(after)
            .is_some_and(|(before, after)| Arc::ptr_eq(before, after)),
        "conformance: what stays is the same allocation"
    );
    for id in ["1", "3"] {
        writer
            .deregister(&service, id)
            .await
            .expect("deregistering");
    }
}

async fn the_last_one_leaves(subject: &dyn Subject) {
    let (writer, reader) = (subject.connect().await, subject.connect().await);
    let service = unique("last");
    let last = instance(&service, "one").build().expect("it is right");
    writer.register(last).await.expect("registering");
    let mut watch = reader.watch(&service).expect("watching");
    until(subject, &mut watch, "the one", |set| set.len() == 1).await;
    writer
        .deregister(&service, "one")
        .await
        .expect("deregistering");
    let left = until(
        subject,
        &mut watch,
        "nobody after the grace",
        InstanceSet::is_empty,
    )
    .await;
    assert!(
        left.is_current(),
        "conformance: an empty set is only told when it is believed"
    );
}

async fn what_is_registered_stays(subject: &dyn Subject) {
    let (writer, reader) = (subject.connect().await, subject.connect().await);
    let service = unique("stays");
    let short = instance(&service, "one")
        .ttl(Duration::from_secs(2))
        .build();
    writer
        .register(short.expect("it is right"))
        .await
        .expect("registering");
    let mut watch = reader.watch(&service).expect("watching");
    until(subject, &mut watch, "the one", |set| {
        set.usable().count() == 1
    })
    .await;
    let clock = Clock::default();
    let long = clock.sleep(Duration::from_secs(5));
    let changed = async {
        while let Some(set) = watch.changed().await {
            let usable = set.usable().count();
            assert_eq!(
                usable, 1,
                "conformance: it is renewed before its time is over: {set:?}"
            );
        }
    };
    select! {
        () = long => {}
        () = changed => panic!("conformance: the watch ended"),
    }
    let set = reader.discover(&service).await.expect("discovering");
    assert_eq!(set.usable().count(), 1, "conformance: it is still there");
    writer
        .deregister(&service, "one")
        .await
        .expect("deregistering");
}

async fn several_register_the_same_service(subject: &dyn Subject) {
    let service = unique("several");
    let mut writers = Vec::new();
    for id in ["c", "a", "b"] {
        let writer = subject.connect().await;
        let own = instance(&service, id).build().expect("it is right");
        writer.register(own).await.expect("registering");
        writers.push((writer, id));
    }
    let set = subject
        .connect()
        .await
        .discover(&service)
        .await
        .expect("discovering");
    let ids: Vec<_> = set
        .instances()
        .iter()
        .map(|instance| instance.id())
        .collect();
    assert_eq!(ids, ["a", "b", "c"], "conformance: sorted by id, each once");
    for (writer, id) in writers {
        writer
            .deregister(&service, id)
            .await
            .expect("deregistering");
    }
}

async fn an_error_is_not_an_empty_set(subject: &dyn Subject) {
    let service = unique("away");
    let all = [instance(&service, "one").build().expect("it is right")];
    let writer = put(subject, &all).await;
    let reader = subject.connect().await;
    let mut watch = reader.watch(&service).expect("watching");
    until(subject, &mut watch, "the one", |set| set.len() == 1).await;
    if subject.go_away(true).await {
        let found = reader.discover(&service).await;
        let honest = match &found {
            Ok(set) => !set.is_empty() && !set.is_current(),
            Err(error) => error.may_pass(),
        };
        assert!(
            honest,
            "conformance: what cannot be asked is an error, or kept: {found:?}"
        );
        let health = reader.health_check().await;
        assert!(!health.health().is_up(), "conformance: {health:?}");
        let kept = until(subject, &mut watch, "that the registry is away", |set| {
            assert!(
                !set.is_empty(),
                "conformance: an error empties nothing: {set:?}"
            );
            !set.is_current()
        });
        let kept = kept.await;
        assert_eq!(
            kept.len(),
            1,
            "conformance: the last known good set is kept"
        );
        subject.go_away(false).await;
        let back = until(
            subject,
            &mut watch,
            "that it is back",
            InstanceSet::is_current,
        )
        .await;
        assert_eq!(
            back.len(),
            1,
            "conformance: what was registered is still there"
        );
    }
    clear(subject, writer, &all).await;
}

async fn it_says_how_it_is(backend: &dyn Backend) {
    let health = backend.health_check().await;
    assert!(health.health().is_up(), "conformance: {health:?}");
    assert!(health.latency().is_some(), "conformance: {health:?}");
}

async fn closed_is_closed(subject: &dyn Subject) {
    let (backend, other) = (subject.connect().await, subject.connect().await);
    let service = unique("closed");
    let own = instance(&service, "one").build().expect("it is right");
    let registered = backend.register(own.clone()).await.is_ok();
    let mut watch = backend.watch(&service).expect("watching");
    backend.close().await.expect("conformance: closing");
    backend
        .close()
        .await
        .expect("conformance: closing again does nothing");
    let ended = async { while watch.changed().await.is_some() {} };
    let clock = Clock::default();
    select! {
        () = ended => {}
        () = clock.sleep(subject.patience()) => panic!("conformance: the watch goes on"),
    }
    let closed = Some(BackendError::Closed);
    assert_eq!(
        backend.discover(&service).await.err(),
        closed,
        "conformance: discover"
    );
    assert_eq!(
        backend.register(own).await.err(),
        closed,
        "conformance: register"
    );
    assert_eq!(
        backend.deregister(&service, "one").await.err(),
        closed,
        "conformance: deregister"
    );
    assert_eq!(backend.watch(&service).err(), closed, "conformance: watch");
    assert!(
        !backend.health_check().await.health().is_up(),
        "conformance: health"
    );
    if registered {
        // It is another handle of the same registry, or one that was closed with it.
        let left = other.discover(&service).await;
        assert!(
            left.as_ref().map_or_else(
                |error| *error == BackendError::Closed,
                InstanceSet::is_empty
            ),
            "conformance: what was registered is deregistered: {left:?}"
        );
    }
}

fn instance(service: &str, id: &str) -> crate::ServiceInstanceBuilder {
    ServiceInstance::builder(service, "127.0.0.1", 8080).id(id)
}

fn unique(what: &str) -> String {
    format!("conformance-{what}-{:08x}", fastrand::u32(..))
}

/// Makes these known; whoever registered them, if anybody had to.
async fn put(subject: &dyn Subject, instances: &[ServiceInstance]) -> Option<Arc<dyn Backend>> {
    if subject.write(instances).await {
        return None;
    }
    let backend = subject.connect().await;
    for instance in instances {
        let registered = backend.register(instance.clone()).await;
        registered
            .unwrap_or_else(|error| panic!("conformance: register {:?}: {error}", instance.id()));
    }
    Some(backend)
}

async fn clear(
    subject: &dyn Subject,
    writer: Option<Arc<dyn Backend>>,
    instances: &[ServiceInstance],
) {
    let Some(backend) = writer else {
        subject.write(&[]).await;
        return;
    };
    for instance in instances {
        let gone = backend.deregister(instance.service(), instance.id()).await;
        gone.unwrap_or_else(|error| panic!("conformance: deregister {:?}: {error}", instance.id()));
    }
}

async fn until(
    subject: &dyn Subject,
    watch: &mut Watch,
    what: &str,
    is_it: impl Fn(&InstanceSet) -> bool,
) -> InstanceSet {
    let clock = Clock::default();
    let patience = clock.sleep(subject.patience());
    let found = async {
        loop {
            match watch.changed().await {
                Some(set) if is_it(&set) => return set,
                Some(_) => {}
                None => panic!("conformance: the watch ended before it told {what}"),
            }
        }
    };
    select! {
        set = found => set,
        () = patience => panic!("conformance: the watch did not tell {what} in time"),
    }
}
