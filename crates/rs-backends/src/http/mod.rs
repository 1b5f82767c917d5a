//! What the registries behind HTTP share: a small client whose answers are bounded.

mod access;
mod client;
mod connect;
mod flow;

pub(crate) use access::{Access, with_access};
pub(crate) use client::{Call, Http, Reply, header_of};
pub(crate) use flow::Flow;
