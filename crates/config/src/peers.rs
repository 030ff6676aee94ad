//! `peers`: clusters asked directly.

use strait_identity::{TrustBundle, TrustDomain};
use strait_link::{EndpointUrl, LinkTarget, MAX_ENDPOINTS, MAX_PEERS};
use strait_resolve::reserved_zone;
use strait_wire::Name;

use crate::context::Context;
use crate::effective::Effective;
use crate::files::NamedFile;
use crate::section::{Located, Problem, Section};
use crate::{identity, units};

/// A peer whose trust bundle has not been read yet.
#[derive(Debug)]
pub(crate) struct PeerDraft {
    pub(crate) name: Located<String>,
    pub(crate) suffix: Located<Name>,
    endpoints: Vec<EndpointUrl>,
    trust_domain: Option<Located<TrustDomain>>,
    trust_bundle: NamedFile,
}

impl PeerDraft {
    /// Reads `peers`.
    pub(crate) fn read_all(root: &mut Section<'_>) -> Vec<Self> {
        let mut shown = Vec::new();
        let mut peers = Vec::new();
        for section in root.sections("peers", MAX_PEERS) {
            let (peer, effective) = Self::read(section);
            shown.push(effective);
            peers.extend(peer);
        }
        root.show("peers", Effective::List(shown));
        peers
    }

    fn read(mut section: Section<'_>) -> (Option<Self>, Effective) {
        let name = section.require("name", "give the peer a name, for logs and metrics", units::label);
        let suffix = section.require("suffix", "name the DNS suffix the peer answers for", delegated_suffix);
        section.must_have("endpoints", "name its gateways: [\"tls://192.0.2.1:853\"]");
        let endpoints =
            read_endpoints(&mut section).map(|list| list.into_iter().map(|endpoint| endpoint.value).collect());
        let trust_domain = section.get("trustDomain", units::parsed);
        section.must_have("trustBundle", "name the PEM file of the peer's CA");
        let trust_bundle = section.path("trustBundle").map(|path| NamedFile { key: "trustBundle", path });
        let effective = section.close();
        let peer = (|| {
            Some(Self {
                name: name?,
                suffix: suffix?,
                endpoints: endpoints?,
                trust_domain,
                trust_bundle: trust_bundle?,
            })
        })();
        (peer, effective)
    }

    /// Reads the trust bundle; notes what is wrong with it.
    pub(crate) fn resolve(self, cx: &Context, own: Option<&TrustDomain>) -> Option<LinkTarget> {
        if !self.trust_bundle.can_be_read(cx) {
            return None;
        }
        let claimed = self.trust_domain.as_ref().map(|domain| domain.value.clone());
        let trust_bundle = TrustBundle::from_file(&self.trust_bundle.path.value, claimed)
            .map_err(|error| identity::note(cx, &self.trust_bundle.path.at, &error.to_string()))
            .ok()?;
        if own == Some(trust_bundle.trust_domain()) {
            let at = self.trust_domain.map_or(self.trust_bundle.path.at, |domain| domain.at);
            let message =
                format!("peer `{}` has our own trust domain, {}", self.name.value, trust_bundle.trust_domain());
            cx.error(&at, message, "a peer is another cluster: give its trust domain and its ca.crt");
            return None;
        }
        Some(LinkTarget { name: self.name.value, suffix: self.suffix.value, endpoints: self.endpoints, trust_bundle })
    }
}

/// Reads `endpoints`; the same one twice is an error.
pub(crate) fn read_endpoints(section: &mut Section<'_>) -> Option<Vec<Located<EndpointUrl>>> {
    let endpoints = section.list("endpoints", MAX_ENDPOINTS, units::parsed::<EndpointUrl>)?;
    for (index, endpoint) in endpoints.iter().enumerate() {
        if endpoints[..index].iter().any(|earlier| earlier.value == endpoint.value) {
            section.cx.error(&endpoint.at, format!("endpoint {} is given twice", endpoint.value), "keep one of them");
        }
    }
    Some(endpoints)
}

/// A suffix that one cluster may answer for: not the root, a whole top-level domain, or a zone that is everybody's.
pub(crate) fn delegated_suffix(text: &str) -> Result<Name, Problem> {
    let suffix = units::name(text)?;
    match reserved_zone(&suffix) {
        Some(reserved) if !suffix.is_root() && !suffix.is_wildcard() => Err(Problem::new(
            format!("{text:?} overlaps {reserved}, which is no single cluster's"),
            "give the suffix under which that one cluster is known, such as cluster-b.example.com",
        )),
        _ => cluster_zone(text),
    }
}

/// A zone that one cluster has for itself: neither the root nor a whole top-level domain.
pub(crate) fn cluster_zone(text: &str) -> Result<Name, Problem> {
    let zone = units::name(text)?;
    match zone.label_count() {
        _ if zone.is_wildcard() => {
            Err(Problem::new(format!("{text:?} is a wildcard"), "a suffix covers the names below it by itself"))
        }
        0 | 1 => Err(Problem::new(
            format!("{text:?} covers a whole top-level domain"),
            "give the suffix of one cluster, such as cluster-b.example.com",
        )),
        _ => Ok(zone),
    }
}
