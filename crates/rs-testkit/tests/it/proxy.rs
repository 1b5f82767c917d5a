use std::io::{self, ErrorKind};
use std::time::Duration;

use rs_testkit::{Direction, Error, Fault, FaultProxy, Redis, wait_until, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::life::{MOMENT, PATIENCE};
use crate::net::{Listener, Stopwatch, redis, round_trip};

/// The proxy is given the blame for a delay up to this.
const AT_ONCE: Duration = Duration::from_millis(150);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// An echo, a proxy before it and a connection through it.
async fn network() -> Result<(Listener, FaultProxy, TcpStream), Error> {
    let echo = Listener::echo().await;
    let proxy = FaultProxy::start(echo.addr).await?;
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(round_trip(&mut stream, "hello").await.unwrap(), "hello");
    Ok((echo, proxy, stream))
}

async fn is_silent(stream: &mut TcpStream) -> bool {
    within("a byte or an end", MOMENT, stream.read_u8())
        .await
        .is_err()
}

#[tokio::test]
async fn without_a_fault_everything_passes_and_is_counted() -> Result<(), Error> {
    let (_echo, proxy, mut stream) = network().await?;
    let large = "0123456789".repeat(100_000);
    let (mut from, mut to) = stream.split();
    let mut back = Vec::new();
    let (sent, read) = tokio::join!(
        async {
            to.write_all(large.as_bytes()).await?;
            // The end is passed on, and the echo's end comes back.
            to.shutdown().await
        },
        from.read_to_end(&mut back)
    );
    sent.and(read).unwrap();
    assert!(back == large.as_bytes());
    wait_until("the end", PATIENCE, || async { proxy.stats().open == 0 }).await?;
    let stats = proxy.stats();
    assert_eq!((stats.accepted, stats.reset, stats.bytes_lost), (1, 0, 0));
    assert_eq!(
        (stats.bytes_to_server, stats.bytes_to_client),
        (1_000_005, 1_000_005)
    );
    Ok(())
}

#[tokio::test]
async fn a_real_client_and_a_real_server() -> Result<(), Error> {
    let server = Redis::start().await?;
    let proxy = FaultProxy::start(server.addr()).await?;
    assert_eq!(redis(proxy.addr(), &["PING"]).await.unwrap(), "+PONG");
    server.kill().await;
    assert!(redis(proxy.addr(), &["PING"]).await.is_err());
    server.restart().await?;
    assert_eq!(redis(proxy.addr(), &["PING"]).await.unwrap(), "+PONG");
    Ok(())
}

#[tokio::test]
async fn latency() -> Result<(), Error> {
    let (_echo, proxy, mut stream) = network().await?;
    proxy.set(Fault::latency(ms(100)));
    let watch = Stopwatch::start();
    round_trip(&mut stream, "slow").await.unwrap();
    assert!(watch.elapsed() >= ms(200), "{:?}", watch.elapsed());

    proxy.set(Fault::latency(ms(200)).only(Direction::ToClient));
    let watch = Stopwatch::start();
    round_trip(&mut stream, "slow").await.unwrap();
    assert!(
        watch.elapsed() >= ms(200) && watch.elapsed() < ms(390),
        "{:?}",
        watch.elapsed()
    );

    proxy.heal();
    let watch = Stopwatch::start();
    round_trip(&mut stream, "fast").await.unwrap();
    assert!(watch.elapsed() < AT_ONCE, "{:?}", watch.elapsed());
    Ok(())
}

#[tokio::test]
async fn latency_does_not_throttle() -> Result<(), Error> {
    let (_echo, proxy, mut stream) = network().await?;
    proxy.set(Fault::latency(ms(100)).only(Direction::ToServer));
    let watch = Stopwatch::start();
    // Ten pieces one after the other would take a second.
    for _ in 0..10 {
        stream.write_all(&[7; 1_000]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut back = vec![0; 10_000];
    stream.read_exact(&mut back).await.unwrap();
    assert!(
        watch.elapsed() >= ms(100) && watch.elapsed() < ms(400),
        "{:?}",
        watch.elapsed()
    );
    Ok(())
}

#[tokio::test]
async fn what_is_on_its_way_arrives_when_the_latency_is_healed() -> Result<(), Error> {
    let (_echo, proxy, mut stream) = network().await?;
    proxy.set(Fault::latency(Duration::from_secs(60)));
    stream.write_all(b"x").await.unwrap();
    assert!(is_silent(&mut stream).await);
    proxy.heal();
    assert_eq!(
        within("the byte", PATIENCE, stream.read_u8())
            .await?
            .unwrap(),
        b'x'
    );
    Ok(())
}

#[tokio::test]
async fn jitter() -> Result<(), Error> {
    let (_echo, proxy, mut stream) = network().await?;
    proxy.set(
        Fault::latency(ms(10))
            .jitter(ms(80))
            .only(Direction::ToServer),
    );
    let mut times = Vec::new();
    for _ in 0..12 {
        let watch = Stopwatch::start();
        round_trip(&mut stream, "x").await.unwrap();
        times.push(watch.elapsed());
    }
    times.sort();
    assert!(times[0] >= ms(10), "{times:?}");
    // The chance that twelve rolls lie so close together is one in millions.
    assert!(times[11] - times[0] > ms(15), "{times:?}");
    Ok(())
}

#[tokio::test]
async fn jitter_can_be_repeated() -> Result<(), Error> {
    let echo = Listener::echo().await;
    let mut runs = Vec::new();
    for _ in 0..2 {
        let proxy = FaultProxy::start_seeded(echo.addr, 42).await?;
        assert_eq!(proxy.seed(), 42);
        proxy.set(Fault::none().jitter(ms(200)).only(Direction::ToServer));
        let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
        for _ in 0..4 {
            let watch = Stopwatch::start();
            round_trip(&mut stream, "x").await.unwrap();
            runs.push(watch.elapsed());
        }
    }
    let (first, second) = runs.split_at(4);
    let apart = first
        .iter()
        .zip(second)
        .map(|(one, other)| one.abs_diff(*other))
        .max();
    let spread = first
        .iter()
        .max()
        .unwrap()
        .abs_diff(*first.iter().min().unwrap());
    assert!(apart < Some(spread / 2), "{first:?} {second:?}");
    Ok(())
}

#[tokio::test]
async fn bandwidth() -> Result<(), Error> {
    let (_echo, proxy, mut stream) = network().await?;
    proxy.set(Fault::bandwidth(50_000).only(Direction::ToServer));
    let watch = Stopwatch::start();
    stream.write_all(&[7; 20_000]).await.unwrap();
    let mut back = vec![0; 20_000];
    stream.read_exact(&mut back[..2_000]).await.unwrap();
    assert!(
        watch.elapsed() < ms(300),
        "it bursts instead of trickling: {:?}",
        watch.elapsed()
    );
    stream.read_exact(&mut back[2_000..]).await.unwrap();
    assert!(watch.elapsed() >= ms(390), "{:?}", watch.elapsed());

    stream.write_all(&[7; 200_000]).await.unwrap();
    proxy.heal();
    let watch = Stopwatch::start();
    stream.read_exact(&mut vec![0; 200_000]).await.unwrap();
    assert!(
        watch.elapsed() < Duration::from_secs(2),
        "{:?}",
        watch.elapsed()
    );
    Ok(())
}

#[tokio::test]
async fn reset() -> Result<(), Error> {
    let (_echo, proxy, mut stream) = network().await?;
    proxy.set(Fault::reset());
    let end = within("the reset", PATIENCE, stream.read_u8()).await?;
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);

    let newcomer = async { TcpStream::connect(proxy.addr()).await?.read_u8().await };
    let end = within("the reset", PATIENCE, newcomer).await?;
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(proxy.stats().reset, 2);

    proxy.heal();
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(round_trip(&mut stream, "again").await.unwrap(), "again");
    Ok(())
}

#[tokio::test]
async fn cut_is_for_those_that_are_there() -> Result<(), Error> {
    let (_echo, proxy, mut stream) = network().await?;
    proxy.cut();
    // Nobody has looked at the cut yet, and it must not be forgotten.
    proxy.heal();
    let mut newcomer = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(round_trip(&mut newcomer, "new").await.unwrap(), "new");
    let end = within("the reset", PATIENCE, stream.read_u8()).await?;
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    Ok(())
}

#[tokio::test]
async fn black_hole() -> Result<(), Error> {
    let (_echo, proxy, mut stream) = network().await?;
    proxy.set(Fault::black_hole());
    stream.write_all(b"lost").await.unwrap();
    let mut newcomer = TcpStream::connect(proxy.addr()).await.unwrap();
    newcomer.write_all(b"lost").await.unwrap();
    assert!(is_silent(&mut stream).await && is_silent(&mut newcomer).await);
    assert_eq!(
        (proxy.stats().bytes_lost, proxy.stats().bytes_to_server),
        (8, 5)
    );

    proxy.heal();
    // The stream has a hole: what follows must not look like what was to come.
    stream.write_all(b"late").await.unwrap();
    assert!(is_silent(&mut stream).await);
    let mut newcomer = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(round_trip(&mut newcomer, "new").await.unwrap(), "new");
    Ok(())
}

#[tokio::test]
async fn a_black_hole_swallows_the_end_of_a_connection() -> Result<(), Error> {
    let (_echo, proxy, stream) = network().await?;
    proxy.set(Fault::black_hole());
    drop(stream);
    let ended = wait_until("the end", MOMENT, || async { proxy.stats().open == 0 }).await;
    assert!(ended.is_err(), "the server heard of the end");
    Ok(())
}

#[tokio::test]
async fn a_stall_ends_well() -> Result<(), Error> {
    let (_echo, proxy, mut stream) = network().await?;
    proxy.set(Fault::stall());
    stream.write_all(b"one").await.unwrap();
    let mut newcomer = TcpStream::connect(proxy.addr()).await.unwrap();
    newcomer.write_all(b"two").await.unwrap();
    assert!(is_silent(&mut stream).await && is_silent(&mut newcomer).await);
    proxy.heal();
    for (stream, expected) in [(&mut stream, b"one"), (&mut newcomer, b"two")] {
        let mut answer = [0; 3];
        within("what was held", PATIENCE, stream.read_exact(&mut answer))
            .await?
            .unwrap();
        assert_eq!(&answer, expected);
    }
    Ok(())
}

#[tokio::test]
async fn half_open() -> Result<(), Error> {
    let (_echo, proxy, mut stream) = network().await?;
    proxy.set(Fault::half_open(Direction::ToServer));
    stream.write_all(b"request").await.unwrap();
    wait_until("the request is there", PATIENCE, || async {
        proxy.stats().bytes_to_server == 12
    })
    .await?;
    assert!(is_silent(&mut stream).await);
    assert_eq!(proxy.stats().bytes_to_client, 5);

    proxy.set(Fault::half_open(Direction::ToClient));
    let mut answer = [0; 7];
    within("the reply", PATIENCE, stream.read_exact(&mut answer))
        .await?
        .unwrap();
    stream.write_all(b"another").await.unwrap();
    assert!(is_silent(&mut stream).await);
    assert_eq!(proxy.stats().bytes_to_server, 12);
    Ok(())
}

#[tokio::test]
async fn refuse() -> Result<(), Error> {
    let (_echo, proxy, mut stream) = network().await?;
    let connect = async || {
        TcpStream::connect(proxy.addr())
            .await
            .map(drop)
            .map_err(|error| error.kind())
    };
    // At once each time, not when the proxy gets to it.
    for _ in 0..50 {
        proxy.set(Fault::refuse());
        assert_eq!(connect().await, Err(ErrorKind::ConnectionRefused));
        proxy.heal();
        assert_eq!(connect().await, Ok(()));
    }
    proxy.set(Fault::refuse());
    assert_eq!(
        round_trip(&mut stream, "still here").await.unwrap(),
        "still here"
    );
    proxy.heal();
    let mut newcomer = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(round_trip(&mut newcomer, "back").await.unwrap(), "back");
    Ok(())
}

#[tokio::test]
async fn a_fault_for_new_connections_only() -> Result<(), Error> {
    let (_echo, proxy, mut stream) = network().await?;
    proxy.set_for_new(Fault::stall());
    let mut newcomer = TcpStream::connect(proxy.addr()).await.unwrap();
    newcomer.write_all(b"x").await.unwrap();
    assert!(is_silent(&mut newcomer).await);
    assert_eq!(round_trip(&mut stream, "fine").await.unwrap(), "fine");
    Ok(())
}

#[tokio::test]
async fn faults_combine() -> Result<(), Error> {
    let (_echo, proxy, mut stream) = network().await?;
    let only = Direction::ToServer;
    proxy.set(
        Fault::latency(ms(100))
            .and(Fault::bandwidth(10_000))
            .only(only),
    );
    let watch = Stopwatch::start();
    round_trip(&mut stream, &"x".repeat(2_000)).await.unwrap();
    assert!(watch.elapsed() >= ms(290), "{:?}", watch.elapsed());
    Ok(())
}

#[tokio::test]
async fn an_end_that_is_reset_resets_the_other() -> Result<(), Error> {
    let rude = Listener::start(|mut stream| async move {
        stream.read_u8().await?;
        stream.set_zero_linger()
    })
    .await;
    let proxy = FaultProxy::start(rude.addr).await?;
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    let end = within("the reset", PATIENCE, stream.read_u8()).await?;
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    Ok(())
}

#[tokio::test]
async fn a_drop_ends_everything() -> Result<(), Error> {
    let (_echo, proxy, mut stream) = network().await?;
    let addr = proxy.addr();
    drop(proxy);
    let refused = TcpStream::connect(addr)
        .await
        .map(drop)
        .map_err(|error| error.kind());
    assert_eq!(refused, Err(ErrorKind::ConnectionRefused));
    let end: io::Result<u8> = within("the end", PATIENCE, stream.read_u8()).await?;
    assert!(end.is_err());
    Ok(())
}

#[tokio::test]
async fn faults_may_be_switched_from_any_thread() -> Result<(), Error> {
    let (_echo, proxy, _stream) = network().await?;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            proxy.set(Fault::refuse());
            proxy.heal();
        });
    });
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(round_trip(&mut stream, "hello").await.unwrap(), "hello");
    Ok(())
}
