//! The cluster DNS that each cluster of the lab has: an ordinary authoritative server (hickory) for `cluster.local`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use hickory_proto::rr::Name;
use hickory_proto::serialize::txt::Parser;
use hickory_server::Server;
use hickory_server::net::runtime::TokioRuntimeProvider;
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use tokio::net::{TcpListener, UdpSocket};

use super::ports::Held;

/// The zone it serves.
pub(super) const HOME_ZONE: &str = "cluster.local.";

/// An idle connection is closed after this.
const IDLE: Duration = Duration::from_secs(30);

/// Answers waiting on one connection.
const WAITING_ANSWERS: usize = 32;

/// A server that runs until it is dropped.
pub(super) struct ClusterDns {
    _server: Server<Catalog>,
}

impl ClusterDns {
    /// Serves the zone text on a port, UDP and TCP.
    pub(super) fn start(port: Held, zone: &str) -> anyhow::Result<Self> {
        let origin = Name::from_ascii(HOME_ZONE)?;
        let (origin, records) = Parser::new(zone, None, Some(origin)).parse()?;
        let handler = InMemoryZoneHandler::<TokioRuntimeProvider>::new(
            origin.clone(),
            records,
            ZoneType::Primary,
            AxfrPolicy::Deny,
        )
        .map_err(|error| anyhow!(error))?;
        let mut catalog = Catalog::new();
        catalog.upsert(origin.into(), vec![Arc::new(handler)]);

        port.datagrams.set_nonblocking(true)?;
        port.streams.set_nonblocking(true)?;
        let mut server = Server::new(catalog);
        server.register_socket(UdpSocket::from_std(port.datagrams)?);
        server.register_listener(TcpListener::from_std(port.streams)?, IDLE, WAITING_ANSWERS);
        Ok(Self { _server: server })
    }
}
