//! The route table: longest suffix to where its answers come from. Immutable; a change makes a new one.

use std::collections::HashMap;
use std::sync::Arc;

use strait_wire::Name;

use crate::Source;

/// A zone with the source of its answers.
pub struct Route {
    /// The zone.
    pub zone: Name,
    /// What kind of source, for metrics and logs: `static`, `file`, `forward`, `peer`, `upstream`, ...
    pub kind: &'static str,
    /// Answers for the zone.
    pub source: Arc<dyn Source>,
    /// Whether answers go through the cache (everything behind a network) or not.
    pub cached: bool,
}

/// Longest suffix to route.
#[derive(Default)]
pub struct RouteTable {
    routes: HashMap<Name, Arc<Route>>,
}

impl RouteTable {
    /// A table of these routes; of two for one zone the first counts, and the other is returned.
    pub fn new(routes: impl IntoIterator<Item = Route>) -> (Self, Vec<Route>) {
        let _ = routes;
        unimplemented!()
    }

    /// The route for the longest zone that `name` lies in.
    pub fn find(&self, name: &Name) -> Option<&Arc<Route>> {
        let _ = (name, &self.routes);
        unimplemented!()
    }
}
