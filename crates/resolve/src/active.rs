//! The route table in force: every route with its counters, under a generation.
//!
//! A route that a change leaves as it was keeps its [`ZoneState`]; cached answers hold that state
//! and not the source, so that a removed peer's links end although its answers are still in memory.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use strait_wire::Name;

use crate::client_share::{Client, ClientShares, Counters};
use crate::flight::{MAX_EXCHANGES, MAX_WAITING_PER_ZONE, Overloaded, Starter};
use crate::metrics::ZoneMetrics;
use crate::{ResolveMetrics, Route, RouteTable};

/// What outlives a look-up of a zone: its identity and its counters.
pub(crate) struct ZoneState {
    /// The zone's name as metrics and logs say it.
    pub(crate) label: Arc<str>,
    pub(crate) kind: &'static str,
    pub(crate) is_peer: bool,
    pub(crate) metrics: Arc<ZoneMetrics>,
    /// Clients that wait for an answer of this zone.
    pub(crate) waiting: AtomicUsize,
    /// Of these, whose they are.
    waiting_shares: ClientShares,
    /// Who started its exchanges.
    pub(crate) exchange_shares: Arc<ClientShares>,
}

impl ZoneState {
    pub(crate) fn new(label: &str, kind: &'static str, metrics: &ResolveMetrics) -> Self {
        Self {
            label: label.into(),
            kind,
            is_peer: kind == "peer",
            metrics: metrics.zone(label),
            waiting: AtomicUsize::new(0),
            waiting_shares: ClientShares::default(),
            exchange_shares: Arc::default(),
        }
    }

    /// A place among those who wait for an answer of this zone.
    pub(crate) fn wait(self: &Arc<Self>, client: Client) -> Result<Seat, Overloaded> {
        let counters = self.waiting_shares.enter(client, MAX_WAITING_PER_ZONE)?;
        // Over the bound the seat is dropped, which takes back what was counted.
        let seat = Seat { zone: Arc::clone(self), counters };
        match self.waiting.fetch_add(1, Ordering::Relaxed) < MAX_WAITING_PER_ZONE {
            true => Ok(seat),
            false => Err(Overloaded::Full),
        }
    }
}

/// A place among those who wait for an answer of a zone.
pub(crate) struct Seat {
    zone: Arc<ZoneState>,
    counters: Counters,
}

impl Seat {
    pub(crate) fn zone(&self) -> &Arc<ZoneState> {
        &self.zone
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.zone.waiting.fetch_sub(1, Ordering::Relaxed);
        self.zone.waiting_shares.leave(self.counters);
    }
}

/// A route with its state.
pub(crate) struct ActiveRoute {
    pub(crate) route: Arc<Route>,
    pub(crate) zone: Arc<ZoneState>,
}

impl ActiveRoute {
    /// The client as one who starts an exchange with the route's source.
    pub(crate) fn starter(&self, client: Client) -> Starter<'_> {
        let capacity = self.route.source.capacity().unwrap_or(MAX_EXCHANGES);
        Starter { client, zone: &self.zone.exchange_shares, capacity }
    }
}

/// An immutable snapshot.
pub(crate) struct ActiveTable {
    generation: u64,
    /// Answers of exchanges that began with an older table are not kept: the cache has been told to forget them.
    keeps_from: u64,
    table: Arc<RouteTable>,
    /// In the order of the table.
    routes: Vec<Arc<ActiveRoute>>,
}

impl ActiveTable {
    /// The first table.
    pub(crate) fn first(table: RouteTable, metrics: &ResolveMetrics) -> Self {
        let mut states = States::new(metrics);
        let routes = table.iter().map(|route| states.activate(route)).collect();
        Self { generation: 1, keeps_from: 0, table: Arc::new(table), routes }
    }

    /// The table that follows this one.
    pub(crate) fn followed_by(&self, table: &Arc<RouteTable>, metrics: &ResolveMetrics) -> Self {
        let before = |route: &Arc<Route>| {
            let lower = route.zone.to_lowercase();
            self.find(lower.as_wire()).filter(|active| active.route.is_same(route))
        };
        let mut states = States::new(metrics);
        for kept in table.iter().filter_map(before) {
            states.keep(kept);
        }
        let keep = |route| before(route).map_or_else(|| states.activate(route), Arc::clone);
        let routes = table.iter().map(keep).collect();
        Self { generation: self.generation + 1, keeps_from: self.keeps_from, table: Arc::clone(table), routes }
    }

    /// The same routes; what is still in flight by way of the old table is not kept.
    pub(crate) fn forgetting(&self) -> Self {
        let generation = self.generation + 1;
        Self { generation, keeps_from: generation, table: Arc::clone(&self.table), routes: self.routes.clone() }
    }

    /// Whether the answer of an exchange that began with the table of that generation may be kept.
    pub(crate) fn keeps(&self, begun: u64) -> bool {
        begun >= self.keeps_from
    }

    /// Drops the counters of the zones of `self` that `next` has no more.
    pub(crate) fn forget_missing(&self, next: &RouteTable) {
        let kept: HashSet<&Name> = next.iter().map(|route| counted_with(route)).collect();
        for gone in self.routes.iter().filter(|active| !kept.contains(counted_with(&active.route))) {
            gone.zone.metrics.forget();
        }
    }

    /// The route of the name whose wire form in lower case is `lower`.
    pub(crate) fn find(&self, lower: &[u8]) -> Option<&Arc<ActiveRoute>> {
        self.table.position(lower).map(|at| &self.routes[at])
    }

    /// Whether the zone is in force.
    pub(crate) fn has(&self, zone: &Arc<ZoneState>) -> bool {
        self.routes.iter().any(|route| Arc::ptr_eq(&route.zone, zone))
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn table(&self) -> &Arc<RouteTable> {
        &self.table
    }
}

/// The zone that a route's questions are counted with.
fn counted_with(route: &Route) -> &Name {
    route.source.counted_with().unwrap_or(&route.zone)
}

/// The states of a table that is being made: routes to one source that are counted together have one.
struct States<'a> {
    metrics: &'a ResolveMetrics,
    shared: HashMap<(Name, usize), Arc<ZoneState>>,
}

impl<'a> States<'a> {
    fn new(metrics: &'a ResolveMetrics) -> Self {
        Self { metrics, shared: HashMap::new() }
    }

    /// The route is in the table as it is.
    fn keep(&mut self, active: &ActiveRoute) {
        if let Some(key) = Self::shared_by(&active.route) {
            self.shared.entry(key).or_insert_with(|| Arc::clone(&active.zone));
        }
    }

    /// A route that is new in the table.
    fn activate(&mut self, route: &Arc<Route>) -> Arc<ActiveRoute> {
        let new =
            || Arc::new(ZoneState::new(&counted_with(route).to_lowercase().to_string(), route.kind, self.metrics));
        let zone = match Self::shared_by(route) {
            Some(key) => Arc::clone(self.shared.entry(key).or_insert_with(new)),
            None => new(),
        };
        Arc::new(ActiveRoute { route: Arc::clone(route), zone })
    }

    fn shared_by(route: &Route) -> Option<(Name, usize)> {
        let zone = route.source.counted_with()?.to_lowercase();
        Some((zone, Arc::as_ptr(&route.source).cast::<()>().addr()))
    }
}
