//! A Redis that says what a real one does not.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    thread,
    time::Duration,
};

use rs_backends::{Backend, BackendError, Redis, RedisConfig};
use rs_testkit::within;

/// Answers every request with this, and perhaps hangs up.
fn saying(answer: &'static [u8], hangs_up: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            thread::spawn(move || {
                let mut request = [0; 4096];
                while matches!(connection.read(&mut request), Ok(1..)) {
                    if connection.write_all(answer).is_err() || hangs_up {
                        return;
                    }
                }
            });
        }
    });
    addr
}

#[tokio::test]
async fn nonsense_half_and_huge_answers_are_errors_and_no_sets() {
    for (answer, hangs_up) in [
        (&b"nonsense\r\n"[..], false),
        (b"+OK\r\n", false),
        (b"-ERR no\r\n", false),
        (b"*5\r\n:1\r\n", true),
        (b"*5\r\n:1\r\n", false),
        (b"$99999999999999\r\nabc", false),
        (b"*2147483647\r\n", false),
        (b"*5\r\n:-1\r\n$0\r\n\r\n:0\r\n$0\r\n\r\n*0\r\n", false),
        (
            b"*5\r\n:100001\r\n$3\r\n0-0\r\n:-1\r\n$0\r\n\r\n*0\r\n",
            false,
        ),
        (b"", true),
    ] {
        let addr = saying(answer, hangs_up);
        let config = RedisConfig::new(&format!("redis://{addr}")).unwrap();
        let config = config.with_timeout(Duration::from_millis(300)).unwrap();
        let redis = Redis::new("lied-to", config);
        let said = String::from_utf8_lossy(answer);
        let found = within("an answer", Duration::from_secs(5), redis.discover("a")).await;
        let error = found.unwrap().expect_err(&said);
        let known = error.may_pass() || matches!(error, BackendError::TooMany { .. });
        assert!(known, "{said:?}: {error:?}");
        let mut watch = redis.watch("a").unwrap();
        let second = Duration::from_secs(1);
        let nothing = within("a set", second, watch.changed()).await;
        assert!(nothing.is_err(), "{said:?}: {nothing:?}");
        assert!(watch.trouble().is_some(), "{said:?}");
    }
}
