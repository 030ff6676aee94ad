//! The gateway's file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use strait_identity::Alpn;
use strait_link::UpstreamSettings;
use strait_wire::Name;

use crate::{ConfigErrors, ConfigFile, DaemonSettings, Loaded, OwnIdentity, StaticZone};

/// A gateway's configuration.
#[derive(Debug)]
pub struct GatewayConfig {
    /// The cluster, for people.
    pub cluster: String,
    /// The suffix under which other clusters know this one.
    pub suffix: Name,
    /// The suffix at home.
    pub home_zone: Name,
    /// Where peers are served; the protocol is the one for connections that offer none.
    pub listen: Vec<(SocketAddr, Alpn)>,
    /// The admin API's Unix socket.
    pub socket: PathBuf,
    /// The file of peers and delegations.
    pub state: PathBuf,
    /// Who we are.
    pub identity: OwnIdentity,
    /// Where answers come from.
    pub backend: Backend,
    /// What both daemons have.
    pub daemon: DaemonSettings,
}

/// Where a gateway's answers come from.
#[derive(Debug)]
pub enum Backend {
    /// This cluster's own DNS.
    ClusterDns(UpstreamSettings),
    /// Zones in the file.
    Zones(Vec<StaticZone>),
}

/// A gateway's configuration whose files have not been read yet.
pub struct GatewayDraft {}

impl GatewayConfig {
    /// Checks `text`; `path` is for messages and for relative paths, nothing is read.
    pub fn parse(text: &str, path: &Path) -> Result<GatewayDraft, ConfigErrors> {
        let _ = (text, path);
        unimplemented!()
    }
}

impl GatewayDraft {
    /// Reads the files it points to.
    pub fn resolve_files(self) -> Result<Loaded<GatewayConfig>, ConfigErrors> {
        unimplemented!()
    }
}

impl ConfigFile for GatewayConfig {
    const PROGRAM: &'static str = "gateway";

    fn load(path: &Path) -> Result<Loaded<Self>, ConfigErrors> {
        let _ = path;
        unimplemented!()
    }

    fn daemon(&self) -> &DaemonSettings {
        &self.daemon
    }
}
