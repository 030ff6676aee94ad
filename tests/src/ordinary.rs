//! An ordinary DNS server with zone data: hickory-server, somebody else's code, in place of a cluster's DNS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::{LowerName, Name};
use hickory_proto::serialize::txt::Parser;
use hickory_server::Server;
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneHandler, ZoneType};
use tokio::runtime::Runtime;

use crate::free_address;

/// The server. Dropped, it is gone.
pub struct OrdinaryServer {
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl OrdinaryServer {
    /// Serves zones, each an origin and the text of its zone file (with SOA), on a free port.
    pub fn start(zones: &[(&str, &str)]) -> Self {
        Self::start_at(free_address(), zones).expect("a free address can be bound")
    }

    /// Serves on that address.
    pub fn start_at(address: SocketAddr, zones: &[(&str, &str)]) -> std::io::Result<Self> {
        let mut catalog = Catalog::new();
        for (origin, text) in zones {
            let origin = Name::from_ascii(origin).unwrap();
            let (origin, records) = Parser::new(*text, None, Some(origin)).parse().unwrap_or_else(|e| panic!("{e}"));
            let handler = InMemoryZoneHandler::<hickory_server::net::runtime::TokioRuntimeProvider>::new(
                origin.clone(),
                records,
                ZoneType::Primary,
                AxfrPolicy::Deny,
            );
            let handler: Arc<dyn ZoneHandler> = Arc::new(handler.unwrap());
            catalog.upsert(LowerName::new(&origin), vec![handler]);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        runtime.block_on(async {
            let udp = tokio::net::UdpSocket::bind(address).await?;
            let tcp = tokio::net::TcpListener::bind(address).await?;
            let mut server = Server::new(catalog);
            server.register_socket(udp);
            server.register_listener(tcp, Duration::from_secs(10), 32);
            tokio::spawn(async move { server.block_until_done().await });
            std::io::Result::Ok(())
        })?;
        Ok(Self { address, runtime: Some(runtime) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for OrdinaryServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
