//! `upstreams`, `forward`, `clusterDns`: ordinary DNS servers.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use strait_link::{UpstreamServer, UpstreamServers, UpstreamSettings};
use strait_wire::Name;

use crate::context::Context;
use crate::document::Span;
use crate::effective::Effective;
use crate::files::{self, NamedFile};
use crate::identity;
use crate::section::{Located, Section};
use crate::units::{self, Show as _};

/// How long one server may take before the next is asked as well, when it usually takes less.
const MIN_TRY_BUDGET: Duration = Duration::from_millis(100);
/// After this time one server is given up.
const MAX_TRY_BUDGET: Duration = Duration::from_millis(700);
/// What both may be set to.
const TRY_BUDGETS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(5);

/// Questions to one group outstanding when nothing is set.
const MAX_OUTSTANDING: u32 = 4096;
/// Each outstanding plain question holds a socket of its own.
const OUTSTANDING: RangeInclusive<u32> = 1..=65_536;
/// Servers of one group at most.
const MAX_SERVERS: usize = 16;
/// Forward zones at most.
const MAX_FORWARDS: usize = 1024;

/// A group of servers whose files have not been read yet.
#[derive(Debug)]
pub(crate) struct UpstreamDraft {
    pub(crate) zone: Located<Name>,
    servers: Servers,
    ca: Option<NamedFile>,
    max_outstanding: u32,
    /// The least and the most.
    try_budgets: (Duration, Duration),
}

#[derive(Debug)]
enum Servers {
    List(Vec<Located<UpstreamServer>>),
    ResolvConf(Located<PathBuf>),
}

impl UpstreamDraft {
    /// Reads `upstreams`; none when it is left out or refused.
    pub(crate) fn read_upstreams(root: &mut Section<'_>) -> Option<Self> {
        let mut section = root.section("upstreams")?;
        let zone = Located { value: Name::root(), at: section.at.clone() };
        let resolv_conf = section.path("resolvConf");
        let list = section.list("servers", MAX_SERVERS, units::parsed);
        let servers = match (resolv_conf, list) {
            (Some(path), None) => Some(Servers::ResolvConf(path)),
            (None, Some(list)) => Some(Servers::List(list)),
            (Some(path), Some(_)) => {
                let message = "`upstreams` has both `resolvConf` and `servers`";
                section.cx.error(&path.at, message, "keep one of them: a file that is followed, or a fixed list");
                None
            }
            (None, None) => {
                if !section.has("resolvConf") && !section.has("servers") {
                    let help = "write `resolvConf: /run/strait/resolv.conf` or `servers: [192.0.2.53]`";
                    section.cx.error(&section.at, "`upstreams` has neither `resolvConf` nor `servers`", help);
                }
                None
            }
        };
        let draft = Self::rest(&mut section, zone, servers);
        root.show("upstreams", section.close());
        draft
    }

    /// Reads `forward`.
    pub(crate) fn read_forward(root: &mut Section<'_>) -> Vec<Self> {
        let mut shown = Vec::new();
        let mut drafts = Vec::new();
        for mut section in root.sections("forward", MAX_FORWARDS) {
            let zone = section.require("zone", "name the zone these servers are asked for", units::name);
            section.must_have("servers", "name the servers: [10.96.0.10]");
            let servers = section.list("servers", MAX_SERVERS, units::parsed).map(Servers::List);
            // The rest is checked even when the zone is refused.
            let zone_or_root = zone.clone().unwrap_or(Located { value: Name::root(), at: section.at.clone() });
            let draft = Self::rest(&mut section, zone_or_root, servers);
            shown.push(section.close());
            drafts.extend(zone.and(draft));
        }
        root.show("forward", Effective::List(shown));
        drafts
    }

    /// Reads `clusterDns` of a backend: a list of servers for the home zone.
    pub(crate) fn read_cluster_dns(backend: &mut Section<'_>, home_zone: Name) -> Option<Self> {
        let at = backend.key_at("clusterDns")?;
        let servers = backend.list("clusterDns", MAX_SERVERS, units::parsed)?;
        Some(Self {
            zone: Located { value: home_zone, at },
            servers: Servers::List(servers),
            ca: None,
            max_outstanding: MAX_OUTSTANDING,
            try_budgets: (MIN_TRY_BUDGET, MAX_TRY_BUDGET),
        })
    }

