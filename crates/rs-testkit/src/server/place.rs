//! Where a server lives.

use std::env;
use std::fs::{self, DirBuilder};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::port::Port;

/// The folder and the ports of one server.
#[derive(Debug)]
pub struct Place {
    folder: PathBuf,
    ports: Vec<Port>,
}

impl Place {
    /// Picks a folder, which does not exist yet, and ports, which are reserved from now on.
    pub(super) fn pick(name: &str, ports: usize) -> Result<Self, Error> {
        let folder = format!(
            "rs-testkit-{}-{:016x}",
            name.to_ascii_lowercase(),
            fastrand::u64(..)
        );
        // As the kernel names it, because a server's processes are found by their working folder.
        let parent = env::temp_dir();
        let parent = parent
            .canonicalize()
            .map_err(Error::os(format!("enter {}", parent.display())))?;
        let ports = (0..ports)
            .map(|_| Port::reserve())
            .collect::<Result<_, _>>()?;
        Ok(Self {
            folder: parent.join(folder),
            ports,
        })
    }

    pub(super) fn create(&self) -> Result<(), Error> {
        let folder = DirBuilder::new().mode(0o700).create(&self.folder);
        folder.map_err(Error::os(format!("create {}", self.folder.display())))
    }

    /// The folder, removed with the server.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A path inside the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a file into the folder.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> Result<PathBuf, Error> {
        let path = self.path(name);
        fs::write(&path, text).map_err(Error::os(format!("write {}", path.display())))?;
        Ok(path)
    }

    /// The address for the clients.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr_of(0)
    }

    /// The address of one of the ports; a port that the server did not ask for is port 0.
    #[must_use]
    pub fn addr_of(&self, index: usize) -> SocketAddr {
        self.ports
            .get(index)
            .map_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)), Port::addr)
    }

    /// The number of one of the ports.
    #[must_use]
    pub fn port(&self, index: usize) -> u16 {
        self.addr_of(index).port()
    }
}
