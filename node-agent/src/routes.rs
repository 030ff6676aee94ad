//! The routes that the configuration file fixes: zones, forward zones, hosts files, upstreams, special names.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use strait_config::{NodeAgentConfig, ZoneKind};
use strait_federation::ZoneSet;
use strait_link::{LinkMetrics, UpstreamGroup, UpstreamSettings};
use strait_resolve::zone::{Hosts, HostsData, Zone};
use strait_resolve::{Route, RouteTable, Source, UnknownZone, special_routes};
use strait_wire::Name;

use crate::addresses::AddressRoutes;

/// Routes whose sources live as long as the process.
pub(crate) struct LocalRoutes {
    /// What the file says; wins over what a gateway tells.
    configured: Vec<Route>,
    /// Laid over the special names and everything else: hosts files know names anywhere, those of private reverse zones among them.
    hosts: Option<Arc<ArcSwap<HostsData>>>,
    /// Everything else.
    default: Option<Route>,
    /// Names that may be those of peers, as long as the peers are not known.
    unknown: Vec<Route>,
}

impl LocalRoutes {
    /// Starts the upstream groups. `own` are the addresses we listen on: never an upstream of ours. `gateway` answers for
    /// the zones that are this cluster's gateway's.
    pub(crate) fn start(
        config: &NodeAgentConfig,
        hosts: Option<Arc<ArcSwap<HostsData>>>,
        own: &[SocketAddr],
        gateway: Option<Arc<dyn Source>>,
        metrics: &Arc<LinkMetrics>,
    ) -> anyhow::Result<Self> {
        let upstream = |settings: &UpstreamSettings| -> anyhow::Result<Arc<dyn Source>> {
            Ok(UpstreamGroup::start(
                UpstreamSettings { exclude: own.to_vec(), ..settings.clone() },
                Arc::clone(metrics),
            )?)
        };
        let mut configured = Vec::new();
        for zone in &config.zones {
            let source = Arc::clone(&zone.zone) as Arc<dyn Source>;
            configured.push(Route { zone: zone.zone.apex().clone(), kind: zone.kind.as_str(), source, cached: false });
        }
        for settings in &config.forward {
            let source = upstream(settings)?;
            configured.push(Route { zone: settings.zone.clone(), kind: "forward", source, cached: true });
        }
        if let Some(source) = gateway {
            let route =
                |zone: &Name| Route { zone: zone.clone(), kind: "home", source: Arc::clone(&source), cached: true };
            configured.extend(config.gateway_zones.iter().map(route));
        }
        let default: Option<Arc<dyn Source>> = match (&hosts, config.upstreams.as_ref().map(upstream).transpose()?) {
            (Some(hosts), below) => Some(Arc::new(Hosts::new(Arc::clone(hosts), below))),
            (None, below) => below,
        };
        let default = default.map(|source| Route { zone: Name::root(), kind: "upstream", source, cached: true });
        let why = "this cluster's gateway has not told the peers yet, and there is no copy on disk";
        let unknown: Arc<dyn Source> = Arc::new(UnknownZone::new(why.to_owned()));
        let route =
            |zone: &Name| Route { zone: zone.clone(), kind: "unknown", source: Arc::clone(&unknown), cached: false };
        let unknown = config.gateway_suffixes.iter().map(route).collect();
        Ok(Self { configured, hosts, default, unknown })
    }

    /// Routes in place of peers that are not known yet.
    pub(crate) fn of_unknown_peers(&self) -> Vec<Route> {
        self.unknown.clone()
    }

    /// The route table with `peers` and the cluster's shared `zones` besides, and with the peers' addresses. What the file
    /// says wins over what a gateway tells, and both win over the special names.
    pub(crate) fn table(&self, peers: Vec<Route>, zones: &ZoneSet, addresses: AddressRoutes) -> RouteTable {
        let zones = zones.iter().filter_map(|zone| zone.zone().ok()).map(static_route);
        let told: Vec<Route> = peers.into_iter().chain(zones).collect();
        let (without, _) = self.with(told.clone());
        let around_own = addresses.around_own(&without);
        let (table, shadowed) = self.with(told.into_iter().chain(around_own).chain(addresses.routes).collect());
        for route in &shadowed {
            match route.kind {
                "peer" => {
                    tracing::warn!(zone = %route.zone, "a zone of a peer is also one of the configuration file; the file wins");
                }
                "static" => {
                    tracing::warn!(zone = %route.zone, "a shared zone is also one of the configuration file; the file wins");
                }
                _ => {}
            }
        }
        table
    }

    /// A table of what the file says, then `told`, then special names and everything else; and what found no place in it.
    fn with(&self, told: Vec<Route>) -> (RouteTable, Vec<Route>) {
        let named: Vec<Route> = self.configured.iter().cloned().chain(told).collect();
        let zones: Vec<Name> = named.iter().map(|route| route.zone.clone()).collect();
        let special = special_routes(&zones).into_iter().map(|route| self.under_hosts(route));
        RouteTable::new(named.into_iter().chain(special).chain(self.default.clone()))
    }

    fn under_hosts(&self, route: Route) -> Route {
        match &self.hosts {
            Some(hosts) => {
                Route { source: Arc::new(Hosts::new(Arc::clone(hosts), Some(Arc::clone(&route.source)))), ..route }
            }
            None => route,
        }
    }
}

/// The route to a shared zone.
fn static_route(zone: &Arc<Zone>) -> Route {
    let (source, kind) = (Arc::clone(zone) as Arc<dyn Source>, ZoneKind::Static.as_str());
    Route { zone: zone.apex().clone(), kind, source, cached: false }
}
