//! What an instance may be, and how it is refused.

use rs_backends::ServiceInstance;
use std::time::Duration;

#[track_caller]
fn refused(builder: rs_backends::ServiceInstanceBuilder, expected: &str) {
    assert_eq!(builder.build().unwrap_err().to_string(), expected);
}

fn good() -> rs_backends::ServiceInstanceBuilder {
    ServiceInstance::builder("payments", "10.0.0.7", 8443)
}

#[test]
fn what_is_wrong_is_named() {
    refused(
        good().weight(0),
        "weight: 0 is out of range; allowed: 1 to 65535",
    );
    refused(
        good().ttl(Duration::ZERO),
        "ttl: 0s is out of range; allowed: 1s to 1d",
    );
    refused(
        good().port_named("grpc", 0),
        "ports: 0 is out of range; allowed: 1 to 65535",
    );
    refused(
        ServiceInstance::builder("", "h", 1),
        "service: 0 bytes is out of range; allowed: 1 to 255 bytes",
    );
    refused(
        good().id("x".repeat(300)),
        "id: 300 bytes is out of range; allowed: 1 to 255 bytes",
    );
    refused(
        good().tag("a\u{1b}[31m"),
        "tags: `a\\u{1b}[31m` has a control character; leave it out",
    );
    refused(
        good().metadata("k", "v".repeat(257)),
        "metadata: 257 bytes is out of range; allowed: 0 to 256 bytes",
    );
    refused(
        ServiceInstance::builder("payments", "http://x", 1),
        "host: `http://x` is neither a host name nor an IP address; write 10.0.0.7, fd00::7 or db.example",
    );
    let many = (0..33).fold(good(), |builder, tag| builder.tag(tag.to_string()));
    refused(many, "tags: 33 is out of range; allowed: 0 to 32");
}

#[test]
fn an_ipv6_address_has_brackets_beside_a_port_only() {
    let six = ServiceInstance::builder("payments", "fd00::7", 8443)
        .build()
        .unwrap();
    assert_eq!(
        (six.host(), six.authority().as_str()),
        ("fd00::7", "[fd00::7]:8443")
    );
    assert_eq!(six.id(), "[fd00::7]:8443");
}

#[test]
fn a_builder_of_an_instance_makes_it_again() {
    let one = good()
        .zone("a")
        .tag("t")
        .metadata("k", "v")
        .build()
        .unwrap();
    assert_eq!(one.to_builder().build().unwrap(), one);
    assert_ne!(one.to_builder().metadata("k", "w").build().unwrap(), one);
}
