use std::{
    fs::File,
    io::{ErrorKind, Read, Seek, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Duration,
};

use rs_core::{Clock, Unit};
use rs_metrics::{Counter, Exported, Exporter, Gauge, InstallError, Metric, Registry};

use crate::{
    outside::{PATIENCE, alone, finish, is_scenario, launch, text, this_test, time, wait_until},
    page::parse,
    text::promtool_accepts,
};

static VISITS: Metric<Counter, (), 1> =
    Metric::counter("site_visits_total", "Visits.").by(["site"]);

/// What came back, head and body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub(crate) fn read_all(mut stream: TcpStream) -> String {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Ok(_) => {}
        // Whoever is thrown out with bytes unread sees a reset.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{error} after {}", text(&all)),
    }
    text(&all)
}

pub(crate) fn ask(address: SocketAddr, method: &str, path: &str) -> Answer {
    let mut stream = connect(address);
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let all = read_all(stream);
    let (head, body) = all.split_once("\r\n\r\n").unwrap_or((&all, ""));
    Answer {
        status: head.lines().next().unwrap_or_default().to_owned(),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

fn serve() -> (Exported, SocketAddr) {
    let exported = Exporter::new().serve_on("127.0.0.1:0").install().unwrap();
    let address = exported.address().unwrap();
    (exported, address)
}

#[test]
fn what_is_scraped_is_the_page() {
    alone(this_test!(), "scrape", || {
        let (exported, address) = serve();
        assert_ne!(address.port(), 0);
        VISITS.bind("north").add(4);
        metrics::describe_counter!("foreign_total", "Counted through the facade.");
        metrics::counter!("foreign_total").increment(2);
        metrics::describe_histogram!("foreign_seconds", metrics::Unit::Seconds, "Timed there.");
        metrics::histogram!("foreign_seconds").record(0.3);

        let answer = ask(address, "GET", "/metrics");
        assert_eq!(answer.status, "HTTP/1.1 200 OK");
        assert!(
            answer
                .head
                .contains("content-type: text/plain; version=0.0.4; charset=utf-8")
        );
        let page = parse(&answer.body).unwrap();
        promtool_accepts(&answer.body);
        assert_eq!(page.value("site_visits_total", &[("site", "north")]), 4.0);
        assert_eq!(page.value("foreign_total", &[]), 2.0);
        assert_eq!(page.value("foreign_seconds_bucket", &[("le", "0.5")]), 1.0);
        assert_eq!(page.value("signals_lost_total", &[]), 0.0);
        assert_eq!(page.value("names_folded_total", &[]), 0.0);
        assert_eq!(parse(&exported.render()).unwrap(), page);

        let query = ask(address, "GET", "/metrics?name[]=x");
        assert_eq!(query.status, "HTTP/1.1 200 OK");
    });
}

#[test]
fn it_answers_what_it_does_not_serve() {
    alone(this_test!(), "methods", || {
        let (_exported, address) = serve();
        let page = ask(address, "GET", "/metrics");
        let head = ask(address, "HEAD", "/metrics");
        assert_eq!(
            (head.status.as_str(), head.body.as_str()),
            ("HTTP/1.1 200 OK", "")
        );
        let length = format!("content-length: {}", page.body.len());
        assert!(head.head.contains(&length), "{length} in {head:?}");

        for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
            let answer = ask(address, method, "/metrics");
            assert_eq!(answer.status, "HTTP/1.1 405 Method Not Allowed", "{method}");
            assert!(answer.head.contains("allow: get, head"), "{answer:?}");
        }
        for path in [
            "/",
            "/metric",
            "/metrics/",
            "/metrics/../metrics",
            "//metrics",
        ] {
            let answer = ask(address, "GET", path);
            assert_eq!(answer.status, "HTTP/1.1 404 Not Found", "{path}");
            assert_eq!(answer.body, "metrics are at /metrics\n");
        }
    });
}

#[test]
fn garbage_and_goners_harm_nobody() {
    alone(this_test!(), "garbage", || {
        let (_exported, address) = serve();
        let long = "x".repeat(1 << 20);
        let garbage = [
            "\r\n\r\n\r\n",
            "GET\r\n\r\n",
            "GET /metrics HTTP/9.9\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "\u{16}\u{3}\u{1}\0\u{5}hello tls",
            "GET /metrics HTTP/1.1\r\nno colon\r\n\r\n",
            "POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 999999999999999999999\r\n\r\n",
            &format!("GET /{long} HTTP/1.1\r\n\r\n"),
            &format!("GET / HTTP/1.1\r\nx: {long}\r\n\r\n"),
        ];
        for bytes in garbage {
            let mut stream = connect(address);
            // It may be thrown out before all is written.
            let _ = stream.write_all(bytes.as_bytes());
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
        for upto in [
            "",
            "G",
            "GET /metrics HTTP/1.1\r\n",
            "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n",
        ] {
            let mut stream = connect(address);
            stream.write_all(upto.as_bytes()).unwrap();
            drop(stream);
        }
        assert_eq!(ask(address, "GET", "/metrics").status, "HTTP/1.1 200 OK");
    });
}

#[test]
fn slow_clients_block_nobody() {
    alone(this_test!(), "slow", || {
        let (_exported, address) = serve();
        // More than it serves at once, each with half a request.
        let slow: Vec<_> = (0..200)
            .map(|_| {
                let mut stream = connect(address);
                stream
                    .write_all(b"GET /metrics HTTP/1.1\r\nhost: slow")
                    .unwrap();
                stream
            })
            .collect();
        let (answer, took) = time(|| ask(address, "GET", "/metrics"));
        assert_eq!(answer.status, "HTTP/1.1 200 OK");
        assert!(took < Duration::from_secs(6), "a scraper waited {took:?}");
        // They made room: waiting for all of them would take ten seconds.
        let was_closed = |mut stream: &TcpStream| {
            stream.set_nonblocking(true).unwrap();
            match stream.read(&mut [0]) {
                Ok(read) => read == 0,
                Err(error) => error.kind() != ErrorKind::WouldBlock,
            }
        };
        let ((), took) = time(|| {
            wait_until("the oldest are closed", || {
                slow.iter().filter(|stream| was_closed(stream)).count() > 100
            });
        });
        assert!(
            took < Duration::from_secs(5),
            "they had their places for {took:?}"
        );
    });
}

/// A client that asks for a lot and takes nothing would hold its place for ever.
#[test]
fn clients_that_do_not_read_block_nobody() {
    alone(this_test!(), "deaf", || {
        let (_exported, address) = serve();
        for site in 0..1000 {
            VISITS.bind(rs_core::Name::new(&format!("{site:0>100}")));
        }
        let deaf: Vec<_> = (0..100)
            .map(|_| {
                let mut stream = connect(address);
                stream.set_nonblocking(true).unwrap();
                for _ in 0..400 {
                    let _ = stream.write(b"GET /metrics HTTP/1.1\r\nhost: deaf\r\n\r\n");
                }
                stream
            })
            .collect();
        let (answer, took) = time(|| ask(address, "GET", "/metrics"));
        assert_eq!(answer.status, "HTTP/1.1 200 OK");
        assert!(took < Duration::from_secs(15), "a scraper waited {took:?}");
        drop(deaf);
    });
}

#[test]
fn fifty_scrapers_at_once_are_served_while_it_counts() {
    alone(this_test!(), "fifty", || {
        let (_exported, address) = serve();
        let visits = VISITS.bind("north");
        thread::scope(|scope| {
            for _ in 0..50 {
                scope.spawn(|| {
                    let mut last = 0.0;
                    for _ in 0..5 {
                        visits.increment();
                        let answer = ask(address, "GET", "/metrics");
                        assert_eq!(answer.status, "HTTP/1.1 200 OK");
                        let page = parse(&answer.body).unwrap();
                        let now = page.value("site_visits_total", &[("site", "north")]);
                        assert!(now > last);
                        last = now;
                    }
                });
            }
        });
        assert_eq!(visits.value(), 250);
    });
}

#[test]
fn an_address_that_is_taken_is_said_and_may_be_tried_again() {
    alone(this_test!(), "taken", || {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let error = Exporter::new().serve_on(&address).install().unwrap_err();
        assert!(matches!(error, InstallError::Address { .. }));
        let said = error.to_string();
        assert!(
            said.starts_with(&format!("cannot serve metrics on {address}: ")),
            "{said}"
        );
        assert!(said.contains("in use"), "{said}");
        assert!(std::error::Error::source(&error).is_some());

        for nonsense in [
            "",
            "nonsense",
            "127.0.0.1",
            "127.0.0.1:99999",
            "256.0.0.1:1",
        ] {
            let error = Exporter::new().serve_on(nonsense).install().unwrap_err();
            assert!(
                matches!(error, InstallError::Address { .. }),
                "{nonsense}: {error}"
            );
        }
        drop(taken);
        let exported = Exporter::new().serve_on(&address).install().unwrap();
        assert_eq!(exported.address().unwrap().to_string(), address);
    });
}

/// The second process leaves `main` with scrapes going on: nothing may hold it.
#[test]
fn the_process_can_end_while_it_serves() {
    let output = alone(this_test!(), "end", || {
        let (_exported, address) = serve();
        let mut half = connect(address);
        half.write_all(b"GET /metrics HT").unwrap();
        let _asking = thread::spawn(move || {
            loop {
                let _ = ask(address, "GET", "/metrics");
            }
        });
        wait_until("a scrape", || {
            ask(address, "GET", "/metrics").status.contains("200")
        });
    });
    if let Some(output) = output {
        assert!(output.status.success());
    }
}

#[test]
fn another_registry_can_be_served() {
    alone(this_test!(), "own", || {
        let registry = Registry::new();
        let exporter = Exporter::new().of(registry.clone()).serve_on("[::1]:0");
        let exported = exporter
            .clone()
            .install()
            .or_else(|_| exporter.serve_on("127.0.0.1:0").install())
            .unwrap();
        VISITS.bind("global").increment();
        VISITS.bind_in(&registry, "own").increment();
        let page = parse(&ask(exported.address().unwrap(), "GET", "/metrics").body).unwrap();
        assert_eq!(page.value("site_visits_total", &[("site", "own")]), 1.0);
        assert_eq!(page.find("site_visits_total", &[("site", "global")]), None);
    });
}

#[test]
fn an_observer_that_panics_does_not_end_the_serving() {
    static BROKEN: Metric<Gauge> = Metric::gauge("broken", "Panics.", Unit::Count);
    alone(this_test!(), "panic", || {
        let (_exported, address) = serve();
        let _observed = BROKEN.observe(Registry::global(), (), |()| panic!("observer"));
        for _ in 0..3 {
            let answer = ask(address, "GET", "/metrics");
            assert_eq!(answer.status, "HTTP/1.1 200 OK");
            parse(&answer.body).unwrap();
        }
    });
}

/// Out of files, it cannot take a connection; trying all the time would cost a processor.
#[test]
fn an_observer_that_blocks_keeps_only_its_own_scrape_waiting() {
    static SLOW: Metric<Gauge> = Metric::gauge("slow_level", "Slow to say.", Unit::Count);
    alone(this_test!(), "blocks", || {
        let (_exported, address) = serve();
        let asked = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&asked);
        let (go_on, told) = mpsc::channel();
        let told = Mutex::new(told);
        let _observed = SLOW.observe(Registry::global(), (), move |()| {
            let place = counted.fetch_add(1, Relaxed) + 1;
            if place == 1 {
                told.lock().unwrap().recv().unwrap();
            }
            f64::from(place)
        });
        let waiting = thread::spawn(move || ask(address, "GET", "/metrics"));
        wait_until("the first scrape is inside the observer", || {
            asked.load(Relaxed) == 1
        });
        let second = ask(address, "GET", "/metrics").body;
        assert!(second.contains("slow_level 2"), "{second}");
        go_on.send(()).unwrap();
        assert!(waiting.join().unwrap().status.contains("200"));
    });
}

#[test]
fn it_waits_calmly_when_there_are_no_files_left() {
    let (test, scenario) = (this_test!(), "files");
    if !is_scenario() {
        let mut limited = Command::new("sh");
        let exe = std::env::current_exe().unwrap();
        limited
            .args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""])
            .arg(exe);
        let output = finish(launch(limited, test, scenario));
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success(), "{said}");
        return;
    }
    alone(test, scenario, || {
        let (_exported, address) = serve();
        assert!(ask(address, "GET", "/metrics").status.contains("200"));
        let mut stat = File::open("/proc/self/stat").unwrap();
        let mut processor_ticks = || {
            let mut line = String::new();
            stat.rewind().unwrap();
            stat.read_to_string(&mut line).unwrap();
            let fields: Vec<_> = line.split(' ').collect();
            fields[13].parse::<u64>().unwrap() + fields[14].parse::<u64>().unwrap()
        };
        let mut files: Vec<File> = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            files.push(file);
        }
        files.pop();
        // The last file is the client's: none is left for the server's side.
        let waiting = connect(address);
        let (clock, before) = (Clock::default(), processor_ticks());
        let end = clock.now() + Duration::from_millis(500);
        wait_until("half a second", || clock.now() > end);
        let used = processor_ticks() - before;
        assert!(used < 25, "{used} of 50 ticks");
        drop((files, waiting));
        assert!(ask(address, "GET", "/metrics").status.contains("200"));
    });
}
