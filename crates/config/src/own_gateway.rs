//! `gateway`: this cluster's own gateways, which tell a node-agent its peers, and answer for zones of the cluster.

use strait_link::{EndpointUrl, Scheme};
use strait_resolve::IpNet;
use strait_wire::Name;

use crate::document::Span;
use crate::section::{Located, Problem, Section};
use crate::{peers, units};

/// Entries of `zones` at most.
const MAX_ENTRIES: usize = 64;
/// Zones that these stand for at most: each answer is looked for in one of them.
const MAX_ZONES: usize = 256;

/// What the text says of this cluster's gateways.
#[derive(Debug, Default)]
pub(crate) struct GatewayDraft {
    /// Where they are; empty: none.
    pub(crate) endpoints: Vec<EndpointUrl>,
    /// What they answer for.
    pub(crate) zones: Vec<Located<Name>>,
    /// Where peers' suffixes lie: not asked of anybody before the peers are known.
    pub(crate) suffixes: Vec<Name>,
}

impl GatewayDraft {
    /// Reads `gateway`.
    pub(crate) fn read(root: &mut Section<'_>) -> Self {
        let Some(mut section) = root.section("gateway") else { return Self::default() };
        section.must_have("endpoints", "name this cluster's gateways: [\"grpc://10.0.0.5:8443\"]");
        let endpoints = peers::read_endpoints(&mut section).unwrap_or_default();
        for endpoint in endpoints.iter().filter(|endpoint| endpoint.value.scheme != Scheme::Grpc) {
            let host = &endpoint.value.host;
            let message = format!("{} cannot tell peers: that goes over gRPC", endpoint.value);
            root.cx.error(&endpoint.at, message, format!("write grpc://{host}:8443"));
        }
        let zones = read_zones(&mut section);
        let suffixes = section.list("suffixes", MAX_ENTRIES, zone_of_suffixes).unwrap_or_default();
        let suffixes = suffixes.into_iter().map(|suffix| suffix.value).collect();
        root.show("gateway", section.close());
        Self { endpoints: endpoints.into_iter().map(|endpoint| endpoint.value).collect(), zones, suffixes }
    }

    /// The zones, and where they are written, for overlaps.
    pub(crate) fn claims(&self) -> Vec<(&Name, &Span)> {
        self.zones.iter().map(|zone| (&zone.value, &zone.at)).collect()
    }
}

fn read_zones(section: &mut Section<'_>) -> Vec<Located<Name>> {
    let entries = section.list("zones", MAX_ENTRIES, names_of).unwrap_or_default();
    let located = |Located { value, at }: Located<Vec<Name>>| {
        value.into_iter().map(move |value| Located { value, at: at.clone() })
    };
    let zones: Vec<_> = entries.into_iter().flat_map(located).collect();
    if zones.len() > MAX_ZONES {
        let at = section.key_at("zones").unwrap_or(section.at.clone());
        let message = format!("`zones` stands for {} zones; at most {MAX_ZONES} are accepted", zones.len());
        section.cx.error(&at, message, "write ranges whose length ends at an octet: 10.96.0.0/16, 10.0.0.0/8");
    }
    zones
}

/// A zone in which suffixes of peers lie.
fn zone_of_suffixes(text: &str) -> Result<Name, Problem> {
    match units::name(text)? {
        name if name.is_wildcard() || name.labels().count() < 2 => Err(Problem::new(
            format!("{text:?} is no zone of clusters alone"),
            "name the zone below which the suffixes of peers lie: clusters.example.com",
        )),
        name => Ok(name),
    }
}

/// The zone that is named, or those that hold the addresses of a range.
fn names_of(text: &str) -> Result<Vec<Name>, Problem> {
    // A name with a slash is a range mistyped: some reverse zones have one (RFC 2317), and no cluster's.
    if text.contains('/') || text.parse::<IpNet>().is_ok() {
        return units::parsed::<IpNet>(text).map(|range| range.reverse_zones());
    }
    match units::name(text)? {
        name if name.is_root() || name.is_wildcard() => Err(Problem::new(
            format!("{text:?} is no zone of a cluster"),
            "name one, cluster.local, or a range of its addresses, 10.96.0.0/12",
        )),
        name => Ok(vec![name]),
    }
}
