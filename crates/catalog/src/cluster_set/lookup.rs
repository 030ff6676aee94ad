//! What a name of the set is (KEP-1645, DNS specification 2.2 to 2.4).
//!
//! ```text
//! dns-version.<zone>                                       2.2
//! <service>.<ns>.svc.<zone>                                2.3.1, 2.4.1
//! _<port>._<proto>.<service>.<ns>.svc.<zone>               2.3.2, 2.4.2
//! <hostname>.<clusterid>.<service>.<ns>.svc.<zone>         2.4.1, headless services only
//! <clusterid>.<service>.<ns>.svc.<zone>                    no records, ever: 2.3.4, 2.4.4
//! ```

use super::SharedView;
use crate::catalog::Catalog;
use crate::lookup::{MAX_LABELS, Relative};
use crate::service::ServiceView;
use crate::{Label, Protocol};

/// Whose services a zone tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// What this cluster exports.
    Exports,
    /// That, and imports, which come first.
    All,
}

/// A service of the set, and where its endpoints are.
#[derive(Clone, Copy)]
pub(super) struct Shared<'a> {
    pub(super) view: &'a ServiceView,
    pub(super) is_import: bool,
    /// This cluster.
    own: &'a Label,
}

/// What a name is, as far as it is known here.
pub(super) enum Found<'a> {
    /// The zone itself.
    Apex,
    /// The name of the schema's version.
    Version,
    /// The name of the name server.
    NameServer,
    /// A service.
    Service(Shared<'a>),
    /// An endpoint of a headless service: its label and that of its cluster.
    Endpoint(Shared<'a>, &'a [u8], &'a [u8]),
    /// A port of a service.
    Port(Shared<'a>, &'a [u8], Protocol),
    /// A name without records.
    Empty,
    /// No name, whoever is asked.
    Nothing,
    /// No name as far as it is known here; other clusters may know it.
    Elsewhere,
}

impl<'a> Shared<'a> {
    /// The service of that name, for whoever is shown so much.
    fn of(shared: &'a SharedView, shown: Shown, own: &'a Label) -> Option<Self> {
        let import = shared.import().filter(|_| shown == Shown::All);
        let import = import.map(|view| Self { view, is_import: true, own });
        import.or_else(|| Some(Self { view: shared.exported.as_deref()?, is_import: false, own }))
    }

    /// Whether endpoints that are said to be in `of` are in the cluster of that label.
    pub(super) fn is_in(&self, of: Option<&Label>, cluster: &[u8]) -> bool {
        self.cluster(of).is_some_and(|label| label.is(cluster))
    }

    /// The cluster of endpoints that are said to be in `of`.
    pub(super) fn cluster<'l>(&'l self, of: Option<&'l Label>) -> Option<&'l Label> {
        if self.is_import { of } else { Some(self.own) }
    }

    fn elsewhere(&self) -> Found<'a> {
        if self.is_import { Found::Nothing } else { Found::Elsewhere }
    }
}

/// What `name` is; `own` is this cluster.
pub(super) fn find<'a>(catalog: &'a Catalog, name: &Relative<'a>, shown: Shown, own: &'a Label) -> Found<'a> {
    match name.count() {
        0 => Found::Apex,
        count if count > MAX_LABELS => Found::Nothing,
        count => match (name.label(count - 1), count) {
            (b"svc", _) => below_svc(catalog, name, shown, own),
            (b"dns-version", 1) => Found::Version,
            (b"dns", 1) => Found::Empty,
            (b"dns", 2) if name.label(0) == b"ns" => Found::NameServer,
            _ => Found::Nothing,
        },
    }
}

fn below_svc<'a>(catalog: &'a Catalog, name: &Relative<'a>, shown: Shown, own: &'a Label) -> Found<'a> {
    let before = match name.count() {
        1 => return Found::Empty,
        // Namespaces are the same ones in every cluster of the set.
        2 if catalog.has_namespace(name.label(0)) => return Found::Empty,
        2 => return Found::Elsewhere,
        count => count - 3,
    };
    let (from, svc) = (name.from(before), name.from(name.count() - 1));
    let shared = catalog.shared(&from[..from.len() - svc.len()]).and_then(|view| Shared::of(view, shown, own));
    let Some(shared) = shared else { return Found::Elsewhere };
    match (shared.view.has_name(), before) {
        // None of its endpoints is ready (2.4.1); in other clusters some may be.
        (false, _) => shared.elsewhere(),
        (true, 0) => Found::Service(shared),
        (true, 1) => above(shared, name.label(0)),
        (true, _) => below_service(shared, name.label(0), name.label(1)),
    }
}

/// What stands right below a service: what is above ports, and above endpoints.
fn above<'a>(shared: Shared<'a>, label: &[u8]) -> Found<'a> {
    let is_there = match Protocol::of_label(label) {
        Some(protocol) => shared.view.has_protocol(protocol),
        None => shared.view.is_headless() && shared.view.has_cluster(|of| shared.is_in(of, label)),
    };
    match is_there {
        true => Found::Empty,
        false if shared.view.is_headless() => shared.elsewhere(),
        false => Found::Nothing,
    }
}

fn below_service<'a>(shared: Shared<'a>, first: &'a [u8], second: &'a [u8]) -> Found<'a> {
    if let (Some((b'_', port)), Some(protocol)) = (first.split_first(), Protocol::of_label(second)) {
        return match shared.view.has_port(port, protocol) {
            true => Found::Port(shared, port, protocol),
            false if shared.view.is_headless() => shared.elsewhere(),
            false => Found::Nothing,
        };
    }
    let is_there = || shared.view.endpoint_in(first, |of| shared.is_in(of, second)).next().is_some();
    match shared.view.is_headless() {
        true if is_there() => Found::Endpoint(shared, first, second),
        // Nobody else knows the endpoints here.
        true if !shared.own.is(second) => shared.elsewhere(),
        _ => Found::Nothing,
    }
}
