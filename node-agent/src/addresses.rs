//! The reverse zones that a gateway tells: to the peer whose addresses they hold, and to nobody where that is disputed.

use std::sync::Arc;

use strait_federation::{AddressMap, Owners};
use strait_link::PeerLinks;
use strait_resolve::{RefusedZone, Route, RouteTable};
use strait_wire::Name;

/// What follows from whose addresses are.
#[derive(Default)]
pub(crate) struct AddressRoutes {
    /// To peers, and to nobody.
    pub(crate) routes: Vec<Route>,
    /// Zones of this cluster's own addresses: no peer is asked of them, whatever else it has.
    pub(crate) own: Vec<Name>,
}

/// The routes of the zones of `map`, to the peers that there are links to.
pub(crate) fn routes(map: &AddressMap, links: &PeerLinks) -> AddressRoutes {
    let mut found = AddressRoutes::default();
    for zone in map.zones() {
        match &zone.owners {
            Owners::Own => found.own.push(zone.zone),
            Owners::Peer(name) => {
                // One that is not linked to is no peer of ours any more.
                let Some(peer) = links.get(name.as_str()) else { continue };
                found.routes.push(Route { zone: zone.zone, kind: "peer", source: peer, cached: true });
            }
            Owners::Disputed(names) => {
                let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
                let why = format!("{} is claimed by peers {}; none of them is asked", zone.range, names.join(" and "));
                let source = Arc::new(RefusedZone::new(why));
                found.routes.push(Route { zone: zone.zone, kind: "refused", source, cached: false });
            }
        }
    }
    found
}

impl AddressRoutes {
    /// Routes for own zones that lie in a peer's: they lead where they would if no peer had addresses, as `without` says.
    pub(crate) fn around_own(&self, without: &RouteTable) -> Vec<Route> {
        if self.own.is_empty() || self.routes.is_empty() {
            return Vec::new();
        }
        let (with, _) = RouteTable::new(self.routes.iter().cloned());
        let hidden = self.own.iter().filter(|zone| with.find(zone).is_some());
        let lead = |zone: &Name| match without.find(zone) {
            // Of two routes for one zone the first counts, and that is this one already.
            Some(route) => Route { zone: zone.clone(), ..Route::clone(route) },
            None => {
                let why = "these are addresses of this cluster, and nobody here answers for them".to_owned();
                Route { zone: zone.clone(), kind: "refused", source: Arc::new(RefusedZone::new(why)), cached: false }
            }
        };
        hidden.map(lead).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn route(zone: &str, kind: &'static str) -> Route {
        let source = Arc::new(RefusedZone::new(String::new()));
        Route { zone: zone.parse().unwrap(), kind, source, cached: false }
    }

    #[test]
    fn own_addresses_lead_where_they_would_without_any_peer() {
        // (the peers' zones, our own, other routes, the zones that lead around and of what kind)
        type Case<'a> = (&'a [&'a str], &'a [&'a str], &'a [(&'a str, &'static str)], &'a [(&'a str, &'a str)]);
        let cases: [Case<'_>; 6] = [
            // Nothing of a peer's is around ours.
            (&["97.10.in-addr.arpa"], &["96.10.in-addr.arpa"], &[("10.in-addr.arpa", "special")], &[]),
            (&[], &["96.10.in-addr.arpa"], &[("10.in-addr.arpa", "special")], &[]),
            (
                &["10.in-addr.arpa"],
                &["96.10.in-addr.arpa"],
                &[("10.in-addr.arpa", "special")],
                &[("96.10.in-addr.arpa.", "special")],
            ),
            // The file has the very zone; whichever comes first is its.
            (
                &["10.in-addr.arpa"],
                &["96.10.in-addr.arpa"],
                &[("96.10.in-addr.arpa", "home")],
                &[("96.10.in-addr.arpa.", "home")],
            ),
            (
                &["10.in-addr.arpa"],
                &["96.10.in-addr.arpa"],
                &[(".", "upstream")],
                &[("96.10.in-addr.arpa.", "upstream")],
            ),
            // They would lead nowhere: not to the peer either.
            (&["10.in-addr.arpa"], &["96.10.in-addr.arpa"], &[], &[("96.10.in-addr.arpa.", "refused")]),
        ];
        for (peers, own, others, expected) in cases {
            let routes = peers.iter().map(|zone| route(zone, "peer")).collect();
            let addresses = AddressRoutes { routes, own: own.iter().map(|zone| zone.parse().unwrap()).collect() };
            let (without, _) = RouteTable::new(others.iter().map(|(zone, kind)| route(zone, kind)));
            let around = addresses.around_own(&without);
            let around: Vec<(String, &str)> = around.iter().map(|route| (route.zone.to_string(), route.kind)).collect();
            let expected: Vec<(String, &str)> =
                expected.iter().map(|(zone, kind)| ((*zone).to_owned(), *kind)).collect();
            assert_eq!(around, expected, "{peers:?} {own:?} {others:?}");
        }
    }
}
