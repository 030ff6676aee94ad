//! The route table: longest suffix to where its answers come from. Immutable; a change makes a new one.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use strait_wire::Name;

use crate::Source;

/// A zone with the source of its answers.
#[derive(Clone)]
pub struct Route {
    /// The zone.
    pub zone: Name,
    /// What kind of source, for metrics and logs: `static`, `file`, `forward`, `peer`, `upstream`, `clusterset`, ...
    pub kind: &'static str,
    /// Answers for the zone.
    pub source: Arc<dyn Source>,
    /// Whether answers go through the cache (everything behind a network) or not.
    pub cached: bool,
}

impl Route {
    /// Whether the source walks further on our behalf, which a client must desire (RFC 1035 4.1.1, RD).
    /// Peers and the home zone answer from their own knowledge.
    pub(crate) fn needs_recursion(&self) -> bool {
        matches!(self.kind, "upstream" | "forward")
    }

    /// Whether the clusters that a question has passed matter to the source: it may send the question on to another
    /// cluster, or to its own cluster's DNS, from where it could come back. Ordinary upstreams are not told.
    pub(crate) fn carries_path(&self) -> bool {
        matches!(self.kind, "peer" | "home" | "clusterset")
    }

    /// Whether both say the same of the same zone.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.zone == other.zone
            && self.kind == other.kind
            && self.cached == other.cached
            && Arc::ptr_eq(&self.source, &other.source)
    }
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Route").field("zone", &self.zone).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Longest suffix to route.
#[derive(Default)]
pub struct RouteTable {
    routes: Vec<Arc<Route>>,
    /// Where in `routes`, by the zone's lower-cased wire form: a look-up needs no [`Name`].
    index: HashMap<Box<[u8]>, usize, RandomState>,
}

impl RouteTable {
    /// A table of these routes; of two for one zone the first counts, and the other is returned.
    pub fn new(routes: impl IntoIterator<Item = Route>) -> (Self, Vec<Route>) {
        let mut table = Self::default();
        let mut surplus = Vec::new();
        for route in routes {
            let key = route.zone.as_wire().to_ascii_lowercase().into_boxed_slice();
            if table.index.contains_key(&key) {
                surplus.push(route);
            } else {
                table.index.insert(key, table.routes.len());
                table.routes.push(Arc::new(route));
            }
        }
        (table, surplus)
    }

    /// The route for the longest zone that `name` lies in.
    pub fn find(&self, name: &Name) -> Option<&Arc<Route>> {
        self.position(name.to_lowercase().as_wire()).map(|at| &self.routes[at])
    }

    /// Every route, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.iter()
    }

    /// The place of the route for the longest zone that the name lies in; `lower` is its wire form in lower case.
    pub(crate) fn position(&self, lower: &[u8]) -> Option<usize> {
        let mut rest = lower;
        loop {
            if let Some(&at) = self.index.get(rest) {
                return Some(at);
            }
            // The root is the last: its one octet is the end of every name.
            let len = usize::from(*rest.first()?);
            rest = rest.get(1 + len..).filter(|_| len > 0)?;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testing::{Scripted, name};

    fn route(zone: &str, kind: &'static str) -> Route {
        Route { zone: name(zone), kind, source: Scripted::silent(), cached: true }
    }

    #[test]
    fn the_longest_suffix_wins() {
        let zones = [".", "example.com", "cluster-b.example.com", "local"];
        let (table, surplus) = RouteTable::new(zones.map(|zone| route(zone, "forward")));
        assert!(surplus.is_empty());
        let cases = [
            ("example.com", "example.com."),
            ("WEB.Example.COM", "example.com."),
            ("web.cluster-b.example.com", "cluster-b.example.com."),
            // A suffix counts only at a label boundary.
            ("xcluster-b.example.com", "example.com."),
            ("cluster.local", "local."),
            ("net", "."),
            (".", "."),
        ];
        for (asked, zone) in cases {
            assert_eq!(table.find(&name(asked)).unwrap().zone.to_string(), zone, "{asked}");
        }
    }

    #[test]
    fn without_a_root_route_some_names_have_none() {
        let (table, _) = RouteTable::new([route("example.com", "static")]);
        for asked in ["com", ".", "example.net"] {
            assert!(table.find(&name(asked)).is_none(), "{asked}");
        }
    }

    #[test]
    fn of_two_routes_for_one_zone_the_first_counts() {
        let (table, surplus) = RouteTable::new([route("example.com", "static"), route("EXAMPLE.com", "special")]);
        assert_eq!(table.find(&name("example.com")).unwrap().kind, "static");
        assert_eq!(surplus.iter().map(|r| r.kind).collect::<Vec<_>>(), ["special"]);
        assert_eq!(table.iter().count(), 1);
    }
}
