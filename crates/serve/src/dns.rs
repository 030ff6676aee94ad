//! Plain DNS: UDP and TCP on the same addresses.

use std::net::SocketAddr;
use std::sync::Arc;

use strait_resolve::Respond;
use tokio_util::sync::CancellationToken;

use crate::{ServeMetrics, StreamLimits};

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({transport}): {source}{hint}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// udp, tcp, ...
    pub transport: &'static str,
    /// What the system says.
    pub source: std::io::Error,
    /// What to do about it, beginning with "; ", or empty.
    pub hint: &'static str,
}

/// Bound sockets, not yet served.
pub struct DnsListeners {
    _private: (),
}

impl DnsListeners {
    /// Binds UDP and TCP on each address, IPv4 and IPv6 (v6-only). Port 0: the same free port for both.
    pub async fn bind(addresses: &[SocketAddr]) -> Result<Self, BindError> {
        let _ = addresses;
        Ok(Self { _private: () })
    }

    /// The addresses bound.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        unimplemented!()
    }

    /// Serves until `stop`, then finishes what is in work and returns.
    pub async fn serve(
        self,
        respond: Arc<dyn Respond>,
        limits: StreamLimits,
        metrics: Arc<ServeMetrics>,
        stop: CancellationToken,
    ) {
        let _ = (respond, limits, metrics, stop);
        unimplemented!()
    }
}
