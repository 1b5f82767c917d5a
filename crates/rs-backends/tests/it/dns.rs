//! DNS, from a real name server.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use crate::{ids, instance, now, until};
use rs_backends::{
    Backend, BackendConfig, BackendError, Dns, DnsConfig, ServiceInstance, Standing, async_trait,
    conformance::{self, Subject},
};
use rs_core::{Backoff, Condition};
use rs_testkit::{Consul, Dnsmasq as Server, http::Request};

fn quick(config: DnsConfig, servers: &[SocketAddr]) -> DnsConfig {
    let servers: Vec<_> = servers.iter().map(ToString::to_string).collect();
    let config = config.with_servers(servers.iter().map(String::as_str));
    let config = config.unwrap().with_timeout(Duration::from_secs(1));
    let config = config.unwrap().with_empty_grace(Duration::from_millis(300));
    let (least, most) = (Duration::from_millis(100), Duration::from_secs(60));
    let config = config.unwrap().with_refresh(least, most).unwrap();
    let often = Backoff::constant(Duration::from_millis(50));
    config.with_reconnect(often).unwrap()
}

fn services(server: &Server) -> Dns {
    let config = DnsConfig::services("_{service}._tcp.example.test").unwrap();
    Dns::new("dns", quick(config, &[server.addr()]))
}

fn addresses(server: &Server) -> Dns {
    let config = DnsConfig::addresses("{service}.example.test", 80).unwrap();
    Dns::new("dns", quick(config, &[server.addr()]))
}

const ZONE: &str = "local=/example.test/";

/// The server answers as one that has a zone, in which these are.
fn zone(instances: &[ServiceInstance]) -> Vec<String> {
    let mut lines = vec![ZONE.to_owned(), "local-ttl=1".to_owned()];
    for one in instances {
        let host = one.host().replace(['.', ':'], "-");
        let (service, port) = (one.service(), one.port());
        lines.push(format!("host-record=h{host}.example.test,{}", one.host()));
        lines.push(format!(
            "srv-host=_{service}._tcp.example.test,h{host}.example.test,{port}"
        ));
    }
    lines
}

struct Zone(Server);

#[async_trait]
impl Subject for Zone {
    async fn connect(&self) -> Arc<dyn Backend> {
        Arc::new(services(&self.0))
    }

    async fn write(&self, instances: &[ServiceInstance]) -> bool {
        self.0.replace(zone(instances)).await.unwrap();
        true
    }

    async fn go_away(&self, away: bool) -> bool {
        match away {
            true => self.0.pause().unwrap(),
            false => self.0.resume().unwrap(),
        }
        true
    }
}

#[tokio::test]
async fn it_keeps_the_promises_of_what_knows_addresses() {
    let server = Server::builder().records(zone(&[])).start().await.unwrap();
    conformance::check_addresses(&Zone(server)).await;
}

#[tokio::test]
async fn registering_is_refused_and_says_why() {
    let server = Server::start().await.unwrap();
    let dns = services(&server);
    for refused in [
        dns.register(instance("a", "1")).await,
        dns.deregister("a", "1").await,
    ] {
        let error = refused.unwrap_err();
        assert!(matches!(error, BackendError::Unsupported(_)), "{error:?}");
        assert!(error.to_string().contains("DNS is only read"), "{error}");
    }
    let impossible = dns.discover("a b").await.unwrap_err();
    assert!(impossible.to_string().contains("cannot be a name in DNS"));
}

