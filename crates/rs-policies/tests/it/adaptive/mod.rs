//! The adaptive limit.

mod convergence;
mod server;
