//! Ten thousand instances of a hundred services, written past the backends.

use crate::instance;
use rs_backends::ServiceInstance;

pub(crate) const SERVICES: usize = 100;
pub(crate) const EACH: usize = 100;

/// One with a bit of everything.
pub(crate) fn full(service: &str, id: usize) -> ServiceInstance {
    let builder = instance(service, &format!("10.0.0.{id}:8443")).to_builder();
    let builder = builder.zone("eu-1a").version("1.4.2").tag("canary");
    builder.metadata("build", "b7").build().unwrap()
}

pub(crate) async fn in_etcd(server: &rs_testkit::Etcd) {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use serde_json::json;

    for service in 0..SERVICES {
        let name = format!("s{service}");
        let writes: Vec<_> = (0..EACH)
            .map(|id| {
                let one = full(&name, id);
                let key = STANDARD.encode(format!("/rs-backends/{name}/{}", one.id()));
                let value = STANDARD.encode(serde_json::to_string(&one).unwrap());
                json!({ "request_put": { "key": key, "value": value } })
            })
            .collect();
        let all = json!({ "success": writes }).to_string();
        let put = rs_testkit::http::Request::post(server.addr(), "/v3/kv/txn").body(all);
        put.send().await.unwrap().ok().unwrap();
    }
}