#[tokio::test]
async fn weights_targets_and_both_kinds_of_addresses() {
    let server = Server::builder().records([
        ZONE,
        "host-record=one.example.test,10.0.0.7,fd00::7",
        "host-record=two.example.test,10.0.0.8",
        "cname=three.example.test,two.example.test",
        "srv-host=_a._tcp.example.test,one.example.test,8443,1,30",
        "srv-host=_a._tcp.example.test,three.example.test,8444,1,0",
        "srv-host=_a._tcp.example.test,missing.example.test,8445,1,5",
        "srv-host=_a._tcp.example.test,two.example.test,9999,2,5",
        "srv-host=_none._tcp.example.test",
    ]);
    let server = server.start().await.unwrap();
    let dns = services(&server);
    let set = dns.discover("a").await.unwrap();
    assert_eq!(
        ids(&set),
        ["10.0.0.7:8443", "10.0.0.8:8444", "[fd00::7]:8443"]
    );
    let one = set.get("10.0.0.7:8443").unwrap();
    assert_eq!(
        (one.weight(), one.metadata_of("target")),
        (30, Some("one.example.test"))
    );
    assert_eq!(set.get("10.0.0.8:8444").unwrap().weight(), 1);
    assert!(dns.discover("none").await.unwrap().is_empty());
    let hosts = addresses(&server);
    let set = hosts.discover("one").await.unwrap();
    assert_eq!(ids(&set), ["10.0.0.7:80", "[fd00::7]:80"]);
    assert_eq!(
        ids(&hosts.discover("three").await.unwrap()),
        ["10.0.0.8:80"]
    );
}

#[tokio::test]
async fn what_is_not_there_is_empty_and_what_is_refused_is_an_error() {
    let known = [
        ZONE,
        "txt-record=text.example.test,x",
        "host-record=one.example.test,10.0.0.7",
    ];
    let server = Server::builder().records(known).start().await.unwrap();
    let hosts = addresses(&server);
    for nothing in ["nobody", "text"] {
        let set = hosts.discover(nothing).await.unwrap();
        assert!(set.is_empty() && set.is_current(), "{nothing}: {set:?}");
    }
    // Of another zone it knows nothing, and nobody whom it could ask.
    let config = DnsConfig::addresses("{service}.other.test", 80).unwrap();
    let other = Dns::new("dns", quick(config, &[server.addr()]));
    let error = other.discover("one").await.unwrap_err();
    assert!(
        matches!(&error, BackendError::Refused(why) if why.contains("REFUSED")),
        "{error:?}"
    );
    let health = other.health_check().await;
    assert_eq!(health.condition(), Condition::Degraded, "{health:?}");
    assert_eq!(hosts.health_check().await.condition(), Condition::Up);
}

#[tokio::test]
async fn what_is_too_much_for_a_datagram_is_asked_for_again() {
    let record = |id: usize| {
        format!(
            "host-record=many.example.test,10.0.{}.{}",
            id / 250,
            id % 250 + 1
        )
    };
    let records = [ZONE.to_owned()].into_iter().chain((0..500).map(record));
    let server = Server::builder().records(records).start().await.unwrap();
    assert_eq!(
        addresses(&server).discover("many").await.unwrap().len(),
        500
    );
}

#[tokio::test]
async fn a_time_to_live_is_honoured() {
    let record = |address: &str, ttl| format!("host-record=one.example.test,{address},{ttl}");
    let with = |line: String| [ZONE.to_owned(), line];
    let server = Server::builder().records(with(record("10.0.0.7", 2)));
    let server = server.start().await.unwrap();
    let config = DnsConfig::addresses("{service}.example.test", 80).unwrap();
    // What is not there has a time of its own.
    let dns = Dns::new("dns", quick(config, &[server.addr()]).with_ipv6(false));
    let mut watch = dns.watch("one").unwrap();
    until(&mut watch, "the one", |set| set.len() == 1).await;
    let asked = now();
    server.replace(with(record("10.0.0.8", 2))).await.unwrap();
    until(&mut watch, "the other", |set| {
        set.get("10.0.0.8:80").is_some()
    })
    .await;
    let took = asked.elapsed();
    println!("dns: a change was seen after {took:?}, with a time of 2 s");
    // Up to a quarter earlier by chance.
    assert!(
        took >= Duration::from_millis(1400) && took <= Duration::from_millis(2700),
        "{took:?}"
    );
}

