//! What a name of the cluster is, by the Kubernetes DNS specification 1.1.0, whatever zone it lies under.
//!
//! ```text
//! <zone>                                  apex
//! dns-version.<zone>                      2.2
//! ns.dns.<zone>                           the name server
//! <service>.<ns>.svc.<zone>               2.3.1, 2.4.1, 2.5
//! <hostname>.<service>.<ns>.svc.<zone>    2.4.1
//! _<port>._<proto>.<service>.<ns>.svc.<zone>  2.3.2, 2.4.2
//! <a>-<b>-<c>-<d>.<ns>.pod.<zone>         2.6
//! ```
//!
//! A name above one that exists exists, without records (RFC 4592 2.2.2); there are no wildcards.

use std::net::IpAddr;

use crate::Protocol;
use crate::catalog::Catalog;
use crate::pods::{PodMode, parse_dashed};
use crate::service::ServiceView;

/// The most labels that a name of the cluster has before its zone.
pub(crate) const MAX_LABELS: usize = 5;

/// What a name is.
pub(crate) enum Found<'a> {
    /// The zone itself.
    Apex,
    /// The name of the schema's version.
    Version,
    /// The name of the name server.
    NameServer,
    /// A service, which has a name.
    Service(&'a ServiceView),
    /// An endpoint of a service, by its label.
    Endpoint(&'a ServiceView, &'a [u8]),
    /// A port of a service.
    Port(&'a ServiceView, &'a [u8], Protocol),
    /// A pod.
    Pod(IpAddr),
    /// A name without records.
    Empty,
    /// No name.
    Nothing,
}

/// The part of a name before its zone, in wire form and lower case.
pub(crate) struct Relative<'n> {
    wire: &'n [u8],
    starts: [u8; MAX_LABELS],
    count: usize,
}

impl<'n> Relative<'n> {
    /// The part of `lower` before `apex`, both in wire form and lower case; none when it is not within it.
    pub(crate) fn new(lower: &'n [u8], apex: &[u8]) -> Option<Self> {
        let end = lower.len().checked_sub(apex.len())?;
        let (mut at, mut count, mut starts) = (0, 0, [0; MAX_LABELS]);
        while at < end {
            if let Some(start) = starts.get_mut(count) {
                // Within a name, of at most 255 octets.
                *start = at as u8;
            }
            count += 1;
            at += 1 + usize::from(lower[at]);
        }
        (at == end && lower.get(end..) == Some(apex)).then_some(Self { wire: &lower[..end], starts, count })
    }

    /// How many labels it has.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The labels from there on, in wire form.
    pub(crate) fn from(&self, label: usize) -> &'n [u8] {
        self.starts.get(label).and_then(|start| self.wire.get(usize::from(*start)..)).unwrap_or_default()
    }

    /// The octets of a label, counted from the left.
    pub(crate) fn label(&self, label: usize) -> &'n [u8] {
        let from = self.from(label);
        from.split_first().and_then(|(len, rest)| rest.get(..usize::from(*len))).unwrap_or_default()
    }
}

/// What `name` is.
pub(crate) fn find<'a>(catalog: &'a Catalog, name: &Relative<'a>) -> Found<'a> {
    match name.count {
        0 => Found::Apex,
        // Nothing of ours has so many labels.
        count if count > MAX_LABELS => Found::Nothing,
        count => match (name.label(count - 1), count) {
            (b"svc", _) => below_svc(catalog, name),
            (b"pod", _) => below_pod(catalog, name),
            (b"dns-version", 1) => Found::Version,
            (b"dns", 1) => Found::Empty,
            (b"dns", 2) if name.label(0) == b"ns" => Found::NameServer,
            _ => Found::Nothing,
        },
    }
}

fn below_svc<'a>(catalog: &'a Catalog, name: &Relative<'a>) -> Found<'a> {
    let service_at = match name.count {
        1 => return Found::Empty,
        2 => return empty_if(catalog.has_namespace(name.label(0))),
        count => count - 3,
    };
    let svc = name.from(name.count - 1);
    let from = name.from(service_at);
    let service = catalog.service(&from[..from.len() - svc.len()]).filter(|service| service.has_name());
    let Some(service) = service else { return Found::Nothing };
    match service_at {
        0 => Found::Service(service),
        1 => match Protocol::of_label(name.label(0)) {
            Some(protocol) => empty_if(service.has_protocol(protocol)),
            None => match service.endpoint(name.label(0)).next() {
                Some(_) => Found::Endpoint(service, name.label(0)),
                None => Found::Nothing,
            },
        },
        _ => match (name.label(0).split_first(), Protocol::of_label(name.label(1))) {
            (Some((b'_', port)), Some(protocol)) if service.has_port(port, protocol) => {
                Found::Port(service, port, protocol)
            }
            _ => Found::Nothing,
        },
    }
}

fn below_pod<'a>(catalog: &Catalog, name: &Relative<'a>) -> Found<'a> {
    let mode = catalog.settings().pods;
    match name.count {
        _ if mode == PodMode::Off => Found::Nothing,
        1 => Found::Empty,
        2 => empty_if(catalog.has_namespace(name.label(0))),
        3 => {
            let namespace = name.label(1);
            let is_there = |address: &IpAddr| match mode {
                PodMode::Verified => catalog.has_pod(namespace, *address),
                PodMode::Off | PodMode::Insecure => catalog.has_namespace(namespace),
            };
            parse_dashed(name.label(0)).filter(is_there).map_or(Found::Nothing, Found::Pod)
        }
        _ => Found::Nothing,
    }
}

fn empty_if<'a>(is_there: bool) -> Found<'a> {
    if is_there { Found::Empty } else { Found::Nothing }
}
