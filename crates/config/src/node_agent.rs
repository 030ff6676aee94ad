//! The node-agent's file.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use strait_link::{EndpointUrl, LinkTarget, UpstreamSettings};
use strait_resolve::zone::{HostsData, HostsProblem};
use strait_resolve::{AccessList, IpNet};
use strait_wire::Name;

use crate::context::Context;
use crate::daemon::{HAND_OVERS, HandOver};
use crate::diagnostic::offset_of;
use crate::document::Span;
use crate::effective::Effective;
use crate::files::{self, NamedFile, Output, OutputKind};
use crate::identity::IdentityDraft;
use crate::own_gateway::GatewayDraft;
use crate::peers::PeerDraft;
use crate::section::{Located, Section};
use crate::upstreams::{self, UpstreamDraft};
use crate::zones::ZoneDraft;
use crate::{
    ConfigErrors, ConfigFile, DaemonSettings, Diagnostic, Kind, Loaded, OwnIdentity, StaticZone, listen, overlap, units,
};

/// The keys at the top, in the order in which they are printed.
pub(crate) const KEYS: &[&str] = &[
    "node",
    "listen",
    "workers",
    "allow",
    "admin",
    "socket",
    "identity",
    "gateway",
    "state",
    "zones",
    "hosts",
    "upstreams",
    "forward",
    "peers",
    "health",
    "cache",
    "deadline",
    "lameduck",
    "handOver",
    "queryLog",
    "log",
];

/// The environment variable that names the node where the file does not.
const NODE_VARIABLE: &str = "STRAIT_NODE";
/// Address ranges in `allow` at most; each is compared for every question.
const MAX_ALLOWED: usize = 256;
/// Hosts files at most.
const MAX_HOSTS_FILES: usize = 16;
/// The TTL of names from hosts files.
const HOSTS_TTL: u32 = 60;

/// A node-agent's configuration.
#[derive(Debug)]
pub struct NodeAgentConfig {
    /// The node's name.
    pub node: String,
    /// Where questions are answered, UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// Workers that answer UDP on each of these addresses.
    pub workers: NonZeroUsize,
    /// Who may ask.
    pub allow: AccessList,
    /// The admin API's Unix socket; none: there is none.
    pub socket: Option<PathBuf>,
    /// Who we are; always there with `gateway` or `peers`.
    pub identity: Option<OwnIdentity>,
    /// The endpoints of this cluster's gateway; empty: none.
    pub gateway: Vec<EndpointUrl>,
    /// The zones that this gateway answers for us; only with `gateway`.
    pub gateway_zones: Vec<Name>,
    /// Zones in which suffixes of peers lie: not asked of anybody before the peers are known.
    pub gateway_suffixes: Vec<Name>,
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
    pub peers: Vec<LinkTarget>,
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
pub struct NodeAgentDraft {
    cx: Context,
    fields: Fields,
    effective: Effective,
}

/// What the text says; what it refuses or leaves out is absent.
struct Fields {
    node: Option<String>,
    listen: Vec<SocketAddr>,
    workers: NonZeroUsize,
    allow: AccessList,
    socket: Option<PathBuf>,
    identity: Option<IdentityDraft>,
    gateway: GatewayDraft,
    state: Option<PathBuf>,
    zones: Vec<ZoneDraft>,
    hosts: Option<(Vec<NamedFile>, u32)>,
    upstreams: Option<UpstreamDraft>,
    forward: Vec<UpstreamDraft>,
    peers: Vec<PeerDraft>,
    daemon: DaemonSettings,
}

impl NodeAgentConfig {
    /// Checks `text`; `path` is for messages and for relative paths, nothing is read.
    pub fn parse(text: &str, path: &Path) -> Result<NodeAgentDraft, ConfigErrors> {
        let draft = NodeAgentDraft::read(text, path)?;
        match draft.cx.failed() {
            false => Ok(draft),
            true => Err(draft.cx.into_errors()),
        }
    }
}

impl ConfigFile for NodeAgentConfig {
    const PROGRAM: &'static str = "node-agent";

