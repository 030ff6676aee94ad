//! The node-agent's file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use strait_link::{EndpointUrl, UpstreamSettings};
use strait_resolve::AccessList;

use crate::{ConfigErrors, ConfigFile, DaemonSettings, Loaded, OwnIdentity, StaticPeer, StaticZone};

/// A node-agent's configuration.
#[derive(Debug)]
pub struct NodeAgentConfig {
    /// The node's name.
    pub node: String,
    /// Where questions are answered, UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// Who may ask.
    pub allow: AccessList,
    /// Who we are; always there with `gateway` or `peers`.
    pub identity: Option<OwnIdentity>,
    /// The endpoints of this cluster's gateway; empty: none.
    pub gateway: Vec<EndpointUrl>,
    /// The folder of the last snapshot of peers; always there with `gateway`.
    pub state: Option<PathBuf>,
    /// Zones answered from memory.
    pub zones: Vec<StaticZone>,
    /// Hosts files.
    pub hosts: Option<HostsSettings>,
    /// Who is asked for everything else; none: nobody.
    pub upstreams: Option<UpstreamSettings>,
    /// Who is asked for zones of their own.
    pub forward: Vec<UpstreamSettings>,
    /// Peers besides those the gateway tells.
    pub peers: Vec<StaticPeer>,
    /// What both daemons have.
    pub daemon: DaemonSettings,
}

/// Hosts files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostsSettings {
    /// The files.
    pub files: Vec<PathBuf>,
    /// The TTL of their records, in seconds.
    pub ttl: u32,
}

/// A node-agent's configuration whose files have not been read yet.
pub struct NodeAgentDraft {}

impl NodeAgentConfig {
    /// Checks `text`; `path` is for messages and for relative paths, nothing is read.
    pub fn parse(text: &str, path: &Path) -> Result<NodeAgentDraft, ConfigErrors> {
        let _ = (text, path);
        unimplemented!()
    }
}

impl NodeAgentDraft {
    /// Reads the files it points to.
    pub fn resolve_files(self) -> Result<Loaded<NodeAgentConfig>, ConfigErrors> {
        unimplemented!()
    }
}

impl ConfigFile for NodeAgentConfig {
    const PROGRAM: &'static str = "node-agent";

    fn load(path: &Path) -> Result<Loaded<Self>, ConfigErrors> {
        let _ = path;
        unimplemented!()
    }

    fn daemon(&self) -> &DaemonSettings {
        &self.daemon
    }
}
