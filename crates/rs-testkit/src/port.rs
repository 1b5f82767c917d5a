//! Ports that two test processes never share.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::ops::Range;

use crate::error::Error;

/// Below the ports that Linux gives to outgoing connections, which would come and go beside ours.
pub(crate) const RANGE: Range<u16> = 20_000..32_000;

/// A port of the loopback interface that is ours for as long as this lives, whether something
/// listens there or not.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    /// The kernel frees it with the process, however that ends, and no file is left behind.
    _claim: Claim,
}

impl Port {
    /// A port that nobody uses and no other test process holds.
    pub(crate) fn reserve() -> Result<Self, Error> {
        for _ in 0..RANGE.len() {
            let number = fastrand::u16(RANGE);
            match claim(number) {
                Ok(_claim) if is_unused(number) => return Ok(Self { number, _claim }),
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    return Err(Error::os("reserve a port")(error));
                }
                _ => {}
            }
        }
        Err(Error::NoPort)
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}

/// Whether a server could listen there, over TCP and, as Consul needs, UDP.
fn is_unused(number: u16) -> bool {
    let addr = (Ipv4Addr::LOCALHOST, number);
    TcpListener::bind(addr).is_ok() && UdpSocket::bind(addr).is_ok()
}

#[cfg(target_os = "linux")]
type Claim = std::os::unix::net::UnixListener;

/// A name can be bound once in a network namespace, which is exactly as far as ports reach.
#[cfg(target_os = "linux")]
fn claim(number: u16) -> io::Result<Claim> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener};

    let name = SocketAddr::from_abstract_name(format!("rs-testkit/port/{number}"))?;
    UnixListener::bind_addr(&name)
}

#[cfg(not(target_os = "linux"))]
type Claim = ();

#[cfg(not(target_os = "linux"))]
fn claim(_: u16) -> io::Result<Claim> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "rs-testkit runs servers on Linux only",
    ))
}
