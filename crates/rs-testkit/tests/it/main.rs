//! Every server and every fault, for real.
#![expect(
    clippy::unwrap_used,
    reason = "what helpers of tests unwrap fails the test"
)]

mod consul;
mod dnsmasq;
mod etcd;
mod failures;
#[cfg(feature = "kubernetes")]
mod kubernetes_server;
mod life;
mod net;
mod ports;
mod postgres;
mod prometheus;
mod proxy;
mod rabbitmq;
mod redis;
mod sigkill;
mod wait;
