//! Starts private servers by hand and keeps them until its input ends or it is killed:
//! `cargo run -p rs-testkit -- redis consul`.

use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;

use rs_testkit::{
    Consul, Dnsmasq, Error, Etcd, Postgres, Prometheus, RabbitMq, Redis, Server, ServerKind,
};

const NAMES: &str = "consul, dnsmasq, etcd, kubernetes (feature `kubernetes`), postgres, prometheus, rabbitmq, redis";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match serve(std::env::args().skip(1)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(names: impl Iterator<Item = String>) -> Result<(), Box<dyn std::error::Error>> {
    let mut servers = Vec::new();
    for name in names {
        servers.push(
            start(&name)
                .await?
                .ok_or_else(|| format!("{name} is none of {NAMES}"))?,
        );
    }
    if servers.is_empty() {
        return Err(format!("say which servers to start: {NAMES}").into());
    }
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// A server of any kind, to be kept and dropped.
type Kept = Box<dyn Send>;

async fn start(name: &str) -> Result<Option<Kept>, Error> {
    Ok(Some(match name {
        "consul" => announced(Consul::start().await?, Consul::url),
        "dnsmasq" => announced(Dnsmasq::start().await?, |server| {
            format!("dns://{}", server.addr())
        }),
        "etcd" => announced(Etcd::start().await?, Etcd::url),
        #[cfg(feature = "kubernetes")]
        "kubernetes" => {
            let kubernetes = rs_testkit::Kubernetes::start().await?;
            println!(
                "{} {} {}",
                kubernetes.url(),
                kubernetes.pid().unwrap_or_default(),
                kubernetes.folder().display()
            );
            Box::new(kubernetes)
        }
        "postgres" => announced(Postgres::start().await?, Postgres::url),
        "prometheus" => announced(Prometheus::start().await?, Prometheus::url),
        "rabbitmq" => announced(RabbitMq::start().await?, RabbitMq::url),
        "redis" => announced(Redis::start().await?, Redis::url),
        _ => return Ok(None),
    }))
}

/// Prints `url pid folder`.
fn announced<K: ServerKind>(server: Server<K>, url: fn(&Server<K>) -> String) -> Kept {
    let folder: &Path = server.folder();
    println!(
        "{} {} {}",
        url(&server),
        server.pid().unwrap_or_default(),
        folder.display()
    );
    Box::new(server)
}