    fn load(path: &Path) -> Result<Loaded<Self>, ConfigErrors> {
        NodeAgentDraft::read(&files::load(path)?, path)?.resolve_files()
    }

    fn daemon(&self) -> &DaemonSettings {
        &self.daemon
    }
}

impl NodeAgentDraft {
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
    pub fn resolve_files(self) -> Result<Loaded<NodeAgentConfig>, ConfigErrors> {
        let Self { cx, mut fields, mut effective } = self;
        if fields.node.is_none() {
            fields.node = node_name(&cx);
            let node = fields.node.clone().unwrap_or_default();
            effective = effective.with_first("node", Effective::Scalar(node));
        }
        let config = fields.resolve(&cx);
        cx.finish(config, effective.to_yaml())
    }
}

impl Fields {
    fn read(root: &mut Section<'_>) -> Self {
        let node = root.get("node", units::label).map(|node| node.value);
        let addresses = listen::read(root);
        let workers = listen::read_workers(root);
        let allow = read_allow(root);
        let socket = root.path("socket").map(|socket| socket.value);
        let identity = IdentityDraft::read(root);
        let gateway = GatewayDraft::read(root);
        let state = root.path("state").map(|Located { value: path, at }| {
            root.cx.writes(Output { key: "state", path: path.clone(), at, kind: OutputKind::Folder });
            path
        });
        let zones = ZoneDraft::read_all(root);
        let hosts = read_hosts(root);
        let upstreams = UpstreamDraft::read_upstreams(root);
        let forward = UpstreamDraft::read_forward(root);
        let has_peers = root.has_entries("peers");
        let peers = PeerDraft::read_all(root);
        let (mut daemon, admin) = DaemonSettings::read(root, listen::AGENT_ADMIN_PORT);
        daemon.hand_over = root.or("handOver", HandOver::Off, units::word(HAND_OVERS));
        let listen = listen::check(root.cx, addresses, admin.as_ref());

        for group in upstreams.iter().chain(&forward) {
            group.refuse_own_addresses(root.cx, &listen);
        }
        let forward_claims: Vec<_> = forward.iter().map(upstreams::claim).collect();
        overlap::check(root.cx, &zones, &forward_claims, &gateway.claims(), &peers, upstreams.is_some());
        check_needs(root, identity.as_ref(), has_peers);
        Self {
            node,
            listen,
            workers,
            allow,
            socket,
            identity,
            gateway,
            state,
            zones,
            hosts,
            upstreams,
            forward,
            peers,
            daemon,
        }
    }