    fn rest(section: &mut Section<'_>, zone: Located<Name>, servers: Option<Servers>) -> Option<Self> {
        let ca = section.path("ca").map(|path| NamedFile { key: "ca", path });
        let max_outstanding = section.or("maxOutstanding", MAX_OUTSTANDING, units::count(OUTSTANDING));
        let min = section.or("minTryBudget", MIN_TRY_BUDGET, units::duration(TRY_BUDGETS));
        let max = section.or("maxTryBudget", MAX_TRY_BUDGET, units::duration(TRY_BUDGETS));
        if min > max {
            let message = format!("minTryBudget, {}, is over maxTryBudget, {}", min.show(), max.show());
            section.cx.error(&section.at, message, "make minTryBudget the smaller one");
        }
        let servers = servers?;
        if let Servers::List(list) = &servers {
            for (index, server) in list.iter().enumerate() {
                if list[..index].iter().any(|earlier| earlier.value == server.value) {
                    let written = section.cx.written(&server.at).to_owned();
                    section.cx.error(&server.at, format!("server {written} is given twice"), "keep one of them");
                }
            }
        }
        let plain = |server: &Located<UpstreamServer>| matches!(server.value, UpstreamServer::Plain(_));
        match (&ca, &servers) {
            (Some(ca), Servers::List(list)) if list.iter().all(plain) => {
                let help = "write tls://ADDRESS#NAME-TO-VERIFY, or remove `ca`";
                section.cx.warning(&ca.path.at, "`ca` has no effect: no server is spoken to over TLS", help);
            }
            (Some(ca), Servers::ResolvConf(_)) => {
                let help = "name TLS servers in `servers`, or remove `ca`";
                section.cx.warning(&ca.path.at, "`ca` has no effect: servers of a resolv.conf are plain DNS", help);
            }
            _ => {}
        }
        Some(Self { zone, servers, ca, max_outstanding, try_budgets: (min, max) })
    }

    /// Notes an error for every server that is one of our own addresses: a question would come back for ever.
    pub(crate) fn refuse_own_addresses(&self, cx: &Context, listen: &[SocketAddr]) {
        let Servers::List(list) = &self.servers else { return };
        for server in list {
            if let UpstreamServer::Plain(address) = server.value
                && let Some(own) = listens_on(listen, address)
            {
                let message = format!("{address} is ourselves: we listen on {own}");
                cx.error(&server.at, message, "name a server that does not ask us back");
            }
        }
    }

    /// Reads the files it points to; notes what is wrong with them.
    pub(crate) fn resolve(self, cx: &Context, deadline: Duration, listen: &[SocketAddr]) -> Option<UpstreamSettings> {
        let ca = match &self.ca {
            Some(file) => {
                let text = file.read(cx)?;
                strait_identity::public_client_config(Some(&text))
                    .map_err(|error| {
                        identity::note(cx, &file.path.at, &format!("{}: {error}", file.path.value.display()))
                    })
                    .ok()?;
                Some(text)
            }
            None => None,
        };
        let servers = match self.servers {
            Servers::List(list) => UpstreamServers::List(list.into_iter().map(|server| server.value).collect()),
            Servers::ResolvConf(path) => {
                warn_about_resolv_conf(cx, &path, listen);
                UpstreamServers::ResolvConf(path.value)
            }
        };
        Some(UpstreamSettings {
            // As the resolver names zones in its own metrics, so that series of both can be joined.
            name: self.zone.value.to_lowercase().to_string(),
            zone: self.zone.value,
            servers,
            exclude: listen.to_vec(),
            ca,
            min_try_budget: self.try_budgets.0,
            max_try_budget: self.try_budgets.1,
            deadline,
            max_outstanding: self.max_outstanding as usize,
        })
    }
}

/// The file is followed while we run, so what is wrong with it now is a warning.
fn warn_about_resolv_conf(cx: &Context, path: &Located<PathBuf>, listen: &[SocketAddr]) {
    let shown = path.value.display();
    let text = match files::read_bounded(&path.value) {
        Ok(text) => text,
        Err(error) => {
            let (what, _) = files::explain(&error);
            let help = "until it appears, names outside local zones get SERVFAIL";
            return cx.warning(&path.at, format!("`resolvConf`: cannot read {shown}: {what}"), help);
        }
    };
    let addresses = text.lines().filter_map(|line| line.trim_start().strip_prefix("nameserver"));
    let addresses = addresses.filter_map(|rest| rest.trim().parse().ok()).map(|ip| SocketAddr::new(ip, 53));
    for address in addresses {
        if let Some(own) = listens_on(listen, address) {
            let message =
                format!("`resolvConf`: {shown} names {}, which is ourselves: we listen on {own}", address.ip());
            cx.warning(&path.at, message, "name the file saved before resolv.conf was pointed at us");
        }
    }
}

/// The listening address that `address` reaches.
fn listens_on(listen: &[SocketAddr], address: SocketAddr) -> Option<&SocketAddr> {
    let reaches = |own: &&SocketAddr| {
        own.port() == address.port()
            && (own.ip() == address.ip()
                || own.ip().is_unspecified() && address.ip().is_loopback() && own.is_ipv4() == address.is_ipv4())
    };
    listen.iter().find(reaches)
}

/// Where a group's zone is written, for overlaps.
pub(crate) fn claim(draft: &UpstreamDraft) -> (&Name, &Span) {
    (&draft.zone.value, &draft.zone.at)
}
