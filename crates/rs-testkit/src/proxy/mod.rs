//! A bad network between a client and a server.

mod connection;
mod delivery;
mod door;
mod fault;
mod handle;
mod lane;
mod stats;
mod switch;

pub use self::fault::Fault;
pub use self::handle::FaultProxy;
pub use self::lane::Direction;
pub use self::stats::ProxyStats;
