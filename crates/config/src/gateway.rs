//! The gateway's file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use strait_identity::Alpn;
use strait_resolve::IpNet;
use strait_wire::Name;

use crate::backend::BackendDraft;
use crate::context::Context;
use crate::effective::Effective;
use crate::identity::IdentityDraft;
use crate::peers;
use crate::section::{Located, Section};
use crate::state::{State, StateDraft};
use crate::{
    Backend, ConfigErrors, ConfigFile, DaemonSettings, Kind, Loaded, OwnIdentity, files, listen, reverse, units,
};

/// The keys at the top, in the order in which they are printed.
pub(crate) const KEYS: &[&str] = &[
    "cluster", "suffix", "homeZone", "listen", "admin", "socket", "state", "identity", "backend", "reverse", "health",
    "cache", "deadline", "lameduck", "queryLog", "log",
];

const SOCKET: &str = "/run/strait/gateway.sock";
/// The Kubernetes default.
const HOME_ZONE: [&[u8]; 2] = [b"cluster", b"local"];

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
    /// Where peers and delegations are kept.
    pub state: State,
    /// Who we are.
    pub identity: OwnIdentity,
    /// Where answers come from.
    pub backend: Backend,
    /// The addresses of this cluster's services and pods, whose names are told.
    pub reverse: Vec<IpNet>,
    /// What both daemons have.
    pub daemon: DaemonSettings,
}

/// A gateway's configuration whose files have not been read yet.
pub struct GatewayDraft {
    cx: Context,
    fields: Fields,
    effective: Effective,
}

/// What the text says; what it refuses or leaves out is absent.
struct Fields {
    cluster: Option<String>,
    suffix: Option<Name>,
    home_zone: Name,
    listen: Vec<(SocketAddr, Alpn)>,
    socket: PathBuf,
    state: StateDraft,
    identity: Option<IdentityDraft>,
    backend: Option<BackendDraft>,
    reverse: Vec<IpNet>,
    daemon: DaemonSettings,
}

impl GatewayConfig {
    /// Checks `text`; `path` is for messages and for relative paths, nothing is read.
    pub fn parse(text: &str, path: &Path) -> Result<GatewayDraft, ConfigErrors> {
        let draft = GatewayDraft::read(text, path)?;
        match draft.cx.failed() {
            false => Ok(draft),
            true => Err(draft.cx.into_errors()),
        }
    }
}

impl ConfigFile for GatewayConfig {
    const PROGRAM: &'static str = "gateway";

    fn load(path: &Path) -> Result<Loaded<Self>, ConfigErrors> {
        GatewayDraft::read(&files::load(path)?, path)?.resolve_files()
    }

    fn daemon(&self) -> &DaemonSettings {
        &self.daemon
    }
}

impl GatewayDraft {
    /// Reads what the text says, with everything wrong noted; the error is text that is not a mapping.
    pub(crate) fn read(text: &str, path: &Path) -> Result<Self, ConfigErrors> {
        let cx = Context::new(text, path);
        let read = Section::open_document(&cx, text).map(|mut root| {
            let fields = Fields::read(&mut root);
            (fields, root.close().in_order(KEYS))
        });
        match read {
            Some((fields, effective)) => Ok(Self { cx, fields, effective }),
            None => Err(cx.into_errors()),
        }
    }

    /// Reads the files it points to. Everything wrong is in the error, what the text has wrong as well.
    pub fn resolve_files(self) -> Result<Loaded<GatewayConfig>, ConfigErrors> {
        let Self { cx, fields, effective } = self;
        let config = fields.resolve(&cx);
        cx.finish(config, effective.to_yaml())
    }
}

impl Fields {
    fn read(root: &mut Section<'_>) -> Self {
        let cluster = root.require("cluster", "name this cluster, for people: `cluster: cluster-b`", units::label);
        let suffix_help = "name the suffix under which other clusters know this one: cluster-b.example.com";
        let suffix = root.require("suffix", suffix_help, peers::cluster_zone);
        // The labels are constants within every limit.
        let default_home = Name::from_labels(HOME_ZONE).unwrap_or_else(|_| Name::root());
        let home_zone = root.or("homeZone", default_home, peers::cluster_zone);
        let addresses = listen::read_peers(root);
        let socket = root.path_or("socket", SOCKET);
        let state = StateDraft::read(root);
        root.must_have("identity", "add `identity: { certificate: tls.crt, key: tls.key, trustBundle: ca.crt }` (`gatewayctl pki issue gateway` makes the files)");
        let identity = IdentityDraft::read(root);
        let backend = BackendDraft::read(root, &home_zone, state.path());
        let reverse = reverse::read(root, backend.as_ref());
        let (daemon, admin) = DaemonSettings::read(root, listen::GATEWAY_ADMIN_PORT);

        let bare = addresses.iter().cloned().map(|address| address.map(|(address, _)| address)).collect();
        listen::check(root.cx, bare, admin.as_ref());
        if let Some(suffix) = &suffix {
            refuse_overlap(root.cx, suffix, &home_zone);
        }
        Self {
            cluster: cluster.map(|cluster| cluster.value),
            suffix: suffix.map(|suffix| suffix.value),
            home_zone,
            listen: addresses.into_iter().map(|address| address.value).collect(),
            socket,
            state,
            identity,
            backend,
            reverse,
            daemon,
        }
    }

    fn resolve(self, cx: &Context) -> Option<GatewayConfig> {
        let identity = self.identity.and_then(|identity| identity.resolve(cx, Kind::Gateway, None));
        let backend = self.backend.and_then(|backend| backend.resolve(cx, self.daemon.deadline));
        let state = self.state.resolve(cx, backend.as_ref());
        Some(GatewayConfig {
            cluster: self.cluster?,
            suffix: self.suffix?,
            home_zone: self.home_zone,
            listen: self.listen,
            socket: self.socket,
            state: state?,
            identity: identity?,
            backend: backend?,
            reverse: self.reverse,
            daemon: self.daemon,
        })
    }
}

fn refuse_overlap(cx: &Context, suffix: &Located<Name>, home_zone: &Name) {
    if suffix.value.is_within(home_zone) || home_zone.is_within(&suffix.value) {
        let message = format!("suffix {} overlaps the home zone, {home_zone}", suffix.value);
        cx.error(&suffix.at, message, "one is mapped to the other: give a suffix that neither lies in it nor holds it");
    }
}
