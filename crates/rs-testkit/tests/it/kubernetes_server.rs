use std::io;

use rs_testkit::http::Request;
use rs_testkit::{Error, Kubernetes};
use tokio::net::TcpStream;

use crate::life;

const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";

async fn write(server: &Kubernetes, name: &str) -> io::Result<String> {
    let slice = format!(
        r#"{{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {{"name": "{name}", "labels": {{"kubernetes.io/service-name": "a"}}}},
            "endpoints": [{{"addresses": ["10.0.0.1"]}}], "ports": [{{"port": 80}}]}}"#
    );
    let post = Request::post(server.addr(), SLICES).header("Content-Type", "application/json");
    server.send(post.body(slice)).await?.ok()
}

#[tokio::test]
async fn life() -> Result<(), Error> {
    let server = Kubernetes::start().await?;
    write(&server, "one").await.unwrap();
    life::check(&server, true, || async {
        let list = server.send(Request::get(server.addr(), SLICES)).await?;
        Ok(list.ok()?.contains("10.0.0.1"))
    })
    .await?;

    server.compact().await.unwrap();
    server.wipe().await?;
    let list = server.send(Request::get(server.addr(), SLICES));
    assert!(!list.await.unwrap().body.contains("10.0.0.1"));
    write(&server, "one").await.unwrap();
    Ok(())
}

#[tokio::test]
async fn a_slice_that_is_none_is_refused() -> Result<(), Error> {
    let server = Kubernetes::start().await?;
    let nonsense = r#"{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "a"}, "addressType": "IPv4", "ports": [{"port": 65536}]}"#;
    let post = Request::post(server.addr(), SLICES).header("Content-Type", "application/json");
    let refused = server.send(post.body(nonsense)).await.unwrap();
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert!(TcpStream::connect(server.etcd().addr()).await.is_ok());
    Ok(())
}
