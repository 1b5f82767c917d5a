use std::time::Duration;

use proptest::prelude::*;

use super::{
    DnsConfig, Message,
    message::{Domain, Kind, Question},
    registry::{read, system},
};

fn name(text: &str) -> Domain {
    Domain::new(text).unwrap()
}

/// A message as a server writes it, with names in full.
struct Reply(Vec<u8>, [u16; 3]);

impl Reply {
    fn to(question: &Question, flags: u16) -> Self {
        let mut wire = question.to_wire(7);
        wire.truncate(wire.len() - 11);
        wire[2..4].copy_from_slice(&(0x8000 | flags).to_be_bytes());
        Self(wire, [0; 3])
    }

    /// One more record, in this section.
    fn with(mut self, section: usize, owner: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Self {
        self.0.extend_from_slice(owner);
        for part in [kind, 1] {
            self.0.extend_from_slice(&part.to_be_bytes());
        }
        self.0.extend_from_slice(&ttl.to_be_bytes());
        let length = u16::try_from(data.len()).unwrap();
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(data);
        self.1[section] += 1;
        self
    }

    fn wire(mut self) -> Vec<u8> {
        let counts = [1, self.1[0], self.1[1], self.1[2]];
        for (place, count) in counts.into_iter().enumerate() {
            let at = 4 + 2 * place;
            self.0[at..at + 2].copy_from_slice(&count.to_be_bytes());
        }
        self.0
    }

    fn read(self) -> Message {
        Message::read(&self.wire()).unwrap()
    }
}

fn service(priority: u16, weight: u16, port: u16, target: &[u8]) -> Vec<u8> {
    let numbers = [priority, weight, port].map(u16::to_be_bytes);
    [numbers.as_flattened(), target].concat()
}

fn asked(kind: Kind) -> Question {
    let name = name("a");
    Question { name, kind }
}

const A: &[u8] = b"\x01a\x00";
const B: &[u8] = b"\x01b\x00";

#[test]
fn names_are_names_or_none() {
    for right in ["a", "A.b", "_x._tcp.example-1.org", "a.", &"x".repeat(63)] {
        assert!(Domain::new(right).is_some(), "{right}");
    }
    let long = vec!["x".repeat(63); 4].join(".");
    for wrong in [
        "",
        ".",
        "a..b",
        ".a",
        "a b",
        "ä",
        "a/b",
        &"x".repeat(64),
        &long,
    ] {
        assert!(Domain::new(wrong).is_none(), "{wrong}");
    }
    assert_eq!(name("A.b"), name("a.B."));
    assert_eq!(name("A.b").text().as_deref(), Some("a.b"));
}

#[test]
fn an_alias_is_followed_and_the_shortest_time_counts() {
    let message = Reply::to(&asked(Kind::A), 0)
        .with(0, B, 1, 60, &[10, 0, 0, 8])
        .with(0, A, 5, 30, B)
        .with(0, B, 1, 90, &[10, 0, 0, 7])
        .with(0, b"\x01c\x00", 1, 1, &[10, 0, 0, 9])
        .read();
    let found = message.addresses(&name("a"));
    assert_eq!(found.all.len(), 2, "{found:?}");
    assert_eq!(found.fresh, Some(Duration::from_secs(30)));
    // In a circle there is nothing.
    let circle = Reply::to(&asked(Kind::A), 0)
        .with(0, A, 5, 30, B)
        .with(0, B, 5, 30, A);
    assert!(circle.read().addresses(&name("a")).all.is_empty());
}

#[test]
fn nothing_holds_as_long_as_its_zone_says() {
    let numbers = [1_u32, 2, 3, 4, 20].map(u32::to_be_bytes);
    let zone = [b"\x00\x00", numbers.as_flattened()].concat();
    let message = Reply::to(&asked(Kind::A), 3)
        .with(1, A, 6, 300, &zone)
        .read();
    assert!(
        message.check().is_ok(),
        "that it does not exist is an answer"
    );
    let found = message.addresses(&name("a"));
    assert_eq!(found.fresh, Some(Duration::from_secs(20)));
    // What has the highest bit is no time: RFC 2181.
    let odd = Reply::to(&asked(Kind::A), 0).with(0, A, 1, u32::MAX, &[10, 0, 0, 7]);
    assert_eq!(odd.read().addresses(&name("a")).fresh, Some(Duration::ZERO));
    for code in [1, 2, 4, 5, 11] {
        let refusal = Reply::to(&asked(Kind::A), code).read();
        assert!(refusal.check().unwrap_err().may_pass(), "{code}");
    }
}

#[test]
fn the_best_priority_with_its_weights_and_what_is_said_on_the_side() {
    let message = Reply::to(&asked(Kind::Srv), 0)
        .with(0, A, 33, 5, &service(2, 9, 9, B))
        .with(0, A, 33, 5, &service(1, 0, 80, B))
        .with(0, A, 33, 5, &service(1, 7, 81, B))
        .with(0, A, 33, 5, &service(1, 7, 0, B))
        .with(0, A, 33, 5, &service(0, 0, 1, b"\x00"))
        .with(2, B, 1, 5, &[10, 0, 0, 7])
        .read();
    let all = read(&message, &name("a"));
    let shown: Vec<_> = all.iter().map(|one| (one.id(), one.weight())).collect();
    assert_eq!(shown, [("10.0.0.7:80", 1), ("10.0.0.7:81", 7)]);
    assert_eq!(all[0].metadata_of("target"), Some("b"));
}

#[test]
fn pointers_go_back_alone() {
    let right = Reply::to(&asked(Kind::A), 0).with(0, b"\xc0\x0c", 1, 5, &[10, 0, 0, 7]);
    assert_eq!(right.read().addresses(&name("a")).all.len(), 1);
    for pointer in [0xC0FF_u16, 0xC013, 0x4001, 0x8001] {
        let owner = pointer.to_be_bytes();
        let wrong = Reply::to(&asked(Kind::A), 0).with(0, &owner, 1, 5, &[10, 0, 0, 7]);
        assert!(Message::read(&wrong.wire()).is_err(), "{pointer:x}");
    }
}

#[test]
fn the_system_names_its_servers() {
    let text = "# a comment\nsearch x\nnameserver 10.0.0.53\nnameserver fe80::1%eth0\n nameserver ::1 \nnameserver\n";
    let servers: Vec<_> = system(text).iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["10.0.0.53:53", "[::1]:53"]);
}

