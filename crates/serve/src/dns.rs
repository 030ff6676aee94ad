//! Plain DNS: UDP and TCP on the same addresses.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use strait_datagram::{Sharing, UdpSocket};
use strait_resolve::Respond;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::accept::serve_tcp;
use crate::bind::{BindError, udp_and_tcp};
use crate::common::Common;
use crate::udp::UdpListener;
use crate::{ServeMetrics, StreamLimits};

/// Bound sockets, not yet served.
pub struct DnsListeners {
    sockets: Vec<Sockets>,
}

struct Sockets {
    address: SocketAddr,
    udp: Vec<UdpSocket>,
    tcp: TcpListener,
}

impl DnsListeners {
    /// Binds TCP and so many UDP sockets on each address, IPv4 and IPv6 (v6-only). Port 0: the same free port for all.
    pub async fn bind(
        addresses: &[SocketAddr],
        udp_workers: NonZeroUsize,
        sharing: Sharing,
    ) -> Result<Self, BindError> {
        let bind = |&address: &SocketAddr| {
            let (udp, tcp) = udp_and_tcp(address, udp_workers.get(), sharing)?;
            let address = tcp.local_addr().map_err(|source| BindError::new(address, "tcp", source))?;
            Ok(Sockets { address, udp, tcp })
        };
        Ok(Self { sockets: addresses.iter().map(bind).collect::<Result<_, _>>()? })
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
            let udp = UdpListener::new(udp, Arc::clone(&respond), Arc::clone(&metrics));
            loops.spawn(udp.serve(stop.clone()));
            let (respond, metrics) = (Arc::clone(&respond), Arc::clone(&metrics));
            let tcp = serve_tcp(tcp, respond, limits.clone(), metrics, Arc::clone(&common), stop.clone());
            loops.spawn(tcp);
        }
        while loops.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests;
