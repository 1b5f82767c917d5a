use std::future::{Future, ready};

use rs_core::Outcome;

/// How connections are made, asked whether they still work, and judged when a call has ended.
///
/// ```
/// use rs_balance::pool::Connect;
/// use std::{io, net::SocketAddr};
/// use tokio::net::TcpStream;
///
/// struct Tcp;
///
/// impl Connect for Tcp {
///     type Target = SocketAddr;
///     type Connection = TcpStream;
///     type Error = io::Error;
///
///     async fn connect(&self, address: &SocketAddr) -> io::Result<TcpStream> {
///         TcpStream::connect(address).await
///     }
/// }
/// ```
pub trait Connect: Send + Sync + 'static {
    /// What it takes to connect to an endpoint, such as an address.
    type Target: Send + Sync + 'static;
    /// A connection.
    type Connection: Send + 'static;
    /// Why there is none.
    type Error: Send + 'static;

    /// Makes a connection. The pool limits how long that may take.
    ///
    /// # Errors
    /// Why there is none: it counts against the health of the endpoint.
    fn connect(
        &self,
        target: &Self::Target,
    ) -> impl Future<Output = Result<Self::Connection, Self::Error>> + Send;

    /// Asks a connection that has lain idle whether it still works; by default it is believed.
    ///
    /// # Errors
    /// Why not: the connection is closed, and with it those that have lain longer.
    fn check(
        &self,
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _ = connection;
        ready(Ok(()))
    }

    /// Whether a connection may serve another call after one that ended so; by default it may unless the
    /// call failed.
    ///
    /// After a failure nobody knows what the endpoint still has to say; a protocol that knows can look.
    fn may_stay(&self, connection: &mut Self::Connection, outcome: Outcome) -> bool {
        let _ = connection;
        !outcome.is_failure()
    }
}
