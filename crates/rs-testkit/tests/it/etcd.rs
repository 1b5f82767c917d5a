use rs_testkit::http::{Reply, Request};
use rs_testkit::{Error, Etcd};

use crate::life;

/// `name` and `value` in Base64, as etcd wants bytes in JSON.
const NAME: &str = "bmFtZQ==";
const VALUE: &str = "dmFsdWU=";

#[tokio::test]
async fn life() -> Result<(), Error> {
    let server = Etcd::start().await?;
    let addr = server.addr();
    let put = Request::post(addr, "/v3/kv/put")
        .body(format!(r#"{{"key": "{NAME}", "value": "{VALUE}"}}"#));
    assert_eq!(put.send().await.unwrap().status, 200);
    life::check(&server, true, || async move {
        let range = Request::post(addr, "/v3/kv/range").body(format!(r#"{{"key": "{NAME}"}}"#));
        Ok(range.send().await?.ok()?.contains(VALUE))
    })
    .await
}

#[tokio::test]
async fn password() -> Result<(), Error> {
    let server = Etcd::builder()
        .root_password("secret")
        .flag("--max-txn-ops=7")
        .start()
        .await?;
    let range =
        || Request::post(server.addr(), "/v3/kv/range").body(format!(r#"{{"key": "{NAME}"}}"#));
    let refused = range().send().await.unwrap();
    assert_eq!(refused.status, 400, "{}", refused.body);

    server.restart().await?;
    let login = r#"{"name": "root", "password": "secret"}"#;
    let reply = Request::post(server.addr(), "/v3/auth/authenticate")
        .body(login)
        .send()
        .await
        .unwrap();
    let token = token(&reply).unwrap_or_else(|| panic!("no token in {}", reply.body));
    assert_eq!(
        range()
            .header("Authorization", token)
            .send()
            .await
            .unwrap()
            .status,
        200
    );
    Ok(())
}

fn token(reply: &Reply) -> Option<&str> {
    reply.body.split_once(r#""token":""#)?.1.split('"').next()
}
