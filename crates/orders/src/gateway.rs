//! The shop's door on the network: `POST /orders`, with the product in a header.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use anyhow::{Context, Result};
use http_body_util::Empty;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::HeaderValue,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rs_patterns::core::{Call, Correlation};
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    http::{correlation, number},
    prices::PRODUCTS,
    shop::{Refused, Shop},
};

pub(crate) async fn listen(port: u16) -> Result<TcpListener> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("--port: the gateway cannot listen on {address}"))
}

/// Serves orders until it is dropped.
pub(crate) async fn serve(listener: TcpListener, shop: Arc<Shop>) {
    let mut connections = JoinSet::new();
    loop {
        // Too many open files pass; a gateway that ends does not.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        while connections.try_join_next().is_some() {}
        let shop = Arc::clone(&shop);
        connections.spawn(async move {
            let answers =
                service_fn(async |request| Ok::<_, Infallible>(answer(&shop, &request).await));
            let served = http1::Builder::new().serve_connection(TokioIo::new(stream), answers);
            // A customer who goes away is the customer's affair.
            let _ = served.await;
        });
    }
}

async fn answer(shop: &Shop, request: &Request<Incoming>) -> Response<Empty<Bytes>> {
    if request.method() != Method::POST || request.uri().path() != "/orders" {
        return said(StatusCode::NOT_FOUND);
    }
    let Some(product) = number(request.headers(), "product").filter(|id| *id < PRODUCTS) else {
        return said(StatusCode::BAD_REQUEST);
    };
    let correlation = correlation(request.headers());
    let call = Call::new("order").with_correlation(correlation);
    let mut answer = match shop.order(call, product).await {
        Ok(placed) => {
            let mut answer = said(match placed.is_charged {
                true => StatusCode::CREATED,
                false => StatusCode::ACCEPTED,
            });
            let headers = answer.headers_mut();
            headers.insert("order", HeaderValue::from(placed.order));
            headers.insert(
                "see-also",
                HeaderValue::from(shop.prices.beside(product).await),
            );
            if !placed.is_notified {
                headers.insert("degraded", HeaderValue::from_static("no notification"));
            }
            answer
        }
        Err(Refused::Crowded(why)) => {
            let mut answer = because(StatusCode::SERVICE_UNAVAILABLE, &why.to_string());
            answer
                .headers_mut()
                .insert("retry-after", HeaderValue::from_static("1"));
            answer
        }
        Err(Refused::NoInventory(None)) => because(StatusCode::BAD_GATEWAY, "inventory said no"),
        Err(Refused::NoInventory(Some(why))) => {
            because(StatusCode::BAD_GATEWAY, &format!("inventory: {why}"))
        }
        Err(Refused::NoPayment) => because(StatusCode::BAD_GATEWAY, "too many orders are unpaid"),
    };
    if let Ok(id) = HeaderValue::try_from(correlation.to_string()) {
        answer.headers_mut().insert(Correlation::HEADER, id);
    }
    answer
}

/// An answer that explains itself: ``bulkhead `orders` refused the call: …``.
fn because(status: StatusCode, why: &str) -> Response<Empty<Bytes>> {
    let mut answer = said(status);
    if let Ok(why) = HeaderValue::from_str(why) {
        answer.headers_mut().insert("because", why);
    }
    answer
}

fn said(status: StatusCode) -> Response<Empty<Bytes>> {
    let mut answer = Response::new(Empty::new());
    *answer.status_mut() = status;
    answer
}
