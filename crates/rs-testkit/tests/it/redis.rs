use rs_testkit::{Error, Redis, within};
use tokio::io::BufReader;
use tokio::net::TcpStream;

use crate::life::{self, PATIENCE};
use crate::net::{redis, redis_on, redis_reply};

#[tokio::test]
async fn life() -> Result<(), Error> {
    let server = Redis::start().await?;
    let addr = server.addr();
    assert_eq!(server.url(), format!("redis://{addr}"));
    assert_eq!(redis(addr, &["SET", "name", "value"]).await.unwrap(), "+OK");
    life::check(&server, "value".to_owned(), || {
        redis(addr, &["GET", "name"])
    })
    .await
}

#[tokio::test]
async fn a_connection_survives_a_pause() -> Result<(), Error> {
    let server = Redis::start().await?;
    let mut stream = BufReader::new(TcpStream::connect(server.addr()).await.unwrap());
    assert_eq!(redis_on(&mut stream, &["PING"]).await.unwrap(), "+PONG");
    server.pause()?;
    assert!(
        within("an answer", life::MOMENT, redis_on(&mut stream, &["PING"]))
            .await
            .is_err()
    );
    server.resume()?;
    assert_eq!(
        within("the late answer", PATIENCE, redis_reply(&mut stream))
            .await?
            .unwrap(),
        "+PONG"
    );
    Ok(())
}

#[tokio::test]
async fn options() -> Result<(), Error> {
    let server = Redis::builder()
        .password("it's \"secret\"")
        .keyspace_events("KEA")
        .append_only(false)
        .setting("maxmemory", "3mb")
        .start()
        .await?;
    let refused = redis(server.addr(), &["PING"]).await.unwrap();
    assert!(refused.starts_with("-NOAUTH"), "{refused}");

    let connect = async || {
        let mut stream = BufReader::new(TcpStream::connect(server.addr()).await.unwrap());
        assert_eq!(
            redis_on(&mut stream, &["AUTH", "it's \"secret\""])
                .await
                .unwrap(),
            "+OK"
        );
        stream
    };
    let mut listener = connect().await;
    assert_eq!(
        redis_on(&mut listener, &["PSUBSCRIBE", "__keyspace@0__:*"])
            .await
            .unwrap(),
        "*3"
    );
    let mut writer = connect().await;
    assert_eq!(
        redis_on(&mut writer, &["SET", "a", "b"]).await.unwrap(),
        "+OK"
    );
    let heard = within("a keyspace event", PATIENCE, async {
        while redis_reply(&mut listener).await.unwrap() != "__keyspace@0__:a" {}
    });
    heard.await?;
    assert_eq!(
        redis_on(&mut writer, &["CONFIG", "GET", "maxmemory"])
            .await
            .unwrap(),
        "*2"
    );
    assert_eq!(redis_reply(&mut writer).await.unwrap(), "maxmemory");
    assert_eq!(redis_reply(&mut writer).await.unwrap(), "3145728");
    drop((listener, writer));

    server.kill().await;
    server.restart().await?;
    assert_eq!(
        redis_on(&mut connect().await, &["GET", "a"]).await.unwrap(),
        "$-1",
        "it kept what it should not"
    );
    Ok(())
}
