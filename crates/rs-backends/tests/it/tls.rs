//! TLS and secrets, with real servers.

use std::{fs, path::PathBuf};

use crate::instance;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rs_backends::{
    Backend, BackendError, Consul, ConsulConfig, Etcd, EtcdConfig, Redis, RedisConfig, TlsConfig,
};
use rs_testkit::{Consul as ConsulServer, Etcd as EtcdServer, Redis as RedisServer};
use tempfile::TempDir;

/// An authority of one's own, and whom it has signed: files in PEM.
pub(crate) struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), &pem).unwrap();
        let issuer = Issuer::new(params, key);
        Self {
            folder,
            issuer,
            pem,
        }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A certificate for this name, and its key.
    pub(crate) fn sign(&self, name: &str) -> [String; 2] {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        [signed.pem(), key.serialize_pem()]
    }

    /// The same as files, for a server.
    pub(crate) fn server(&self, name: &str) -> [PathBuf; 3] {
        let files = ["server.pem", "server.key", "ca.pem"].map(|file| self.file(file));
        for (file, pem) in files.iter().zip(self.sign(name)) {
            fs::write(file, pem).unwrap();
        }
        files
    }

    /// A client that trusts this authority, and that it knows.
    pub(crate) fn client(&self) -> TlsConfig {
        let [chain, key] = self.sign("client");
        let tls = self.stranger();
        tls.with_identity(chain.as_bytes(), key.as_bytes()).unwrap()
    }

    /// A client that trusts this authority, and has nothing to show.
    pub(crate) fn stranger(&self) -> TlsConfig {
        TlsConfig::trusting(self.pem.as_bytes()).unwrap()
    }
}

#[tokio::test]
async fn consul_over_tls_is_who_it_says_and_so_are_we() {
    let authority = Authority::new();
    let [certificate, key, ca] = authority.server("127.0.0.1");
    let server = ConsulServer::builder()
        .tls(certificate, key, ca)
        .token("s3cr3t");
    let server = server.start().await.unwrap();
    let with = |tls: Option<TlsConfig>| {
        let config = ConsulConfig::new(&server.https_url()).unwrap();
        let mut config = config.with_token("s3cr3t").unwrap();
        if let Some(tls) = tls {
            config = config.with_tls(tls).unwrap();
        }
        Consul::new("consul", config)
    };
    let ours = with(Some(authority.client()));
    ours.register(instance("a", "1")).await.unwrap();
    let mut watch = ours.watch("a").unwrap();
    assert_eq!(watch.changed().await.unwrap().len(), 1);
    for (who, tls) in wrong(&authority) {
        let refused = with(tls).discover("a").await;
        let said = format!("{refused:?}");
        assert!(
            matches!(refused, Err(BackendError::Unreachable(_))),
            "{who}: {said}"
        );
        assert!(!said.contains("s3cr3t"), "{said}");
    }
}

