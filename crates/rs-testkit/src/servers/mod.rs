//! One file for each server: its options, its command, and how to know that it serves.

mod consul;
mod dnsmasq;
mod etcd;
mod json;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod postgres;
mod prometheus;
mod rabbitmq;
mod redis;
mod user;

pub use self::consul::{Consul, ConsulOptions};
pub use self::dnsmasq::{Dnsmasq, DnsmasqOptions};
pub use self::etcd::{Etcd, EtcdOptions};
#[cfg(feature = "kubernetes")]
pub use self::kubernetes::{Kubernetes, KubernetesOptions};
pub use self::postgres::{Postgres, PostgresOptions};
pub use self::prometheus::{Prometheus, PrometheusOptions};
pub use self::rabbitmq::{RabbitMq, RabbitMqOptions};
pub use self::redis::{Redis, RedisOptions};