#[test]
fn a_configuration_says_what_is_wrong() {
    for (wrong, why) in [
        (DnsConfig::services("a.example"), "services"),
        (DnsConfig::services("{service}..example"), "services"),
        (DnsConfig::addresses("{service}.example", 0), "port"),
    ] {
        assert_eq!(wrong.unwrap_err().field(), why);
    }
    let right = DnsConfig::addresses("{service}.example", 80).unwrap();
    for wrong in ["", "x", "10.0.0.1:x", "10.0.0.1:99999"] {
        assert!(right.clone().with_servers([wrong]).is_err(), "{wrong}");
    }
    assert!(right.clone().with_servers([]).is_err());
    assert!(
        right
            .clone()
            .with_servers(["10.0.0.1", "[::1]:5353", "::1"])
            .is_ok()
    );
    let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
    assert!(right.with_refresh(minute, second).is_err());
}

proptest! {
    #[test]
    fn half_and_damaged_answers_are_no_panic(
        cut in 0_usize..200, at in 0_usize..200, byte: u8,
    ) {
        let mut wire = Reply::to(&asked(Kind::Srv), 0)
            .with(0, A, 33, 5, &service(1, 7, 81, b"\xc0\x0c"))
            .with(0, b"\xc0\x0c", 5, 5, B)
            .with(2, B, 1, 5, &[10, 0, 0, 7])
            .wire();
        if let Some(place) = wire.get_mut(at) {
            *place = byte;
        }
        for half in [&wire[..], &wire[..cut.min(wire.len())]] {
            if let Ok(message) = Message::read(half) {
                let _ = read(&message, &name("a"));
            }
        }
    }
}
