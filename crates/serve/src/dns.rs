//! Plain DNS: UDP and TCP on the same addresses.

use std::net::SocketAddr;
use std::sync::Arc;

use strait_resolve::Respond;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::accept::serve_tcp;
use crate::bind::{BindError, udp_and_tcp};
use crate::common::Common;
use crate::udp::UdpLoop;
use crate::{ServeMetrics, StreamLimits};

/// Bound sockets, not yet served.
pub struct DnsListeners {
    sockets: Vec<Sockets>,
}

struct Sockets {
    address: SocketAddr,
    udp: UdpSocket,
    tcp: TcpListener,
}

impl DnsListeners {
    /// Binds UDP and TCP on each address, IPv4 and IPv6 (v6-only). Port 0: the same free port for both.
    pub async fn bind(addresses: &[SocketAddr]) -> Result<Self, BindError> {
        let sockets = addresses.iter().map(|&address| bind_one(address)).collect::<Result<_, _>>()?;
        Ok(Self { sockets })
    }

    /// The addresses bound.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(|s| s.address).collect()
    }

    /// Serves until `stop`, then finishes what is in work and returns. Dropping the future stops it too.
    pub async fn serve(
        self,
        respond: Arc<dyn Respond>,
        limits: StreamLimits,
        metrics: Arc<ServeMetrics>,
        stop: CancellationToken,
    ) {
        let stop = stop.child_token();
        let _stop_when_dropped = stop.clone().drop_guard();
        let common = Common::new();
        let mut loops = JoinSet::new();
        for Sockets { udp, tcp, .. } in self.sockets {
            let udp = UdpLoop::new(udp, Arc::clone(&respond), Arc::clone(&metrics));
            loops.spawn(udp.serve(stop.clone()));
            let (respond, metrics) = (Arc::clone(&respond), Arc::clone(&metrics));
            let tcp = serve_tcp(tcp, respond, limits.clone(), metrics, Arc::clone(&common), stop.clone());
            loops.spawn(tcp);
        }
        while loops.join_next().await.is_some() {}
    }
}

fn bind_one(address: SocketAddr) -> Result<Sockets, BindError> {
    let (udp, tcp) = udp_and_tcp(address)?;
    let bound = udp.local_addr().map_err(|source| BindError { address, transport: "udp", source, hint: "" })?;
    if bound.ip().is_unspecified() {
        tracing::warn!(
            address = %bound,
            "listening on a wildcard address: on a machine with several addresses, list each in `listen`, \
             or UDP answers may leave from another address than the one asked"
        );
    }
    Ok(Sockets { address: bound, udp, tcp })
}

#[cfg(test)]
mod tests;
