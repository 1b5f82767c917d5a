//! A name server that says what a real one says seldom or never.

use std::{
    net::{SocketAddr, UdpSocket},
    thread,
    time::Duration,
};

use crate::until;
use rs_backends::{Backend, BackendError, Dns, DnsConfig};
use rs_core::Backoff;
use rs_testkit::within;

/// What is said to a question.
type Lie = fn(&[u8]) -> Vec<Vec<u8>>;

/// Answers each question with what this makes of it.
fn saying(answer: Lie) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut question) {
            for answer in answer(&question[..length]) {
                let _ = socket.send_to(&answer, from);
            }
        }
    });
    addr
}

fn connect(server: SocketAddr) -> Dns {
    let config = DnsConfig::addresses("{service}.example.test", 80).unwrap();
    let config = config.with_servers([&*server.to_string()]).unwrap();
    let config = config.with_timeout(Duration::from_millis(600)).unwrap();
    let quick = Backoff::constant(Duration::from_millis(50));
    Dns::new(
        "lied-to",
        config.with_reconnect(quick).unwrap().with_ipv6(false),
    )
}

/// The answer that 10.0.0.7 is there, for a second.
fn right(question: &[u8]) -> Vec<u8> {
    let mut answer = question[..question.len() - 11].to_vec();
    answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
    answer.extend_from_slice(&[0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 10, 0, 0, 7]);
    answer
}

fn coded(question: &[u8], code: u8) -> Vec<u8> {
    let mut answer = question[..question.len() - 11].to_vec();
    answer[2..12].copy_from_slice(&[0x81, 0x80 | code, 0, 1, 0, 0, 0, 0, 0, 0]);
    answer
}

#[tokio::test]
async fn nonsense_half_answers_and_failures_are_errors_and_no_sets() {
    let lies: [(&str, Lie); 8] = [
        ("nothing", |_| vec![]),
        ("nonsense", |_| vec![b"nonsense".to_vec()]),
        ("nonsense with the right number", |question| {
            vec![[&question[..2], b"nonsense"].concat()]
        }),
        ("half", |question| {
            let answer = right(question);
            vec![answer[..answer.len() - 3].to_vec()]
        }),
        ("SERVFAIL", |question| vec![coded(question, 2)]),
        ("the question", |question| vec![question.to_vec()]),
        ("another's answer", |question| {
            let mut answer = right(question);
            answer[0] ^= 1;
            vec![answer]
        }),
        ("the answer to another question", |question| {
            let mut answer = right(question);
            answer[13] = b'x';
            vec![answer]
        }),
    ];
    for (what, lie) in lies {
        let dns = connect(saying(lie));
        let found = within("an answer", Duration::from_secs(5), dns.discover("one")).await;
        let error = found.unwrap().expect_err(what);
        assert!(error.may_pass(), "{what}: {error:?}");
        let mut watch = dns.watch("one").unwrap();
        let second = Duration::from_secs(1);
        let nothing = within("a set", second, watch.changed()).await;
        assert!(nothing.is_err(), "{what}: {nothing:?}");
        assert!(watch.trouble().is_some(), "{what}");
    }
}

#[tokio::test]
async fn what_somebody_made_up_is_passed_over() {
    let dns = connect(saying(|question| {
        let mut forged = right(question);
        *forged.last_mut().unwrap() = 66;
        let mut elsewhere = forged.clone();
        forged[1] ^= 1;
        elsewhere[13] = b'x';
        vec![forged, b"x".to_vec(), vec![], elsewhere, right(question)]
    }));
    let mut watch = dns.watch("one").unwrap();
    let set = until(&mut watch, "the right one", |_| true).await;
    assert!(
        set.get("10.0.0.7:80").is_some() && set.len() == 1,
        "{set:?}"
    );
}

#[tokio::test]
async fn a_lost_datagram_is_sent_again() {
    static ASKED: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let dns = connect(saying(|question| {
        match ASKED.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => vec![],
            _ => vec![right(question)],
        }
    }));
    assert_eq!(dns.discover("one").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_refusal_is_told_with_its_reason() {
    let dns = connect(saying(|question| vec![coded(question, 2)]));
    let error = dns.discover("one").await.unwrap_err();
    assert!(
        matches!(&error, BackendError::Refused(why) if why.contains("SERVFAIL")),
        "{error:?}"
    );
}
