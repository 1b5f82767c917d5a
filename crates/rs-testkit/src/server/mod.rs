//! What all servers share.

mod handle;
mod keeper;
mod kind;
mod log;
mod place;
mod process;

pub use self::handle::Server;
pub use self::kind::ServerKind;
pub use self::place::Place;