#[tokio::test]
async fn a_server_that_is_killed_or_frozen_empties_nothing() {
    let records = [ZONE, "local-ttl=1", "host-record=one.example.test,10.0.0.7"];
    let server = Server::builder().records(records).start().await.unwrap();
    let dns = addresses(&server);
    let mut watch = dns.watch("one").unwrap();
    until(&mut watch, "the one", |set| set.len() == 1).await;
    server.kill().await;
    let kept = until(&mut watch, "it is gone", |set| !set.is_current()).await;
    assert!(
        matches!(kept.standing(), Standing::Kept(_)) && kept.len() == 1,
        "{kept:?}"
    );
    assert_eq!(dns.health_check().await.condition(), Condition::Down);
    server.restart().await.unwrap();
    until(&mut watch, "it is back", |set| set.is_current()).await;
    server.pause().unwrap();
    let frozen = now();
    let kept = until(&mut watch, "it is silent", |set| !set.is_current()).await;
    println!("dns: frozen until known: {:?}", frozen.elapsed());
    assert!(
        frozen.elapsed() <= Duration::from_secs(4),
        "{:?}",
        frozen.elapsed()
    );
    assert!(
        matches!(watch.trouble(), Some(BackendError::TimedOut(_))),
        "{kept:?}"
    );
    server.resume().unwrap();
    until(&mut watch, "it answers", |set| set.is_current()).await;
    // Without its records it says that there is nobody, and that is doubted first.
    server.replace([ZONE]).await.unwrap();
    let doubted = until(&mut watch, "doubted", |set| {
        matches!(set.standing(), Standing::Doubted)
    });
    assert_eq!(doubted.await.len(), 1);
    until(&mut watch, "believed", |set| set.is_empty()).await;
}

#[tokio::test]
async fn of_several_servers_one_that_answers_is_asked() {
    let (one, two) = (Server::start().await.unwrap(), Server::builder());
    let two = two.records([ZONE, "host-record=one.example.test,10.0.0.7"]);
    let two = two.start().await.unwrap();
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let config = DnsConfig::addresses("{service}.example.test", 80).unwrap();
    // The first is silent, the second refuses.
    let servers = [silent.local_addr().unwrap(), one.addr(), two.addr()];
    let dns = Dns::new("dns", quick(config, &servers));
    assert_eq!(dns.discover("one").await.unwrap().len(), 1);
    let again = now();
    assert_eq!(dns.discover("one").await.unwrap().len(), 1);
    assert!(
        again.elapsed() < Duration::from_millis(160),
        "it is remembered"
    );
}

#[tokio::test]
async fn consul_is_a_name_server_too() {
    let server = Consul::start().await.unwrap();
    let body = r#"{"ID":"1","Name":"a","Address":"10.0.0.7","Port":8443,"Weights":{"Passing":7,"Warning":1}}"#;
    let put = Request::put(server.addr(), "/v1/agent/service/register").body(body);
    put.send().await.unwrap().ok().unwrap();
    let text = format!(
        "kind = \"dns\"\nservices = \"{{service}}.service.consul\"\nservers = [\"{}\"]\nrefresh_least = \"100ms\"",
        server.dns_addr()
    );
    let config: BackendConfig = toml::from_str(&text).unwrap();
    let dns = config.build("dns").unwrap();
    let mut watch = dns.watch("a").unwrap();
    let set = until(&mut watch, "the one", |set| set.len() == 1).await;
    assert_eq!(
        (ids(&set), set.instances()[0].weight()),
        (vec!["10.0.0.7:8443"], 7)
    );
}

#[tokio::test]
async fn other_names_are_asked_for_while_it_is_watched() {
    let records = [
        ZONE,
        "host-record=one.example.test,10.0.0.7",
        "host-record=one.green.example.test,10.0.0.8",
    ];
    let server = Server::builder().records(records).start().await.unwrap();
    let dns = addresses(&server);
    let mut watch = dns.watch("one").unwrap();
    until(&mut watch, "the one", |set| {
        set.get("10.0.0.7:80").is_some()
    })
    .await;
    let green = DnsConfig::addresses("{service}.green.example.test", 81).unwrap();
    dns.reconfigure(quick(green, &[server.addr()]));
    until(&mut watch, "the other", |set| {
        set.get("10.0.0.8:81").is_some()
    })
    .await;
}