    fn resolve(self, cx: &Context) -> Option<NodeAgentConfig> {
        let deadline = self.daemon.deadline;
        let identity = self.identity.and_then(|draft| draft.resolve(cx, Kind::NodeAgent, self.node.as_deref()));
        let own = identity.as_ref().map(|identity| identity.credentials.id().trust_domain);
        let hosts = self.hosts.map(|(files, ttl)| {
            let files = files.into_iter().filter(|file| file.can_be_read(cx));
            let files: Vec<PathBuf> = files.map(|file| file.path.value).collect();
            warn_of_hosts_lines(cx, &files, ttl);
            HostsSettings { files, ttl }
        });
        Some(NodeAgentConfig {
            node: self.node?,
            listen: self.listen.clone(),
            workers: self.workers,
            allow: self.allow,
            socket: self.socket,
            gateway: self.gateway.endpoints,
            gateway_zones: self.gateway.zones.into_iter().map(|zone| zone.value).collect(),
            gateway_suffixes: self.gateway.suffixes,
            state: self.state,
            zones: self.zones.into_iter().filter_map(|zone| zone.resolve(cx)).collect(),
            hosts,
            upstreams: self.upstreams.and_then(|group| group.resolve(cx, deadline, &self.listen)),
            forward: self.forward.into_iter().filter_map(|group| group.resolve(cx, deadline, &self.listen)).collect(),
            peers: self.peers.into_iter().filter_map(|peer| peer.resolve(cx, own.as_ref())).collect(),
            daemon: self.daemon,
            identity,
        })
    }
}

fn read_allow(root: &mut Section<'_>) -> AccessList {
    match root.list("allow", MAX_ALLOWED, units::parsed::<IpNet>) {
        Some(allowed) => AccessList::new(allowed.into_iter().map(|range| range.value).collect()),
        None => {
            let local = AccessList::local();
            let shown = local.ranges().iter().map(|range| Effective::Scalar(range.to_string()));
            root.show("allow", Effective::List(shown.collect()));
            local
        }
    }
}

fn read_hosts(root: &mut Section<'_>) -> Option<(Vec<NamedFile>, u32)> {
    let mut section = root.section("hosts")?;
    section.must_have("files", "name the files: [/etc/hosts]");
    let files = section.paths("files", MAX_HOSTS_FILES);
    let ttl = section.or("ttl", HOSTS_TTL, units::ttl(0..=units::MAX_TTL));
    root.show("hosts", section.close());
    let files = files?.into_iter().map(|path| NamedFile { key: "files", path });
    Some((files.collect(), ttl))
}

/// Notes the lines of hosts files that are left out.
fn warn_of_hosts_lines(cx: &Context, files: &[PathBuf], ttl: u32) {
    let (_, problems) = HostsData::load(files, ttl);
    for HostsProblem { file, place, message } in problems {
        let text = place.and_then(|_| files::read_bounded(&file).ok());
        let finding = match (place, text) {
            (Some((line, column)), Some(text)) => {
                let start = offset_of(&text, line, column);
                let word = text[start..].find(char::is_whitespace).unwrap_or(text.len() - start);
                Diagnostic::at(&file, &text, start..start + word, message, String::new())
            }
            _ => Diagnostic::whole(&file, message, String::new()),
        };
        cx.add(finding.into_warning());
    }
}

/// Checks that `gateway` and `peers` have what they need.
fn check_needs(root: &Section<'_>, identity: Option<&IdentityDraft>, has_peers: bool) {
    let cx = root.cx;
    let gateway = root.key_at("gateway");
    let peers = root.key_at("peers").filter(|_| has_peers);
    for (key, at) in [("gateway", &gateway), ("peers", &peers)] {
        if let (Some(at), false) = (at, root.has("identity")) {
            let help = "add `identity: { certificate: tls.crt, key: tls.key, trustBundle: ca.crt }` \
                        (`gatewayctl pki issue node-agent` makes the files)";
            cx.error(at, format!("`{key}` needs `identity`: links to gateways are mutual TLS"), help);
        }
    }
    if let (Some(at), false) = (&gateway, root.has("state")) {
        let help = "add `state: /var/lib/strait`: the peers last told are kept there for a start without the gateway";
        cx.error(at, "`gateway` needs `state`", help);
    }
    if let (Some(identity), None, None) = (identity, &gateway, &peers) {
        let help = "add `gateway` or `peers`, or remove it";
        cx.warning(&identity.at, "`identity` has no effect without `gateway` or `peers`", help);
    }
    if let (Some(at), None) = (root.key_at("state"), &gateway) {
        cx.warning(&at, "`state` has no effect without `gateway`", "add `gateway`, or remove it");
    }
}

/// The node's name when the file gives none: of the environment, so that one file does for every node, or the host's.
fn node_name(cx: &Context) -> Option<String> {
    if let Some(name) = std::env::var_os(NODE_VARIABLE) {
        let read = name
            .to_str()
            .ok_or_else(|| format!("{name:?} is no text"))
            .and_then(|name| units::label(name).map_err(|problem| format!("{}; {}", problem.message, problem.help)));
        return read.map_err(|why| cx.error(&Span::default(), format!("{NODE_VARIABLE}: {why}"), "")).ok();
    }
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match units::label(name.trim()) {
        Ok(name) => Some(name),
        Err(_) => {
            let help = format!("add `node: NAME`, or set {NODE_VARIABLE}");
            cx.error(&Span::default(), "`node` is missing, and the host has no name", help);
            None
        }
    }
}
