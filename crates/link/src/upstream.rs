//! A group of ordinary upstreams as a source: UDP with retry over TCP, or DNS over TLS; failover; a cap.

mod address;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use strait_resolve::{Ask, BoxFuture, Source, SourceError};
use strait_wire::{Answer, Name};

use crate::LinkMetrics;

pub use address::{UpstreamServer, UpstreamServerError};

/// Where the list of upstreams comes from.
#[derive(Debug, Clone)]
pub enum UpstreamServers {
    /// A fixed list.
    List(Vec<UpstreamServer>),
    /// A file in resolv.conf(5) format, read again within seconds when it changes. While it is missing or
    /// unreadable the last good list stays in force.
    ResolvConf(PathBuf),
}

/// What a group is made of.
#[derive(Debug, Clone)]
pub struct UpstreamSettings {
    /// For logs and metrics; the zone's name, usually.
    pub name: String,
    /// What it answers for: nothing outside is believed. The root for the default group.
    pub zone: Name,
    /// The servers.
    pub servers: UpstreamServers,
    /// Addresses never asked although the list or the file names them: our own listeners. An unspecified
    /// address stands for every address of this machine.
    pub exclude: Vec<SocketAddr>,
    /// CA certificates (PEM text) for `tls://` servers; public roots without.
    pub ca: Option<String>,
    /// One server's budget before the next is asked.
    pub try_budget: Duration,
    /// The budget of a question as a whole.
    pub deadline: Duration,
    /// Questions outstanding at most.
    pub max_outstanding: usize,
}

/// A group of upstreams. Works from [`UpstreamGroup::start`] on until dropped.
pub struct UpstreamGroup {
    _settings: UpstreamSettings,
}

impl UpstreamGroup {
    /// Starts watching the file, if there is one. A missing file is not an error here: it is logged, and awaited.
    pub fn start(
        settings: UpstreamSettings,
        metrics: Arc<LinkMetrics>,
    ) -> Result<Arc<Self>, strait_identity::BundleError> {
        let _ = metrics;
        Ok(Arc::new(Self { _settings: settings }))
    }
}

impl Source for UpstreamGroup {
    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>> {
        let _ = ask;
        unimplemented!()
    }
}