/// What must not be let in, or must not let itself be taken in.
fn wrong(authority: &Authority) -> [(&'static str, Option<TlsConfig>); 4] {
    let other = authority.client().with_server_name("other.example");
    [
        ("the system's authorities", None),
        ("another authority", Some(Authority::new().client())),
        ("no certificate of ours", Some(authority.stranger())),
        ("another name", Some(other.unwrap())),
    ]
}

#[tokio::test]
async fn etcd_over_tls_is_who_it_says_and_so_are_we() {
    let authority = Authority::new();
    let [certificate, key, ca] = authority.server("127.0.0.1");
    let server = EtcdServer::builder().tls(certificate, key, ca).start();
    let server = server.await.unwrap();
    let with = |tls: Option<TlsConfig>| {
        let mut config = EtcdConfig::new(&server.url()).unwrap();
        if let Some(tls) = tls {
            config = config.with_tls(tls).unwrap();
        }
        Etcd::new("etcd", config)
    };
    let ours = with(Some(authority.client()));
    ours.register(instance("a", "1")).await.unwrap();
    let mut watch = ours.watch("a").unwrap();
    assert_eq!(watch.changed().await.unwrap().len(), 1);
    for (who, tls) in wrong(&authority) {
        let refused = with(tls).discover("a").await;
        assert!(
            matches!(refused, Err(BackendError::Unreachable(_))),
            "{who}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn redis_over_tls_is_who_it_says_and_so_are_we() {
    let authority = Authority::new();
    let [certificate, key, ca] = authority.server("127.0.0.1");
    let server = RedisServer::builder().tls(certificate, key, ca).start();
    let server = server.await.unwrap();
    let with = |tls: Option<TlsConfig>| {
        let mut config = RedisConfig::new(&server.tls_url()).unwrap();
        if let Some(tls) = tls {
            config = config.with_tls(tls).unwrap();
        }
        Redis::new("redis", config)
    };
    let ours = with(Some(authority.client()));
    ours.register(instance("a", "1")).await.unwrap();
    let mut watch = ours.watch("a").unwrap();
    assert_eq!(watch.changed().await.unwrap().len(), 1);
    for (who, tls) in wrong(&authority) {
        let named = tls
            .as_ref()
            .is_some_and(|tls| format!("{tls:?}").contains("other.example"));
        if named {
            let config = RedisConfig::new(&server.tls_url()).unwrap();
            let refused = config.with_tls(tls.unwrap()).unwrap_err();
            assert_eq!(refused.field(), "tls");
            continue;
        }
        let refused = with(tls).discover("a").await;
        assert!(
            matches!(refused, Err(BackendError::Unreachable(_))),
            "{who}: {refused:?}"
        );
    }
    let plain = RedisConfig::new("redis://127.0.0.1").unwrap();
    assert_eq!(
        plain.with_tls(authority.client()).unwrap_err().field(),
        "tls"
    );
    let careless = format!("{}/#insecure", server.tls_url());
    assert_eq!(RedisConfig::new(&careless).unwrap_err().field(), "url");
}

#[tokio::test]
async fn a_user_of_redis_needs_only_its_keys_and_a_few_commands() {
    let server = RedisServer::start().await.unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let mut raw = client.get_multiplexed_async_connection().await.unwrap();
    let rules = [
        "on",
        ">s3cr3t",
        "~{rs-backends:*",
        "+@read",
        "+@write",
        "+@scripting",
        "+@connection",
        "+ping",
        "+time",
        "-@dangerous",
    ];
    let mut set = redis::cmd("ACL");
    set.arg("SETUSER").arg("app").arg(&rules);
    let _: () = set.query_async(&mut raw).await.unwrap();
    let url = |user: &str| format!("redis://{user}@{}", server.addr());
    let with = |user: &str| Redis::new("redis", RedisConfig::new(&url(user)).unwrap());
    let app = with("app:s3cr3t");
    app.register(instance("a", "1")).await.unwrap();
    let mut watch = app.watch("a").unwrap();
    assert_eq!(watch.changed().await.unwrap().len(), 1);
    assert!(app.health_check().await.health().is_up());
    let wrong = with("app:an0ther").discover("a").await.unwrap_err();
    assert!(
        wrong.may_pass() && !format!("{wrong:?}").contains("an0ther"),
        "{wrong:?}"
    );
    let elsewhere = RedisConfig::new(&url("app:s3cr3t")).unwrap();
    let elsewhere = Redis::new("redis", elsewhere.with_prefix("others").unwrap());
    let refused = elsewhere.register(instance("a", "1")).await.unwrap_err();
    assert!(matches!(refused, BackendError::Refused(_)), "{refused:?}");
    app.deregister("a", "1").await.unwrap();
}

#[test]
fn keys_are_never_shown_and_plain_addresses_are_refused() {
    let authority = Authority::new();
    let [chain, key] = authority.sign("client");
    let line = key.lines().nth(1).unwrap();
    let tls = authority.stranger();
    let tls = tls.with_identity(chain.as_bytes(), key.as_bytes()).unwrap();
    let config = ConsulConfig::new("https://127.0.0.1:1").unwrap();
    let config = config.with_tls(tls.clone()).unwrap();
    for shown in [
        format!("{tls:?}"),
        format!("{config:#?}"),
        format!("{:?}", Consul::new("consul", config)),
    ] {
        assert!(
            !shown.contains(line) && !shown.contains("PRIVATE"),
            "{shown}"
        );
    }
    let plain = ConsulConfig::new("http://127.0.0.1:1").unwrap();
    let refused = plain.with_tls(tls.clone()).unwrap_err();
    assert_eq!(refused.field(), "tls");
    // What does not belong together, and what is no PEM.
    let [_, other] = authority.sign("other");
    for key in [
        &other,
        "nonsense",
        &chain,
        "-----BEGIN PRIVATE KEY-----\ns3cr3t",
    ] {
        let wrong = tls.clone().with_identity(chain.as_bytes(), key.as_bytes());
        let said = format!("{:?}", wrong.unwrap_err());
        assert!(
            said.contains("identity") && !said.contains("s3cr3t"),
            "{said}"
        );
    }
    assert!(TlsConfig::trusting(b"nonsense").is_err());
    let user = ConsulConfig::new("http://me:s3cr3t@127.0.0.1:1").unwrap_err();
    assert!(!format!("{user:?} {user}").contains("s3cr3t"), "{user}");
}
