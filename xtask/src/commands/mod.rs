//! One file per command.

pub(crate) mod artefacts;
pub(crate) mod bench;
pub(crate) mod ci;
pub(crate) mod demo;
pub(crate) mod fuzz;
pub(crate) mod release;
pub(crate) mod services;
pub(crate) mod test;
pub(crate) mod tidy;
